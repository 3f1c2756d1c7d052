"""The pool of daemon threads: every job runs, whatever the others do."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import workers
from promptwire.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    Until = Callable[..., None]

SECONDS = 10


def pool_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "promptwire-fetch"}


def run(pool: Workers, source: str = "one") -> None:
    done = threading.Event()
    pool.submit(source, done.set)
    assert done.wait(SECONDS)


def test_jobs_run_in_order_on_daemon_threads() -> None:
    pool, seen, done = Workers(limit=1), [], threading.Event()
    for number in range(20):
        pool.submit("one", lambda number=number: seen.append((number, threading.current_thread().daemon)))  # type: ignore[misc]
    pool.submit("one", done.set)
    assert done.wait(SECONDS)
    assert seen == [(number, True) for number in range(20)]


def test_a_job_that_somebody_has_come_to_wait_for_goes_before_the_others() -> None:
    pool, seen, gate, done = Workers(limit=1), list[str](), threading.Event(), threading.Event()
    jobs = {name: partial(seen.append, name) for name in "abc"}

    def wait() -> None:
        gate.wait(SECONDS)

    pool.submit("one", wait)
    for job in jobs.values():
        pool.submit("one", job, waited_for=False)
    pool.hurry(jobs["b"])
    pool.hurry(jobs["b"])
    pool.submit("one", lambda: seen.append("new"))
    pool.submit("one", done.set, waited_for=False)
    gate.set()
    assert done.wait(SECONDS)
    assert seen == ["b", "new", "a", "c"]


def test_jobs_submitted_in_one_breath_do_not_wait_for_each_other(until: Until) -> None:
    """The thread left idle by an earlier job is counted on once, not by everybody who finds it still asleep."""
    pool = Workers()
    run(pool)
    together = threading.Barrier(8)
    passed = Counter[str]()

    def job() -> None:
        together.wait(SECONDS)
        passed["all"] += 1

    for number in range(8):
        pool.submit(number, job)
    until(lambda: passed["all"] == 8)


def test_a_source_has_a_cap_and_the_pool_a_limit(until: Until) -> None:
    before = pool_threads()
    pool, gate, running = Workers(limit=5, per_source=2), threading.Event(), Counter[str]()

    def hold(source: str) -> Callable[[], None]:
        def job() -> None:
            running[source] += 1
            gate.wait(SECONDS)

        return job

    for source in ("a", "b", "c"):
        for _ in range(10):
            pool.submit(source, hold(source))
    until(lambda: sum(running.values()) == 5)
    assert running == {"a": 2, "b": 2, "c": 1}
    assert len(pool_threads() - before) == 5
    gate.set()
    until(lambda: sum(running.values()) == 30)


def test_half_of_a_sources_cap_is_kept_for_what_somebody_waits_for(until: Until) -> None:
    pool, gate, running = Workers(per_source=4), threading.Event(), Counter[str]()

    def job() -> None:
        running["one"] += 1
        gate.wait(SECONDS)

    for _ in range(10):
        pool.submit("one", job, waited_for=False)
    until(lambda: running["one"] == 2)
    run(pool)
    hurried = threading.Event()
    last = hurried.set
    pool.submit("one", last, waited_for=False)
    assert not hurried.wait(0.05)
    pool.hurry(last)
    assert hurried.wait(SECONDS), "by an idle thread"
    assert running["one"] == 2
    gate.set()
    until(lambda: running["one"] == 10)


def test_a_job_that_raises_takes_only_its_thread_along(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def boom() -> None:
        raise KeyError

    pool = Workers(limit=3, per_source=1)
    for _ in range(2):
        pool.submit("one", boom)
        until(lambda: raised and raised.pop())
    run(pool)


def test_idle_threads_end_and_new_ones_start(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.01)
    before = pool_threads()
    pool = Workers()
    for _ in range(3):
        run(pool)
        until(lambda: pool_threads() <= before)


def test_an_idle_thread_stays_for_jobs_that_may_not_run_yet(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.01)
    pool, gate, done = Workers(limit=2, per_source=1), threading.Event(), threading.Event()
    before = pool_threads()

    def hold() -> None:
        gate.wait(SECONDS)

    pool.submit("one", hold)
    pool.submit("one", done.set)
    until(lambda: len(pool_threads() - before) == 2)
    assert not done.wait(0.05)
    gate.set()
    assert done.wait(SECONDS)


def test_a_job_waits_if_the_system_has_no_thread_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, done = Workers(), threading.Event()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(20):
            pool.submit("one", done.set)
    run(pool)
    assert done.wait(SECONDS)


def test_a_forked_child_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, gate, started = Workers(limit=1), threading.Event(), threading.Event()
    monkeypatch.setattr(workers, "_living", weakref.WeakSet([pool]))

    def hold() -> None:
        started.set()
        gate.wait(SECONDS)

    pool.submit("one", hold)
    assert started.wait(SECONDS)
    workers._after_fork()  # noqa: SLF001 - what the system calls in the child
    run(pool)
    gate.set()
