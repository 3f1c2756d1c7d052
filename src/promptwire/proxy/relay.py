"""The model's answer on its way to the client: bytes as they come on OpenAI's wire, translated on Anthropic's."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress

import orjson
from starlette.types import Send

from promptwire.errors import GatewayError
from promptwire.exchange import TransportError
from promptwire.gateway.driver import ModelCall, Open, achunks, aconnect, areceive, asend, broken
from promptwire.gateway.openai import OpenAIWire
from promptwire.inflate import Arriving
from promptwire.masking import MASK
from promptwire.proxy.refusals import JSON, Headers, RefusedError
from promptwire.telemetry.operations import Observed

MAX_HELD = 1_000_000
TAIL = 4096
LAST_SECONDS = 1.0

_KEPT = ("x-request-id", "openai-", "x-ratelimit-", "retry-after", "request-id")
_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_DONE = b"data: [DONE]\n\n"
# What is looked for in answers, of the secrets that an error masks: a dummy key, or a header's plain word or address,
# may be what a model says, or an answer's own syntax.
_TELLING = re.compile(r"(?!.*://)(?=.*[A-Za-z])(?=.*\d|.{20}|sk-).{8}")
_ENDS = re.compile(rb'data:\s*\[DONE\]|[{,]\s*"finish_reason"\s*:\s*"|(?:^|\n)data:\s*\{\s*"error"')


class Hiding:
    """Masks the operator's key, and words of their headers, where a provider repeats them."""

    __slots__ = ("_secrets", "reach")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted((word.encode() for word in secrets if _TELLING.match(word)), key=len, reverse=True)
        self.reach = len(self._secrets[0]) - 1 if self._secrets else 0  # the most of one that a piece can end with

    def __call__(self, data: bytes) -> bytes:
        """A copy without them, or the same."""
        for secret in self._secrets:
            data = data.replace(secret, MASK.encode())
        return data


class Reply:
    """One request's answer as it goes out, without what is to be hidden; knows whether it has begun."""

    __slots__ = ("_send", "headers", "hide", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: Headers = []
        self.hide = Hiding()
        self.status = 0

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.status = status
        shown = [(name, self.hide(value)) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": [*shown, *self.headers]})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body, in which no secret may begin that the next one ends."""
        await self._send({"type": "http.response.body", "body": self.hide(body), "more_body": more})

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Send all of it."""
        body = self.hide(body)
        await self.start(status, [(b"content-length", b"%d" % len(body)), *headers])
        await self.write(body, more=False)

    async def refuse(self, refusal: RefusedError) -> None:
        """End with an error: the whole answer, or a stream's last event, for which nobody is waited for long."""
        if not self.status:
            await self.whole(refusal.status, refusal.body, refusal.headers)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.write(b"\n" + event(refusal.body), more=False)


async def relay(call: ModelCall, reply: Reply, open_: Open, seen: Observed) -> None:
    """Answer with the model's completion. Raises ``GatewayError``."""
    reply.hide = Hiding(call.secrets)
    if not isinstance(call.wire, OpenAIWire):
        with seen.sending():
            completion = await asend(call, open_)
        seen.answered(completion)
        await reply.whole(200, orjson.dumps(completion), [JSON])
        return
    with seen.sending():
        response = await areceive(call, open_)
        if response.body.lstrip()[:1] != b"{":
            raise _unusable(call, "not JSON")
    seen.answered(response.body)
    await reply.whole(200, response.body, [JSON, *kept(response.headers)])


async def relay_stream(call: ModelCall, reply: Reply, open_: Open, seen: Observed, *, usage: bool) -> None:
    """Answer with the model's chunks; without ``usage`` the last one, which has no choices, is left out."""
    reply.hide = Hiding(call.secrets)
    with seen.sending():
        stack, answer = await aconnect(call, open_)
    # Around the stack, which a translation closes by itself, whatever ended it.
    async with AsyncExitStack() as observed, stack:
        observed.push(seen.closed)
        if answer.headers.get("content-type", "").startswith(("text/html", "application/json")):
            raise _unusable(call, "no stream")
        await reply.start(200, [*_STREAM, *kept(answer.headers)])
        if isinstance(call.wire, OpenAIWire):
            await _forward(call, reply, answer, seen)
        else:
            await _translate(call, reply, stack, answer, seen, usage=usage)


def _unusable(call: ModelCall, what: str) -> GatewayError:
    return GatewayError(f"{call.name}: the provider's answer is {what}; is the base URL right?", status_code=200)


async def _translate(
    call: ModelCall, reply: Reply, stack: AsyncExitStack, answer: Arriving, seen: Observed, *, usage: bool
) -> None:
    async with aclosing(achunks(call, stack, answer)) as chunks:
        async for chunk in chunks:
            seen.hear(chunk)
            if usage or chunk["choices"]:
                await reply.write(event(orjson.dumps(chunk)), more=True)
    await reply.write(_DONE, more=False)


async def _forward(call: ModelCall, reply: Reply, answer: Arriving, seen: Observed) -> None:
    lines = Lines(reply.hide)
    overhear = seen.overhearing(call.wire)
    try:
        async for data in answer.achunks():
            overhear(data)
            if whole := lines.feed(data):
                await reply.write(whole, more=True)
    except TransportError as error:
        raise broken(call, error) from error
    if not lines.complete:
        raise GatewayError(f"{call.name}: the provider's stream broke off before its end")
    await reply.write(lines.rest, more=False)


class Lines:
    """Holds an unfinished line back, so that what is sent can be ended with an event of our own, and no secret is cut.

    Looks at no more than the stream's last bytes: whether they say that it has ended as it should.
    """

    __slots__ = ("_hide", "_tail", "rest")

    def __init__(self, hide: Hiding) -> None:
        self._hide = hide
        self.rest = b""
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """The finished lines."""
        self._tail = (self._tail + data)[-TAIL:]
        if data.endswith(b"\n") and not self.rest:
            return data
        text = self.rest + data
        end = text.rfind(b"\n") + 1
        if len(text) > MAX_HELD:
            text = self._hide(text)
            end = len(text) - self._hide.reach
        self.rest = text[end:]
        return text[:end]

    @property
    def complete(self) -> bool:
        """Whether it ended by ``[DONE]``, by a finish reason (some hosts send no more), or by an error of its own."""
        return _ENDS.search(self._tail) is not None


def event(data: bytes) -> bytes:
    """A server-sent event."""
    return b"data: %s\n\n" % data


def kept(headers: Mapping[str, str]) -> Headers:
    """Those of the provider's headers that its clients read."""
    return [
        (low.encode(), value.encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
        if (low := name.lower()).startswith(_KEPT)
    ]
