"""Model calls: one sync and one async driver for every wire."""

import asyncio
import json
import random
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, aclosing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from promptwire import log
from promptwire.backends.http import retry_after
from promptwire.errors import ConfigurationError, GatewayError, raise_bare
from promptwire.exchange import Request, Response, TransportError
from promptwire.frozen import is_object
from promptwire.gateway.fitting import fitted
from promptwire.gateway.hosts import find_provider
from promptwire.gateway.providers import Target
from promptwire.gateway.wires import Wire, find_wire
from promptwire.inflate import Arriving
from promptwire.search import MAX_TIMEOUT
from promptwire.transport import Streaming, open_astream, open_stream

TIMEOUT = 600.0
RETRIES = 2
RETRIED = frozenset({408, 409, 429, *range(500, 600)})
MAX_PAUSE = 60.0


Open = Callable[[Request, float], AbstractAsyncContextManager[Arriving]]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a model, and how to carry it out. ``timeout`` is in seconds, for each read."""

    request: Request
    wire: Wire
    name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout: float = TIMEOUT
    retries: int = RETRIES


def model_call(
    target: Target,
    messages: Sequence[object],
    params: Mapping[str, object],
    *,
    stream: bool = False,
    timeout: float | None = None,
    retries: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ModelCall:
    """The call of one model; ``timeout`` defaults to 600 s, ``retries`` to 2."""
    if timeout is not None and not (_is_number(timeout) and 0 < timeout <= MAX_TIMEOUT):
        raise ConfigurationError(f"timeout is a number of seconds above 0, up to {MAX_TIMEOUT:g}")
    if retries is not None and not (_is_number(retries) and retries >= 0):
        raise ConfigurationError("max_retries is a number, 0 or more")
    if headers is not None and not (is_object(headers) and all(isinstance(value, str) for value in headers.values())):
        raise ConfigurationError("extra_headers is a mapping of names to texts")
    row = find_provider(target.provider)
    wire = find_wire(row.wire if row else "openai")
    request = wire.request(target, messages, fitted(row, target.model, params, stream=stream), stream=stream)
    if headers:
        ours = {name.lower(): value for name, value in headers.items()}
        request = replace(request, headers={**request.headers, **ours})
    return ModelCall(
        request,
        wire,
        f"{target.provider}/{target.model}",
        _secrets(target.api_key, headers or {}),
        TIMEOUT if timeout is None else timeout,
        RETRIES if retries is None else retries,
    )


def _secrets(key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What an answer may repeat and an error must not; a short header is no key, but a word of any text."""
    given = [word for value in headers.values() for word in value.split() if len(word) >= 8]
    return (key, *given) if key else tuple(given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def send(call: ModelCall) -> dict[str, Any]:
    """The model's answer, whole."""
    stack, answer = connect(call)
    with stack, _Mapped(call):
        return _decode(call, answer.read())


async def asend(call: ModelCall, open_: Open = open_astream) -> dict[str, Any]:
    """``send`` on the running loop."""
    stack, answer = await aconnect(call, open_)
    async with stack:
        with _Mapped(call):
            return _decode(call, await answer.aread())


async def areceive(call: ModelCall, open_: Open = open_astream) -> Response:
    """The provider's answer, whole and as it came."""
    stack, answer = await aconnect(call, open_)
    async with stack:
        with _Mapped(call):
            return await answer.aread()


def stream(call: ModelCall) -> Iterator[dict[str, Any]]:
    """The answer's chunks; the request goes out when the first is asked for."""
    yield from chunks(call, *connect(call))


async def astream(call: ModelCall) -> AsyncIterator[dict[str, Any]]:
    """``stream`` on the running loop."""
    async with aclosing(achunks(call, *await aconnect(call))) as arriving:
        async for chunk in arriving:
            yield chunk


def chunks(call: ModelCall, stack: ExitStack, answer: Streaming) -> Iterator[dict[str, Any]]:
    """The chunks of a stream that ``connect`` opened; closes it at its end."""
    events = call.wire.events()
    with stack, _Mapped(call):
        for data in answer.chunks():
            yield from events.feed(data)
        events.end()


async def achunks(call: ModelCall, stack: AsyncExitStack, answer: Arriving) -> AsyncGenerator[dict[str, Any]]:
    """``chunks`` on the running loop."""
    events = call.wire.events()
    async with stack:
        with _Mapped(call):
            async for data in answer.achunks():
                for chunk in events.feed(data):
                    yield chunk
            events.end()


def connect(call: ModelCall) -> tuple[ExitStack, Streaming]:
    """Send, again if that is safe, until an answer with status 200 begins. Raises ``GatewayError``."""
    attempts = _Attempts(call)
    while True:
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(open_stream(call.request, call.timeout))
                if answer.status == 200:
                    return stack.pop_all(), answer
                pause = attempts.after_status(answer.read())
            except TransportError as error:
                pause = attempts.after_break(error)
        time.sleep(pause)


async def aconnect(call: ModelCall, open_: Open = open_astream) -> tuple[AsyncExitStack, Arriving]:
    """``connect`` on the running loop, by the loop's own client or ``open_``."""
    attempts = _Attempts(call)
    while True:
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(open_(call.request, call.timeout))
                if answer.status == 200:
                    return stack.pop_all(), answer
                pause = attempts.after_status(await answer.aread())
            except TransportError as error:
                pause = attempts.after_break(error)
        await asyncio.sleep(pause)


class _Attempts:
    """When to try again: never once a POST may have been carried out, unless the provider answered that it wasn't."""

    def __init__(self, call: ModelCall) -> None:
        self._call = call
        self._left = call.retries
        self._pause = 0.5
        log.show_request(call.request)

    def after_status(self, response: Response) -> float:
        """Seconds to wait, or ``GatewayError``."""
        if response.status not in RETRIED or not self._left:
            raise _refusal(self._call, response)
        return self._next(retry_after(response.headers))

    def after_break(self, error: TransportError) -> float:
        """Seconds to wait, or ``GatewayError``."""
        if error.sent or not self._left:
            raise broken(self._call, error) from error
        return self._next(None)

    def _next(self, asked: float | None) -> float:
        self._left -= 1
        pause, self._pause = self._pause * random.uniform(0.75, 1.25), self._pause * 2  # noqa: S311 - jitter
        return pause if asked is None else min(asked, MAX_PAUSE)


class _Mapped:
    """While an answer is read: a broken connection, and secrets in an error, become what callers may see.

    Of the frames that the error has left nothing is kept: the whole answer is in them.
    """

    def __init__(self, call: ModelCall) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, frames: TracebackType | None) -> None:
        if isinstance(error, TransportError | GatewayError):
            traceback.clear_frames(frames)
        if isinstance(error, TransportError):
            raise broken(self._call, error) from error
        if isinstance(error, GatewayError):
            error.args = (f"{self._call.name}: {error}",)
            error.body = error.body and _masked(self._call, error.body)


def _decode(call: ModelCall, response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        raise_bare(GatewayError("the provider's answer is not JSON; is the base URL right?", status_code=200))
    return call.wire.answer(body)


def broken(call: ModelCall, error: TransportError) -> GatewayError:
    """What callers are told of a connection that failed."""
    return GatewayError(f"{call.name}: {error}; check the base URL, or the provider's status")


def _refusal(call: ModelCall, response: Response) -> GatewayError:
    """Names the provider's codes; its words, which may repeat the prompt's, are in ``body``."""
    text = _masked(call, response.body.decode(errors="replace"))
    status = response.status
    codes = ", ".join(_codes(text))
    message = f"{call.name}: the provider answered {status}{f' ({codes})' if codes else ''}; .body has its words"
    return GatewayError(message, status_code=status, body=text, retry_after=retry_after(response.headers))


def _codes(text: str) -> list[str]:
    try:
        error = json.loads(text)["error"]
        found = [error.get(key) for key in ("type", "code", "param")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return [code for code in found if isinstance(code, str) and code.replace("_", "").isalnum()]


def _masked(call: ModelCall, text: str) -> str:
    for secret in call.secrets:
        text = text.replace(secret, "*****")
    return text
