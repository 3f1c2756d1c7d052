"""Every operation of a connection ends at the fetch's deadline."""

import time
from typing import Any

import httpcore
import pytest

from promptwire.deadlines import ClampedBackend, ClampedStream, until


class Wire:
    """A connection that notes with which timeouts it was used."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def connect_tcp(self, host: str, port: int, timeout: float | None) -> "Wire":
        return self._used(timeout)

    def read(self, size: int, timeout: float | None) -> bytes:
        self._used(timeout)
        return b"x" * size

    def write(self, data: bytes, timeout: float | None) -> None:
        self._used(timeout)

    def start_tls(self, context: Any, name: str | None, timeout: float | None) -> "Wire":
        return self._used(timeout)

    def get_extra_info(self, info: str) -> str:
        return info

    def _used(self, timeout: float | None) -> "Wire":
        self.timeouts.append(timeout)
        return self


def use(wire: Wire, timeout: float | None) -> None:
    stream = ClampedBackend(wire).connect_tcp("127.0.0.1", 1, timeout).start_tls(None, "name", timeout)
    assert isinstance(stream, ClampedStream)
    assert stream.read(2, timeout) == b"xx"
    stream.write(b"y", timeout)
    assert stream.get_extra_info("socket") == "socket"


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_without_a_deadline_timeouts_are_httpxs(timeout: float | None) -> None:
    wire = Wire()
    use(wire, timeout)
    assert wire.timeouts == [timeout] * 4


@pytest.mark.parametrize("timeout", [None, 500.0, 50.0])
def test_inside_no_operation_outlives_the_deadline(timeout: float | None) -> None:
    wire = Wire()
    end = time.monotonic() + 100
    with until(lambda: end):
        use(wire, timeout)
    use(wire, timeout)
    inside, outside = wire.timeouts[:4], wire.timeouts[4:]
    assert all(used is not None and used <= min(timeout or 100, 100) for used in inside)
    assert outside == [timeout] * 4


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda wire: ClampedBackend(wire).connect_tcp("127.0.0.1", 1), httpcore.ConnectTimeout),
        (lambda wire: ClampedStream(wire).start_tls(None), httpcore.ConnectTimeout),
        (lambda wire: ClampedStream(wire).read(1), httpcore.ReadTimeout),
        (lambda wire: ClampedStream(wire).write(b"x"), httpcore.WriteTimeout),
    ],
)
def test_past_the_deadline_nothing_is_begun(operation: Any, error: type[Exception]) -> None:
    wire = Wire()
    with until(lambda: time.monotonic() - 1), pytest.raises(error):
        operation(wire)
    assert wire.timeouts == []
