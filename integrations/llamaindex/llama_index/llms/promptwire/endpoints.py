"""What both LLMs share: completions and tool calls read off chat, and a life as plain data."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from llama_index.core.base.llms.generic_utils import (
    astream_chat_response_to_completion_response,
    chat_response_to_completion_response,
    prompt_to_messages,
    stream_chat_response_to_completion_response,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.llms.promptwire.convert import selection, tool_calls
from llama_index.llms.promptwire.filling import ManagedMessages
from pydantic import ValidationError

from promptwire.errors import ConfigurationError, GatewayError, raise_bare, unfit
from promptwire.params import nearest

L = TypeVar("L", bound=LLM)


class Completions(LLM):
    """A completion is a chat of one user message."""

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return chat_response_to_completion_response(self.chat(prompt_to_messages(prompt), **kwargs))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        return stream_chat_response_to_completion_response(self.stream_chat(prompt_to_messages(prompt), **kwargs))

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return chat_response_to_completion_response(await self.achat(prompt_to_messages(prompt), **kwargs))

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        answers = await self.astream_chat(prompt_to_messages(prompt), **kwargs)
        return astream_chat_response_to_completion_response(answers)


class ChatOnlyLLM(Completions, FunctionCallingLLM):
    """An LLM of four chat endpoints."""

    keywords: ClassVar[tuple[str, ...]] = ()
    """What the constructor takes besides fields."""

    def __init__(self, **fields: Any) -> None:
        """Errors are ours: LlamaIndex would answer "Empty Response" to pydantic's, which also show the values."""
        name = type(self).__name__
        known = type(self).model_fields
        for given in fields:
            if given not in known:
                hint = nearest(given, (*known, *self.keywords))
                raise ConfigurationError(f"{name}() has no argument {given!r}{hint}")
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise_bare(unfit(f"{name}()", error))

    def to_payload(self) -> dict[str, Any]:
        return {"class_name": self.class_name(), **self.metadata.model_dump()}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls in an answer of any LlamaIndex LLM, or of a stream so far."""
        calls = tool_calls(response.message)
        if error_on_no_tool_call and not calls:
            raise GatewayError("the model was to call a tool and answered without a call")
        return [selection(call) for call in calls]

    def __getstate__(self) -> dict[str, Any]:
        """LlamaIndex leaves out what doesn't pickle. Without its resolver or delegate the twin would be another LLM."""
        state = super(ChatOnlyLLM, picklable(self)).__getstate__()
        lost = (self.__pydantic_private__ or {}).keys() - (state["__pydantic_private__"] or {}).keys()
        if lost:
            names = ", ".join(sorted(name.strip("_") for name in lost))
            raise ConfigurationError(
                f"{type(self).__name__}: what it holds as {names} doesn't pickle; an llm_factory= that does is a "
                "function of a module, and a resolver= one whose backend pickles"
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # __init__ with the fields, which leaves out what is private
        for name, value in (state["__pydantic_private__"] or {}).items():
            setattr(self, name, value)


def picklable(llm: L) -> L:
    """A copy without its key: LlamaIndex deletes what doesn't pickle, clients and all, from the object itself."""
    return llm.model_copy(update={"api_key": None} if "api_key" in type(llm).model_fields else None)


def with_question(history: Sequence[ChatMessage] | None, question: str | ChatMessage | None) -> list[ChatMessage]:
    """The messages of a call with tools, in a list of their own."""
    asked = prompt_to_messages(question) if isinstance(question, str) else [question] if question else []
    messages = [*(history or ()), *asked]
    return history.of(messages) if isinstance(history, ManagedMessages) and not asked else messages
