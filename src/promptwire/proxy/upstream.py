"""Model calls over one aiohttp session: half the work of the core's own client, which matters to a server."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import aiohttp

from promptwire.deadlines import CONNECT_TIMEOUT, KEEPALIVE, MAX_CONNECTIONS
from promptwire.errors import ConfigurationError, raise_bare
from promptwire.exchange import MAX_ANSWER, Request, Response, TimedOutError, TransportError, check_headers
from promptwire.inflate import Arriving
from promptwire.proxies import proxy_for
from promptwire.transport import tls

_ACCEPT = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "promptwire"}


class Upstream:
    """The proxy's connections to model providers; made on the running loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE, ssl=tls())
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_ACCEPT, auto_decompress=False
        )
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[str, str | None] = {}

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    def open(self, request: Request, timeout: float) -> "_Opening":
        """Send, and read the answer as it comes; ``timeout`` is for each read, connecting has 5 s at most.

        Leaving the context ends a call that isn't complete. Entering it raises ``TransportError``.
        """
        check_headers(request.headers)
        return _Opening(
            self._session.post(
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=self._timeout(timeout),
                proxy=self._proxy(request.url),
            )
        )

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        found = self._timeouts.get(seconds)
        if found is None:
            found = self._timeouts[seconds] = aiohttp.ClientTimeout(
                total=None, sock_connect=min(seconds, CONNECT_TIMEOUT), sock_read=seconds
            )
        return found

    def _proxy(self, url: str) -> str | None:
        scheme, _, rest = url.partition("://")
        origin = f"{scheme}://{rest.partition('/')[0]}"
        if origin not in self._proxies:
            if urlsplit(origin).username is not None:
                raise ConfigurationError("a URL that holds credentials is not called; give them by the keys")
            self._proxies[origin] = proxy_for(origin)
        return self._proxies[origin]


class _Opening:
    """A call's connection, as long as it is needed."""

    __slots__ = ("_answer", "_sent")

    def __init__(self, sent: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> None:
        self._sent = sent

    async def __aenter__(self) -> "_Answer":
        with _Mapped():
            self._answer = await self._sent.__aenter__()
        return _Answer(self._answer)

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()  # of an answer read whole, the connection is back in the pool already


class _Answer(Arriving):
    __slots__ = ("_answer",)

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        super().__init__(answer.status, answer.headers, answer.content.iter_any, _Mapped)
        self._answer = answer

    async def aread(self) -> Response:
        """At once, where it says that it is within the bound."""
        length = self._answer.content_length
        if length is not None and length <= MAX_ANSWER and "content-encoding" not in self.headers:
            with _Mapped():
                return Response(self.status, self.headers, await self._answer.read())
        return await super().aread()


class _Mapped:
    """aiohttp's errors become ours. Their texts stay out: they can name proxies with passwords."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case None:
                pass
            case aiohttp.InvalidURL():
                raise ConfigurationError("the URL to call is not a valid one; check api_base") from error
            case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
                raise TransportError("could not connect", sent=False) from error
            case TimeoutError():
                raise TimedOutError("timed out", sent=True) from error
            case aiohttp.ClientError() | OSError():
                raise_bare(TransportError("the connection broke off", sent=True))  # the server's words may be in it
            case _:
                pass
