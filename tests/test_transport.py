"""The HTTP drivers: what becomes of broken answers, deadlines, redirects, cookies and proxies."""

from __future__ import annotations

import asyncio
import gzip
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from promptwire import BackendError, BackendUnavailableError, ConfigurationError, Prompt, PromptRef, Resolver, transport
from promptwire.backends.http import Http
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.exchange import Request, Response, TransportError
from promptwire.testing import Answer, FakeLangfuse
from tests.conftest import Door

if TYPE_CHECKING:
    from tests.conftest import Plain, Stub

PROMPT = b'{"prompt": "Hello", "version": 1}'


@contextmanager
def raw(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server below HTTP: ``serve`` gets each connection, on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection)
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def chunks(door: Door, request: Request) -> bytes:
    async def achunks() -> bytes:
        async with transport.open_astream(request, 5) as answer:
            return b"".join([chunk async for chunk in answer.achunks()])

    if door.is_async:
        return asyncio.run(achunks())
    with transport.open_stream(request, 5) as answer:
        return b"".join(answer.chunks())


def backend(url: str) -> LangfuseBackend:
    return LangfuseBackend("pk", "sk", url)


def test_an_exchange(door: Door, plain: Plain) -> None:
    answer = door.exchange(Request("POST", f"{plain.url}/a%2Fb?x=1", {"x-thing": "v"}, b"body"))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, PROMPT, "application/json")
    (received,) = plain.requests
    assert (received.method, received.path, received.query, received.body) == ("POST", "/a%2Fb", {"x": ["1"]}, b"body")
    assert (received.headers["x-thing"], received.headers["user-agent"]) == ("v", "promptwire")
    assert "cookie" not in received.headers
    assert chunks(door, Request("GET", plain.url)) == PROMPT


def test_no_repr_shows_a_header_or_a_body() -> None:
    hidden = {"authorization": "Bearer sk-1"}
    assert "sk-1" not in repr(Request("GET", "http://x", hidden, b"sk-1")) + repr(Response(200, hidden, b"sk-1"))


@pytest.mark.parametrize(
    ("fail", "reason", "sent"),
    [
        (lambda server: server.stop(), "could not connect", "unsent"),
        (lambda server: server.hang(), "timed out", "sent"),
        (lambda server: server.drop(0), "the connection broke off", "sent"),
        (lambda server: server.drop(5), "the connection broke off", "sent"),
    ],
    ids=["refused", "hangs", "dropped", "cut short"],
)
def test_what_went_wrong_and_whether_it_was_sent(
    fail: Callable[[Plain], object], reason: str, sent: str, door: Door, plain: Plain
) -> None:
    fail(plain)
    with pytest.raises(TransportError, match=reason) as caught:
        door.exchange(Request("POST", plain.url, body=b"{}"), timeout=0.2)
    assert caught.value.sent is (sent == "sent")


def test_a_stream_that_breaks_off(door: Door, plain: Plain) -> None:
    plain.drop(5)
    with pytest.raises(TransportError, match="broke off"):
        chunks(door, Request("GET", plain.url))


def test_the_processes_client_is_closed_at_its_exit(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    own = type(transport._sync)()  # noqa: SLF001 - a fresh process's
    own.close()
    monkeypatch.setattr(transport, "_sync", own)
    with transport.open_stream(Request("GET", plain.url), 5) as answer:
        answer.read()
    own.close()
    assert own.get().is_closed


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1/", "http://127.0.0.1:port/", "http://127.0.0.1/\ud800"])
def test_a_url_that_is_none(url: str, door: Door) -> None:
    with pytest.raises(ConfigurationError, match="host"):
        door.exchange(Request("GET", url))


@pytest.mark.parametrize("value", ["Bearer sk-é", "Bearer sk-1\n", "sk\r\nx: y"])
def test_a_header_that_cannot_be_sent(value: str, door: Door, plain: Plain) -> None:
    with pytest.raises(ConfigurationError, match="keys") as caught:
        door.exchange(Request("GET", plain.url, {"authorization": value}))
    assert "sk-" not in repr(caught.value)
    assert plain.count == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, door: Door, langfuse: FakeLangfuse, plain: Plain) -> None:
    langfuse.redirect(f"{plain.url}/elsewhere", status)
    with pytest.raises(BackendError, match=f"{status}; redirects are not followed"):
        door.find(Resolver("langfuse"), "greeting")
    assert door.exchange(Request("GET", langfuse.url)).status == status
    assert (langfuse.count, plain.count) == (2, 0)


def test_cookies_are_not_kept(door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, PROMPT, {"Set-Cookie": "session=1; Path=/"})
    door.exchange(Request("GET", plain.url))
    resolver = Resolver(backend(plain.url), cache_ttl=0)
    for _ in range(2):
        door.find(resolver, "x")
    assert [request.headers.get("cookie") for request in plain.requests] == [None] * 3


def test_a_compressed_answer_is_read_though_none_was_asked_for(door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, gzip.compress(PROMPT), {"Content-Encoding": "gzip"})
    assert door.find(Resolver(backend(plain.url)), "x")[0].text == "Hello"
    assert door.exchange(Request("GET", plain.url)).body == PROMPT
    assert {request.headers["accept-encoding"] for request in plain.requests} == {"identity"}


def test_a_compressed_answer_grows_no_further_than_its_bound(door: Door, plain: Plain) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    plain.reply = Answer(200, bomb, {"Content-Encoding": "x-gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(BackendError, match="larger than 10 MB"):
            door.find(Resolver(backend(plain.url)), "x")
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip,br"])
def test_layers_of_compression_are_refused(coding: str, door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, gzip.compress(gzip.compress(PROMPT)), {"Content-Encoding": coding})
    with pytest.raises(BackendError, match="a compression that was not asked for"):
        door.find(Resolver(backend(plain.url), timeout=0.5), "x")
    with pytest.raises(TransportError):
        door.exchange(Request("GET", plain.url))


def test_a_compressed_answer_that_goes_on_after_its_end_is_refused(door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, gzip.compress(PROMPT) + b"x" * 30_000_000, {"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(TransportError, match="goes on after its end"):
            door.exchange(Request("GET", plain.url))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [Door.exchange, chunks])
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_compressed_answer_that_ends_before_its_end(
    compress: Callable[[bytes], bytes], read: Callable[[Door, Request], object], door: Door, plain: Plain
) -> None:
    """Complete by its length and as JSON: what is cut off is the checksum."""
    plain.reply = Answer(200, compress(PROMPT)[:-2], {"Content-Encoding": "gzip"})
    with pytest.raises(TransportError, match="the connection broke off amid its compressed answer"):
        read(door, Request("GET", plain.url))
    with pytest.raises(BackendUnavailableError, match="the connection broke off"):
        door.find(Resolver(backend(plain.url), timeout=0.5), "x")


def test_an_answer_of_nothing_may_be_said_to_be_compressed(door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, b"", {"Content-Encoding": "gzip"})
    assert door.exchange(Request("GET", plain.url)).body == chunks(door, Request("GET", plain.url)) == b""


def test_what_only_claims_to_be_compressed_is_refused(door: Door, plain: Plain) -> None:
    plain.reply = Answer(200, PROMPT, {"Content-Encoding": "gzip"})
    with pytest.raises(TransportError, match="broken"):
        door.exchange(Request("GET", plain.url))


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(3000):
        connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.02)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
    for _ in range(3000):
        connection.sendall(b" ")
        time.sleep(0.02)


def read_nothing(connection: socket.socket) -> None:
    connection.recv(1)
    threading.Event().wait(60)


@pytest.mark.parametrize("serve", [drip_headers, drip_body, read_nothing])
def test_one_deadline_however_the_server_drips(serve: Callable[[socket.socket], None], door: Door) -> None:
    """Each of these servers takes a minute, and none is ever silent for long enough to time out by itself."""
    left = threading.Event()

    def watched(connection: socket.socket) -> None:
        try:
            serve(connection)
        except OSError:
            left.set()

    with raw(watched) as url:
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError, match=r"no answer within|timed out"):
            door.find(Resolver(backend(url), timeout=0.2), "x")
        assert time.monotonic() - start < 10
        assert serve is read_nothing or left.wait(10), "the worker thread must let go, too"


def sip(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    while connection.recv(32_768):
        time.sleep(0.05)


def test_a_request_that_is_read_slowly_ends_at_the_deadline(stub: type[Stub]) -> None:
    """A body larger than the sockets' buffers, which the server takes in small sips."""
    done = threading.Event()

    def post(ref: PromptRef, http: Http) -> Prompt:
        try:
            http.post_json(url, "x" * 20_000_000)
        finally:
            done.set()
        raise AssertionError

    with raw(sip) as url:
        with pytest.raises(BackendUnavailableError):
            Resolver(stub(post), timeout=0.3).find("x")
        assert done.wait(10)


def test_connecting_ends_at_the_deadline(door: Door) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # whoever comes after the queue is full waits
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError, match=r"no answer within|could not connect"):
            door.find(Resolver(backend(f"http://127.0.0.1:{full.getsockname()[1]}"), timeout=0.2), "x")
        assert time.monotonic() - start < 10


_AT_ONCE = """
import sys, threading, time
sys.setswitchinterval(1e-6)
from promptwire.exchange import Request, TransportError
from promptwire.transport import fetch
failed, start = [], threading.Barrier(16)
def work():
    start.wait()
    try:
        fetch(Request("GET", "http://127.0.0.1:9/"), lambda: time.monotonic() + 30, 1000)
    except TransportError:
        return
    except BaseException as error:
        failed.append(error)
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""


def test_the_first_requests_may_be_made_at_once() -> None:
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", _AT_ONCE], check=True, capture_output=True, text=True)
        assert done.stdout == "[]\n"


_FIRST_REQUEST = """
import sys, time
from promptwire.exchange import Request, TransportError
from promptwire.transport import fetch
try:
    fetch(Request("GET", "http://127.0.0.1:9/"), lambda: time.monotonic() + 5, 1000)
except TransportError:
    print(*sys.modules)
"""


def test_httpx_comes_without_its_command_line() -> None:
    code = f"{_FIRST_REQUEST}\nimport httpx._main"  # which others may still want
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert not {"click", "rich", "pygments", "httpx._main"} & loaded


def test_others_may_still_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setitem(sys.modules, "httpx._main", None)
    monkeypatch.delitem(sys.modules, "httpx")
    monkeypatch.setattr("importlib.import_module", lambda name: seen.append((name, sys.modules["httpx._main"])))
    transport._load_httpx()  # noqa: SLF001 - httpx is imported once in a process
    assert seen == [("httpx", None)]
    assert "httpx._main" not in sys.modules
