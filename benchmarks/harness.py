"""What the benchmarks share: the server, the peers' environment, interleaved rounds, and the table."""

import argparse
import http.client
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from textwrap import fill
from typing import Self, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
VARIABLES = {"role": "a clerk", "company": "Example Ltd", "day": "Monday"}

_FOREIGN = ("PROMPTWIRE_", "LANGFUSE_", "OPENAI_", "LITELLM_", "OTEL_", "LANGSMITH_", "LANGCHAIN_")
_UNITS = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), "B": ((1e6, "MB"), (1e3, "kB"))}


class Server:
    """The loopback server's address, its counts, and a port beside it that refuses."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def count(self, name: str) -> int:
        """How often a prompt was asked for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/counts")
        counts: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        return counts.get(name, 0)


@contextmanager
def serving() -> Generator[Server]:
    """The server in a process of its own, and this process's environment pointing at it and nowhere else."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101 - as above
        server = Server(int(process.stdout.readline()))
        point_at(server.url)
        yield server
        process.stdin.close()


def point_at(url: str) -> None:
    """Leave the developer's own keys, hosts and proxies out of this process and those that it starts."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        LANGFUSE_HOST=url, LANGFUSE_BASE_URL=url, LANGFUSE_PUBLIC_KEY="pk-lf-bench",
        LANGFUSE_SECRET_KEY="sk-lf-bench",  # noqa: S106 - a made-up key
        LANGFUSE_TRACING_ENABLED="false", OPENAI_API_KEY="sk-bench", OPENAI_BASE_URL=url,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )  # fmt: skip


def interleave(subjects: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """One sample of each subject per round, each time another one first; the first round only warms up."""
    samples: dict[str, list[T]] = {name: [] for name in subjects}
    order = list(subjects)
    for number in range(rounds + 1):
        for name in order:
            sample = subjects[name]()
            if number:
                samples[name].append(sample)
        order.append(order.pop(0))
    return samples


def timed(call: Callable[[], object], number: int) -> Callable[[], float]:
    """A sample of the seconds that one of so many calls takes."""

    def sample() -> float:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number

    return sample


def shown(value: float, unit: str) -> str:
    """Three digits and the unit's fitting multiple."""
    if unit not in _UNITS:
        return f"{value:.0f}{unit}"
    scale, name = next((step for step in _UNITS[unit] if value >= step[0]), _UNITS[unit][-1])
    return f"{value / scale:.3g} {name}"


def _digits(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio >= 0.1 else f"{ratio:.2g}"


@dataclass(frozen=True)
class Row:
    """One comparison as it is printed; ``ok`` is ``None`` where no target is set."""

    name: str
    ours: str
    peer: str = ""
    ratio: str = ""
    noise: str = ""
    target: str = ""
    ok: bool | None = None

    @property
    def verdict(self) -> str:
        return "" if self.ok is None else "ok" if self.ok else "MISS"

    def cells(self) -> tuple[str, ...]:
        return (self.name, self.ours, self.peer, self.ratio, self.noise, self.target, self.verdict)


HEADINGS = ("", "ours", "peer", "ratio", "noise", "target", "")
_LINE = "{:<32} {:>7} {:>7} {:>7} {:>5} {:>9} {:>4}"


@dataclass
class Report:
    """What one script found out. A ratio is ours / peer in the same round, and the median of the rounds'."""

    title: str
    quick: bool = False
    strict: bool = False
    everything: bool = False
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=lambda: {"python": platform.python_version()})

    @classmethod
    def of_arguments(cls, title: str, packages: Sequence[str]) -> Self:
        """Read the command line; ``packages`` are those whose versions matter."""
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("--quick", action="store_true", help="fewer rounds, coarser numbers")
        parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
        parser.add_argument("--all", action="store_true", help="the peer in every kind of outage, too")
        given = parser.parse_args()
        report = cls(title, given.quick, given.strict, given.all)
        report.versions.update((name, importlib.metadata.version(name)) for name in packages)
        return report

    @property
    def rounds(self) -> int:
        return 7 if self.quick else 15

    def compare(
        self,
        name: str,
        ours: Sequence[float],
        peer: Sequence[float],
        unit: str = "s",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        best: bool = False,
    ) -> None:
        """Add a ratio; ``best`` takes the fastest rounds alone, as for what takes microseconds."""
        middle = min if best else median
        ratio = min(ours) / min(peer) if best else median(a / b for a, b in zip(ours, peer, strict=True))
        low, _, high = quantiles(peer, n=4)
        target = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        ok = ratio <= at_most if at_most is not None else ratio >= at_least if at_least is not None else None
        values = shown(middle(ours), unit), shown(middle(peer), unit)
        self.rows.append(Row(name, *values, _digits(ratio), f"{(high - low) / median(peer):.0%}", target, ok))

    def bound(self, name: str, ours: float, limit: float, unit: str, peer: float | None = None) -> None:
        """Add a value of ours with an upper bound of its own."""
        beside = "" if peer is None else shown(peer, unit)
        ratio = _digits(ours / peer) if peer else ""
        self.rows.append(Row(name, shown(ours, unit), beside, ratio, "", f"<= {shown(limit, unit)}", ours <= limit))

    def finish(self) -> None:
        """Print the table and, as the last line, the same as JSON; ends the process."""
        versions = "; ".join(f"{name} {version}" for name, version in self.versions.items())
        print(f"\n{self.title}", fill(versions, 80), sep="\n")
        for cells in (HEADINGS, *(row.cells() for row in self.rows)):
            print(_LINE.format(*cells).rstrip())
        for note in self.notes:
            print(fill(note, 80))
        found = {"title": self.title, "versions": self.versions, "notes": self.notes}
        print(json.dumps({**found, "rows": [row.cells() for row in self.rows]}))
        sys.exit(self.strict and any(row.ok is False for row in self.rows))
