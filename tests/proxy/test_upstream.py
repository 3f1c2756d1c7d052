"""What a provider sends through the proxy: within its bound, compressed or not, and whole."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from promptwire.exchange import MAX_ANSWER
from promptwire.testing import Answer, LoopbackServer, Received
from tests.gateway.test_bounds import ANTHROPIC, OPENAI, Endless
from tests.proxy.conftest import Start, entry

BODY = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}
COMPLETION = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
KINDS = [(COMPLETION, False), (STREAM, True)]


class Compressing(LoopbackServer):
    """Answers what nobody asked to have compressed."""

    def __init__(self, body: bytes, coding: str = "gzip") -> None:
        super().__init__()
        self._answer = Answer(200, body, {"Content-Type": "text/plain", "Content-Encoding": coding})

    def answer(self, request: Received) -> Answer:
        return self._answer


def ask(start: Start, server: LoopbackServer, provider: str = "openai", *, stream: bool = False) -> Any:
    proxy = start(entry("m", f"{provider}/m", api_base=server.url, api_key="k"))
    return proxy.http.post("/v1/chat/completions", json={**BODY, "stream": stream})


def problem(answer: Any) -> str:
    """The message of an error, or of the event that ended a stream."""
    told = json.loads(answer.text.rpartition("\ndata: ")[2] if answer.status_code == 200 else answer.text)
    return str(told["error"]["message"])


@pytest.mark.parametrize(("body", "stream"), KINDS)
def test_a_compressed_answer_is_passed_on_as_it_is_read(start: Start, body: bytes, *, stream: bool) -> None:
    with Compressing(gzip.compress(body)) as server:
        answer = ask(start, server, stream=stream)
    assert (answer.status_code, answer.content) == (200, body)
    assert "content-encoding" not in answer.headers
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(("body", "stream"), KINDS)
def test_a_compressed_answer_that_ends_before_its_end(start: Start, body: bytes, *, stream: bool) -> None:
    with Compressing(gzip.compress(body)[:-2]) as server:
        answer = ask(start, server, stream=stream)
    assert answer.status_code == (200 if stream else 502)
    assert "the connection broke off amid its compressed answer" in problem(answer)


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_other_compression_is_refused(start: Start, coding: str, *, stream: bool) -> None:
    with Compressing(gzip.compress(gzip.compress(COMPLETION)), coding) as server:
        answer = ask(start, server, stream=stream)
    assert "a compression that was not asked for" in problem(answer)


@pytest.mark.parametrize("stream", [False, True])
def test_a_small_answer_that_holds_a_huge_one(start: Start, *, stream: bool) -> None:
    def read(server: LoopbackServer) -> None:
        assert "its answer is larger than 100 MB" in problem(ask(start, server, stream=stream))

    with Compressing(_compressed(b"\n" * MAX_ANSWER, 10)) as server:
        assert _peak(lambda: read(server)) < 5 * MAX_ANSWER  # what the test itself reads, among it


def _compressed(data: bytes, times: int) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(data) for _ in range(times)) + packer.flush()


def _peak(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("provider", "events"), [("openai", OPENAI), ("anthropic", ANTHROPIC)])
def test_a_stream_that_never_ends(start: Start, provider: str, events: list[dict[str, Any]]) -> None:
    with Endless(*events) as server:
        proxy = start(entry("m", f"{provider}/m", api_base=server.url, api_key="k"))

        def read() -> None:
            got, last = 0, b""
            with proxy.http.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True}) as answer:
                for data in answer.iter_raw():
                    got, last = got + len(data), (last + data)[-2000:]
            assert 0.9 * MAX_ANSWER < got < 1.1 * MAX_ANSWER
            assert b"its answer is larger than 100 MB" in last.rpartition(b"\ndata: ")[2]

        assert _peak(read) < MAX_ANSWER / 4
        assert server.wait_for_hang_ups()
