"""Load with versions that change under it and a backend that fails: no error, nothing too old, nothing mixed, no stall.

A few seconds of it; ``make soak SECONDS=60`` runs as long as it is told, and prints what it saw.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.redis_server import EXECUTABLE, RedisServer
from tests.load.plan import TIMEOUT, Plan, max_stale

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = float(os.environ.get("SOAK_SECONDS", "2"))
IS_SOAK = "SOAK_SECONDS" in os.environ
TASKS, THREADS, CORES = 1000, 200, os.cpu_count() or 1
BELIEVED = 10.0
"""Seconds for which a failure keeps a prompt, or by a dropped connection all of them, from being asked for."""
TRIES = 3
STALL = 0.02

pytestmark = [pytest.mark.timeout(SECONDS + 120), pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")]


class Process:
    """A script of this folder, spoken with line by line."""

    def __init__(self, script: str, *arguments: Any) -> None:
        told = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.load.{script}", *told],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def go_on(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def end(self) -> Any:
        with self.process as process:
            assert process.stdin
            process.stdin.close()
            return self.hear()


class Run:
    """The server, the clients, and what they told in the end."""

    def __init__(self, processes: int, store: str | None = None) -> None:
        plan = Plan(time.monotonic())
        self._server = Process("upstream", plan.told())
        self._ttl = float(processes)  # all of them together ask for each prompt once a second
        options = {
            "url": self._server.hear(), "store": store, "ttl": self._ttl, "seconds": SECONDS,
            "tasks": TASKS // processes, "threads": THREADS // processes,
        }  # fmt: skip
        self._clients = [Process("clients", plan.told(), options) for _ in range(processes)]
        for client in self._clients:
            assert client.hear() == "warm"
        self._server.go_on()
        for client in self._clients:
            client.go_on()

    def finish(self) -> None:
        self.reports = [client.hear() for client in self._clients]
        for client in self._clients:
            client.process.communicate()
        self.log: dict[str, list[tuple[float, str]]] = self._server.end()

    @property
    def sources(self) -> Counter[str]:
        return sum((Counter(report["sources"]) for report in self.reports), Counter())

    def of(self, key: str) -> list[Any]:
        """What all tell under a key, in one list."""
        return [item for report in self.reports for item in report[key]]

    def oldest(self, source: str) -> float:
        return max(float(report["oldest"].get(source, 0)) for report in self.reports)

    def worst(self, key: str) -> list[float]:
        """As ``stalls.Worst`` has them, each of the longest spans of all."""
        return [max(span[n] for span in self.of(key)) for n in range(4)]

    def growth(self) -> float:
        """The memory at the end over that amid the run."""
        ratios: list[float] = []
        for report in self.reports:
            tenth = max(len(report["memory"]) // 10, 1)
            ratios.append(median(report["memory"][-tenth:]) / median(report["memory"][4 * tenth : 6 * tenth]))
        return max(ratios)

    def unexplained(self) -> list[tuple[str, float, float]]:
        """Answers older than ``max_stale`` although nothing kept the prompt from being asked for.

        Where that is 0 any failure before explains one, for it stands until the prompt is asked for the next time.
        """
        failed = {name: [at for at, fault in entries if fault] for name, entries in self.log.items()}
        dropped = [
            at
            for name, entries in self.log.items()
            for at, fault in entries
            if fault == "drop" and sum(0 <= at - failure <= TIMEOUT for failure in failed[name]) >= TRIES
        ]
        return [
            (name, at, age)
            for name, at, age in map(tuple, self.of("beyond"))
            if not any(
                0 <= at - failure <= (BELIEVED + TIMEOUT if max_stale(int(name[1:])) else math.inf)
                for failure in (*failed.get(name, ()), *dropped)
            )
        ]

    def told(self) -> str:
        steps, ticks = self.worst("steps"), self.worst("ticks")
        requests, failures = (sum(len([1 for _, f in e if f or all_]) for e in self.log.values()) for all_ in (1, 0))
        return (
            f"{SECONDS:g} s, {len(self.reports)} processes: {dict(self.sources)}; {requests} requests, {failures} "
            f"failed; oldest cached {self.oldest('cached'):.2f} s, stale {self.oldest('stale'):.2f} s "
            f"({len(self.of('beyond'))} beyond max_stale, {len(self.unexplained())} unexplained); memory x "
            f"{self.growth():.3f}; longest step of a call {_ms(steps)}, the loop late by {_ms(ticks)} (in all, "
            "without waiting for a CPU, on it without the collector, and all threads of the process on CPUs); load "
            f"average {max(report['load'] for report in self.reports):.1f} on {CORES} cores"
        )

    def check(self) -> None:
        sources = self.sources
        assert self.of("examples") == []
        assert set(sources) <= {"fresh", "cached", "stale", "store"}
        assert sources["cached"]
        assert sources["stale"]
        assert sum(bool(fault) for entries in self.log.values() for _, fault in entries) > 50
        assert self.oldest("cached") <= self._ttl + TIMEOUT
        assert self.unexplained() == []
        assert self.growth() < (1.1 if IS_SOAK else 1.3)
        assert self.worst("steps")[2] < STALL
        if IS_SOAK:
            late = self.worst("ticks")  # of more processes than cores, some thread always waits for a CPU
            assert late[1 if len(self.reports) <= CORES else 3] < STALL


def _ms(spans: list[float]) -> str:
    return "/".join(f"{1000 * span:.1f}" for span in spans) + " ms"


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Iterator[list[Run]]:
    runs: list[Run] = []
    yield runs
    if IS_SOAK:
        with capsys.disabled():
            print(*(f"\n{run.told()}" for run in runs))  # noqa: T201 - what a soak is run for


def test_a_thousand_tasks_and_two_hundred_threads_over_five_hundred_prompts(report: list[Run]) -> None:
    run = Run(1)
    report.append(run)
    run.finish()
    run.check()


@pytest.mark.skipif(EXECUTABLE is None, reason="neither redis-server nor valkey-server is installed")
@pytest.mark.parametrize("processes", [2, 8] if IS_SOAK else [2])
def test_processes_that_share_a_redis_which_is_killed_and_restarted(processes: int, report: list[Run]) -> None:
    redis = RedisServer()
    redis.start()
    try:
        run = Run(processes, redis.url)
        report.append(run)
        end, kills = time.monotonic() + SECONDS, 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, max(SECONDS / 12, 0.5)))
            redis.stop()
            kills += 1
            time.sleep(min(0.5, SECONDS / 12))
            redis.start()
        run.finish()
    finally:
        redis.clean()
    assert kills >= 3
    run.check()
