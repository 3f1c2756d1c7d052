"""Two hundred callers who miss the cache together: how often the server is asked, and how long they wait."""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

from langfuse import Langfuse

from benchmarks.harness import Report, Server, interleave, serving
from promptwire import Resolver

CALLERS = 200


def _threads(call: Callable[[], object]) -> float:
    """Seconds until every thread has its prompt."""
    barrier = threading.Barrier(CALLERS + 1)

    def work() -> None:
        barrier.wait()
        call()

    threads = [threading.Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


async def _tasks(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds until every task has its prompt."""
    start = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return time.perf_counter() - start


def measure(report: Report, server: Server, runner: asyncio.Runner) -> None:
    resolver, sdk = Resolver("langfuse"), Langfuse()
    numbers = itertools.count()
    asked: dict[str, list[str]] = {"threads": [], "sdk threads": [], "tasks": [], "sdk tasks": []}

    def new(kind: str) -> str:
        asked[kind].append(f"slow-{next(numbers)}")
        return asked[kind][-1]

    samples = interleave(
        {
            "threads": lambda: _threads(partial(resolver.get_prompt, new("threads"))),
            "sdk threads": lambda: _threads(partial(sdk.get_prompt, new("sdk threads"))),
            "tasks": lambda: runner.run(_tasks(partial(resolver.aget_prompt, new("tasks")))),
            "sdk tasks": lambda: runner.run(_tasks(partial(sdk.async_api.prompts.get, new("sdk tasks")))),
        },
        2 if report.quick else 7,
    )
    for kind in ("threads", "tasks"):
        ours, peer = (max(map(server.count, asked[which])) for which in (kind, f"sdk {kind}"))
        report.bound(f"{CALLERS} {kind}: requests", ours, 1, "", peer)
        report.compare(f"{CALLERS} {kind}: wait of the last", samples[kind], samples[f"sdk {kind}"])
    report.notes.append("The SDK's get_prompt() would block the loop; its tasks use async_api.prompts.get().")


def main() -> None:
    report = Report.of_arguments("A cold cache, and everybody at once", ["promptwire", "langfuse"])
    with serving() as server, asyncio.Runner() as runner:
        measure(report, server, runner)
    report.finish()


if __name__ == "__main__":
    main()
