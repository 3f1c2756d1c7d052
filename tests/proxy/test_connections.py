"""Connections that break off, drip, or never end, and the next request is served."""

import json
import socket
from contextlib import suppress

import pytest

from promptwire.proxy.guard import MAX_HEAD
from promptwire.testing import FakeOpenAI
from tests.proxy.conftest import MESSAGES, Running, Start, entry, still_serves


def raw(proxy: Running, content: bytes) -> bytes:
    """What a connection answers, until it is closed."""
    with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
        client.sendall(content)
        found = b""
        while piece := client.recv(65536):
            found += piece
        return found


def shape(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    error: dict[str, str] = json.loads(body)["error"]
    return int(head.split()[1]), error["code"]


CUT = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)

_SAID = json.dumps({"model": "plain", "messages": MESSAGES}).encode()
CHUNKED = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(_SAID), _SAID)

BROKEN = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n"


class TestTheConnection:
    def test_no_http(self, proxy: Running) -> None:
        assert shape(raw(proxy, b"\x16\x03\x01 nonsense\r\n\r\n")) == (400, "invalid_request")
        still_serves(proxy)

    @pytest.mark.parametrize("where", ["one header", "many headers", "the url"])
    def test_a_huge_head(self, proxy: Running, where: str) -> None:
        start = b"GET /" + (b"x" * 65_000 if where == "the url" else b"v1/models") + b" HTTP/1.1\r\nHost: localhost\r\n"
        more = b"x: " + b"y" * 70_000 + b"\r\n" if where == "one header" else b"x: y\r\n" * 12_000
        head = start + (b"" if where == "the url" else more) + b"Connection: close\r\n\r\n"
        assert shape(raw(proxy, head)) == (431, "headers_too_large")
        still_serves(proxy)

    def test_a_head_that_never_ends(self, proxy: Running) -> None:
        with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nx: ")
            try:
                for _ in range(100_000):
                    client.sendall(b"y" * 10_000)
            except OSError:
                return
        pytest.fail("it was read without an end")

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/webhooks/langfuse", "/health/liveness", "/nix"])
    def test_trailers_that_never_end(self, start: Start, path: str) -> None:
        proxy = start(entry("plain", "gpt-4o"), master_key="sk-trailers")
        for key in (b"", b"Authorization: Bearer sk-trailers\r\n"):
            head = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%s" % (path.encode(), key) + CHUNKED
            for trailer in (b"x: " + b"y" * 9_995 + b"\r\n", b"y" * 10_000, b"x: y\r\n" * 1_600):
                left = 20_000_000  # more than the sockets hold
                with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
                    client.sendall(head + b"0\r\nx: ")
                    with suppress(OSError):
                        while left > 0:
                            client.sendall(trailer)
                            left -= len(trailer)
                assert left > 0, "they were read without an end"
        assert proxy.http.get("/health/liveness").status_code == 200

    def test_one_request_with_endless_trailers_has_one_answer(self, start: Start) -> None:
        proxy = start(entry("plain", "gpt-4o"), master_key="sk-trailers")
        with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED + b"0\r\n")
            found = client.recv(65536)
            assert found.startswith(b"HTTP/1.1 401 ")
            client.sendall(b"x: " + b"y" * (MAX_HEAD - 3))
            client.sendall(b"y")
            while piece := client.recv(65536):
                found += piece
        assert found.count(b"HTTP/1.1") == 1

    def test_a_trailer_is_read_over(self, start: Start) -> None:
        proxy = start(entry("plain", "gpt-4o"), master_key="sk-trailers")
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        key = b"Authorization: Bearer sk-trailers\r\n"
        assert raw(proxy, head + key + CHUNKED + b"0\r\nchecksum: 12\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert raw(proxy, head + CHUNKED + b"0\r\n" + key + b"\r\n").startswith(b"HTTP/1.1 401 ")

    def test_the_lines_of_a_bodys_chunks_are_no_trailers(self, proxy: Running) -> None:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
            client.sendall(head + CHUNKED)
            for _ in range(20):
                client.sendall(b"1\r\n \r\n" * 2_000)
            client.sendall(b"0\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"POST /v1/chat/completions HT",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n",
            CUT,
        ],
        ids=["nothing", "a line", "a head", "a body"],
    )
    def test_a_slow_client(self, proxy: Running, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        monkeypatch.setattr("promptwire.proxy.protocol.REQUEST_SECONDS", 0.2)
        assert shape(raw(proxy, content)) == (408, "request_timeout")
        monkeypatch.undo()
        still_serves(proxy)

    def test_a_client_that_drips_meets_the_same_bound(self, proxy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("promptwire.proxy.protocol.REQUEST_SECONDS", 0.3)
        with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=0.01) as client:
            for byte in b"GET /v1/models HTTP/1.1\r\n" + b"x: y\r\n" * 1000:
                client.sendall(bytes([byte]))
                try:
                    found = client.recv(1000)
                except TimeoutError:
                    continue
                assert found.startswith(b"HTTP/1.1 408 ")
                return
        pytest.fail("it was read without an end")

    def test_a_body_cut_off(self, proxy: Running) -> None:
        with socket.create_connection(("127.0.0.1", proxy.server.port)) as client:
            client.sendall(CUT.replace(b"/v1/chat/completions", b"/v1/prompts/x/render"))
        with socket.create_connection(("127.0.0.1", proxy.server.port)) as client:
            client.sendall(CUT)
        still_serves(proxy)

    def test_requests_in_one_packet(self, proxy: Running) -> None:
        one = b"GET /health/liveness HTTP/1.1\r\nHost: localhost\r\n"
        answers = raw(proxy, one + b"\r\n" + one + b"Connection: close\r\n\r\n")
        assert answers.count(b"HTTP/1.1 200") == 2

    @pytest.mark.parametrize("then", [b"\x00\x01 nonsense\r\n\r\n", BROKEN], ids=["no request", "a body in bad chunks"])
    def test_a_request_cut_off_amid_an_answer(self, proxy: Running, openai: FakeOpenAI, then: bytes) -> None:
        """The parser fails on what follows: the stream under way is not mixed with an error."""
        gate = openai.gate(after=2)
        content = json.dumps({"model": "plain", "messages": MESSAGES, "stream": True}).encode()
        head = CUT.replace(b"Content-Length: 100", b"Content-Length: %d" % len(content))[:-1]
        with socket.create_connection(("127.0.0.1", proxy.server.port), timeout=10) as client:
            client.sendall(head + content)
            assert gate.wait_for(1)
            found = client.recv(65536)
            client.sendall(then)
            while piece := client.recv(65536):
                found += piece
        assert found.startswith(b"HTTP/1.1 200")
        assert found.count(b"HTTP/1.1") == 1

    def test_a_webhook_cut_off(self, start: Start) -> None:
        proxy = start(langfuse_webhook_secret="lf-whsec_cut")
        with socket.create_connection(("127.0.0.1", proxy.server.port)) as client:
            client.sendall(CUT.replace(b"/v1/chat/completions", b"/webhooks/langfuse"))
        still_serves(proxy)
