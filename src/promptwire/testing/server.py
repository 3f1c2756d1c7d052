"""The base of the fake servers: HTTP on loopback, every request recorded, every failure at hand."""

import threading
from socket import socket
from typing import Self

from promptwire.errors import ConfigurationError
from promptwire.testing.faults import Exchange, Faults, Gate, Play
from promptwire.testing.listener import Listener
from promptwire.testing.wire import Answer, Received, RefusedError, read_request

_HTML = "<!DOCTYPE html><html><head><title>Not what you asked for</title></head><body></body></html>"


class LoopbackServer:
    """An HTTP server on 127.0.0.1 for tests; subclasses say what it answers in ``answer``.

    A fault (``fail``, ``hang``, ``drop`` …) holds until ``heal()``, or for its first ``times`` requests; ``match``
    limits it to paths that contain that text, percent-encoded as on the wire. Those with ``times`` come first, in the
    order they were set; of the others the latest holds.
    """

    def __init__(self) -> None:
        self._faults = Faults()
        self._requests: list[Received] = []
        self._hang_ups = 0
        self._changed = threading.Condition()
        self._listener: Listener | None = None
        self._port = 0

    def answer(self, request: Received) -> Answer:
        """What a request gets while no fault holds; called on the thread of its connection."""
        return Answer.of_json(404, {"message": f"Nothing at {request.path}"})

    def error_body(self, status: int) -> object:
        """The JSON body that ``fail(status)`` sends where none is given."""
        return {"message": f"Fake failure {status}"}

    @property
    def url(self) -> str:
        """The address without a trailing slash; it stays the same when the server is started again."""
        if not self._port:
            raise ConfigurationError(f"{type(self).__name__} has no address before `start()` or `with`.")
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Received]:
        """Every request so far, faulted ones included, in the order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def count(self) -> int:
        with self._changed:
            return len(self._requests)

    def wait_for(self, n: int, timeout: float = 5.0) -> bool:
        """Whether ``n`` requests arrived in all, waiting up to ``timeout`` seconds for them."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._requests) >= n, timeout)

    def wait_for_hang_ups(self, n: int = 1, timeout: float = 5.0) -> bool:
        """Whether ``n`` clients left before their answer was complete, waiting up to ``timeout`` seconds for them."""
        with self._changed:
            return self._changed.wait_for(lambda: self._hang_ups >= n, timeout)

    def start(self) -> Self:
        """Listen, at the same port as before if it was stopped."""
        if self._listener is None:
            self._listener = Listener(self._port, self._serve)
            self._port = self._listener.port
        return self

    def stop(self) -> None:
        """Refuse new connections and end the established ones at once, as in an outage; faults stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fail(
        self,
        status: int = 503,
        *,
        times: int | None = None,
        match: str = "",
        retry_after: float | str | None = None,
        body: object = None,
    ) -> None:
        """Answer with an error status; ``body`` is text, or JSON of anything else."""
        headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
        answer = Answer.of_json(status, self.error_body(status) if body is None else body, **headers)
        if isinstance(body, str):
            answer = Answer(status, body.encode(), {**answer.headers, "Content-Type": "text/plain"})
        self._add(lambda exchange: exchange.send(answer), times, match)

    def garbage(self, body: str = _HTML, *, times: int | None = None, match: str = "") -> None:
        """Answer 200 with a page that is not JSON, as a proxy or a login screen would."""
        answer = Answer(200, body.encode(), {"Content-Type": "text/html; charset=utf-8"})
        self._add(lambda exchange: exchange.send(answer), times, match)

    def redirect(self, to: str, status: int = 307, *, times: int | None = None, match: str = "") -> None:
        """Send the client to the absolute URL ``to``."""
        answer = Answer(status, b"", {"Location": to})
        self._add(lambda exchange: exchange.send(answer), times, match)

    def slow(self, seconds: float, *, times: int | None = None, match: str = "") -> None:
        """Answer rightly, after a delay."""

        def play(exchange: Exchange) -> None:
            exchange.pause(seconds)
            exchange.send(exchange.answer())

        self._add(play, times, match)

    def drip(self, seconds_per_byte: float, *, times: int | None = None, match: str = "") -> None:
        """Answer rightly, but a byte of the body at a time."""
        self._add(lambda exchange: exchange.drip(seconds_per_byte), times, match)

    def drop(self, after: int | None = None, *, reset: bool = False, times: int | None = None, match: str = "") -> None:
        """Close amid the body, after ``after`` of its bytes or of a stream's events (0: before the status line).

        With ``reset`` the connection isn't ended, but reset, as by a crash or a firewall.
        """
        self._add(lambda exchange: exchange.drop(after, reset=reset), times, match)

    def gate(self, after: int = 0, *, times: int | None = None, match: str = "") -> Gate:
        """Hold requests, or streams after ``after`` events, until it is released or the server healed."""
        gate = Gate()
        self._faults.add(lambda exchange: exchange.send_held(gate, after), times, match, gate)
        return gate

    def hang(self, after: int = 0, *, times: int | None = None, match: str = "") -> Gate:
        """Accept and never answer: a gate that nobody need release."""
        return self.gate(after, times=times, match=match)

    def heal(self) -> None:
        """End every fault and let go what hangs."""
        self._faults.clear()

    def _add(self, play: Play, times: int | None, match: str) -> None:
        self._faults.add(play, times, match)

    def _serve(self, connection: socket, stopped: threading.Event) -> None:
        with connection.makefile("rb") as source:
            while (received := read_request(source)) is not None:
                with self._changed:
                    self._requests.append(received)
                    self._changed.notify_all()
                play = self._faults.take(received) or _rightly
                try:
                    play(Exchange(received, connection, stopped, self._compute))
                except (BrokenPipeError, ConnectionResetError):
                    self._count_hang_up(stopped)
                    return

    def _count_hang_up(self, stopped: threading.Event) -> None:
        with self._changed:
            self._hang_ups += not stopped.is_set()
            self._changed.notify_all()

    def _compute(self, received: Received) -> Answer:
        try:
            return self.answer(received)
        except RefusedError as refusal:
            return refusal.answer


def _rightly(exchange: Exchange) -> None:
    exchange.send(exchange.answer())
