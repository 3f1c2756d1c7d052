"""One fetch under way, and everybody who waits for it."""

import asyncio
import contextlib
import os
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Generic, TypeVar

from promptwire.errors import PromptwireError
from promptwire.workers import Job

T = TypeVar("T")


def on_a_loop() -> bool:
    """Whether this thread runs an event loop, which whoever waits would stop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Flight(Generic[T]):
    """One fetch under way, and everybody who waits for it; it may take as long as the most patient of them does.

    ``deadline`` is monotonic, and doesn't move with each newcomer: under steady traffic none would ever pass.
    """

    __slots__ = ("_done", "_started", "deadline", "patient", "pid", "queued", "soonest")

    def __init__(self, deadline: float) -> None:
        self._started = time.monotonic()
        self.deadline = self.soonest = deadline
        self.pid = os.getpid()
        self.queued = True
        self.patient: Job | None = None  # the job, while nobody waits for it
        self._done: Future[T | PromptwireError] = Future()

    @property
    def under_way(self) -> bool:
        """Whether it can still land; a parent's flight never lands in a forked child."""
        return self.pid == os.getpid() and not self._done.done()

    @property
    def outcome(self) -> T | PromptwireError | None:
        """What was fetched, the error, or ``None`` while it is under way."""
        return self._done.result() if self._done.done() else None

    def ends(self) -> float:
        """The ``deadline`` as it is when this is called."""
        return self.deadline

    def take_off(self, seconds: float) -> None:
        """A thread has it: its time counts from here, since what waits in a queue says nothing of its host."""
        self.queued = False
        self.patient = None
        self._started = time.monotonic()
        self.join(seconds)

    def join(self, seconds: float) -> None:
        """One more caller waits, for so long."""
        self.deadline = max(self.deadline, self._started + seconds)

    def settle(self, outcome: T | PromptwireError) -> None:
        """Wake the waiters; only the first outcome counts."""
        with contextlib.suppress(Exception):  # concurrent.futures.InvalidStateError: somebody was first
            self._done.set_result(outcome)

    def wait(self, deadline: float) -> None:
        """Block until it has landed, or ``deadline``."""
        with contextlib.suppress(FutureTimeoutError):
            self._done.result(max(deadline - time.monotonic(), 0))

    async def await_(self, deadline: float) -> None:
        """Await the landing, or ``deadline``; a cancelled waiter cancels nobody else."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # that loop has closed in the meantime
                loop.call_soon_threadsafe(waiter.set_result, None)

        self._done.add_done_callback(wake)
        await asyncio.wait((waiter,), timeout=max(deadline - time.monotonic(), 0))
