"""Streams that never end, and events that don't: each is read to its bound, in memory that doesn't grow with it."""

import asyncio
import itertools
import json
import tracemalloc
from typing import Any

import pytest

from promptwire import GatewayError
from promptwire.exchange import MAX_ANSWER
from promptwire.testing import Answer, FakeOpenAI, LoopbackServer, Received

MESSAGES = [{"role": "user", "content": "one two"}]
WORDS = "word " * 100_000
OPENAI = [{"choices": [{"index": 0, "delta": {"content": WORDS}, "finish_reason": None}]}]
USAGE = {"input_tokens": 1, "output_tokens": 1}
ANTHROPIC: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "model": "c", "usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}},
]


class Endless(LoopbackServer):
    """Sends these events, and the last of them for as long as somebody reads."""

    def __init__(self, *events: dict[str, Any]) -> None:
        super().__init__()
        told = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
        self._begin, self._last = told[:-1], told[-1]

    def answer(self, request: Received) -> Answer:
        pieces = itertools.chain(self._begin, itertools.repeat(self._last))
        return Answer(200, b"", {"Content-Type": "text/event-stream"}, pieces)


@pytest.mark.parametrize(("model", "events"), [("openai/gpt-4o", OPENAI), ("anthropic/claude-x", ANTHROPIC)])
async def test_a_stream_that_never_ends(ask: Any, model: str, events: list[dict[str, Any]]) -> None:
    read = 0

    async def read_on(stream: Any) -> None:
        nonlocal read
        while chunk := await ask.next(stream):
            read += len(chunk.choices[0].delta.content)

    tracemalloc.start()
    try:
        with Endless(*events) as server:
            stream = await ask(model=model, messages=MESSAGES, api_base=server.url, api_key="k", stream=True)
            with pytest.raises(GatewayError, match=f"^{model}: its answer is larger than 100 MB"):
                await read_on(stream)
            assert await asyncio.to_thread(server.wait_for_hang_ups)
        assert tracemalloc.get_traced_memory()[1] < MAX_ANSWER / 5
    finally:
        tracemalloc.stop()
    assert MAX_ANSWER * 0.9 < read < MAX_ANSWER


async def test_a_line_that_never_ends(ask: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.gateway.sse.MAX_LINE", 1000)
    openai.garbage("data: " + "x" * 2000)
    with pytest.raises(GatewayError, match="a line that doesn't end"):
        await ask.chunks(model="gpt-4o", messages=MESSAGES)


async def test_an_event_that_never_ends(ask: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.gateway.sse.MAX_EVENT", 1000)
    openai.garbage("data: x\n" * 300)
    with pytest.raises(GatewayError, match="an event that doesn't end"):
        await ask.chunks(model="gpt-4o", messages=MESSAGES)
