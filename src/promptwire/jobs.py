"""Coroutines on a thread and a loop of their own, for callers whose thread may have a loop running: a notebook's."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class Job:
    """A coroutine under way, in a copy of the caller's context; its thread ends with it, and never delays the exit.

    ``thread`` is the class to use, for hosts that have one of their own.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        thread: type[threading.Thread] = threading.Thread,
    ) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        run = contextvars.copy_context().run
        self._thread = thread(target=run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Return when it has ended, or after so many seconds."""
        self._thread.join(timeout)

    def result(self) -> None:
        """Wait for its end, and raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Cancel it; does nothing to one that has ended."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                with suppress(RuntimeError):  # its loop has closed
                    self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> None:
        try:
            asyncio.run(self._tracked())
        except BaseException as error:  # noqa: BLE001 - whoever waits is to know
            self._error = error

    async def _tracked(self) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            stopped = self._stopped
        if not stopped:
            await self._work()
