"""What every front door does with a managed prompt: which one, with which variables, among which messages."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptwire import log
from promptwire.ambient import ambient_variables
from promptwire.backends import Backend
from promptwire.compose import MODES, Turn, compose, take_question
from promptwire.errors import ConfigurationError, raise_bare, unfillable
from promptwire.params import merge_variables
from promptwire.prompts import check_missing
from promptwire.rendered import RenderedPrompt
from promptwire.resolver import Resolver
from promptwire.rollout import choose_label
from promptwire.search import Fallback, FindOptions, Found


@dataclass(slots=True, kw_only=True)  # of one call, which makes it at each: to freeze it takes as long again
class PromptCall:
    """A managed prompt as one call names it: ``variables`` rank below the ambient ones, ``overrides`` above.

    Of weighted labels one is chosen at once, by ``rollout_key``: ``label`` is the one that this call asks for.
    """

    prompt_id: str
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    overrides: Mapping[str, Any] = field(default_factory=dict, repr=False)
    backend: str | Backend | None = None
    label: Any = None
    version: int | str | None = None
    rollout_key: str | int | None = None
    message_mode: str = "auto"
    messages_placeholder: str | None = None
    input_variable: str | None = None
    text_role: str = "user"
    missing: str | None = None
    fallback: Fallback = None

    def __post_init__(self) -> None:
        for given in (self.variables, self.overrides):
            if given.__class__ is not dict and not isinstance(given, Mapping):
                raise ConfigurationError(f"prompt {self.prompt_id!r}: prompt_variables is a mapping of names to values")
        if self.message_mode not in MODES:
            raise ConfigurationError(f"message_mode is one of {', '.join(MODES)}, not {self.message_mode!r}")
        for name in ("messages_placeholder", "input_variable", "text_role"):
            if (text := getattr(self, name)) is not None and not isinstance(text, str):
                raise ConfigurationError(f"{name} is a text, not {type(text).__name__}")
        if self.missing is not None:
            check_missing(self.missing)
        self.label = choose_label(self.prompt_id, self.label, self.rollout_key)

    def options(self) -> FindOptions:
        """What a resolver's ``find`` is to be asked."""
        return {
            "backend": self.backend,
            "label": self.label,
            "version": self.version,
            "fallback": self.fallback,
        }


@dataclass(slots=True)
class Ready:
    """The messages to send: prompt dicts and the caller's own objects, in order; and the prompt and values behind."""

    messages: list[object]
    rendered: RenderedPrompt
    variables: Mapping[str, Any] = field(repr=False)


KEEP_TEXT = (
    "To keep it: message_mode='prepend', input_variable=, or for a text prompt text_role='system'; "
    "message_mode='replace' says it is meant."
)


def make_ready(
    call: PromptCall,
    found: Found,
    turns: Sequence[Turn],
    resolver: Resolver,
    *,
    level: int = logging.DEBUG,
    advice: str = KEEP_TEXT,
) -> Ready:
    """Render the prompt and compose it with the caller's messages.

    ``level`` and ``advice`` are for the note that ``auto`` left some of the caller's text out, made once per prompt
    and resolver.
    """
    prompt, source = found
    variables = merge_variables(call.variables, ambient_variables(), call.overrides)
    question = None
    if call.input_variable is not None:
        question, turns = take_question(turns)
        if question is not None:
            variables[call.input_variable] = question
    missing = call.missing or resolver.missing
    rendered = prompt.render(variables, missing=missing, text_role=call.text_role, source=source)
    rendered.label = call.label
    if not turns and not rendered.is_open:  # there is nothing to compose it with, as in nearly every completion()
        return Ready([*rendered.items], rendered, variables)
    composed = compose(
        rendered.items,
        turns,
        mode=call.message_mode,
        slot=call.messages_placeholder,
        question_taken=question is not None,
        where=prompt.where,
        keep=missing == "keep",
    )
    if composed.dropped and resolver.first_time((prompt.backend, prompt.id)):
        log.logger.log(
            level,
            "%s stands for the caller's messages, and some of their text was left out. %s",
            prompt.where,
            advice,
        )
    return Ready(composed.messages, rendered, variables)


SELECTION = ("prompt_id", "prompt_label", "prompt_version")
RENDERING = (
    "message_mode",
    "messages_placeholder",
    "input_variable",
    "text_role",
    "missing",
    "fallback",
    "rollout_key",
)


def select(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Which prompt two ranks of arguments name, under the names of ``SELECTION``.

    A label and a version above take the place of both below; a version is only of the prompt it was given with.
    """
    above = {name: upper[name] for name in SELECTION if upper.get(name) is not None}
    below = {name: lower.get(name) for name in SELECTION}
    if above.keys() & {"prompt_label", "prompt_version"}:
        below["prompt_label"] = below["prompt_version"] = None
    elif above.get("prompt_id", below["prompt_id"]) != below["prompt_id"]:
        below["prompt_version"] = None
    return {**below, **above}


def refuse_without_id(backend: str | None, given: Mapping[str, Any]) -> None:
    """A call without a ``prompt_id`` has no use for a backend or for ``given``: ``ConfigurationError`` says so."""
    try:
        said = [name for name, value in given.items() if value]
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable("prompt_variables", error))
    if backend:
        said.append(f"the backend's prefix {backend!r} in model")
    if said:
        raise ConfigurationError(f"{', '.join(said)}: needs a prompt_id=; without a managed prompt, leave it out")


def turn(message: Mapping[str, Any]) -> Turn:
    """An OpenAI message dict as ``compose`` sees it."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ConfigurationError("messages is a list of dicts with a role and a content")
    return Turn(
        role=message["role"],
        content=message.get("content"),
        item=message,
        calls_tools=bool(message.get("tool_calls") or message.get("function_call")),
    )
