"""What Anthropic's wire makes of answers and streams that other hosts, or nobody, would give."""

import json
from typing import Any

import pytest

from promptwire.errors import GatewayError
from promptwire.gateway.anthropic.wire import AnthropicWire
from tests.doubles.wire_calls import together

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


def call(index: int, name: str, argument: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": "tool_use", "id": name, "name": name, "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "input_json_delta", "partial_json": f'{{"x": {argument}}}'},
        },
        {"type": "content_block_stop", "index": index},
    ]


@pytest.mark.parametrize(
    "events",
    [
        [*call(0, "f", "1"), *call(1, "g", "2")],
        [event for pair in zip(call(0, "f", "1"), call(1, "g", "2"), strict=True) for event in pair],
        [*call(0, "f", "1"), *call(0, "g", "2")],
    ],
    ids=["in turn", "at once", "under one index"],
)
def test_parallel_calls_keep_their_arguments(events: list[dict[str, Any]]) -> None:
    message = together(stream(START, *events, *opened({"type": "text", "text": "So"}), STOP))["choices"][0]["message"]
    assert [one["function"] for one in message["tool_calls"]] == [
        {"name": "f", "arguments": '{"x": 1}'},
        {"name": "g", "arguments": '{"x": 2}'},
    ]


def test_arguments_at_once_after_a_call_of_the_same_index() -> None:
    whole = {"type": "tool_use", "id": "g", "name": "g", "input": {"x": 2}}
    message = together(stream(START, *call(0, "f", "1"), *opened(whole), STOP))["choices"][0]["message"]
    assert [one["function"]["arguments"] for one in message["tool_calls"]] == ['{"x": 1}', '{"x": 2}']


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
