"""Anthropic's server-sent events as OpenAI's chunks."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from promptwire.errors import GatewayError, raise_bare
from promptwire.gateway.anthropic.answer import (
    arguments,
    finish_reason,
    is_call,
    is_thinking,
    refusal,
    to_call,
    usage,
)
from promptwire.gateway.sse import EventReader

Event = Mapping[str, Any]
Chunk = dict[str, Any]


class AnthropicEvents:
    """One stream's state: the message so far, and whether it has ended as it should."""

    def __init__(self) -> None:
        self._reader = EventReader()
        self._head: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}  # those not yet complete, by index
        self._heard: set[int] = set()  # of them, the calls whose input has begun
        self._places: dict[int, int] = {}  # of them, each call's place among the calls
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._done = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that ``data`` completes. Raises ``GatewayError`` for an error event."""
        for text in self._reader.feed(data):
            try:
                event = json.loads(text)
                if event["type"] == "error":
                    raise refusal(event, text.decode(errors="replace"))
                yield from self._read(event)
            except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
                raise_bare(GatewayError("the provider's stream holds an event that is none of Anthropic's"))

    def end(self) -> None:
        """The stream has ended; raises ``GatewayError`` if it broke off."""
        if not self._done:
            raise GatewayError("the provider's stream broke off before its end")

    def _read(self, event: Event) -> Iterator[Chunk]:
        match event["type"]:
            case "message_start":
                yield self._start(event["message"])
            case "content_block_start":
                yield from self._open(event)
            case "content_block_delta":
                yield from self._add(event)
            case "content_block_stop":
                yield from self._close(event)
            case "message_delta":
                self._note(event)
            case "message_stop" if self._head and not self._done:
                self._done = True
                yield self._chunk({}, finish_reason(self._stop_reason, called=self._calls > 0))
                yield {**self._head, "choices": [], "usage": usage(self._usage)}
            case _:  # `ping`, and what the API may yet add
                pass

    def _start(self, message: Event) -> Chunk:
        head = {"id": message["id"], "object": "chat.completion.chunk", "created": int(time.time())}
        self._head = {**head, "model": message["model"]}
        self._usage |= message["usage"]
        return self._chunk({"role": "assistant", "content": ""})

    def _open(self, event: Event) -> Iterator[Chunk]:
        block = self._blocks[event["index"]] = dict(event["content_block"])
        if is_call(block):
            opening = to_call(block)
            opening["function"]["arguments"] = ""
            self._places[event["index"]] = self._calls
            yield self._chunk({"tool_calls": [{"index": self._calls, **opening}]})
            self._calls += 1
        elif block["type"] == "text" and block["text"]:
            yield self._chunk({"content": block["text"]})

    def _add(self, event: Event) -> Iterator[Chunk]:
        block, delta = self._blocks[event["index"]], event["delta"]
        match delta["type"]:
            case "text_delta":
                yield self._chunk({"content": delta["text"]})
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                yield self._chunk({"reasoning_content": delta["thinking"]})
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta" if block["type"] == "tool_use" and delta["partial_json"]:
                self._heard.add(event["index"])
                yield self._input(event["index"], delta["partial_json"])
            case _:  # citations and the server's own tools, of which OpenAI's chunks have no like; empty pieces
                pass

    def _close(self, event: Event) -> Iterator[Chunk]:
        index = event["index"]
        block = self._blocks.pop(index)
        if is_thinking(block):
            yield self._chunk({"thinking_blocks": [block]})
        elif block["type"] == "tool_use" and index not in self._heard:  # no arguments, or all of them at once
            yield self._input(index, arguments(block))
        self._places.pop(index, None)
        self._heard.discard(index)

    def _input(self, index: int, piece: str) -> Chunk:
        """A piece of a call's arguments, or of an answer in JSON."""
        if index not in self._places:
            return self._chunk({"content": piece})
        return self._chunk({"tool_calls": [{"index": self._places[index], "function": {"arguments": piece}}]})

    def _note(self, event: Event) -> None:
        """Why it stopped; the counts are those of the whole message so far."""
        self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
        self._usage |= {key: value for key, value in (event.get("usage") or {}).items() if value is not None}

    def _chunk(self, delta: Chunk, reason: str | None = None) -> Chunk:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}
