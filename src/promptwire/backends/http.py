"""What a backend fetches with: one door, bounded in time and size, that turns answers into our errors."""

import json
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from promptwire.errors import BackendAuthError, BackendError, BackendUnavailableError, PromptNotFoundError, raise_bare
from promptwire.exchange import Request, Response, TooLargeError, TransportError, can_be_sent
from promptwire.transport import fetch

MAX_BODY = 10_000_000
MAX_ETAG = 1000


class NotModifiedError(Exception):
    """The server said 304: what is cached still holds. Never leaves the fetching code."""


class Http:
    """One fetch's HTTP. Every request ends at the fetch's deadline; redirects are not followed.

    ``where`` opens the error messages ("langfuse prompt 'x'"). ``etags`` maps URLs to the validators of what is
    cached: a ``get`` of such a URL is conditional, and a 304 ends the fetch.
    """

    def __init__(self, where: str, deadline: Callable[[], float], etags: Mapping[str, str] | None = None) -> None:
        self.where = where
        self.etags: dict[str, str] = {}
        self.deadline = deadline
        self._known = etags or {}

    def within(self, where: str, part: float, *, conditional: bool = True) -> "Http":
        """The same for a ``part`` of the time that remains; without ``conditional`` no answer is a 304."""
        start = monotonic()
        return Http(where, lambda: start + (self.deadline() - start) * part, self._known if conditional else None)

    def get_json(
        self, url: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, object] | None = None
    ) -> Any:
        """GET, and decode a 200's JSON.

        Raises ``PromptNotFoundError`` (404), ``BackendAuthError`` (401, 403), ``BackendUnavailableError``
        (no connection, timeout, 408, 429, 5xx) and ``BackendError`` for every other answer.
        """
        asked = {key: str(value) for key, value in (query or {}).items() if value is not None}
        full = f"{url}?{urlencode(asked)}" if asked else url
        return self._decode(self._conditional(full, headers or {}))

    def post_json(self, url: str, body: object, *, headers: Mapping[str, str] | None = None) -> Any:
        """POST ``body`` as JSON to an endpoint that only reads; errors as ``get_json``."""
        sent = {"content-type": "application/json", **(headers or {})}
        return self._decode(self._send(Request("POST", url, sent, json.dumps(body).encode())))

    def write_json(self, method: str, url: str, body: object, *, headers: Mapping[str, str]) -> Any:
        """Send ``body`` as JSON to an endpoint that writes; errors as ``get_json``.

        What the server may have carried out is not repeated: such an error is not ``retryable``.
        """
        sent = {"content-type": "application/json", **headers}
        try:
            return self._decode(self._send(Request(method, url, sent, json.dumps(body).encode())), 200, 201)
        except BackendUnavailableError as error:
            cause = error.__cause__
            error.retryable = error.status_code == 429 or (isinstance(cause, TransportError) and not cause.sent)
            raise

    def _conditional(self, url: str, headers: Mapping[str, str]) -> Response:
        known = self._known.get(url)
        response = self._send(Request("GET", url, {**headers, "if-none-match": known} if known else headers))
        if response.status == 304 and known:
            raise NotModifiedError
        # Of one that can't be sent, or that servers refuse for its length, every later fetch would fail.
        if (etag := response.headers.get("etag")) and len(etag) <= MAX_ETAG and can_be_sent("if-none-match", etag):
            self.etags[url] = etag
        return response

    def _send(self, request: Request) -> Response:
        try:
            return fetch(request, self.deadline, MAX_BODY)
        except TooLargeError as error:
            raise BackendError(f"{self.where}: {error}. Is the host right?") from error
        except TransportError as error:
            raise BackendUnavailableError(
                f"{self.where}: {error}. Check that the server is up and its host is right.", retryable=True
            ) from error

    def _decode(self, response: Response, *good: int) -> Any:
        if response.status not in (good or (200,)):
            raise_for_status(response, self.where)
        try:
            return json.loads(response.body)
        except (ValueError, RecursionError):
            status = response.status
            message = f"{self.where}: the server answered {status}, but its body is not JSON. Is the host right?"
            raise_bare(BackendError(message, status_code=status))


def is_base_url(url: str) -> bool:
    """Whether paths can be appended to it: http(s), a host, no credentials and no query."""
    try:
        parts = urlsplit(url)
        return bool(
            parts.scheme in {"http", "https"}
            and parts.hostname
            and "@" not in parts.netloc
            and not parts.query
            and parts.port != 0
        )
    except (ValueError, AttributeError):  # a broken IPv6 address or port, or no text at all
        return False


def raise_for_status(response: Response, where: str) -> NoReturn:
    """The error of our tree for an HTTP status; the server's words stay out of the message."""
    status = response.status
    if status == 404:
        raise PromptNotFoundError(f"{where} does not exist there; check the id, the version or label, and the project")
    if status in {401, 403}:
        raise BackendAuthError(
            f"{where}: the server refused the credentials ({status}); check the keys and that they belong to its host",
            status_code=status,
        )
    if status in {408, 429} or status >= 500:
        raise BackendUnavailableError(
            f"{where}: the server answered {status}; the call can be repeated later",
            status_code=status,
            retryable=True,
            retry_after=retry_after(response.headers),
        )
    hint = "redirects are not followed; give the final host" if 300 <= status < 400 else "the request was refused"
    raise BackendError(f"{where}: the server answered {status}; {hint}", status_code=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a ``Retry-After`` in seconds or as a date; at most an hour."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), 3600.0) if seconds == seconds else None  # noqa: PLR0124 - not a number
