"""What a model's answer is to LlamaIndex."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.llms.promptwire.convert import openai_call, thinking_block

from promptwire.compose import text_of
from promptwire.errors import GatewayError, raise_bare

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def whole(body: dict[str, Any]) -> ChatResponse:
    """A completion as a response."""
    if not body["choices"]:
        raise GatewayError("the model's answer holds no choice", status_code=200)
    return _Answer().add(body)


def steps(chunks: Iterator[dict[str, Any]]) -> ChatResponseGen:
    """A stream's chunks as responses, each with all that came before it."""
    answer = _Answer()
    with closing(chunks):  # type: ignore[type-var]  # the driver's are generators
        for chunk in chunks:
            yield answer.add(chunk)


async def asteps(chunks: AsyncIterator[dict[str, Any]]) -> ChatResponseAsyncGen:
    """``steps`` of an async stream."""
    answer = _Answer()
    async with aclosing(chunks):  # type: ignore[type-var]  # as above
        async for chunk in chunks:
            yield answer.add(chunk)


class _Answer:
    """A model's answer as far as it has arrived."""

    def __init__(self) -> None:
        self._text = self._thought = ""
        self._thoughts: list[ThinkingBlock] = []  # those complete, where the provider signs them
        self._calls: dict[int, tuple[str | None, str, str]] = {}

    def add(self, body: dict[str, Any]) -> ChatResponse:
        """Read a completion, or one more chunk. Raises ``GatewayError`` for what is neither."""
        try:
            return self._add(body)
        except (ValueError, TypeError, AttributeError, LookupError):
            raise_bare(GatewayError("the model's answer is not of a chat completion's shape", status_code=200))

    def _add(self, body: dict[str, Any]) -> ChatResponse:
        choice: Mapping[str, Any] = next((one for one in body.get("choices") or () if not one.get("index")), {})
        part = choice.get("message") or choice.get("delta") or {}
        text, thought = text_of(part.get("content")), part.get("reasoning_content") or part.get("reasoning") or ""
        self._text += text
        self._thought += thought
        if blocks := part.get("thinking_blocks"):
            self._thoughts += map(thinking_block, blocks)
            self._thought = ""
        for at, call in enumerate(part.get("tool_calls") or ()):
            self._grow(call.get("index", at), call)
        usage = body.get("usage") or {}
        extra = {name: usage[name] for name in _COUNTS if name in usage}
        if thought:
            extra["thinking_delta"] = thought
        delta = None if "message" in choice else text
        return ChatResponse(message=self._message(), raw=body, delta=delta, additional_kwargs=extra)

    def _grow(self, at: int, call: Mapping[str, Any]) -> None:
        """Some hosts repeat id and name in every piece."""
        held_id, held_name, arguments = self._calls.get(at, (None, "", ""))
        function = call.get("function") or {}
        arguments += function.get("arguments") or ""
        self._calls[at] = (held_id or call.get("id"), held_name or function.get("name") or "", arguments)

    def _message(self) -> ChatMessage:
        """Tool calls both as blocks and as OpenAI's dicts: core's structured streams look only at the latter."""
        calls = [
            ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments)
            for call_id, name, arguments in self._calls.values()
        ]
        open_thought = [ThinkingBlock(content=self._thought)] if self._thought else []
        blocks: list[ContentBlock] = [*self._thoughts, *open_thought]
        if self._text or not calls:
            blocks.append(TextBlock(text=self._text))
        extra = {"tool_calls": [openai_call(call) for call in calls]} if calls else {}
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=[*blocks, *calls], additional_kwargs=extra)
