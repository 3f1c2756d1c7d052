"""Model calls over one aiohttp session: half the work of the core's own client, which matters to a server."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import aiohttp

from promptwire.errors import ConfigurationError
from promptwire.exchange import Request, Response, TimedOutError, TooLargeError, TransportError
from promptwire.proxies import proxy_for
from promptwire.transport import CONNECT_TIMEOUT, KEEPALIVE, MAX_CONNECTIONS, check_headers, tls

MAX_ANSWER = 100_000_000
_ACCEPT = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "promptwire"}


class Upstream:
    """The proxy's connections to model providers; made on the running loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE, ssl=tls())
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_ACCEPT)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[str, str | None] = {}

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, request: Request, timeout: float) -> AsyncGenerator["Arriving"]:
        """Send, and read the answer as it comes; ``timeout`` is for each read, connecting has 5 s at most.

        Leaving it ends a call that isn't complete. Raises ``TransportError``.
        """
        check_headers(request.headers)
        with _mapped():
            answer = await self._session.post(
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=self._timeout(timeout),
                proxy=self._proxy(request.url),
            )
        try:
            yield Arriving(answer)
        finally:
            answer.close()  # of an answer read whole, the connection is back in the pool already

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


class Arriving:
    """An answer whose body is still to be read."""

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers

    async def achunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        with _mapped():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aread(self) -> Response:
        """The whole body, if it is no larger than 100 MB."""
        with _mapped():
            if (self._answer.content_length or 0) <= MAX_ANSWER and self._answer.content_length is not None:
                return Response(self.status, self.headers, await self._answer.read())
            body = bytearray()
            async for chunk in self._answer.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise TooLargeError(f"its answer is larger than {MAX_ANSWER // 1_000_000} MB", sent=True)
        return Response(self.status, self.headers, bytes(body))


@contextmanager
def _mapped() -> Generator[None]:
    """Aiohttp's errors become ours. Their texts stay out: they can name proxies with passwords."""
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise ConfigurationError("the URL to call is not a valid one; check api_base") from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise TransportError("could not connect", sent=False) from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise TimedOutError("timed out", sent=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise TransportError("the connection broke off", sent=True) from error
