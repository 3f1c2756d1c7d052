"""The proxy under long load, with clients that leave and calls that fail."""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from statistics import median

from benchmarks.harness import VARIABLES, Report
from benchmarks.load import post, read_answer
from benchmarks.processes import Proxy

CLIENTS = 20
MINUTES = 600.0
SAMPLES = 50
PATIENCE = 30.0


def take_seconds(arguments: list[str]) -> float | None:
    """Take ``--soak [SECONDS]`` out of the command line; 600 by default."""
    if "--soak" not in arguments:
        return None
    at = arguments.index("--soak")
    given = arguments[at + 1 : at + 2]
    seconds = float(given[0]) if given and not given[0].startswith("-") else MINUTES
    del arguments[at : at + (2 if given and not given[0].startswith("-") else 1)]
    return seconds


class Soak:
    """Every answer is judged: it carries the token of its own request's variables."""

    def __init__(self, report: Report, proxy: Proxy, seconds: float) -> None:
        self._report = report
        self._proxy = proxy
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._numbers = itertools.count(1)
        self._random = random.Random(7)  # noqa: S311 - the same load each time
        self._counts: Counter[str] = Counter()
        self._memory: list[float] = []

    async def run(self) -> None:
        sampler = asyncio.create_task(self._sample())
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))
        await sampler
        await asyncio.sleep(6)  # longer than connections are kept
        tenth = max(len(self._memory) // 10, 1)
        early, late = median(self._memory[tenth : 2 * tenth + 1]), median(self._memory[-tenth:])
        self._report.bound("memory at the end: at the start", late, early * 1.05, "B", early)
        self._report.bound("wrong answers", self._counts["wrong"], 0, "")
        self._report.bound("requests that got none", self._counts["stuck"], 0, "")
        self._report.bound("sockets left open", self._proxy.open_sockets(), 10, "")
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self._counts.items()))
        self._report.notes.append(f"{self._seconds:g} s of load by {CLIENTS} clients: {kinds}")

    async def _sample(self) -> None:
        while time.monotonic() < self._end:
            self._memory.append(self._proxy.resident())
            await asyncio.sleep(self._seconds / SAMPLES)

    async def _client(self) -> None:
        connection = None
        while time.monotonic() < self._end:
            connection = connection or await asyncio.open_connection("127.0.0.1", self._proxy.port, limit=2**20)
            lot = self._random.random()
            if lot < 0.01:
                await self._leave(connection[1])
                connection = None
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    await (self._fail if lot < 0.02 else self._ask)(*connection)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                self._counts["stuck"] += 1
                connection = None
        if connection:
            connection[1].close()

    async def _leave(self, writer: asyncio.StreamWriter) -> None:
        """Hang up on a call that the provider never answers."""
        body = {
            "model": "silent",
            "messages": [{"role": "user", "content": "x"}],
            "stream": self._random.random() < 0.5,
        }
        writer.write(post(json.dumps(body).encode(), self._proxy.port))
        await asyncio.sleep(self._random.random())
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._counts["left"] += 1

    async def _fail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = {"model": "broken", "messages": [{"role": "user", "content": "x"}]}
        writer.write(post(json.dumps(body).encode(), self._proxy.port))
        answer = await read_answer(reader)
        right = answer.startswith(b"HTTP/1.1 500") and b'"message":"broken"' in answer
        self._counts["failed" if right else "wrong"] += 1

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        token = f"t{next(self._numbers):09}"
        streamed = self._random.random() < 0.3
        body = {"model": "clerk", "messages": [], "prompt_variables": {**VARIABLES, "role": token}, "stream": streamed}
        writer.write(post(json.dumps(body).encode(), self._proxy.port))
        answer = await read_answer(reader)
        times = answer.count(token.encode())
        right = times == (100 if streamed else 1) and answer.startswith(b"HTTP/1.1 200")
        self._counts[("streamed" if streamed else "answered") if right else "wrong"] += 1
