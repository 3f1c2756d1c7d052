"""``ChatPromptwire``: a managed prompt as a chat model."""
# ruff: noqa: A002 - `input` is the framework's name

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self, cast

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs

from langchain_promptwire.calls import ChatInput
from langchain_promptwire.routing import SCHEMA, Route, Router
from langchain_promptwire.runs import as_run, config_of, to_result, unheard
from langchain_promptwire.tools import Tool
from langchain_promptwire.tracing import alink_start, link_events, link_start
from promptwire.tracing import linked


class ChatPromptwire(Router):
    """A managed prompt as a chat model: the prompt is fetched and rendered on each call, and a delegate runs it.

    Setup:
        ``pip install langchain-promptwire``, and the prompt backend's and the model provider's keys in the
        environment (``LANGFUSE_PUBLIC_KEY``, ``LANGFUSE_SECRET_KEY``, ``OPENAI_API_KEY``).

    Key init args:
        - model: ``[backend/][provider/]model``; the prompt's own model comes before it.
        - prompt_id, prompt_variables, prompt_label, prompt_version: which prompt, filled with what.
        - message_mode: what becomes of the caller's messages: ``"auto"``, ``"replace"`` or ``"prepend"``.
        - llm: what runs the prompt: a chat model, any Runnable with ``bind_tools``, or a factory, so that the prompt's
            model chooses the provider. A factory is called as ``init_chat_model`` is,
            ``factory(model, model_provider="anthropic", temperature=0.3)``, with the provider in LangChain's word for
            it and whichever of ``temperature``, ``max_tokens``, ``timeout`` and ``max_retries`` are set, once for each
            combination; other parameters go with the call. By default a ``ChatPromptwireGateway``.
        - timeout, max_retries, api_key, base_url: for the gateway or the factory; a key and an address are for the
            provider of ``model`` alone.
        - configurable_keys: the arguments of a call that ``config["configurable"]`` may hold; none unless named here.

    Instantiate:
        ```python
        chat = ChatPromptwire(model="langfuse/gpt-4o", prompt_id="welcome", prompt_variables={"name": "Ada"})
        ```

    Invoke:
        ```python
        chat.invoke("What can you do?")
        chat.invoke({"name": "Grace", "messages": "What can you do?"})
        chat.with_prompt("goodbye", name="Ada").invoke([])
        ```

    Stream:
        ```python
        for chunk in chat.stream("What can you do?"):
            print(chunk.text, end="")
        ```

    Async:
        ``ainvoke``, ``astream``, ``abatch`` and ``astream_events``; neither the prompt nor the answer blocks the loop.

    Tool calling:
        ```python
        chat.bind_tools([get_weather]).invoke("Is it raining?").tool_calls
        ```

    Structured output:
        ```python
        chat.with_structured_output(Joke).invoke("Tell me a joke")
        ```

    Token usage:
        ``answer.usage_metadata``; of a stream, in its last chunks.

    Response metadata:
        ``answer.response_metadata`` has ``prompt_id``, ``prompt_version``, ``prompt_label``, ``prompt_backend`` and
        ``prompt_source`` beside the delegate's own, and so has the metadata of the delegate's run. With
        ``trace_variables=True`` that run also has the variables that the prompt uses, as ``prompt_variables``.

    The prompt's arguments may be given per call and to ``bind`` as well, as may any parameter of the model; a
    ``model`` given there comes before the prompt's. Each call is one chain run, if a callback hears of it, and in it
    the delegate's LLM run.
    Raises ``PromptwireError``.
    """

    @property
    def _llm_type(self) -> str:
        return self._static._llm_type if self._static else "promptwire"  # noqa: SLF001 - a delegate

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("model", "prompt_id", "prompt_label", "prompt_version", "message_mode")
        named = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {**named, **self.own_params}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        caller = self._caller(kwargs.pop("model", None))
        if self._static:
            named = {"model": caller.model} if caller.model else {}
            return self._static._get_ls_params(stop=stop, **named, **kwargs)  # noqa: SLF001 - a delegate
        # The prompt may name the model, which nobody knows before the call.
        model = caller.model or self.prompt_id or "promptwire"
        params = super()._get_ls_params(stop=stop, model=model, **kwargs)
        params["ls_provider"] = caller.provider
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self._static.profile if self._static else None

    def get_num_tokens(self, text: str) -> int:
        return self._static.get_num_tokens(text) if self._static else super().get_num_tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Tool] | None = None) -> int:
        """The fixed llm's own count, else an approximation; of these messages alone, without the prompt's."""
        if self._static:
            return self._static.get_num_tokens_from_messages(messages, tools)
        return super().get_num_tokens_from_messages(messages, tools)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Shares the llm: its clients hold locks."""
        memo = {} if memo is None else memo
        memo[id(self.llm)] = self.llm
        memo[id(self._kept)] = {}
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_kept": {}}}

    def bind(self, **kwargs: Any) -> Any:
        """A copy of this model with arguments of its calls set; unlike a ``RunnableBinding`` it can bind tools, too.

        Where tools are among them, a ``RunnableBinding``.
        """
        if "tools" in kwargs or SCHEMA in kwargs:
            return super().bind(**kwargs)
        return self._with(kwargs)

    def with_prompt(self, prompt_id: str, **variables: Any) -> Self:
        """This model with another prompt."""
        return self._with({"prompt_id": prompt_id, "prompt_variables": variables})

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools for each call; the delegate's own ``bind_tools`` is called with them then."""
        given = {"tools": list(tools), **kwargs}
        return super().bind(**given if tool_choice is None else {**given, "tool_choice": tool_choice})

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """The delegate's ``with_structured_output``, called with each call's model."""
        return super().bind(**{SCHEMA: {"schema": schema, "include_raw": include_raw, **kwargs}})

    def invoke(
        self, input: ChatInput, config: RunnableConfig | None = None, *, stop: list[str] | None = None, **kwargs: Any
    ) -> AIMessage:
        given, config = {**kwargs, "stop": stop}, self._configured(config)
        if (quiet := unheard(config)) is not None:
            return cast("AIMessage", self._run(input, quiet, given=given))
        return self._call_with_config(as_run(self._run, given=given), cast("Any", input), config)

    async def ainvoke(
        self, input: ChatInput, config: RunnableConfig | None = None, *, stop: list[str] | None = None, **kwargs: Any
    ) -> AIMessage:
        given, config = {**kwargs, "stop": stop}, self._configured(config)
        if (quiet := unheard(config)) is not None:
            return cast("AIMessage", await self._arun(input, quiet, given=given))
        return await self._acall_with_config(as_run(self._arun, given=given), cast("Any", input), config)

    def stream(
        self, input: ChatInput, config: RunnableConfig | None = None, *, stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        run = as_run(self._run_stream, given={**kwargs, "stop": stop})
        chunks = self._transform_stream_with_config(iter([cast("Any", input)]), run, self._configured(config))
        yield from cast("Iterator[AIMessageChunk]", chunks)

    async def astream(
        self, input: ChatInput, config: RunnableConfig | None = None, *, stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        async def inputs() -> AsyncIterator[Any]:
            yield input

        run = as_run(self._arun_stream, given={**kwargs, "stop": stop})
        chunks = self._atransform_stream_with_config(inputs(), run, self._configured(config))
        async with aclosing(cast("Any", chunks)) as arriving:
            async for chunk in arriving:
                yield chunk

    def stream_events(self, input: ChatInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As the base class; ``version="v3"`` is the delegate's stream, without a chain run."""
        if kwargs.get("version") != "v3":
            return super().stream_events(cast("Any", input), config, **kwargs)
        config = ensure_config(config)
        route = self._route(input, kwargs, config)
        events: Any = route.run.stream_events(route.messages, route.config(config), **route.params)
        return link_events(route.info, events)

    def astream_events(self, input: ChatInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As ``stream_events``."""
        if kwargs.get("version") != "v3":
            return super().astream_events(cast("Any", input), config, **kwargs)
        return self._astream_v3(input, ensure_config(config), kwargs)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        config, rest = config_of(callbacks, kwargs)
        return to_result(self.batch(cast("list[Any]", messages), config, stop=stop, **rest))

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        config, rest = config_of(callbacks, kwargs)
        return to_result(await self.abatch(cast("list[Any]", messages), config, stop=stop, **rest))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Not on any path of this class; for those who call it directly."""
        return ChatResult(generations=[ChatGeneration(message=self.invoke(messages, stop=stop, **kwargs))])

    def _with(self, given: Mapping[str, Any]) -> Self:
        return self.model_copy(update={"bound_arguments": self._above(given)})

    def _configured(self, config: RunnableConfig | None) -> RunnableConfig | None:
        """The config with this model's own callbacks, tags and metadata."""
        own = {name: value for name in ("callbacks", "tags", "metadata") if (value := getattr(self, name))}
        return merge_configs(cast("RunnableConfig", own), config) if own else config

    def _route(self, input: ChatInput, given: Mapping[str, Any], config: RunnableConfig | None) -> Route:
        ask = self._ask(input, given, config)
        call = ask.call
        return self._decide(ask, ask.resolver.find(call.prompt_id, **call.options()) if call else None)

    async def _aroute(self, input: ChatInput, given: Mapping[str, Any], config: RunnableConfig | None) -> Route:
        ask = self._ask(input, given, config)
        call = ask.call
        return self._decide(ask, await ask.resolver.afind(call.prompt_id, **call.options()) if call else None)

    def _run(self, input: ChatInput, config: RunnableConfig, *, given: Mapping[str, Any]) -> Any:
        route = self._route(input, given, config)
        with linked(route.info):
            return route.stamped(route.run.invoke(route.messages, route.config(config), **route.params))

    async def _arun(self, input: ChatInput, config: RunnableConfig, *, given: Mapping[str, Any]) -> Any:
        route = await self._aroute(input, given, config)
        with linked(route.info):
            return route.stamped(await route.run.ainvoke(route.messages, route.config(config), **route.params))

    def _run_stream(
        self, inputs: Iterator[ChatInput], config: RunnableConfig, *, given: Mapping[str, Any]
    ) -> Iterator[Any]:
        route = self._route(next(inputs), given, config)
        chunks = route.run.stream(route.messages, route.config(config), **route.params)
        yield from link_start(route.info, chunks, route.stamped)

    async def _arun_stream(
        self, inputs: AsyncIterator[ChatInput], config: RunnableConfig, *, given: Mapping[str, Any]
    ) -> AsyncIterator[Any]:
        route = await self._aroute(await anext(inputs), given, config)
        chunks = route.run.astream(route.messages, route.config(config), **route.params)
        async with aclosing(alink_start(route.info, chunks, route.stamped)) as arriving:
            async for chunk in arriving:
                yield chunk

    async def _astream_v3(self, input: ChatInput, config: RunnableConfig, given: Mapping[str, Any]) -> Any:
        route = await self._aroute(input, given, config)
        events: Any = route.run.astream_events(route.messages, route.config(config), **route.params)
        return link_events(route.info, await cast("Awaitable[Any]", events))
