"""``Promptwire``: a managed prompt as a LlamaIndex LLM."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.tools import BaseTool
from llama_index.llms.promptwire.delegates import Delegates, Rules
from llama_index.llms.promptwire.endpoints import with_question
from llama_index.llms.promptwire.filling import ManagedMessages
from llama_index.llms.promptwire.run import Ask, TemplateMessages
from llama_index.llms.promptwire.slots import SlotLLM, managed_in
from pydantic import Field, PlainSerializer, PrivateAttr, SecretStr

from promptwire.calls import RENDERING, SELECTION, PromptCall, refuse_without_id, select
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.params import merge_variables, nearest
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver

_RULES = ("ignore_prompt_model", "ignore_prompt_params", "allowed_models")
_PER_CALL = ("model", "prompt_variables", *SELECTION, *RENDERING, *_RULES)
_PARAMS = ("temperature", "max_tokens", "timeout", "max_retries")
_LAYERED = ("model", "prompt_variables", "bound", "additional_kwargs", *_PARAMS)
_KNOWN = OPENAI_PARAMS.union(_PER_CALL, _PARAMS)
_TOOLS = "_tools_request"


class Promptwire(SlotLLM):
    """An LLM that says what a managed prompt says: ``Promptwire(model="langfuse/gpt-4o", prompt_id="welcome")``.

    ``llm`` is the LLM that runs the prompt, by default a ``PromptwireGateway`` for the model that the prompt or
    ``model`` names. All arguments from ``model`` to ``allowed_models``, and any parameter of the model, may be given
    per call too; those of ``bind`` rank between the prompt's and the call's. Raises ``PromptwireError``.
    """

    model: str | None = None
    prompt_id: str | None = None
    prompt_variables: dict[str, Any] = Field(default_factory=dict, repr=False)
    prompt_label: str | None = None
    prompt_version: int | str | None = None
    message_mode: str = "auto"
    messages_placeholder: str | None = None
    input_variable: str | None = None
    text_role: str = "user"
    missing: str | None = None
    fallback: Annotated[Any, PlainSerializer(lambda given: None if isinstance(given, Prompt) else given)] = Field(
        default=None, repr=False
    )
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
    report_variables: bool = False
    """Whether ``PromptResolvedEvent`` tells the variables' values."""
    bound: dict[str, Any] = Field(default_factory=dict, repr=False)
    """What ``bind`` was given, where it outranks the prompt."""

    keywords: ClassVar[tuple[str, ...]] = ("llm", "resolver", "api_key", "base_url")
    _delegates: Delegates = PrivateAttr()
    _resolver: Resolver | None = PrivateAttr()

    def __init__(
        self,
        *,
        llm: LLM | None = None,
        resolver: Resolver | None = None,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        **fields: Any,
    ) -> None:
        if fields.get("rate_limiter") is not None:
            raise ConfigurationError("rate_limiter= belongs to the LLM that runs: set it on the one given as llm=")
        extra = _mapping("additional_kwargs", fields.get("additional_kwargs"))
        lifted = {name: extra.pop(name) for name in _PER_CALL if name in extra}
        super().__init__(**{**lifted, **fields, "additional_kwargs": extra})
        _check_names(extra)
        own = {"api_key": api_key, "base_url": base_url, "timeout": self.timeout, "max_retries": self.max_retries}
        for name, value in own.items():
            if llm is not None and value is not None:
                raise ConfigurationError(f"{name}= is for Promptwire's own gateway; with llm= set it there")
        if resolver is not None and not isinstance(resolver, Resolver):
            raise ConfigurationError(f"resolver= is a Resolver, not {type(resolver).__name__}")
        self._delegates = Delegates(llm, base_url, api_key)
        self._resolver = resolver

    @classmethod
    def class_name(cls) -> str:
        return "Promptwire"

    @property
    def metadata(self) -> LLMMetadata:
        known = self._delegates.metadata(self.bound.get("model") or self.model)
        given = {
            "context_window": self.context_window,
            "num_output": self.num_output or self.max_tokens,
            "is_function_calling_model": self.is_function_calling_model,
        }
        stated = {name: value for name, value in given.items() if value is not None}
        return known.model_copy(update={**stated, "is_chat_model": True})

    def to_payload(self) -> dict[str, Any]:
        return {**super().to_payload(), **{name: getattr(self, name) for name in SELECTION}}

    def bind(self, **fields: Any) -> Self:
        """A copy that says more; it shares resolver and delegates."""
        chosen = self._selected(fields)
        for name in [name for name in fields if name in type(self).model_fields and name not in _LAYERED]:
            chosen[name] = fields.pop(name)
        variables = self._overrides(fields)
        fields = {**_mapping("additional_kwargs", fields.pop("additional_kwargs", None)), **fields}
        _check_names(fields)
        bound = {**self.bound, **fields, "prompt_variables": variables}
        return self.model_copy(update={**chosen, "bound": bound})

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        ask = self._ask(messages, kwargs)
        run = ask.run(ask.find())
        return run.mark(run.start("chat"))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        ask = self._ask(messages, kwargs)
        run = ask.run(ask.find())
        return run.mark_each(run.start("stream_chat"))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        ask = self._ask(messages, kwargs)
        run = ask.run(await ask.afind())
        return run.mark(await run.astart("achat"))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        ask = self._ask(messages, kwargs)
        run = ask.run(await ask.afind())
        return run.amark_each(await run.astart("astream_chat"))

    def _ask(self, messages: Sequence[ChatMessage], given: dict[str, Any]) -> Ask:
        if not isinstance(messages, Iterable):
            raise ConfigurationError(f"messages is a list of ChatMessage, not {type(messages).__name__}")
        tools = given.pop(_TOOLS, None)
        resolver = self._resolver or default_resolver()
        managed = managed_in(messages, given, self.prompt_id, resolver)
        model = given.pop("model", None) or self.bound.get("model")
        say = {name: self._said(name, given) for name in (*RENDERING, *_RULES)}
        caller = self._delegates.caller(model or self.model)
        backend = caller.backend or (self._delegates.caller(self.model).backend if model else None)
        rendering = {name: say[name] for name in RENDERING}
        call = None if managed else self._prompt_call(given, backend, rendering)
        _check_names(given)
        return Ask(
            messages=messages if isinstance(messages, TemplateMessages) else list(messages),
            managed=managed,
            call=call,
            caller=caller,
            own={**{name: getattr(self, name) for name in _PARAMS}, **self.additional_kwargs},
            bound={name: value for name, value in self.bound.items() if name not in _PER_CALL},
            given=given,
            tools=tools if tools and tools["tools"] else None,
            rules=Rules(
                ignore_prompt_model=bool(say["ignore_prompt_model"] or model), allowed_models=say["allowed_models"]
            ),
            ignore_prompt_params=bool(say["ignore_prompt_params"]),
            resolver=resolver,
            delegates=self._delegates,
            manager=self.callback_manager,
            report_variables=self.report_variables,
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
        variables = _mapping("prompt_variables", given.pop("prompt_variables", None))
        return merge_variables(self.bound.get("prompt_variables"), variables)

    def _said(self, name: str, given: dict[str, Any]) -> Any:
        value = given.pop(name, None)
        return getattr(self, name) if value is None else value

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        """Used by ``predict`` and its kin, on the way to the chat endpoints."""
        messages = super()._get_messages(prompt, **prompt_args)
        if isinstance(messages, ManagedMessages):
            return messages
        return TemplateMessages(messages, {**prompt.kwargs, **prompt_args})

    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Which LLM will run is known only once the prompt is: the request for tools waits for it."""
        request = {
            "tools": tools,
            "verbose": verbose,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
        }
        return {"messages": with_question(chat_history, user_msg), _TOOLS: request, **kwargs}


def _mapping(name: str, given: object) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{name} is a mapping of names to values, not {type(given).__name__}")
    return dict(given or {})


def _check_names(params: Mapping[str, Any]) -> None:
    """A misspelt name of ours would go to the model as a parameter, and a key into the request: say so instead."""
    for name in params:
        if name in Promptwire.keywords:
            raise ConfigurationError(f"{name}= is for the constructor of Promptwire")
        if name not in _KNOWN and (hint := nearest(name, _PER_CALL)):
            raise ConfigurationError(f"Promptwire has no argument {name!r}{hint}")
