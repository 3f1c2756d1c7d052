"""A pass-through on the proxy's own stack, and nothing more: what a request costs before any feature.

Arguments: the port to listen at, and the URL to post to.
"""

import sys

import aiohttp
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-bench"}


def build(url: str) -> Starlette:
    session: list[aiohttp.ClientSession] = []

    async def forward(request: Request) -> Response:
        body = orjson.loads(await request.body())
        if not session:
            session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)))
        async with session[0].post(url, data=orjson.dumps(body), headers=HEADERS) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    async def alive(_: Request) -> Response:
        return Response(b"{}")

    routes = [Route("/v1/chat/completions", forward, methods=["POST"]), Route("/health/liveliness", alive)]
    return Starlette(routes=routes)


if __name__ == "__main__":
    uvicorn.run(
        build(f"{sys.argv[2]}/chat/completions"), port=int(sys.argv[1]), loop="uvloop", http="httptools",
        lifespan="off", log_config=None, access_log=False,
    )  # fmt: skip
