"""The application: its routes, and the shape of what goes wrong."""

from importlib.resources import files
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from promptwire.errors import PromptwireError
from promptwire.proxy.body import HungUpError
from promptwire.proxy.catalog import Catalog
from promptwire.proxy.chat import Chat
from promptwire.proxy.guard import Guard
from promptwire.proxy.refusals import RefusedError, broken, refusal_of, refuse
from promptwire.proxy.service import Service
from promptwire.proxy.webhook import Webhook

CHAT_PATHS = ("/v1/chat/completions", "/chat/completions")


def build_app(service: Service) -> ASGIApp:
    """The proxy as an ASGI application."""
    chat, catalog, pages = Chat(service), Catalog(service), _Pages(service)
    routes = [
        *(Route(path, chat, methods=["POST"]) for path in CHAT_PATHS),
        Route("/v1/models", pages.models),
        Route("/models", pages.models),
        Route("/v1/prompts/{prompt_id:path}/render", catalog.render, methods=["POST"]),
        Route("/v1/prompts/{prompt_id:path}", catalog.show),
        Route("/health/liveliness", pages.alive),
        Route("/health/liveness", pages.alive),
        Route("/health/readiness", pages.ready),
        Route("/metrics", pages.metrics),
        Route("/webhooks/langfuse", Webhook(service), methods=["POST"]),
        Route("/openapi.json", pages.openapi),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _not_served,
        RefusedError: _refused,
        PromptwireError: _failed,
        HungUpError: _left,
        Exception: _failed_itself,
    }
    return Guard(Starlette(routes=routes, exception_handlers=handlers), service, hot=dict.fromkeys(CHAT_PATHS, chat))


class _Pages:
    """The answers that need no model and no prompt."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._openapi = (files("promptwire.proxy") / "openapi.json").read_bytes()

    async def models(self, _: Request) -> Response:
        """The names that clients may ask for."""
        names = self._service.config.table.names
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "promptwire"} for name in names]
        return _json({"object": "list", "data": listed})

    async def alive(self, _: Request) -> Response:
        """LiteLLM's words."""
        return _json("I'm alive!")

    async def ready(self, _: Request) -> Response:
        """Whether new requests are welcome."""
        if self._service.draining:
            raise refuse(503, "the proxy is shutting down", "draining")
        return _json({"status": "healthy"})

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        body, kind = self._service.metrics.exposed()
        return Response(body, headers={"content-type": kind})

    async def openapi(self, _: Request) -> Response:
        """The description of these routes."""
        return Response(self._openapi, media_type="application/json")


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _answer(refusal: RefusedError) -> Response:
    answer = Response(refusal.body, refusal.status)
    answer.raw_headers.extend(refusal.headers)
    return answer


async def _refused(_: Request, refusal: RefusedError) -> Response:
    return _answer(refusal)


async def _failed(_: Request, error: PromptwireError) -> Response:
    return _answer(refusal_of(error))


async def _not_served(request: Request, error: HTTPException) -> Response:
    """Starlette's own: an unknown path, or a method that a route doesn't have."""
    words = f"{request.method} {request.url.path[:200]} is not served here"
    headers = [(name.encode(), value.encode()) for name, value in (error.headers or {}).items()]
    codes = {404: "unknown_url", 405: "method_not_allowed"}
    return _answer(refuse(error.status_code, words, codes.get(error.status_code, "invalid_request"), None, headers))


async def _left(_: Request, __: HungUpError) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _failed_itself(_: Request, __: Exception) -> Response:
    return _answer(broken())
