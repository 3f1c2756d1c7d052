"""What Anthropic's wire makes of answers and streams that other hosts, or nobody, would give."""

import json
from typing import Any

import pytest

from promptwire.errors import GatewayError
from promptwire.gateway.anthropic.wire import AnthropicWire

WIRE = AnthropicWire()


@pytest.mark.parametrize("body", [[], "x", {}, {"type": "message"}, {"type": "message", "content": 1}, None])
def test_answers_that_are_none(body: Any) -> None:
    with pytest.raises(GatewayError, match="not a message of Anthropic's API") as caught:
        WIRE.answer(body)
    assert caught.value.status_code == 200


def test_an_error_as_an_answer() -> None:
    with pytest.raises(GatewayError, match="overloaded_error") as caught:
        WIRE.answer({"type": "error", "error": {"type": "overloaded_error", "message": "Later"}})
    assert (caught.value.status_code, "Later" in str(caught.value.body)) == (529, True)


def stream(*events: Any) -> list[dict[str, Any]]:
    reader = WIRE.events()
    data = "".join(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in events)
    chunks = list(reader.feed(data.encode()))
    reader.end()
    return chunks


START = {"type": "message_start", "message": {"id": "m", "model": "x", "usage": {"input_tokens": 1}}}
STOP = {"type": "message_stop"}


def opened(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
    ]


def test_streams_of_other_hosts() -> None:
    whole = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
    kinds = [{"type": "new"}, {"type": "message_delta", "delta": {}, "usage": None}]
    chunks = stream(START, *opened({"type": "text", "text": "So"}), *opened(whole), *kinds, STOP, STOP)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas[1] == {"content": "So"}
    assert deltas[3] == {"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}
    assert (chunks[-1]["usage"]["total_tokens"], len(chunks)) == (1, 6)


@pytest.mark.parametrize(
    "events", [("{",), ([],), ({"type": "content_block_stop"},), (START, {"type": "message_delta"})]
)
def test_events_that_are_none(events: Any) -> None:
    with pytest.raises(GatewayError, match="an event that is none of Anthropic's"):
        stream(*events)


@pytest.mark.parametrize("events", [(), (START,), (STOP,)])
def test_streams_without_an_end(events: Any) -> None:
    with pytest.raises(GatewayError, match="broke off"):
        stream(*events)
