"""uvicorn's HTTP protocol with the bounds that it lacks: on heads and trailers, and on the time they take to arrive."""

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from promptwire.proxy.guard import MAX_HEAD
from promptwire.proxy.refusals import error_body

REQUEST_SECONDS = 30.0
_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Errors are of OpenAI's shape here, too."""

    _arrived = 0  # bytes since a head began, or since it or a piece of the body was complete
    _is_counted = False  # whether nothing of that kind was in the bytes that came last
    _in_head = False
    _is_due = True  # whether the client is to say more: a request has begun, or none ever has
    _timer: asyncio.TimerHandle | None = None
    _cycles: Sequence[RequestResponseCycle] = ()

    def connection_made(self, transport: Any) -> None:
        """A connection is to say something soon."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left; uvicorn tells that to the last of several requests alone."""
        self._settle()
        for cycle in self._unanswered():
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._is_due, self._is_counted, self._arrived = True, True, True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One is read; of a trailer, which comes here, too, nothing is kept."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """It is complete."""
        self._in_head, self._is_counted, self._arrived = False, False, 0
        super().on_headers_complete()
        self._cycles = [*self._unanswered(), self.cycle]

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        self._is_counted, self._arrived = False, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is."""
        self._is_due = False
        self._settle()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have come; the parser keeps those of an incomplete head or trailer, so they are counted here."""
        self._is_counted = True
        super().data_received(data)
        if not self._is_due or self.transport.is_closing():
            return
        if self._is_counted:
            self._arrived += len(data)
        if self._arrived > MAX_HEAD:
            self._refuse(431, f"the headers are larger than {MAX_HEAD // 1000} kB", "headers_too_large")
        elif self._timer is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """What the parser can't read."""
        self._refuse(400, msg, "invalid_request")

    def _unanswered(self) -> list[RequestResponseCycle]:
        """Requests whose answer is under way or to come."""
        return [cycle for cycle in self._cycles if not cycle.response_complete]

    def _wait(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(408, "the request did not arrive in time", "request_timeout")

    def _refuse(self, status: int, words: str, code: str) -> None:
        """Answer without a route, if no answer is under way, and hang up."""
        self._settle()
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's annotation leaves None out
        is_idle = not cycle or (cycle.response_complete and self._in_head) or not cycle.response_started
        if is_idle and not self.pipeline:  # else the answer under way is another request's
            body = error_body(status, words, code)
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
