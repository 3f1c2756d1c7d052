"""What goes over HTTP and comes back, in records of our own: the rest of the house knows no HTTP library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from promptwire.errors import ConfigurationError

MAX_ANSWER = 100_000_000
"""Bytes of a model's answer, whole or as a stream."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+:([!-~]([ -~]*[!-~])?)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; ``repr`` shows no header, since they hold the keys."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """A status, lower-cased headers and a body read whole."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class TransportError(Exception):
    """No answer came; ``sent`` tells whether the server may have seen the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class TooLargeError(TransportError):
    """The answer's body is over the limit."""


class TimedOutError(TransportError):
    """The server was reached, but didn't answer in time."""


def can_be_sent(name: str, value: str) -> bool:
    """Whether it is a header of plain ASCII text."""
    return _HEADER.fullmatch(f"{name}:{value}") is not None


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ``ConfigurationError`` for a header that can't be sent; HTTP libraries would quote it, key and all."""
    for name, value in headers.items():
        if not can_be_sent(name, value):
            raise ConfigurationError(f"header {name!r} can't be sent: its value is no plain ASCII text; check the keys")
