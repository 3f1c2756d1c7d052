"""OpenAI's wire, Chat Completions: pure, no I/O."""

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from promptwire.errors import ConfigurationError, GatewayError, raise_bare
from promptwire.exchange import Request
from promptwire.gateway.providers import Target
from promptwire.gateway.sse import EventReader


class OpenAIWire:
    """Builds requests of OpenAI's API and reads its answers, which already have the shape that callers get."""

    def request(
        self, target: Target, messages: Sequence[object], params: Mapping[str, object], *, stream: bool
    ) -> Request:
        """The request of one model call; ``params`` with ``None`` are left out."""
        body: dict[str, object] = {"model": target.model, "messages": [_without_foreign(item) for item in messages]}
        body.update((key, value) for key, value in params.items() if value is not None)
        if isinstance(tools := body.get("tools"), list):
            body["tools"] = [_without_foreign(tool) for tool in tools]
        if stream:
            body["stream"] = True
            if "stream_options" not in params:
                body["stream_options"] = {"include_usage": True}
        headers = {"content-type": "application/json"}
        if target.api_key:
            headers["authorization"] = f"Bearer {target.api_key}"
        return Request("POST", f"{target.api_base}/chat/completions", headers, encode(body))

    def answer(self, body: Any) -> dict[str, Any]:
        """The completion, if the answer is one."""
        if not isinstance(body, dict) or not _has_choices(body) or not all(map(_has_message, body["choices"] or [{}])):
            raise GatewayError("the provider's answer is not a chat completion", status_code=200)
        return body

    def events(self) -> "OpenAIEvents":
        """A reader for one stream."""
        return OpenAIEvents()


class OpenAIEvents:
    """One stream's state: the chunks so far complete, and whether it has ended as it should."""

    def __init__(self) -> None:
        self._reader = EventReader()
        self._done = False  # [DONE] was seen
        self._finished = False  # a finish reason was: some hosts send no [DONE]

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The chunks that ``data`` completes. Raises ``GatewayError`` for an error event."""
        for event in self._reader.feed(data):
            if event.strip() == b"[DONE]":
                self._done = True
            elif not self._done:
                yield self._chunk(event)

    def end(self) -> None:
        """The stream has ended; raises ``GatewayError`` if it broke off."""
        if not (self._done or self._finished):
            raise GatewayError("the provider's stream broke off before its end")

    def _chunk(self, event: bytes) -> dict[str, Any]:
        try:
            chunk = json.loads(event)
        except (ValueError, RecursionError):
            raise_bare(GatewayError("the provider's stream holds an event that is not JSON"))
        if not isinstance(chunk, dict) or not (chunk.get("choices") is None or _has_choices(chunk)):
            raise GatewayError("the provider's stream holds an event that is not a chunk")
        if chunk.get("error"):
            text = event.decode(errors="replace")
            raise GatewayError("the provider broke the stream off with an error; .body has it", body=text)
        if any(choice.get("finish_reason") for choice in chunk.get("choices") or ()):
            self._finished = True
        return chunk


def _has_choices(body: dict[str, Any]) -> bool:
    choices = body.get("choices")
    return isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices)


def _has_message(choice: dict[str, Any]) -> bool:
    return isinstance(choice.get("message"), dict)


# What answers hold and requests don't know: OpenAI's annotations, and what Anthropic's models bring along.
_FOREIGN = frozenset({"annotations", "thinking_blocks", "is_error", "cache_control"})


def _without_foreign(message: Any) -> Any:
    """A message as this wire knows it; nearly always the message itself."""
    if not isinstance(message, dict):
        return message
    if isinstance(content := message.get("content"), list) and any(map(_is_marked, content)):
        message = {**message, "content": [_kept(part, _FOREIGN) if _is_marked(part) else part for part in content]}
    if _FOREIGN.isdisjoint(message):
        return message
    beside = {"reasoning_content"} if "thinking_blocks" in message else set[str]()
    return _kept(message, _FOREIGN | beside)


def _is_marked(part: object) -> bool:
    return isinstance(part, dict) and "cache_control" in part


def _kept(item: dict[str, Any], dropped: AbstractSet[str]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in dropped}


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(body: Mapping[str, object]) -> bytes:
    """A request's JSON. Raises ``ConfigurationError`` for what is none."""
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError, RecursionError):
        raise_bare(
            ConfigurationError(
                "the call's messages and parameters must be plain JSON values (texts, numbers, lists, dicts)"
            )
        )
