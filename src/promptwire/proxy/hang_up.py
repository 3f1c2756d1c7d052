"""Noticing that a client has left, at next to no cost for requests that are soon answered."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from starlette.types import Receive

LOOK_SECONDS = 0.2


async def until_hang_up(receive: Receive, work: Awaitable[None]) -> bool:
    """Do the work, and end it when the client leaves; answers whether it was done.

    The body must have been read whole: then the next message can only be that the client has left. Nobody listens for
    it in the first 0.2 s, for most calls are over by then, and the last part of an answer is such a message, too.
    """
    watch = _Watch(receive)
    try:
        await work
    except asyncio.CancelledError:
        if not watch.left:
            raise
        watch.task.uncancel()
        return False
    finally:
        watch.end()
    return True


class _Watch:
    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is served by a task
        self.task: asyncio.Task[Any] = task
        self.left = False
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._listen)

    def _listen(self) -> None:
        self._listener = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._receive()
        self.left = True
        self.task.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
