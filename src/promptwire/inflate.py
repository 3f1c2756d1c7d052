"""Bodies as they arrive, within a bound, however little holds however much: some come compressed, though unasked."""

import zlib
from collections.abc import Iterator, Mapping

from promptwire.exchange import MAX_ANSWER, TooLargeError, TransportError

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
