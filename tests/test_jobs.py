"""Coroutines on threads of their own: they end, fail, and are stopped from anywhere."""

import asyncio
import threading

import pytest

from promptwire.ambient import ambient_variables, variables
from promptwire.jobs import Job


def test_a_job_runs_beside_a_running_loop_in_the_callers_context() -> None:
    seen: list[object] = []

    async def work() -> None:
        seen.append((threading.current_thread().name, ambient_variables()))

    async def main() -> None:
        with variables(name="Ann"):
            Job(work, "aside").result()

    asyncio.run(main())
    assert seen == [("aside", {"name": "Ann"})]


def test_what_it_raises_is_raised_to_whoever_asks() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    job = Job(work, "failing")
    job.wait()
    with pytest.raises(ZeroDivisionError):
        job.result()


def test_it_is_stopped_while_it_waits() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    job = Job(work, "waiting")
    assert begun.wait(10)
    job.wait(0)
    assert not ended.is_set()
    job.stop()
    job.wait(10)
    assert ended.is_set()
    job.stop()  # of one that has ended


def test_it_is_stopped_before_it_begins() -> None:
    made: list[threading.Thread] = []
    ran: list[int] = []

    class Late(threading.Thread):
        """Starts when it is told to."""

        def start(self) -> None:
            made.append(self)

    async def work() -> None:
        ran.append(1)

    job = Job(work, "late", Late)
    job.stop()
    threading.Thread.start(made[0])
    job.wait(10)
    assert ran == []
