"""Answers that come compressed though none was asked for: read piece by piece, however little holds however much."""

import zlib
from collections.abc import Iterator

from promptwire.exchange import TransportError

MAX_PIECE = 1_000_000

_PLAIN = ("", "identity")
_ZLIB = ("gzip", "x-gzip", "deflate")


class Inflater:
    """One body's decoder. A ``TransportError`` for a coding that isn't read: layers of them grow without a bound."""

    def __init__(self, coding: str) -> None:
        coding = coding.strip().lower()
        if coding not in (*_PLAIN, *_ZLIB):
            raise TransportError("its answer is in a compression that was not asked for", sent=True)
        self._zlib = None if coding in _PLAIN else zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the bytes hold, at most ``MAX_PIECE`` at a time."""
        if self._zlib is None:
            yield data
            return
        while data:
            try:
                piece = self._zlib.decompress(data, MAX_PIECE)
            except zlib.error as error:
                raise TransportError("its compressed answer is broken", sent=True) from error
            if self._zlib.unused_data:  # which zlib would keep, however much of it comes
                raise TransportError("its compressed answer goes on after its end", sent=True)
            data = self._zlib.unconsumed_tail
            yield piece
