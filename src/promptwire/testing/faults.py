"""What a fake can be told to do wrong, and to which requests."""

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from promptwire.testing.wire import Answer, Received, chunk, head

_LOOK_SECONDS = 0.1
_AT_ONCE = struct.pack("ii", 1, 0)  # closing then resets the connection


class Gate:
    """Holds the requests that reach it until it is released; as a context manager, released at the end."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self._arrived = 0
        self._changed = threading.Condition()

    def release(self) -> None:
        self._released.set()

    set = release

    def is_set(self) -> bool:
        return self._released.is_set()

    def wait_for(self, n: int = 1, timeout: float = 5.0) -> bool:
        """Whether ``n`` requests arrived here, waiting up to ``timeout`` seconds for them."""
        with self._changed:
            return self._changed.wait_for(lambda: self._arrived >= n, timeout)

    def hold(self, connection: socket.socket) -> None:
        """Count an arrival and wait, while its client does."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
        while not self._released.wait(_LOOK_SECONDS):
            if _left(connection):
                raise BrokenPipeError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on its connection, for a fault to answer as badly as it likes."""

    received: Received
    connection: socket.socket
    stopped: threading.Event
    compute: Callable[[Received], Answer]

    def pause(self, seconds: float) -> None:
        """Wait, unless the server is stopped first, which ends the connection."""
        if self.stopped.wait(seconds):
            raise ConnectionAbortedError

    def answer(self) -> Answer:
        return self.compute(self.received)

    def send(self, answer: Answer, write: Callable[[bytes], None] | None = None) -> None:
        """Write the whole answer, its body and stream pieces by ``write`` if given."""
        write = write or self.connection.sendall
        start = head(answer, method=self.received.method)
        if answer.pieces is None:
            body = b"" if self.received.method == "HEAD" else answer.body
            if write == self.connection.sendall:  # in one segment
                return write(start + body)
            self.connection.sendall(start)
            return write(body)
        self.connection.sendall(start)
        for piece in answer.pieces:
            write(chunk(piece))
        return write(b"0\r\n\r\n")

    def send_held(self, gate: Gate, after: int) -> None:
        """Answer, but wait at the gate first, or after that many events of a stream."""
        if not after:
            gate.hold(self.connection)
        answer = self.answer()

        def held(pieces: Iterator[bytes]) -> Iterator[bytes]:
            yield from itertools.islice(pieces, after)
            gate.hold(self.connection)
            yield from pieces

        self.send(replace(answer, pieces=held(answer.pieces)) if after and answer.pieces else answer)

    def drip(self, seconds_per_byte: float) -> None:
        def write(data: bytes) -> None:
            for offset in range(len(data)):
                self.pause(seconds_per_byte)
                self.connection.sendall(data[offset : offset + 1])

        self.send(self.answer(), write)

    def drop(self, after: int | None, *, reset: bool) -> None:
        """Send half of the body, or ``after`` of its bytes or stream events, then break off."""
        answer = self.answer()
        if after != 0:
            self.connection.sendall(head(answer, method=self.received.method))
            for piece in _first(answer, after):
                self.connection.sendall(piece)
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        raise ConnectionAbortedError


def _first(answer: Answer, after: int | None) -> Iterator[bytes]:
    if answer.pieces is None:
        yield answer.body[: len(answer.body) // 2 if after is None else after]
        return
    yield from map(chunk, itertools.islice(answer.pieces, 1 if after is None else after))


def _left(connection: socket.socket) -> bool:
    connection.setblocking(False)  # noqa: FBT003  the method's own signature
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        connection.setblocking(True)  # noqa: FBT003  the method's own signature


Play = Callable[[Exchange], None]


@dataclass(slots=True)
class _Fault:
    play: Play
    times: int | None
    match: str
    gate: Gate | None = None

    def meets(self, received: Received) -> bool:
        return self.match in received.path and self.times != 0


class Faults:
    """Those with ``times`` come first, in the order they were set; of the others the latest holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limited: list[_Fault] = []
        self._lasting: list[_Fault] = []

    def add(self, play: Play, times: int | None, match: str, gate: Gate | None = None) -> None:
        with self._lock:
            if times is None:
                self._lasting.insert(0, _Fault(play, times, match, gate))
            else:
                self._limited.append(_Fault(play, times, match, gate))

    def take(self, received: Received) -> Play | None:
        """The fault for this request, which uses up one of its times."""
        with self._lock:
            for fault in (*self._limited, *self._lasting):
                if fault.meets(received):
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault.play
        return None

    def clear(self) -> None:
        """Forget them all, and let go what hangs."""
        with self._lock:
            for fault in (*self._limited, *self._lasting):
                if fault.gate is not None:
                    fault.gate.release()
            self._limited.clear()
            self._lasting.clear()
