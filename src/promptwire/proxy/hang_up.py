"""The end of a request from outside: its client leaves, or its time is over."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive

from promptwire.proxy.body import HungUpError

LOOK_SECONDS = 0.2


class Watcher:
    """Looks after the requests under way, every 0.2 s.

    Most are over before it looks once, and cost next to nothing: a timer or a listening task for each would not.
    """

    def __init__(self) -> None:
        self._watched: set[_Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def until_hang_up(self, receive: Receive, work: Coroutine[Any, Any, None], seconds: float) -> None:
        """Do the work, unless its client leaves (``HungUpError``) or ``seconds`` have passed (``TimeoutError``).

        The body must have been read whole: then the next message can only be that the client has left.
        """
        loop = asyncio.get_running_loop()
        watch = _Watch(loop, receive, loop.time() + seconds)
        self._watched.add(watch)
        if self._timer is None:
            self._timer = loop.call_later(LOOK_SECONDS, self._look, loop)
        try:
            await work
        except asyncio.CancelledError:
            if watch.verdict is None or watch.task.uncancel() > 0:
                raise
            raise watch.verdict from None
        finally:
            self._watched.discard(watch)
            watch.end()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        for watch in self._watched:
            watch.look(loop.time())
        self._timer = loop.call_later(LOOK_SECONDS, self._look, loop) if self._watched else None


class _Watch:
    __slots__ = ("_deadline", "_listener", "_receive", "task", "verdict")

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive, deadline: float) -> None:
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a request is served by a task
        self.task: asyncio.Task[Any] = task
        self.verdict: Exception | None = None
        self._receive = receive
        self._deadline = deadline
        self._listener: asyncio.Task[None] | None = None

    def look(self, now: float) -> None:
        if now >= self._deadline:
            self._cancel(TimeoutError())
        elif self._listener is None:
            self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        await self._receive()
        self._cancel(HungUpError())

    def _cancel(self, verdict: Exception) -> None:
        if self.verdict is None:  # pragma: no branch - both within one turn of the loop
            self.verdict = verdict
            self.task.cancel()

    def end(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
