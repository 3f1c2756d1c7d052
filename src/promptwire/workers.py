"""A small pool of daemon threads for blocking fetches: started when needed, never joined, rebuilt after fork."""

import contextlib
import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Protocol

Job = Callable[[], None]

IDLE_SECONDS = 30.0


class Workers:
    """Runs jobs in order of arrival, but those waited for first; at most ``per_source`` at once for one source.

    The cap keeps one hanging server from taking every thread. Of what nobody waits for, half as many run: a caller
    finds a thread at once, and an event loop has few rivals for the interpreter. Daemon threads, unlike those of
    ``concurrent.futures``, are not joined at exit: a fetch under way never delays it.
    """

    def __init__(self, limit: int = 16, per_source: int = 8) -> None:
        self._limit = limit
        self._per_source = per_source
        self.reset()
        rebuild_after_fork(self)

    def reset(self) -> None:
        """Start over with no threads and no jobs."""
        self._changed = threading.Condition(threading.Lock())
        self._waited_for: deque[tuple[Hashable, Job]] = deque()
        self._others: deque[tuple[Hashable, Job]] = deque()
        self._running: Counter[Hashable] = Counter()
        self._threads = 0
        self._idle = 0

    def submit(self, source: Hashable, job: Job, *, waited_for: bool = True) -> None:
        """Run ``job``, which must not raise, when a thread is free."""
        with self._changed:
            (self._waited_for if waited_for else self._others).append((source, job))
            self._call_thread()

    def hurry(self, job: Job) -> None:
        """Somebody waits for it by now; nothing, if it is no longer queued."""
        with self._changed:
            for queued in self._others:
                if queued[1] is job:
                    self._others.remove(queued)
                    self._waited_for.append(queued)
                    self._call_thread()
                    return

    def _call_thread(self) -> None:
        """An idle one, or a new one: a thread that was called but has not woken yet is still counted idle."""
        self._changed.notify()
        if self._threads >= self._limit or len(self._waited_for) + len(self._others) <= self._idle:
            return
        # If the system has none to give, the job waits for another thread, and its caller for its deadline.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._work, name="promptwire-fetch", daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            source, job = taken
            try:
                job()
            finally:
                with self._changed:
                    self._running[source] -= 1
                    if not self._running[source]:
                        del self._running[source]
                    self._changed.notify()
            del taken, source, job  # an idle thread keeps nobody's resolver

    def _take(self) -> tuple[Hashable, Job] | None:
        """The next job whose source is under its cap; ``None`` ends an idle thread."""
        with self._changed:
            while True:
                for queue, cap in ((self._waited_for, self._per_source), (self._others, (self._per_source + 1) // 2)):
                    for index, (source, job) in enumerate(queue):
                        if self._running[source] < cap:
                            del queue[index]
                            self._running[source] += 1
                            return source, job
                self._idle += 1
                woken = self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
                if not woken and not self._waited_for and not self._others:
                    self._threads -= 1
                    return None


class _Resettable(Protocol):
    def reset(self) -> None: ...


_living: "weakref.WeakSet[_Resettable]" = weakref.WeakSet()


def rebuild_after_fork(held: _Resettable) -> None:
    """Call ``held.reset()`` in a forked child: it has no thread of the parent's, and locks in any state."""
    _living.add(held)


def _after_fork() -> None:
    for held in list(_living):
        held.reset()


os.register_at_fork(after_in_child=_after_fork)
