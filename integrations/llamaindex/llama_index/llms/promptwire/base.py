"""``Promptwire``: a managed prompt as a LlamaIndex LLM."""

from collections.abc import Sequence
from typing import Any, Self

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import BaseTool
from llama_index.llms.promptwire.ahead import Known, stay
from llama_index.llms.promptwire.delegates import Delegates, LLMFactory
from llama_index.llms.promptwire.endpoints import with_question
from llama_index.llms.promptwire.fields import LAYERED, PER_CALL, TOOLS, as_mapping, check_names
from llama_index.llms.promptwire.run import Ask
from llama_index.llms.promptwire.spans import spanned
from llama_index.llms.promptwire.structured import ManagedStructure
from pydantic import SecretStr

from promptwire.calls import SELECTION
from promptwire.errors import ConfigurationError
from promptwire.resolver import Resolver
from promptwire.search import Found


class Promptwire(ManagedStructure):
    """An LLM that says what a managed prompt says: ``Promptwire(model="langfuse/gpt-4o", prompt_id="welcome")``.

    ``llm`` is the LLM that runs the prompt, by default a ``PromptwireGateway`` for the model that the prompt or
    ``model`` names; ``llm_factory`` makes one for each, so that prompts choose among providers. All arguments from
    ``model`` to ``allowed_models``, and any parameter of the model, may be given per call too; those of ``bind`` rank
    between the prompt's and the call's. Raises ``PromptwireError``.
    """

    def __init__(
        self,
        *,
        llm: LLM | None = None,
        llm_factory: LLMFactory | None = None,
        resolver: Resolver | None = None,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        **fields: Any,
    ) -> None:
        if fields.get("rate_limiter") is not None:
            raise ConfigurationError("rate_limiter= belongs to the LLM that runs: set it on the one given as llm=")
        extra = as_mapping("additional_kwargs", fields.get("additional_kwargs"))
        lifted = {name: extra.pop(name) for name in PER_CALL if name in extra}
        stated: dict[str, Any] = {**lifted, **fields, "additional_kwargs": extra}
        super().__init__(**stated)
        check_names(extra)
        if resolver is not None and not isinstance(resolver, Resolver):
            raise ConfigurationError(f"resolver= is a Resolver, not {type(resolver).__name__}")
        self._delegates = Delegates(llm, llm_factory, base_url, api_key)
        self._resolver = resolver
        own = {"api_key": api_key, "base_url": base_url, "timeout": self.timeout, "max_retries": self.max_retries}
        for name, value in own.items():
            if value is not None and (given := self._delegates.given):
                raise ConfigurationError(f"{name}= is for Promptwire's own gateway; with {given}= set it there")

    @classmethod
    def class_name(cls) -> str:
        return "Promptwire"

    @property
    def metadata(self) -> LLMMetadata:
        """Told without I/O: what the fields say, then what ``prime`` learnt, then the delegate's own."""
        known = self._known or Known(self._delegates.metadata(self.bound.get("model") or self.model))
        given = {
            "context_window": self.context_window,
            "num_output": self.num_output or (None if self._known else self.max_tokens),
            "is_function_calling_model": self.is_function_calling_model,
            "model_name": self.model_name,
        }
        stated = {name: value for name, value in given.items() if value is not None}
        told = known.metadata.model_copy(update={**stated, "is_chat_model": True})
        return told.model_copy(update={"context_window": told.context_window - known.size})

    def to_payload(self) -> dict[str, Any]:
        return {**super().to_payload(), **{name: getattr(self, name) for name in SELECTION}}

    def bind(self, **fields: Any) -> Self:
        """A copy that says more; it shares resolver and delegates."""
        self._delegates.caller(fields.get("model"), self.model)
        chosen = self._selected(fields)
        for name in [name for name in fields if name in type(self).model_fields and name not in LAYERED]:
            chosen[name] = fields.pop(name)
        variables = self._overrides(fields)
        fields = {**as_mapping("additional_kwargs", fields.pop("additional_kwargs", None)), **fields}
        check_names(fields)
        bound = {**self.bound, **fields, "prompt_variables": variables}
        twin = self.model_copy(update={**chosen, "bound": bound})
        twin._known = None  # noqa: SLF001 - a copy of itself
        return twin

    def prime(self) -> Self:
        """Resolve the prompt, so that ``metadata`` is of the LLM that will run it: before an engine is built.

        The context window is then what the prompt's own text leaves of it. Copies that ``bind`` makes later are to be
        primed themselves. Answers the LLM itself.
        """
        ask = self._ask([], {})
        self._known = ask.known(ask.find())
        return self

    async def aprime(self) -> Self:
        """``prime`` without blocking the loop."""
        ask = self._ask([], {})
        self._known = ask.known(await ask.afind())
        return self

    def pin(self) -> Self:
        """A primed copy that stays with the prompt as it is at this moment, as for one run of an agent.

        A call, or a ``bind``, that names another prompt, version or label gets that one.
        """
        ask = self._ask([], {})
        return self._pinned(ask, ask.find())

    async def apin(self) -> Self:
        """``pin`` without blocking the loop."""
        ask = self._ask([], {})
        return self._pinned(ask, await ask.afind())

    def _pinned(self, ask: Ask, found: Found | None) -> Self:
        pin = stay(ask.call, found) if ask.call and found else None
        changes: dict[str, Any] = {}
        if pin:
            changes = {"prompt_label": pin.call.label, "prompt_version": pin.call.version}
        twin = self.model_copy(update=changes)
        twin._known, twin._pin = ask.known(found), pin  # noqa: SLF001 - a copy of itself
        return twin

    @spanned
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        ask = self._ask(messages, kwargs)
        run = ask.run(ask.find())
        return run.mark(run.start("chat"))

    @spanned
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        ask = self._ask(messages, kwargs)
        run = ask.run(ask.find())
        return run.mark_each(run.start("stream_chat"))

    @spanned
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        ask = self._ask(messages, kwargs)
        run = ask.run(await ask.afind())
        return run.mark(await run.astart("achat"))

    @spanned
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        ask = self._ask(messages, kwargs)
        run = ask.run(await ask.afind())
        return run.amark_each(await run.astart("astream_chat"))

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
        return {"messages": with_question(chat_history, user_msg), TOOLS: request, **kwargs}
