"""Providers that repeat what they were told: the operator's key and headers stay hidden from clients."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from promptwire.testing import Answer, LoopbackServer, Received
from tests.proxy.conftest import MESSAGES, Start, entry

KEY, TEAM = "sk-canary/operators+key==", "team-canary-42"
USAGE = {"input_tokens": 1, "output_tokens": 1}
ERROR = {"error": {"message": f"no such key: {KEY}, {KEY} of {TEAM}", "type": "invalid_request_error"}}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"{KEY}, {TEAM}"}}]}
CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}\n\n'
EVENT = f"data: {json.dumps(ERROR)}\n\n"
DONE = "data: [DONE]\n\n"


class Repeats(LoopbackServer):
    """Answers this, or streams these pieces."""

    def __init__(self, body: Any = None, pieces: tuple[str, ...] = (), **headers: str) -> None:
        super().__init__()
        self._body = body
        self._pieces = pieces
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self, request: Received) -> Answer:
        if not self._pieces:
            return Answer(200, json.dumps(self._body).encode(), {"content-type": "application/json", **self._headers})
        return Answer(200, b"", {"content-type": "text/event-stream", **self._headers}, self._said())

    def _said(self) -> Iterator[bytes]:
        return (piece.encode() for piece in self._pieces)


def ask(
    start: Start, server: Repeats, provider: str = "openai", *, key: str = KEY, header: str = f"ours {TEAM}"
) -> httpx.Response:
    proxy = start(entry("m", f"{provider}/m", api_base=server.url, api_key=key, extra_headers={"x-team": header}))
    return proxy.chat("m", messages=MESSAGES, stream=bool(server._pieces))  # noqa: SLF001


def check_hidden(answer: httpx.Response) -> None:
    shown = answer.text + str(answer.headers)
    assert answer.status_code == 200
    assert "canary" not in shown
    assert "*****" in shown


@pytest.mark.parametrize("body", [ERROR, ANSWER])
def test_an_answer_repeats_no_secret(start: Start, body: Any) -> None:
    with Repeats(body) as server:
        answer = ask(start, server)
    check_hidden(answer)
    assert answer.json() == json.loads(json.dumps(body).replace(KEY, "*****").replace(TEAM, "*****"))


def test_a_translated_answer_repeats_no_secret(start: Start) -> None:
    said = {
        "type": "message",
        "id": "x",
        "model": TEAM,
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": f"{KEY}, {TEAM}"}],
        "usage": USAGE,
    }
    with Repeats(said) as server:
        answer = ask(start, server, "anthropic")
    check_hidden(answer)
    assert answer.json()["choices"][0]["message"]["content"] == "*****, *****"


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_repeats_no_secret(start: Start, *, stream: bool) -> None:
    pieces = (CHUNK % ("hi", '"stop"'),) if stream else ()
    with Repeats({"choices": []}, pieces, x_request_id=f"Bearer {KEY}", openai_organization=TEAM) as server:
        answer = ask(start, server)
    check_hidden(answer)
    assert (answer.headers["x-request-id"], answer.headers["openai-organization"]) == ("Bearer *****", "*****")


@pytest.mark.parametrize(
    "pieces",
    [
        (EVENT,),
        (CHUNK % ("hi", "null"), EVENT),
        (CHUNK % ("hi", "null") + EVENT,),
        (CHUNK % ("hi", "null"), EVENT[:40], EVENT[40:]),
        tuple(EVENT),
        (CHUNK % (KEY, "null"), CHUNK % (TEAM, '"stop"'), DONE),
        (CHUNK % ("hi", '"stop"'), f": {KEY}"),
    ],
    ids=["first", "midway", "in one piece", "split", "bytewise", "content", "no last newline"],
)
def test_a_stream_repeats_no_secret(start: Start, pieces: tuple[str, ...]) -> None:
    with Repeats(pieces=pieces) as server:
        answer = ask(start, server)
    check_hidden(answer)
    assert answer.text == "".join(pieces).replace(KEY, "*****").replace(TEAM, "*****")


@pytest.mark.parametrize("cut", [1, 5, len(KEY) - 1, len(KEY)])
def test_a_line_that_is_too_long_to_hold_repeats_none(start: Start, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr("promptwire.proxy.relay.MAX_HELD", 100)
    first, last = (CHUNK % ("x" * 200 + KEY + KEY, '"stop"')).split(KEY, 1)
    pieces = (first + KEY[:cut], KEY[cut:] + last)
    with Repeats(pieces=pieces) as server:
        answer = ask(start, server)
    check_hidden(answer)
    assert answer.text == "".join(pieces).replace(KEY, "*****")


def test_a_translated_stream_repeats_no_secret(start: Start) -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": KEY}}
    told = {"type": "message_start", "message": {"id": "x", "model": TEAM, "usage": {}}}
    events = [told, delta, {"type": "error", "error": {"type": "api_error", "message": KEY}}]
    with Repeats(pieces=tuple(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events)) as server:
        check_hidden(ask(start, server, "anthropic"))


@pytest.mark.parametrize(
    "word", ["k", "ollama", "anything", "choices", "assistant", "2023-06-01", "https://host24.example"]
)
def test_what_is_no_key_stays(start: Start, word: str) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": f"anything of {word} ollama"}}]}
    with Repeats(body) as server:
        assert ask(start, server, key=word, header=word).json() == body
