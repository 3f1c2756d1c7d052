"""The end of a request from outside: its client leaves, or its time is over."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive

from promptwire.proxy.body import HungUpError

LOOK_SECONDS = 0.2


async def until_hang_up(receive: Receive, work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Do the work, unless its client leaves (``HungUpError``) or it takes longer than ``seconds`` (``TimeoutError``).

    The body must have been read whole: then the next message can only be that the client has left. Nobody listens for
    it in the first 0.2 s, for most calls are over by then and a task costs more than a timer.
    """
    watch = _Watch(receive, seconds)
    try:
        await work
    except asyncio.CancelledError:
        if watch.verdict is None or watch.task.uncancel() > 0:
            raise
        raise watch.verdict from None
    finally:
        watch.end()


class _Watch:
    __slots__ = ("_limit", "_listener", "_look", "_receive", "task", "verdict")

    def __init__(self, receive: Receive, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a request is served by a task
        self.task: asyncio.Task[Any] = task
        self.verdict: Exception | None = None
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._look = loop.call_later(LOOK_SECONDS, self._listen)
        self._limit = loop.call_later(seconds, self._cancel, TimeoutError())

    def _listen(self) -> None:
        self._listener = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._receive()
        self._cancel(HungUpError())

    def _cancel(self, verdict: Exception) -> None:
        if self.verdict is None:
            self.verdict = verdict
            self.task.cancel()

    def end(self) -> None:
        self._look.cancel()
        self._limit.cancel()
        if self._listener is not None:
            self._listener.cancel()
