"""``ChatPromptwireGateway``: a small chat model over Promptwire's own HTTP call."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

from langchain_promptwire.answers import ChunkReader, to_result
from langchain_promptwire.fields import ModelFields
from langchain_promptwire.outgoing import to_openai
from langchain_promptwire.structured import structured_output
from langchain_promptwire.tools import Tool, to_choice, to_tool
from promptwire.gateway.driver import ModelCall, asend, astream, model_call, send, stream
from promptwire.gateway.providers import CallerModel, choose, parse_model
from promptwire.params import merge_params


class ChatPromptwireGateway(ModelFields):
    """A chat model on OpenAI's, Azure's or Anthropic's wire: what ``ChatPromptwire`` runs by default.

    Setup:
        ``pip install langchain-promptwire``, and the provider's key in the environment (``OPENAI_API_KEY``).

    Key init args:
        - model: ``[provider/]model``.
        - temperature, max_tokens, stop, model_kwargs: parameters of each call.
        - api_key, base_url: by default from the provider's environment variables.
        - timeout, max_retries: seconds of a call, and how often it is tried again before its first byte.

    Instantiate:
        ```python
        model = ChatPromptwireGateway(model="anthropic/claude-haiku-4-5", max_tokens=500)
        ```

    ``invoke``, ``stream``, their asynchronous forms, ``bind_tools`` and ``with_structured_output`` are as in any chat
    model; ``usage_metadata`` and ``response_metadata`` have the provider's counts and names.
    Raises ``GatewayError`` with the provider's answer.
    """

    model: str

    @property
    def _llm_type(self) -> str:
        return "promptwire-gateway"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        host = self.base_url and self.base_url.rpartition("@")[2]
        return {"model": self.model, **({"base_url": host} if host else {}), **self.own_params}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        caller = self._caller(kwargs.get("model"))
        params = super()._get_ls_params(stop=stop, **{**kwargs, "model": caller.model})
        params["ls_provider"] = caller.provider
        return params

    def _caller(self, model: str | None) -> CallerModel:
        key = self.api_key.get_secret_value() if self.api_key else None
        return parse_model(model or self.model, frozenset(), key, self.base_url)

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None, given: Mapping[str, Any], *, streams: bool
    ) -> tuple[ModelCall, str]:
        """The call to send, and its provider."""
        params = merge_params(self.own_params, given, {"stop": stop})
        timeout, retries = params.pop("timeout", self.timeout), params.pop("max_retries", self.max_retries)
        model = params.pop("model", None)
        params.pop("stream", None)
        target = choose(self._caller(cast("str | None", model)), None)
        call = model_call(
            target,
            to_openai(messages),
            params,
            stream=streams,
            timeout=cast("float | None", timeout),
            retries=cast("int | None", retries),
        )
        return call, target.provider

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call, provider = self._call(messages, stop, kwargs, streams=False)
        return to_result(send(call), provider)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call, provider = self._call(messages, stop, kwargs, streams=False)
        return to_result(await asend(call), provider)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call, provider = self._call(messages, stop, kwargs, streams=True)
        reader = ChunkReader(provider, in_blocks="tools" in kwargs)
        for raw in stream(call):
            for chunk in reader.feed(raw):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        yield reader.end()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call, provider = self._call(messages, stop, kwargs, streams=True)
        reader = ChunkReader(provider, in_blocks="tools" in kwargs)
        async with aclosing(cast("Any", astream(call))) as arriving:
            async for raw in arriving:
                for chunk in reader.feed(raw):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield reader.end()

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """``tool_choice`` is ``"auto"``, ``"none"``, ``"any"``, a tool's name, or OpenAI's or Anthropic's own dict."""
        formatted = [to_tool(tool, strict) for tool in tools]
        return self.bind(tools=formatted, **merge_params(to_choice(tool_choice, formatted), kwargs))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """``method`` is ``"function_calling"``, ``"json_schema"`` or ``"json_mode"``; else as the base class says."""
        return structured_output(self, schema, method=method, strict=strict, include_raw=include_raw, params=kwargs)
