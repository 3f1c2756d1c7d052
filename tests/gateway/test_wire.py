"""OpenAI's wire without a network: requests built, answers and streams read, and what the driver makes of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire.errors import ConfigurationError, GatewayError
from promptwire.gateway.answers import Answer, answer
from promptwire.gateway.driver import astream, model_call, stream
from promptwire.gateway.openai import OpenAIWire
from promptwire.gateway.providers import Target
from promptwire.gateway.sse import EventReader
from promptwire.testing import FakeOpenAI

TARGET = Target("openai", "gpt-4o", "canary", "https://host.example/v1")
HELLO = [{"role": "user", "content": "Grüße\u2028"}]


def test_a_request() -> None:
    request = OpenAIWire().request(TARGET, HELLO, {"temperature": 0, "stop": None, "user": ""}, stream=False)
    assert (request.method, request.url) == ("POST", "https://host.example/v1/chat/completions")
    assert request.headers == {"content-type": "application/json", "authorization": "Bearer canary"}
    assert request.body is not None
    assert json.loads(request.body) == {"model": "gpt-4o", "messages": HELLO, "temperature": 0, "user": ""}
    assert "Grüße".encode() in request.body
    assert "canary" not in repr(request)


@pytest.mark.parametrize(
    ("params", "sent"),
    [({}, {"include_usage": True}), ({"stream_options": {"include_usage": False}}, {"include_usage": False})],
)
def test_a_streams_request_asks_for_usage(params: dict[str, Any], sent: dict[str, Any]) -> None:
    body = OpenAIWire().request(TARGET, HELLO, params, stream=True).body or b""
    assert (json.loads(body)["stream"], json.loads(body)["stream_options"]) == (True, sent)


def test_no_key_no_header() -> None:
    request = OpenAIWire().request(Target("openai", "x", None, "http://127.0.0.1"), HELLO, {}, stream=False)
    assert "authorization" not in request.headers


@pytest.mark.parametrize("value", [{1, 2}, float("inf"), b"x", object()])
def test_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(ConfigurationError, match="plain JSON values"):
        OpenAIWire().request(TARGET, HELLO, {"metadata": {"canary": value}}, stream=False)


def test_what_is_nested_too_deeply() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ConfigurationError, match="plain JSON values"):
        OpenAIWire().request(TARGET, nested, {}, stream=False)


EVENTS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6)


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 300), max_size=8))
def test_events_are_the_same_however_the_bytes_are_cut(events: list[str], end: str, cuts: list[int]) -> None:
    data = "".join(f"data: {text}{end}: comment{end}{end}" for text in events).encode() + b"x"
    reader = EventReader()
    found: list[bytes] = []
    start = 0
    for cut in sorted(cuts):
        found += reader.feed(data[start:cut])
        start = max(start, cut)
    found += reader.feed(data[start:])
    assert found == [text.encode() for text in events]


def test_data_of_several_lines_is_one_event() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\ndata:b\nid: 1\ndata:  c\n\n\nevent: x\n\ndata\n\n") == [b"a\nb\n c"]
    assert reader.feed(b"\r") == []
    assert reader.feed(b"\ndata: d\r\n\r") == []
    assert reader.feed(b"\n") == [b"d"]


def test_after_done_nothing_counts() -> None:
    events = OpenAIWire().events()
    assert list(events.feed(b'data: {"choices": null}\n\ndata: [DONE] \n\ndata: {"error": 1}\n\n')) == [
        {"choices": None}
    ]
    events.end()


def test_an_error_in_a_stream_is_masked() -> None:
    events = OpenAIWire().events()
    with pytest.raises(GatewayError, match=r"\.body has it") as caught:
        list(events.feed(b'data: {"error": {"message": "no"}}\n\n'))
    assert caught.value.body == '{"error": {"message": "no"}}'


def test_attributes_are_kept_as_they_are_read() -> None:
    made = answer({"choices": [{"message": {"content": "x"}}], "items": [1, "a"], "usage": {"n": 1}}, None)
    message = made.choices[0].message
    message["content"] = "changed"
    assert made.choices[0].message.content == "changed"
    assert isinstance(made.usage, Answer)
    assert made["items"] == [1, "a"]
    assert made.prompt is None
    assert not hasattr(made, "id")
    assert made.system_fingerprint is None


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_drivers_streams_send_when_they_are_read(openai: FakeOpenAI, colour: str) -> None:
    """What the adapters use: plain dicts, and no request before the first is asked for."""
    call = model_call(Target("openai", "gpt-4o", openai.api_key, openai.url), HELLO, {}, stream=True)
    if colour == "sync":
        reading = stream(call)
        assert openai.count == 0
        chunks = list(reading)
    else:
        areading = astream(call)
        assert openai.count == 0
        chunks = [chunk async for chunk in areading]
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert {type(chunk) for chunk in chunks} == {dict}
