"""HTTP/1.1 as the fakes speak it: one request read, one answer written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, BinaryIO, Self, TypeAlias
from urllib.parse import parse_qs

from promptwire.errors import PromptwireError, raise_bare

# What json.loads gives: its shape is what the readers of it check.
Json: TypeAlias = Any

JSON_TYPE = "application/json; charset=utf-8"
_MAX_LINE = 65536


def encode(value: object) -> bytes:
    """Compact JSON that keeps non-ASCII text, U+2028 included, as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Received:
    """A request as it came: ``path`` still percent-encoded and without its query, header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @cached_property
    def json(self) -> Json:
        """The body as JSON; a ``PromptwireError`` if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise_bare(PromptwireError(f"The body of {self.method} {self.path} is not JSON."))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fake sends back: a whole ``body``, or the ``pieces`` of a stream."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    pieces: Iterator[bytes] | None = None

    @classmethod
    def of_json(cls, status: int, value: object, **headers: str) -> Self:
        """An answer in JSON; ``_`` in a header's name stands for ``-``."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, encode(value), {"Content-Type": JSON_TYPE, **named})


class RefusedError(PromptwireError):
    """Raised where a request is judged (or by a ``reply`` callable) to send ``answer`` instead."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with status {answer.status}")
        self.answer = answer


def read_request(source: BinaryIO) -> Received | None:
    """The next request of a connection, or ``None`` where the client has left."""
    words = source.readline(_MAX_LINE).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers = dict(_read_headers(source))
    path, _, query = words[1].partition("?")
    return Received(words[0], path, parse_qs(query, keep_blank_values=True), headers, _read_body(source, headers))


def _read_headers(source: BinaryIO) -> Iterator[tuple[str, str]]:
    while line := source.readline(_MAX_LINE).decode("latin-1").strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _read_body(source: BinaryIO, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return source.read(int(headers.get("content-length", "0")))
    chunks: list[bytes] = []
    while size := int(source.readline(_MAX_LINE).split(b";")[0], 16):
        chunks.append(source.read(size))
        source.readline(_MAX_LINE)
    source.readline(_MAX_LINE)
    return b"".join(chunks)


def head(answer: Answer, *, method: str) -> bytes:
    """The status line and headers of ``answer``, framed by its length or in chunks."""
    phrase = HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers.items())]
    if answer.pieces is not None:
        lines.append("Transfer-Encoding: chunked")
    elif answer.status not in {204, 304}:
        lines.append(f"Content-Length: {0 if method == 'HEAD' else len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(piece: bytes) -> bytes:
    """A piece of a stream as chunked transfer coding frames it."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)
