"""HTTP: one sync client per process, one async client per running loop, and the two drivers over them.

The only module that imports httpx, at the first call: building a client costs some 20 ms.
"""

import asyncio
import atexit
import importlib
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from promptwire.deadlines import CONNECT_TIMEOUT, KEEPALIVE, MAX_CONNECTIONS, ClampedBackend, until
from promptwire.errors import ConfigurationError, raise_bare
from promptwire.exchange import Request, Response, TransportError, check_headers
from promptwire.inflate import Arriving, Inflater
from promptwire.proxies import mounts
from promptwire.workers import rebuild_after_fork

if TYPE_CHECKING:
    import httpx

C = TypeVar("C", "httpx.Client", "httpx.AsyncClient")


class Streaming(Arriving):
    """An answer whose body is still to be read, in either colour."""

    __slots__ = ("_answer",)

    def __init__(self, answer: "httpx.Response") -> None:
        super().__init__(answer.status_code, answer.headers, answer.aiter_raw, _mapped)
        self._answer = answer

    def chunks(self, limit: int | None = None) -> Iterator[bytes]:
        """The body as it arrives. Raises ``TooLargeError`` beyond ``limit`` bytes, a model's answer's 100 MB."""
        inflater = Inflater(self.headers, limit)
        with _mapped():
            for data in self._answer.iter_raw():
                yield from inflater.feed(data)
        inflater.end()

    def read(self, limit: int | None = None) -> Response:
        """The whole body, within the same bound."""
        body = bytearray()
        for chunk in self.chunks(limit):
            body += chunk
        return Response(self.status, self.headers, bytes(body))


def fetch(request: Request, deadline: Callable[[], float], limit: int) -> Response:
    """Send from a worker thread; every socket operation ends at ``deadline()``, a monotonic time.

    Raises ``TransportError``; its ``TooLargeError`` for a body of more than ``limit`` bytes.
    """
    with until(deadline), open_stream(request, max(deadline() - time.monotonic(), 0.001)) as answer:
        return answer.read(limit)


@contextmanager
def open_stream(request: Request, timeout: float) -> Generator[Streaming]:
    """Send, and read the answer as it comes; ``timeout`` is for each read, connecting has 5 s at most."""
    with _mapped():
        client = _sync.get()
        answer = client.send(_build(client, request, timeout), stream=True)
    try:
        yield Streaming(answer)
    finally:
        answer.close()
        del answer.stream  # it refers back to the answer: a cycle, whose forty objects only the collector would free


class open_astream:  # noqa: N801 - called like its sync twin
    """``open_stream`` on the running loop's client. No generator: a loop that ends closes those in any order."""

    def __init__(self, request: Request, timeout: float) -> None:
        self._request, self._timeout = request, timeout

    async def __aenter__(self) -> Streaming:
        with _mapped():
            client = await _async_client()
            self._answer = await client.send(_build(client, self._request, self._timeout), stream=True)
        return Streaming(self._answer)

    async def __aexit__(self, *_: object) -> None:
        await self._answer.aclose()
        del self._answer.stream  # as above


def _build(client: "httpx.Client | httpx.AsyncClient", request: Request, timeout: float) -> "httpx.Request":
    import httpx

    check_headers(request.headers)
    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT))
    return client.build_request(
        request.method, _url(request.url), headers=request.headers, content=request.body, timeout=limits
    )


def _load_httpx() -> None:
    """Import httpx without its command line, which loads click, rich and pygments wherever they are installed."""
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment] # an ImportError, which httpx expects
        try:
            importlib.import_module("httpx")
        finally:
            sys.modules.pop("httpx._main", None)  # another thread may have been first


@contextmanager
def _mapped() -> Generator[None]:
    """Httpx's errors become ours. Their texts stay out: they can name proxies with passwords."""
    _load_httpx()
    import httpx

    try:
        yield
    except httpx.InvalidURL as error:
        raise ConfigurationError("the URL to call is not a valid one; check the host or base URL given") from error
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
        raise ConfigurationError("the request can't be made; check the host (http:// or https://) and keys") from error
    except Exception as error:
        if not isinstance(error, httpx.HTTPError) and not type(error).__module__.startswith("aiohttp"):
            raise  # httpx-aiohttp passes on as it is what aiohttp says of a broken head
        sent = _was_sent(error)  # if so, the server's words may be in it
        raise_bare(TransportError(_reason(error), sent=sent), behind=None if sent else error)


def _reason(error: Exception) -> str:
    import httpx

    if not _was_sent(error):
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)  # as OpenSSL has it, by either client
        return "could not connect, its certificate is not trusted" if untrusted else "could not connect"
    return "timed out" if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout) else "the connection broke off"


def _was_sent(error: BaseException) -> bool:
    """httpx-aiohttp reports a dropped connection as a connect timeout: only the cause tells them apart."""
    import httpx

    cause = error.__cause__
    if cause is not None and type(cause).__module__.startswith("aiohttp"):
        import aiohttp

        return not isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


class _SyncClient:
    """The process's client; a forked child, which must not share its connections, builds its own."""

    def __init__(self) -> None:
        self.reset()
        rebuild_after_fork(self)
        atexit.register(self.close)

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def get(self) -> "httpx.Client":
        if self._client is None:
            with self._lock:
                self._client = self._client or _new_sync_client()
        return self._client


_sync = _SyncClient()


def _new_sync_client() -> "httpx.Client":
    import httpx

    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE
    )
    verify = tls()

    def transport(proxy: str | None = None) -> httpx.HTTPTransport:
        made = httpx.HTTPTransport(verify=verify, limits=limits, proxy=proxy)
        pool: Any = made._pool  # noqa: SLF001 - no public door
        pool._network_backend = ClampedBackend(pool._network_backend)  # noqa: SLF001 - as above
        return made

    return _dressed(httpx.Client(transport=transport(), mounts=mounts(transport), trust_env=False))


def _dressed(client: C) -> C:
    """A client that keeps no cookies: it serves callers who must not share a session. httpx reads them on each call."""
    import httpx

    class NoCookies(httpx.Cookies):
        def extract_cookies(self, response: httpx.Response) -> None:
            pass

    client._cookies = NoCookies()  # noqa: SLF001 - the public door makes a jar that keeps them
    client.headers.update({"user-agent": "promptwire", "accept": "application/json", "accept-encoding": "identity"})
    return client


@lru_cache(maxsize=1000)
def _url(text: str) -> "httpx.URL":
    """Parsed once: a service is called under few URLs."""
    import httpx

    url = httpx.URL(text)
    if url.port is not None and url.port > 65535:
        raise ConfigurationError("a port is a number up to 65535; check the host or base URL given")
    if url.userinfo:
        raise ConfigurationError("a URL that holds credentials is not called; give them by the keys meant for them")
    return url


@cache
def tls() -> Any:
    """The TLS settings of every connection."""
    import httpx

    return httpx.create_ssl_context()


_async: dict[asyncio.AbstractEventLoop, tuple["httpx.AsyncClient", AsyncGenerator[None], list[Any]]] = {}


async def warm() -> None:
    """Make the running loop's client, if there is none yet: a call that is timed has no part in that."""
    await _async_client()


async def _async_client() -> "httpx.AsyncClient":
    """The running loop's client, closed when the loop shuts its async generators down."""
    loop = asyncio.get_running_loop()
    if (held := _async.get(loop)) is None:
        _forget_closed_loops()
        sessions: list[Any] = []
        client = _new_async_client(sessions)
        await anext(guard := _close_with_loop(loop, client))
        held = _async.setdefault(loop, (client, guard, sessions))
    return held[0]


async def _close_with_loop(loop: asyncio.AbstractEventLoop, client: "httpx.AsyncClient") -> AsyncGenerator[None]:
    """``asyncio.run`` closes every async generator before the loop: the hook that a library has."""
    try:
        yield
    finally:
        _async.pop(loop, None)
        await client.aclose()


@atexit.register
def _forget_closed_loops() -> None:
    """Their sessions can't be closed any more, but would each complain that they were not."""
    for loop in [known for known in list(_async) if known.is_closed()]:
        for session in _async.pop(loop, (None, None, []))[2]:
            if session.connector is not None:  # pragma: no branch - else it is closed already
                deque(session.connector.close().__await__())  # done at its first step: there is no loop to wait on
            session.detach()


def _new_async_client(sessions: list[Any]) -> "httpx.AsyncClient":
    import aiohttp
    import httpx
    from httpx_aiohttp import AiohttpTransport

    def transport(proxy: str | None = None) -> AiohttpTransport:
        def session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE, ssl=tls())
            sessions.append(made := aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()))
            return made

        return AiohttpTransport(verify=tls(), proxy=httpx.Proxy(proxy) if proxy else None, client=session)

    return _dressed(httpx.AsyncClient(transport=transport(), mounts=mounts(transport), trust_env=False))
