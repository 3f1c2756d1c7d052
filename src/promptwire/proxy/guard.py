"""The door, as plain ASGI around the routes: who may come in, and how many at once."""

import hmac
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from promptwire import log
from promptwire.proxy.refusals import RefusedError, refuse
from promptwire.proxy.relay import Reply
from promptwire.proxy.service import Service

MAX_HEAD = 64_000
MAX_AT_ONCE = 1000

# Without a key: probes, which hold none, and webhooks, which are signed.
OPEN = frozenset({"/health/liveliness", "/health/liveness", "/health/readiness", "/openapi.json", "/webhooks/langfuse"})
# What a request to a loopback server names. Any other host is a name that a foreign page has pointed here.
LOOPBACK = frozenset({b"localhost", b"127.0.0.1", b"[::1]", b"0.0.0.0"})


class Guard:
    """Refuses what may not come in, in OpenAI's shape, before a route sees it.

    ``hot`` are endpoints by path that answer for themselves, errors and all: what an application does around each
    request costs as much as they do. An error that isn't ours ends here: the server would log what its text repeats.
    """

    def __init__(self, app: ASGIApp, service: Service, hot: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._hot = hot
        self._service = service
        self._at_once = 0
        service.metrics.watch_in_flight(lambda: self._at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or refuse it."""
        if refusal := self._refusal(scope):
            await Reply(send).refuse(refusal)
            return
        app = self._hot.get(scope["path"]) if scope["method"] == "POST" else None
        self._at_once += 1
        try:
            await (app or self._app)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the route has answered, and raised it on
            log.show_foreign("a request", error)
        finally:
            self._at_once -= 1

    def _refusal(self, scope: Scope) -> RefusedError | None:
        size, host, bearer = 0, b"", b""
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            if name == b"authorization":
                bearer = value
            elif name == b"host":
                host = value
        if size > MAX_HEAD or len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEAD:
            return refuse(431, f"the headers are larger than {MAX_HEAD // 1000} kB", "headers_too_large")
        if scope["path"] in OPEN:
            return None
        if self._at_once >= MAX_AT_ONCE:
            return refuse(503, "too many requests at once", "overloaded", None, [(b"retry-after", b"1")])
        key = self._service.config.master_key
        if key is not None:
            return None if _is_bearer(bearer, key) else _unauthorized(bearer)
        if host.rpartition(b":")[0] in LOOPBACK or host in LOOPBACK or not host:
            return None
        return refuse(403, "without a master key only requests to localhost are served", "host_not_allowed")


def _is_bearer(header: bytes, key: str) -> bool:
    scheme, _, token = header.partition(b" ")
    return hmac.compare_digest(token.strip(), key.encode()) and scheme.lower() == b"bearer"


def _unauthorized(header: bytes) -> RefusedError:
    words = "the API key is not the proxy's" if header else "give the proxy's key: Authorization: Bearer <master key>"
    return refuse(401, words, "invalid_api_key", None, [(b"www-authenticate", b"Bearer")])
