"""``PromptwireGateway``: the core's small model call as a LlamaIndex LLM."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
    ToolCallBlock,
)
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.tools import BaseTool
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.promptwire.answers import asteps, steps, whole
from llama_index.llms.promptwire.convert import to_openai
from llama_index.llms.promptwire.endpoints import ChatOnlyLLM, with_question
from llama_index.llms.promptwire.slots import SlotLLM
from pydantic import Field, SecretStr

from promptwire.errors import ConfigurationError
from promptwire.gateway.driver import ModelCall, asend, astream, model_call, send, stream
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.gateway.providers import choose, parse_model, split_provider
from promptwire.params import merge_params, nearest


class PromptwireGateway(SlotLLM, ChatOnlyLLM):
    """A model on OpenAI's or Anthropic's wire: ``PromptwireGateway(model="anthropic/claude-sonnet-5")``.

    ``timeout`` is in seconds, for each read (600); ``max_retries`` counts what comes after the first try (2). Key and
    address, where not given, are the provider's own variables, read at each call. Raises ``PromptwireError``.
    """

    model: str
    api_key: SecretStr | None = Field(default=None, exclude=True)
    base_url: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    context_window: int = DEFAULT_CONTEXT_WINDOW
    timeout: float | None = None
    max_retries: int | None = None
    additional_kwargs: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, *, api_key: str | SecretStr | None = None, **fields: Any) -> None:
        super().__init__(api_key=api_key, **fields)

    @classmethod
    def class_name(cls) -> str:
        return "PromptwireGateway"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.max_tokens or DEFAULT_NUM_OUTPUTS,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=split_provider(self.model)[1],
        )

    @llm_chat_callback()  # pyright: ignore[reportUntypedFunctionDecorator]
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return whole(send(self._call(messages, kwargs)))

    @llm_chat_callback()  # pyright: ignore[reportUntypedFunctionDecorator]
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return steps(stream(self._call(messages, kwargs, streamed=True)))

    @llm_chat_callback()  # pyright: ignore[reportUntypedFunctionDecorator]
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return whole(await asend(self._call(messages, kwargs)))

    @llm_chat_callback()  # pyright: ignore[reportUntypedFunctionDecorator]
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        return asteps(astream(self._call(messages, kwargs, streamed=True)))

    def _structured_stream_call(
        self, output_cls: type[Any], prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> Generator[Any, None, None]:
        program = self._stream_program(output_cls, prompt)
        return program.stream_call(llm_kwargs=llm_kwargs, **prompt_args)  # type: ignore[no-any-return]

    async def _structured_astream_call(
        self, output_cls: type[Any], prompt: Any, llm_kwargs: dict[str, Any] | None = None, **prompt_args: Any
    ) -> AsyncGenerator[Any, None]:
        program = self._stream_program(output_cls, prompt)
        return await program.astream_call(llm_kwargs=llm_kwargs, **prompt_args)  # type: ignore[no-any-return]

    def _stream_program(self, output_cls: type[Any], prompt: Any) -> Any:
        """LlamaIndex's program asks a stream for its tool only when told to: a model might answer in words."""
        mode = self.pydantic_program_mode
        by_tool = mode in {PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION}
        choice = {"tool_choice": "required"} if by_tool else {}
        return get_program_for_llm(output_cls, prompt, self, pydantic_program_mode=mode, **choice)

    def _call(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any], *, streamed: bool = False) -> ModelCall:
        own = {name: getattr(self, name) for name in ("temperature", "max_tokens", "timeout", "max_retries")}
        params: dict[str, Any] = merge_params(own, self.additional_kwargs, kwargs)
        timeout, retries, headers = (params.pop(name, None) for name in ("timeout", "max_retries", "extra_headers"))
        for name in params:
            if name not in OPENAI_PARAMS and (hint := nearest(name, tuple(OPENAI_PARAMS))):
                raise ConfigurationError(f"PromptwireGateway has no parameter {name!r}{hint}")
        if not messages:
            raise ConfigurationError("there is nothing to send: give messages")
        key = self.api_key.get_secret_value() if self.api_key else None
        target = choose(parse_model(self.model, frozenset(), key, self.base_url), None)
        sent = [to_openai(message) for message in messages]
        return model_call(target, sent, params, stream=streamed, timeout=timeout, retries=retries, headers=headers)

    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        prepared = {"messages": with_question(chat_history, user_msg), **kwargs}
        if tools:
            prepared["tools"] = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
            prepared["tool_choice"] = _choice(tool_choice) or ("required" if tool_required else None)
            prepared["parallel_tool_calls"] = None if allow_parallel_tool_calls else False
        return prepared

    def _validate_chat_with_tools_response(
        self, response: ChatResponse, tools: Sequence[BaseTool], allow_parallel_tool_calls: bool = False, **kwargs: Any
    ) -> ChatResponse:
        """One call where one was asked for: not every host on this wire heeds ``parallel_tool_calls``."""
        message = response.message
        calls = [at for at, block in enumerate(message.blocks) if isinstance(block, ToolCallBlock)]
        if calls[1:] and not allow_parallel_tool_calls:
            message.blocks = message.blocks[: calls[1]]
            message.additional_kwargs["tool_calls"] = message.additional_kwargs["tool_calls"][:1]
        return response


def _choice(tool_choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """LlamaIndex's ``tool_choice`` may be the bare name of a tool."""
    if not isinstance(tool_choice, str) or tool_choice in {"none", "auto", "required"}:
        return tool_choice
    return {"type": "function", "function": {"name": tool_choice}}
