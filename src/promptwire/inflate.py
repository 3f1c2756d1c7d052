"""Bodies as they arrive, within a bound, however little holds however much: some come compressed, though unasked."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from promptwire.exchange import MAX_ANSWER, Response, TooLargeError, TransportError

MAX_PIECE = 1_000_000

_PLAIN = ("", "identity")
_ZLIB = ("gzip", "x-gzip", "deflate")


class Inflater:
    """One body's decoder. Raises ``TooLargeError`` beyond ``limit`` bytes, a model's answer's 100 MB.

    A ``TransportError`` for a coding that isn't read: layers of them grow without a bound.
    """

    __slots__ = ("_begun", "_left", "_limit", "_zlib")

    def __init__(self, headers: Mapping[str, str], limit: int | None = None) -> None:
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in (*_PLAIN, *_ZLIB):
            raise TransportError("its answer is in a compression that was not asked for", sent=True)
        self._zlib = None if coding in _PLAIN else zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
        self._limit = self._left = MAX_ANSWER if limit is None else limit
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the bytes hold, at most ``MAX_PIECE`` at a time where they are compressed."""
        if self._zlib is None:
            yield self._counted(data)
            return
        while data:
            self._begun = True
            try:
                piece = self._zlib.decompress(data, MAX_PIECE)
            except zlib.error as error:
                raise TransportError("its compressed answer is broken", sent=True) from error
            if self._zlib.unused_data:  # which zlib would keep, however much of it comes
                raise TransportError("its compressed answer goes on after its end", sent=True)
            data = self._zlib.unconsumed_tail
            yield self._counted(piece)

    def end(self) -> None:
        """No more bytes come: raises ``TransportError`` if what is compressed goes on."""
        if self._zlib is not None and self._begun and not self._zlib.eof:
            raise TransportError("the connection broke off amid its compressed answer", sent=True)

    def _counted(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLargeError(f"its answer is larger than {self._limit // 1_000_000} MB", sent=True)
        return piece


class Arriving:
    """An answer whose body is still to be read, on the running loop.

    ``raw`` gives the bytes as they come, and ``mapped`` makes the client's errors ours.
    """

    __slots__ = ("_mapped", "_raw", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        raw: Callable[[], AsyncIterable[bytes]],
        mapped: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.status, self.headers, self._raw, self._mapped = status, headers, raw, mapped

    async def achunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ``TransportError``; its ``TooLargeError`` beyond 100 MB."""
        inflater = Inflater(self.headers)
        with self._mapped():
            async for data in self._raw():
                for chunk in inflater.feed(data):
                    yield chunk
        inflater.end()

    async def aread(self) -> Response:
        """The whole body, within the same bound."""
        body = bytearray()
        async for chunk in self.achunks():
            body += chunk
        return Response(self.status, self.headers, bytes(body))
