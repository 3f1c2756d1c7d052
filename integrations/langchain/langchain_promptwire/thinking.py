"""What Anthropic's models thought, signed by the API: in LangChain's messages as ``ChatAnthropic`` has it.

An answer's content is a text, or blocks (``thinking``, ``text``, ``tool_use``) where it thought or called tools:
LangChain reads its standard blocks (``output_version="v1"``) from those.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage

from promptwire.gateway.hosts import find_provider

Block = dict[str, Any]


def speaks_in_blocks(provider: str) -> bool:
    """Whether the provider's wire is Anthropic's."""
    row = find_provider(provider)
    return row is not None and row.wire == "anthropic"


def thinking_of(message: AIMessage) -> list[Block]:
    """The thoughts to send back, from Anthropic's blocks, LangChain's, or LiteLLM's ``thinking_blocks``."""
    told = message.response_metadata.get("model_provider")
    ours = told is None or speaks_in_blocks(told)  # other makers sign their reasoning, too
    blocks = [] if isinstance(message.content, str) else message.content
    found = [thought for block in blocks if (thought := _thought(block, ours=ours))]
    return found or [dict(block) for block in message.additional_kwargs.get("thinking_blocks") or ()]


def _thought(block: Any, *, ours: bool) -> Block | None:
    match block:
        case {"type": "thinking", "signature": signature}:
            return {"type": "thinking", "thinking": block.get("thinking", ""), "signature": signature}
        case {"type": "redacted_thinking", "data": data}:
            return {"type": "redacted_thinking", "data": data}
        case {"type": "reasoning", "extras": {"signature": signature}} if ours:
            return {"type": "thinking", "thinking": block.get("reasoning", ""), "signature": signature}
        case {"type": "non_standard", "value": value}:
            return _thought(value, ours=ours)
        case _:
            return None


def in_blocks(said: Mapping[str, Any], tool_calls: list[Any]) -> str | list[str | Block]:
    """A whole answer's content."""
    text = said.get("content") or ""
    calls = [{"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]} for call in tool_calls]
    thought = said.get("thinking_blocks") or []
    if not (calls or thought):
        return str(text)
    return [*thought, *([{"type": "text", "text": text}] if text else []), *calls]


class BlockStream:
    """The content of a stream's chunks: a text, or pieces of blocks that join by their ``index``."""

    def __init__(self, *, in_blocks: bool) -> None:
        self.in_blocks = in_blocks
        self._index = -1
        self._open: object = None
        self._calls: dict[object, int] = {}

    def index_of(self, call: Mapping[str, Any]) -> Any:
        """A call's index among the blocks, by which LangChain joins its pieces, too."""
        return self._calls.get(call.get("index"), call.get("index"))

    def content(self, delta: Mapping[str, Any]) -> str | list[str | Block]:
        """What a delta adds. It is in blocks where that was asked for, and from the first thought on."""
        self.in_blocks = self.in_blocks or bool(delta.get("reasoning_content") or delta.get("thinking_blocks"))
        return list(self._pieces(delta)) if self.in_blocks else delta.get("content") or ""

    def _pieces(self, delta: Mapping[str, Any]) -> Iterator[Block]:
        if text := delta.get("reasoning_content"):
            yield self._piece("thinking", thinking=text)
        for block in delta.get("thinking_blocks") or ():
            kept = {name: block[name] for name in ("signature", "data") if name in block}
            yield self._piece(block["type"], **({"thinking": "", **kept} if "signature" in kept else kept))
            self._open = None
        if text := delta.get("content"):
            yield self._piece("text", text=text)
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)

    def _call(self, call: Mapping[str, Any]) -> Iterator[Block]:
        function, key = call.get("function") or {}, ("tool_use", call.get("index"))
        if function.get("name"):
            self._calls[call.get("index")] = self._index + 1
            yield self._piece(key, type="tool_use", id=call.get("id"), name=function["name"], input={})
        if text := function.get("arguments"):
            yield self._piece(key, type="input_json_delta", partial_json=text)

    def _piece(self, kind: object, **fields: Any) -> Block:
        if kind != self._open:
            self._index, self._open = self._index + 1, kind
        return {"type": kind, **fields, "index": self._index}
