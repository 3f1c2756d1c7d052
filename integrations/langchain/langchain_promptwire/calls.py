"""The arguments of one call: the prompt's apart from the model's, the layers in DESIGN's order."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from promptwire.calls import RENDERING, SELECTION, select
from promptwire.errors import ConfigurationError, raise_bare
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.params import merge_variables

CONTROLS = (
    "prompt_id", "prompt_variables", "prompt_label", "prompt_version", *RENDERING,
    "model", "ignore_prompt_model", "ignore_prompt_params",
)  # fmt: skip

CALL_ARGUMENTS = OPENAI_PARAMS.union(CONTROLS)

ChatInput = LanguageModelInput | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """Arguments of one rank: what they say of the prompt, and the model's parameters."""

    controls: dict[str, Any]
    params: dict[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Layer":
        """Raises ``ConfigurationError`` for a name that is nearly one of ours: it would go to the provider."""
        for name in given.keys() - CALL_ARGUMENTS:
            if close := difflib.get_close_matches(name, CONTROLS, 1, 0.8):
                raise ConfigurationError(f"ChatPromptwire's call has no argument {name!r} (did you mean {close[0]!r}?)")
        controls = {name: value for name, value in given.items() if name in CONTROLS and value is not None}
        return cls(controls, {name: value for name, value in given.items() if name not in CONTROLS})


def stacked(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Controls of two ranks, the upper winning."""
    selected = {name: value for name, value in select(lower, upper).items() if value is not None}
    others = {name: value for layer in (lower, upper) for name, value in layer.items() if name not in SELECTION}
    ranks = [layer.get("prompt_variables") for layer in (lower, upper)]
    if not all(variables is None or isinstance(variables, Mapping) for variables in ranks):
        raise ConfigurationError("prompt_variables is a mapping of names to values")
    return {**others, **selected, "prompt_variables": merge_variables(*ranks)}


def read_input(given: ChatInput) -> tuple[list[BaseMessage], dict[str, Any]]:
    """The caller's messages, and the variables if the input is a dict of them."""
    variables: dict[str, Any] = {}
    source: Any = given
    if isinstance(given, Mapping):
        variables = merge_variables(given)
        source = variables.pop("messages", None) or []
    if isinstance(source, str):
        return convert_to_messages([source]), variables
    if isinstance(source, BaseMessage):
        return [source], variables
    if not isinstance(source, PromptValue | list | tuple):
        raise ConfigurationError(
            f"the input is a text, messages, a prompt value or a dict of variables, not {type(source).__name__}"
        )
    try:
        return convert_to_messages(source), variables
    except (ValueError, TypeError, NotImplementedError):
        raise_bare(ConfigurationError("the input holds something that is no message"))
