"""Server-sent events, from bytes as they arrive."""

from promptwire.errors import GatewayError

MAX_LINE = 10_000_000
MAX_EVENT = 10_000_000


class EventReader:
    """Splits a stream into the data of its events. Lines end at CR or LF only, never at U+2028."""

    __slots__ = ("_buffer", "_data", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that ``chunk`` completes."""
        text = self._buffer + chunk
        # A CR at the end may be half of a CR LF.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._buffer = lines.pop() + held
        if len(self._buffer) > MAX_LINE:
            raise GatewayError("the provider's stream holds a line that doesn't end")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            self._size += len(line)
            if self._size > MAX_EVENT:
                raise GatewayError("the provider's stream holds an event that doesn't end")
            return None
        if line or not self._data:
            return None
        event = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return event
