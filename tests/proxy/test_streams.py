"""Streams: forwarded to the byte, translated, broken off, left."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from promptwire.testing import Answer, FakeOpenAI, LoopbackServer, Received
from tests.doubles.anthropic import FakeAnthropic
from tests.proxy.conftest import Running, Start, entry

MESSAGES = [{"role": "user", "content": "one two"}]
CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}\n\n'
BODY = {"model": "plain", "messages": MESSAGES, "stream": True}


class Says(LoopbackServer):
    """Streams these pieces."""

    def __init__(self, *pieces: str, kind: str = "text/event-stream") -> None:
        super().__init__()
        self._pieces = [piece.encode() for piece in pieces]
        self._kind = kind

    def answer(self, request: Received) -> Answer:
        return Answer(200, b"", {"Content-Type": self._kind}, iter(self._pieces))


def streamed(start: Start, server: LoopbackServer) -> httpx.Response:
    proxy = start(entry("plain", "openai/m", api_base=server.url, api_key="k"))
    return proxy.http.post("/v1/chat/completions", json=BODY)


def events(text: str) -> list[Any]:
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in found]


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNK % ("a", "null"), ": comment\n\n", CHUNK % ("é\u2028", '"stop"'), "data: [DONE]\n\n"],
        [(CHUNK % ("a", "null")).replace("\n", "\r\n"), "data: [DO", "NE]\r\n\r\n"],
        list(CHUNK % ("bytewise", '"stop"')),
        [CHUNK % ("no done", '"stop"')],
        [CHUNK % ("x" * 3000, "null"), CHUNK % ("", '"length"'), 'data: {"choices":[],"usage":{}}\n\n', "data: [DONE]"],
        ['data: {"error":{"message":"theirs"}}\n\n'],
    ],
    ids=["as is", "crlf", "bytewise", "no done", "no last newline", "an error of theirs"],
)
def test_bytes_are_forwarded_unparsed(start: Start, pieces: list[str]) -> None:
    with Says(*pieces) as server:
        answer = streamed(start, server)
    assert answer.content == "".join(pieces).encode()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


def test_a_line_without_an_end_is_not_held_for_ever(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.proxy.relay.MAX_HELD", 100)
    piece = 'data: {"choices":[{"delta":{"content":"' + "x" * 500
    with Says(piece, '"},"finish_reason":"stop"}]}\n\n') as server:
        assert streamed(start, server).text.startswith(piece)


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNK % ("a", "null")],
        [CHUNK % ("a", "null"), 'data: {"choices":[{"index":0,"del'],
        [CHUNK % ('say {\\"finish_reason\\": \\"stop\\"}', "null")],
        [],
    ],
    ids=["between events", "amid one", "content that looks like an end", "before the first"],
)
def test_a_stream_that_ends_early_gets_one_error_event_and_no_done(start: Start, pieces: list[str]) -> None:
    with Says(*pieces) as server:
        found = events(streamed(start, server).text)
    assert found[-1]["error"]["message"] == "openai/m: the provider's stream broke off before its end"
    assert found[-1]["error"]["code"] == "upstream_error"
    assert len(found) == 1 + sum(piece.endswith("\n\n") for piece in pieces)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_connection_that_breaks(proxy: Running, openai: FakeOpenAI, after: int) -> None:
    openai.drop(after=after)
    answer = proxy.http.post("/v1/chat/completions", json=BODY)
    if not after:
        assert answer.status_code == 502
        assert answer.json()["error"]["message"].startswith("openai/gpt-4o: the connection broke off")
        return
    found = events(answer.text)
    assert len(found) == after + 1
    assert found[-1]["error"]["type"] == "api_error"
    assert "openai/gpt-4o: the connection broke off" in found[-1]["error"]["message"]


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_what_is_no_stream_is_a_bad_gateway(start: Start, kind: str) -> None:
    with Says("{}", kind=kind) as server:
        answer = streamed(start, server)
    assert answer.status_code == 502
    assert "is no stream" in answer.json()["error"]["message"]


def test_usage_comes_only_where_it_is_asked_for(proxy: Running, openai: FakeOpenAI) -> None:
    for options in (None, {"include_usage": False}, {"include_usage": True}):
        answer = proxy.http.post("/v1/chat/completions", json={**BODY, "stream_options": options})
        asked = bool(options and options["include_usage"])
        assert ("stream_options" in openai.requests[-1].json) == bool(options)
        assert any(event != "[DONE]" and event.get("usage") for event in events(answer.text)) == asked


class TestAnthropic:
    @pytest.fixture
    def proxy(self, start: Start) -> Running:
        return start(entry("plain", "anthropic/claude-sonnet-4-5"))

    @pytest.mark.parametrize("asked", [True, False])
    def test_a_stream_is_translated(self, proxy: Running, *, asked: bool) -> None:
        options = {"stream_options": {"include_usage": True}} if asked else {}
        found = events(proxy.http.post("/v1/chat/completions", json={**BODY, **options}).text)
        assert found[-1] == "[DONE]"
        words = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in found[:-1] if chunk["choices"])
        assert words == "[claude-sonnet-4-5] one two"
        assert any(chunk.get("usage") for chunk in found[:-1]) == asked
        assert all(chunk["object"] == "chat.completion.chunk" for chunk in found[:-1])

    def test_an_answer_is_translated(self, proxy: Running) -> None:
        answer = proxy.chat("plain", messages=MESSAGES).json()
        assert answer["choices"][0]["message"]["content"] == "[claude-sonnet-4-5] one two"
        assert answer["object"] == "chat.completion"

    def test_a_refusal_has_openais_shape(self, proxy: Running, anthropic: FakeAnthropic) -> None:
        anthropic.overload()
        answer = proxy.chat("plain", messages=MESSAGES)
        assert answer.status_code == 529
        assert answer.json()["error"]["message"] == "Fake failure 529"

    @pytest.mark.parametrize(
        "break_it", [lambda server: server.fail_stream(), lambda server: server.drop(after=3)], ids=["event", "dropped"]
    )
    def test_a_stream_that_breaks_off(
        self, proxy: Running, anthropic: FakeAnthropic, break_it: Callable[[FakeAnthropic], None]
    ) -> None:
        break_it(anthropic)
        found = events(proxy.http.post("/v1/chat/completions", json=BODY).text)
        assert found[-1]["error"]["message"]
        assert [event for event in found if "error" in event] == found[-1:]
        assert "[DONE]" not in found

    def test_a_client_that_leaves_stops_it(self, proxy: Running, anthropic: FakeAnthropic) -> None:
        gate = anthropic.hang(after=2)
        leave_while_silent(proxy, gate, BODY)
        assert anthropic.wait_for_hang_ups(timeout=1.0)


def leave_while_silent(proxy: Running, gate: Any, body: Any, requests: int = 1) -> None:
    """Hang up once the provider has fallen silent, amid the first of so many equal requests in one packet."""
    import socket

    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", proxy.server.port)) as client:
        client.sendall((head.encode() + content) * requests)
        assert gate.wait_for(1)


@pytest.mark.parametrize(
    ("after", "stream"), [(0, False), (0, True), (3, True)], ids=["before an answer", "before a stream", "mid-stream"]
)
def test_a_client_that_leaves_stops_the_provider_within_a_second(
    proxy: Running, openai: FakeOpenAI, after: int, *, stream: bool
) -> None:
    gate = openai.hang(after=after)
    leave_while_silent(proxy, gate, {**BODY, "stream": stream})
    assert openai.wait_for_hang_ups(timeout=1.0)


def test_a_client_that_leaves_stops_the_provider_though_it_has_asked_for_more(
    proxy: Running, openai: FakeOpenAI
) -> None:
    gate = openai.hang(after=3)
    leave_while_silent(proxy, gate, {**BODY, "stream": True}, requests=2)
    assert openai.wait_for_hang_ups(timeout=1.0)


def test_a_client_that_leaves_while_the_provider_speaks(proxy: Running, openai: FakeOpenAI) -> None:
    openai.drip(0.02)
    with proxy.http.stream("POST", "/v1/chat/completions", json=BODY) as answer:
        next(answer.iter_bytes())
    assert openai.wait_for_hang_ups(timeout=1.0)


def test_chunks_are_not_held_back(proxy: Running, openai: FakeOpenAI) -> None:
    gate = openai.gate(after=2)
    with proxy.http.stream("POST", "/v1/chat/completions", json=BODY) as answer:
        arriving = answer.iter_text()
        found = ""
        while "[gpt-4o]" not in found:
            found += next(arriving)
        gate.release()
        assert "[DONE]" in "".join(arriving)


@pytest.mark.parametrize("after", [0, 2])
def test_the_time_of_a_call_is_bounded(start: Start, openai: FakeOpenAI, after: int) -> None:
    proxy = start(entry("plain", "gpt-4o", timeout=0.3))
    openai.hang(after=after)
    began = time.monotonic()
    answer = proxy.http.post("/v1/chat/completions", json=BODY)
    assert time.monotonic() - began < 5
    error = answer.json()["error"] if not after else events(answer.text)[-1]["error"]
    assert answer.status_code == (200 if after else 504)
    assert error["code"] == "upstream_timeout"
    assert openai.wait_for_hang_ups()


def test_a_provider_that_drips_does_not_outlive_the_bound(start: Start, openai: FakeOpenAI) -> None:
    proxy = start(entry("plain", "gpt-4o", timeout=0.5))
    openai.drip(0.05)
    answer = proxy.chat("plain", messages=MESSAGES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


def test_a_client_that_reads_nothing_does_not_hold_the_provider(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.proxy.relay.LAST_SECONDS", 0.1)
    import socket

    flood = [CHUNK % ("x" * 100_000, "null")] * 400
    with Says(*flood) as server:
        proxy = start(entry("plain", "openai/m", api_base=server.url, api_key="k", timeout=0.5))
        content = json.dumps(BODY).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", proxy.server.port)) as client:
            client.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            assert server.wait_for_hang_ups()
        assert proxy.http.get("/health/liveness").status_code == 200
