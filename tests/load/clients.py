"""Run with a plan and a number of tasks and threads: asks for prompts, judges each answer, and tells what it saw."""

import asyncio
import gc
import json
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from promptwire import RenderedPrompt, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from tests.load.plan import MAX_STALE, PROMPTS, TIMEOUT, Plan, max_stale
from tests.load.stalls import Stepped, Worst, tick

THINK = 0.2
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLES = 50


class Judge:
    """Counts answers by their source, and keeps what is wrong with any of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self.sources: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.oldest: dict[str, float] = {}
        self.beyond: list[tuple[str, float, float]] = []

    def answer(self, number: int, who: str, rendered: RenderedPrompt) -> None:
        version = rendered.prompt.version
        mark, text = f"p{number}:{version}", [message["content"] for message in rendered.messages]
        right = [f"{mark} for {who}", f"{mark} {'padding ' * 50} {who} {mark}"]
        if text != right or (rendered.model, rendered.params["metadata"]["mark"]) != (mark, mark):
            self.error(f"{mark}: {text} {rendered.model} {rendered.params}")
        age = self._plan.overdue(number, int(version or 0))
        with self._lock:
            self.sources[rendered.source] += 1
            self.oldest[rendered.source] = max(age, self.oldest.get(rendered.source, 0.0))
            if rendered.source == "stale" and age > max_stale(number):
                self.beyond.append((f"p{number}", time.monotonic(), age))

    def error(self, told: str) -> None:
        with self._lock:
            self.wrong.append(told)


class Load:
    """A resolver for each ``max_stale``, asked by tasks of one loop and by threads."""

    def __init__(self, plan: Plan, options: dict[str, Any]) -> None:
        backend = LangfuseBackend("pk-lf-load", "sk-lf-load", options["url"])
        fixed = {"store": options["store"] or False, "cache_ttl": options["ttl"], "timeout": TIMEOUT}
        self._resolvers = {most: Resolver(backend, max_stale=most, **fixed) for most in (0.0, MAX_STALE)}
        self._options = options
        self._judge = Judge(plan)
        self._end = 0.0
        self._steps, self._ticks = Worst(), Worst(with_waits=True)
        self._memory: list[int] = []

    def warm(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: self._of(number).get_prompt(f"p{number}", timeout=60), range(PROMPTS)))

    def _of(self, number: int) -> Resolver:
        return self._resolvers[max_stale(number)]

    def run(self) -> dict[str, Any]:
        self._end = time.monotonic() + self._options["seconds"]
        threads = [threading.Thread(target=self._thread, args=(n,)) for n in range(self._options["threads"])]
        for thread in threads:
            thread.start()
        asyncio.run(self._loop())
        for thread in threads:
            thread.join()
        judge = self._judge
        return {
            "sources": judge.sources, "wrong": len(judge.wrong), "examples": judge.wrong[:3], "oldest": judge.oldest,
            "beyond": judge.beyond, "steps": self._steps.spans, "ticks": self._ticks.spans, "memory": self._memory,
            "load": os.getloadavg()[0],
        }  # fmt: skip

    def _thread(self, seed: int) -> None:
        dice = random.Random(f"thread {seed}")  # noqa: S311 - the same load each time
        while time.monotonic() < self._end:
            number, who = dice.randrange(PROMPTS), f"u{dice.random()}"
            try:
                self._judge.answer(number, who, self._of(number).resolve(f"p{number}", variables={"who": who}))
                if dice.random() < 0.001:
                    self._of(number).invalidate(f"p{number}")
            except Exception as error:  # noqa: BLE001 - it would end the thread, which nobody saw
                self._judge.error(f"{error!r}")
            time.sleep(THINK * dice.uniform(0.5, 1.5))

    async def _task(self, seed: int) -> None:
        dice = random.Random(f"task {seed}")  # noqa: S311 - as above
        await asyncio.sleep(THINK * dice.random())
        while time.monotonic() < self._end:
            number, who = dice.randrange(PROMPTS), f"u{dice.random()}"
            try:
                call = self._of(number).aresolve(f"p{number}", variables={"who": who})
                self._judge.answer(number, who, await Stepped(call, self._steps))
            except Exception as error:  # noqa: BLE001 - as above
                self._judge.error(f"{error!r}")
            await asyncio.sleep(THINK * dice.uniform(0.5, 1.5))

    async def _loop(self) -> None:
        meter, sampler = asyncio.create_task(tick(self._end, self._ticks)), asyncio.create_task(self._sample())
        await asyncio.gather(*(self._task(seed) for seed in range(self._options["tasks"])))
        await asyncio.gather(meter, sampler)

    async def _sample(self) -> None:
        while time.monotonic() < self._end:
            with open("/proc/self/statm") as file:  # noqa: ASYNC230, PTH123 - from memory, at once
                self._memory.append(int(file.read().split()[1]) * PAGE)
            await asyncio.sleep(self._options["seconds"] / SAMPLES)


def main() -> None:
    options = json.loads(sys.argv[2])
    logging.getLogger("promptwire").addHandler(logging.NullHandler())  # thousands of outages, one line each
    load = Load(Plan(**json.loads(sys.argv[1])), options)
    load.warm()
    gc.freeze()  # as a service does that wants short pauses: else the collector goes through all of httpx each time
    print(json.dumps("warm"), flush=True)  # noqa: T201 - told line by line
    sys.stdin.readline()
    print(json.dumps(load.run()), flush=True)  # noqa: T201 - told line by line


if __name__ == "__main__":
    main()
