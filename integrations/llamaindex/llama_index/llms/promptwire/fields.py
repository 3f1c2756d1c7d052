"""What ``Promptwire`` is told, in its constructor and by a call, and what is asked for in the end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.promptwire.ahead import Known, Pin, selected
from llama_index.llms.promptwire.delegates import Delegates, Rules
from llama_index.llms.promptwire.endpoints import ChatOnlyLLM
from llama_index.llms.promptwire.filling import KnowsPrompts
from llama_index.llms.promptwire.run import Ask
from llama_index.llms.promptwire.slots import SlotLLM, TemplateMessages, managed_in
from pydantic import Field, PlainSerializer, PrivateAttr

from promptwire.calls import RENDERING, SELECTION, PromptCall, refuse_without_id, select
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError, raise_bare, unfillable
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.params import merge_variables, nearest
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver

_RULES = ("ignore_prompt_model", "ignore_prompt_params", "allowed_models")
_SAID = (*RENDERING, *_RULES)
PER_CALL = ("model", "prompt_variables", *SELECTION, *RENDERING, *_RULES)
_PARAMS = ("temperature", "max_tokens", "timeout", "max_retries")
LAYERED = ("model", "prompt_variables", "bound", "additional_kwargs", *_PARAMS)
_KNOWN = OPENAI_PARAMS.union(PER_CALL, _PARAMS)
TOOLS = "_tools_request"


class PromptFields(KnowsPrompts, SlotLLM, ChatOnlyLLM):
    """The fields of ``Promptwire``, and how those of a call rank above them."""

    model: str | None = None
    prompt_id: str | None = None
    prompt_variables: dict[str, Any] = Field(default_factory=dict, repr=False)
    prompt_label: str | dict[str, float] | None = None
    prompt_version: int | str | None = None
    message_mode: str = "auto"
    messages_placeholder: str | None = None
    input_variable: str | None = None
    text_role: str = "user"
    missing: str | None = None
    fallback: Annotated[Any, PlainSerializer(lambda given: None if isinstance(given, Prompt) else given)] = Field(
        default=None, repr=False
    )
    rollout_key: str | int | None = Field(default=None, repr=False)
    ignore_prompt_model: bool = False
    ignore_prompt_params: bool = False
    allowed_models: Sequence[str] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    max_retries: int | None = None
    additional_kwargs: dict[str, Any] = Field(default_factory=dict)
    context_window: int | None = None
    num_output: int | None = None
    is_function_calling_model: bool | None = None
    model_name: str | None = None
    report_variables: bool = False
    """Whether ``PromptResolvedEvent`` tells the variables' values."""
    bound: dict[str, Any] = Field(default_factory=dict, repr=False)
    """What ``bind`` was given, where it outranks the prompt."""

    keywords: ClassVar[tuple[str, ...]] = ("llm", "llm_factory", "resolver", "api_key", "base_url")
    _delegates: Delegates = PrivateAttr()
    _resolver: Resolver | None = PrivateAttr()
    _known: Known | None = PrivateAttr(default=None)
    _pin: Pin | None = PrivateAttr(default=None)

    def _ask(self, messages: Sequence[ChatMessage], given: dict[str, Any], *, structured: bool = False) -> Ask:
        if not isinstance(messages, Iterable):
            raise ConfigurationError(f"messages is a list of ChatMessage, not {type(messages).__name__}")
        tools = given.pop(TOOLS, None)
        private: Any = self.__pydantic_private__  # each look at one attribute of it costs a microsecond
        delegates, pin = private["_delegates"], private["_pin"]
        resolver = private["_resolver"] or default_resolver()
        managed = managed_in(messages, given, self.prompt_id, resolver)
        model = given.pop("model", None) or self.bound.get("model")
        say = {name: getattr(self, name) for name in _SAID}
        if given:
            say |= {name: value for name in _SAID if name in given and (value := given.pop(name)) is not None}
        caller = delegates.caller(model, self.model)
        rendering = {name: say[name] for name in RENDERING}
        call = None if managed else self._prompt_call(given, caller.backend, rendering)
        check_names(given)
        return Ask(
            messages=messages if isinstance(messages, TemplateMessages) else list(messages),
            managed=managed,
            call=call,
            caller=caller,
            own={**{name: getattr(self, name) for name in _PARAMS}, **self.additional_kwargs},
            bound={name: value for name, value in self.bound.items() if name not in PER_CALL},
            given=given,
            tools=tools if tools and tools["tools"] else None,
            rules=Rules(
                ignore_prompt_model=bool(say["ignore_prompt_model"] or model), allowed_models=say["allowed_models"]
            ),
            ignore_prompt_params=bool(say["ignore_prompt_params"]),
            resolver=resolver,
            delegates=delegates,
            manager=self.callback_manager,
            report_variables=self.report_variables,
            structured=structured,
            pinned=pin.found if pin and pin.call == selected(call) else None,
        )

    def _prompt_call(self, given: dict[str, Any], backend: str | None, rendering: dict[str, Any]) -> PromptCall | None:
        overrides = self._overrides(given)
        chosen = self._selected(given)
        if chosen["prompt_id"] is None:
            refuse_without_id(backend, {**chosen, "prompt_variables": {**self.prompt_variables, **overrides}})
            return None
        return PromptCall(
            prompt_id=chosen["prompt_id"],
            variables=self.prompt_variables,
            overrides=overrides,
            backend=backend,
            label=chosen["prompt_label"],
            version=chosen["prompt_version"],
            **rendering,
        )

    def _selected(self, given: dict[str, Any]) -> dict[str, Any]:
        """Which prompt: what is given, over the fields."""
        own = {name: getattr(self, name) for name in SELECTION}
        return select(own, {name: given.pop(name, None) for name in SELECTION})

    def _overrides(self, given: dict[str, Any]) -> dict[str, Any]:
        """The variables bound, and above them those given."""
        variables = as_mapping("prompt_variables", given.pop("prompt_variables", None))
        return merge_variables(self.bound.get("prompt_variables"), variables)


def as_mapping(name: str, given: object) -> dict[str, Any]:
    """The argument as a dict of its own. Raises ``ConfigurationError``."""
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{name} is a mapping of names to values, not {type(given).__name__}")
    try:
        return dict(given or {})
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable(name, error))


def check_names(params: Mapping[str, Any]) -> None:
    """A misspelt name of ours would go to the model as a parameter, and a key into the request: say so instead."""
    for name in params:
        if name in PromptFields.keywords:
            raise ConfigurationError(f"{name}= is for the constructor of Promptwire")
        if name not in _KNOWN and (hint := nearest(name, PER_CALL)):
            raise ConfigurationError(f"Promptwire has no argument {name!r}{hint}")
