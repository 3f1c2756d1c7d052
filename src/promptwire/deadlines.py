"""Sockets that end at a deadline: httpx's timeouts are for each read, so a server that drips outlives them."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

CONNECT_TIMEOUT = 5.0
MAX_CONNECTIONS = 1000
# Under the 5 s after which common servers (Node, uvicorn) drop an idle connection: a POST that meets
# the drop can't be told from one that was carried out, and is not retried.
KEEPALIVE = 4.0


class _Clock(threading.local):
    deadline: Callable[[], float] | None = None


_clock = _Clock()


@contextmanager
def until(deadline: Callable[[], float]) -> Generator[None]:
    """Inside, on this thread, every socket operation of a clamped backend ends at ``deadline()``, monotonic."""
    _clock.deadline = deadline
    try:
        yield
    finally:
        _clock.deadline = None


class ClampedBackend:
    """A network backend of httpcore's, under the deadlines of ``until``."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "ClampedStream":
        """As httpcore's."""
        return ClampedStream(self._inner.connect_tcp(host, port, _left(timeout, "ConnectTimeout"), **options))


class ClampedStream:
    """A connection whose every operation is clamped; what else it offers is its inner's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As httpcore's."""
        data: bytes = self._inner.read(max_bytes, _left(timeout, "ReadTimeout"))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As httpcore's."""
        self._inner.write(buffer, _left(timeout, "WriteTimeout"))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        """As httpcore's."""
        return ClampedStream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout, "ConnectTimeout")))


def _left(timeout: float | None, late: str) -> float | None:
    """What remains for one operation; httpcore's error of that name when nothing does."""
    if _clock.deadline is None:
        return timeout
    remaining = _clock.deadline() - time.monotonic()
    if remaining <= 0:
        import httpcore

        raise getattr(httpcore, late)("the deadline has passed")
    return remaining if timeout is None else min(timeout, remaining)
