"""How long an event loop is held up: by a call's own steps, and altogether.

Time in which the system gave the thread no CPU is the machine's, and told apart (Linux: from /proc); and so is that of
Python's collector of cycles, which goes through all objects of the process on whichever thread makes one too many.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar, cast

T = TypeVar("T")

TICK = 0.005
KEPT = 5


class Worst:
    """The longest few of many spans of one thread, in seconds: in all, without waiting for a CPU, and on a CPU.

    The third is without the collector, and the fourth what all threads of the process spent on CPUs meanwhile: where
    a thread waits for the interpreter, and its holder for a CPU, no more than that of the span is the process' doing.
    How long a CPU was waited for is only known where ``with_waits``: it costs a call of the system, at which a thread
    gives way to all others of its process.
    """

    def __init__(self, *, with_waits: bool = False) -> None:
        self.spans: list[tuple[float, float, float, float]] = []
        self._thread = threading.get_ident()
        self._collecting = self._collected = 0.0
        gc.callbacks.append(self._collect)
        self._queued: int | None = None if with_waits else -1

    def mark(self) -> tuple[float, float, float, float]:
        """On the thread that is measured."""
        return time.perf_counter(), self._waited(), time.thread_time() - self._collected, time.process_time()

    def add(self, start: tuple[float, float, float, float], expected: float = 0.0) -> None:
        whole, queued, busy, all_busy = (end - begin for begin, end in zip(start, self.mark(), strict=True))
        whole -= expected
        if len(self.spans) < KEPT or whole > self.spans[-1][0]:
            self.spans = sorted([*self.spans, (whole, whole - queued, busy, all_busy)], reverse=True)[:KEPT]

    def _collect(self, phase: str, _: object) -> None:
        if threading.get_ident() == self._thread:
            if phase == "stop":
                self._collected += time.thread_time() - self._collecting
            self._collecting = time.thread_time()

    def _waited(self) -> float:
        """Seconds for which this thread could have run, but had no CPU."""
        if self._queued is None:
            try:
                self._queued = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
            except OSError:
                self._queued = -1
        return int(os.pread(self._queued, 100, 0).split()[1]) / 1e9 if self._queued >= 0 else 0.0


class Stepped(Awaitable[T]):
    """Awaits a call, and adds what each of its steps costs the loop, from one suspension to the next."""

    def __init__(self, call: Awaitable[T], worst: Worst) -> None:
        self._call = call
        self._worst = worst

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._call.__await__()
        while True:
            start = self._worst.mark()
            try:
                waited = next(steps)
            except StopIteration as done:
                return cast("T", done.value)
            finally:
                self._worst.add(start)
            yield waited


async def tick(end: float, worst: Worst) -> None:
    """Until ``end``, monotonic: add by how much the loop is late."""
    while time.monotonic() < end:
        start = worst.mark()
        await asyncio.sleep(TICK)
        worst.add(start, TICK)
