"""Model calls over a wire, in each of the four ways: whole or streamed, sync or async."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promptwire.gateway.driver import ModelCall, asend, astream, send, stream
from promptwire.gateway.providers import Target
from promptwire.gateway.wires import Wire

WAYS = ("sync", "async", "sync streamed", "async streamed")


@dataclass(frozen=True, slots=True)
class WireCalls:
    """Calls of one provider in one of the ``WAYS``; a stream is put together again."""

    wire: Wire
    api_base: str
    api_key: str
    way: str = "sync"
    model: str = "claude-sonnet-5-5"
    retries: int = 0

    def __call__(self, messages: Iterable[Any], model: str | None = None, **params: Any) -> dict[str, Any]:
        """The completion."""
        if not self.way.endswith("streamed"):
            call = self.call(messages, model, params, streamed=False)
            return asyncio.run(asend(call)) if self.way == "async" else send(call)
        return together(self.chunks(messages, model, **params))

    def said(self, messages: Iterable[Any], model: str | None = None, **params: Any) -> dict[str, Any]:
        """The completion's message."""
        message: dict[str, Any] = self(messages, model, **params)["choices"][0]["message"]
        return message

    def chunks(self, messages: Iterable[Any], model: str | None = None, **params: Any) -> list[dict[str, Any]]:
        """The stream's chunks as they came."""
        call = self.call(messages, model, params, streamed=True)
        return asyncio.run(_collect(call)) if self.way.startswith("async") else list(stream(call))

    def call(
        self, messages: Iterable[Any], model: str | None, params: Mapping[str, Any], *, streamed: bool
    ) -> ModelCall:
        target = Target("p", model or self.model, self.api_key, self.api_base)
        request = self.wire.request(target, list(messages), params, stream=streamed)
        return ModelCall(request, self.wire, "p/m", retries=self.retries)


async def _collect(call: ModelCall) -> list[dict[str, Any]]:
    return [chunk async for chunk in astream(call)]


def together(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The completion that a stream's chunks make, as OpenAI's clients put it together."""
    message: dict[str, Any] = {}
    calls: dict[int, dict[str, Any]] = {}
    made: dict[str, Any] = {}
    reason = None
    for chunk in chunks:
        made |= {key: value for key, value in chunk.items() if key != "choices"}
        for choice in chunk["choices"]:
            _add(message, calls, choice["delta"])
            reason = choice["finish_reason"] or reason
    if calls:
        message["tool_calls"] = list(calls.values())
        message["content"] = message["content"] or None
    choice = {"index": 0, "message": {**message, "refusal": None}, "logprobs": None, "finish_reason": reason}
    return {**made, "object": "chat.completion", "choices": [choice]}


def _add(message: dict[str, Any], calls: dict[int, dict[str, Any]], delta: Mapping[str, Any]) -> None:
    for key, value in delta.items():
        if key != "tool_calls":
            message[key] = message[key] + value if key in message else value
            continue
        for piece in value:
            if piece["index"] in calls:
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
            else:
                calls[piece["index"]] = {**{k: v for k, v in piece.items() if k != "index"}}
