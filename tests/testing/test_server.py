"""The base of the fakes, driven over real connections."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.testing import Answer, LoopbackServer, Received, RefusedError


class Hello(LoopbackServer):
    def answer(self, request: Received) -> Answer:
        if request.path == "/stream":
            return Answer(200, pieces=iter([b"one ", b"two ", b"three"]))
        if request.path == "/refused":
            raise RefusedError(Answer.of_json(418, {"short": "stout"}, X_Kind="teapot"))
        return Answer.of_json(200, {"said": "hello"})


@pytest.fixture
def server() -> Iterator[Hello]:
    with Hello() as server:
        yield server


@pytest.fixture
def client(server: Hello) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def fake_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("promptwire-fake")]


def test_records_requests_as_they_came(server: Hello, client: httpx.Client) -> None:
    client.post("/a%2Fb?x=1&x=2&empty=", json={"k": "é"}, headers={"X-Thing": "v"})
    client.get("/c")
    first, second = server.requests
    assert (first.method, first.path, first.query) == ("POST", "/a%2Fb", {"x": ["1", "2"], "empty": [""]})
    assert first.headers["x-thing"] == "v"
    assert first.json == {"k": "é"}
    assert second.body == b""
    assert server.count == 2
    with pytest.raises(PromptwireError, match="not JSON"):
        _ = second.json


def test_the_base_knows_no_address() -> None:
    with LoopbackServer() as server:
        assert httpx.get(f"{server.url}/x").status_code == 404
        server.fail()
        assert httpx.get(f"{server.url}/x").json() == {"message": "Fake failure 503"}
    with pytest.raises(ConfigurationError, match="start"):
        _ = LoopbackServer().url


def test_a_refusal_is_an_answer(client: httpx.Client) -> None:
    response = client.get("/refused")
    assert (response.status_code, response.json(), response.headers["x-kind"]) == (418, {"short": "stout"}, "teapot")


def test_head_has_no_body(client: httpx.Client) -> None:
    assert client.head("/x").content == b""
    assert client.get("/x").json() == {"said": "hello"}


def test_chunked_request_bodies_and_streamed_answers(server: Hello, client: httpx.Client) -> None:
    response = client.post("/stream", content=iter([b"first ", b"second"]))
    assert server.requests[0].body == b"first second"
    assert response.text == "one two three"


def test_what_is_not_http_ends_the_connection(server: Hello) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=5) as plain:
        plain.sendall(b"nonsense\r\n")
        assert plain.recv(10) == b""
    assert server.count == 0


def test_fail_says_when_to_come_back(server: Hello, client: httpx.Client) -> None:
    server.fail(429, retry_after=2, times=1)
    server.fail(500, body="out of order", times=1)
    server.fail(502, body={"reason": "cut"}, times=1)
    limited = client.get("/")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert client.get("/").text == "out of order"
    assert client.get("/").json() == {"reason": "cut"}
    assert client.get("/").status_code == 200


def test_limited_faults_come_first_and_the_latest_lasting_one_holds(server: Hello, client: httpx.Client) -> None:
    server.fail(500)
    server.fail(503)
    server.fail(429, times=1)
    assert [client.get("/").status_code for _ in range(3)] == [429, 503, 503]
    server.heal()
    assert client.get("/").status_code == 200


def test_match_limits_a_fault_to_paths(server: Hello, client: httpx.Client) -> None:
    server.fail(500, match="a%2Fb")
    server.fail(502, match="c", times=1)
    assert [client.get(path).status_code for path in ("/x", "/a%2Fb", "/c", "/c")] == [200, 500, 502, 200]


def test_garbage_is_html_with_status_200(server: Hello, client: httpx.Client) -> None:
    server.garbage()
    response = client.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text.startswith("<!DOCTYPE html>")


def test_redirect_names_another_place(server: Hello, client: httpx.Client) -> None:
    server.redirect("http://127.0.0.1:9/elsewhere", times=1)
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")


@pytest.mark.parametrize(("path", "after"), [("/", None), ("/", 3), ("/stream", None), ("/stream", 2)])
def test_drop_breaks_off_within_the_body(server: Hello, client: httpx.Client, path: str, after: int | None) -> None:
    server.drop(after, times=1)
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        client.get(path)
    assert client.get(path).status_code == 200


def test_drop_may_come_before_the_status_line(server: Hello, client: httpx.Client) -> None:
    server.drop(0)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.get("/")


@pytest.mark.parametrize(("path", "body"), [("/", b'{"said":"hello"}'), ("/stream", b"one two three")])
def test_drip_sends_a_byte_at_a_time(server: Hello, client: httpx.Client, path: str, body: bytes) -> None:
    server.drip(0.005)
    started = time.monotonic()
    assert client.get(path).content == body
    assert time.monotonic() - started >= 0.005 * len(body)


def test_slow_answers_rightly_in_the_end(server: Hello, client: httpx.Client) -> None:
    server.slow(0.05)
    started = time.monotonic()
    assert client.get("/").json() == {"said": "hello"}
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize("fault", ["hang", "slow", "drip"])
def test_stop_lets_go_what_waits(server: Hello, client: httpx.Client, fault: str) -> None:
    if fault == "hang":
        server.hang()
    else:
        getattr(server, fault)(600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/")
        assert server.wait_for(1)
        started = time.monotonic()
        server.stop()
        with pytest.raises(httpx.TransportError):
            waiting.result(timeout=10)
    assert time.monotonic() - started < 5
    assert fake_threads() == []
    assert not server.wait_for_hang_ups(timeout=0)


def test_a_gate_holds_many_until_it_is_released(server: Hello, client: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        with server.gate() as gate:
            waiting = [pool.submit(client.get, "/") for _ in range(4)]
            assert gate.wait_for(4)
            assert not gate.wait_for(5, timeout=0)
            assert not gate.is_set()
            assert not any(one.done() for one in waiting)
        assert [one.result(timeout=10).status_code for one in waiting] == [200] * 4


def test_healing_releases_what_hangs(server: Hello, client: httpx.Client) -> None:
    gate = server.hang()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/")
        assert gate.wait_for()
        server.heal()
        assert waiting.result(timeout=10).status_code == 200


def test_a_gate_amid_a_stream(server: Hello, client: httpx.Client) -> None:
    gate = server.gate(2)
    with client.stream("GET", "/stream") as response:
        pieces = response.iter_raw()
        assert next(pieces) + next(pieces) == b"one two "
        assert gate.wait_for()
        gate.release()
        assert b"".join(pieces) == b"three"


def test_notices_clients_that_leave_while_it_is_silent(server: Hello, client: httpx.Client) -> None:
    server.hang(1)
    with client.stream("GET", "/stream") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"one "
        assert not server.wait_for_hang_ups(timeout=0.15)
    assert server.wait_for_hang_ups()


def test_an_outage_refuses_resets_and_ends_at_the_same_address(server: Hello, client: httpx.Client) -> None:
    address = server.url
    assert client.get("/").status_code == 200
    server.stop()
    with pytest.raises(httpx.TransportError):
        client.get("/")
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    server.stop()
    server.start()
    assert server.start().url == address
    assert client.get("/").status_code == 200
    assert server.count == 2


def test_two_servers_cannot_share_a_port(server: Hello) -> None:
    other = Hello()
    other._port = int(server.url.rsplit(":", 1)[1])  # noqa: SLF001  as if its port were taken during an outage
    with pytest.raises(OSError, match="in use"):
        other.start()


def test_200_clients_at_once_and_no_thread_is_left() -> None:
    barrier = threading.Barrier(200)

    def call(port: int) -> list[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            barrier.wait(timeout=30)
            return [ask(connection), ask(connection)]

    def ask(connection: http.client.HTTPConnection) -> bytes:
        connection.request("GET", "/")
        return connection.getresponse().read()

    with Hello() as server, ThreadPoolExecutor(200) as pool:
        port = int(server.url.rsplit(":", 1)[1])
        assert list(pool.map(call, [port] * 200)) == [[b'{"said":"hello"}'] * 2] * 200
        assert server.count == 400
    assert fake_threads() == []


def test_starts_in_milliseconds() -> None:
    started = time.monotonic()
    for _ in range(20):
        with Hello():
            pass
    assert time.monotonic() - started < 2


class Careless(LoopbackServer):
    def answer(self, request: Received) -> Answer:
        if request.path == "/stop":
            self.stop()
        return Answer.of_json(200, {"said": request.query["word"][0]})


def test_an_answer_that_raises_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    with Careless() as server, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(server.url)
    assert seen == [KeyError]


def test_an_answer_may_stop_its_own_server() -> None:
    with Careless() as server:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/stop?word=x")
        assert httpx.get(f"{server.start().url}/?word=back").json() == {"said": "back"}


FORKED = """
import os, socket
from promptwire.testing import LoopbackServer
with LoopbackServer() as server:
    port = int(server.url.rsplit(":", 1)[1])
    waiting, releasing = os.pipe()
    if not os.fork():
        os.close(releasing)
        os.read(waiting, 1)
        os._exit(0)
    server.stop()
    print(socket.socket().connect_ex(("127.0.0.1", port)) != 0)
    os.close(releasing)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_a_stopped_server_listening() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    assert subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout == "True\n"
