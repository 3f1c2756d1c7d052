"""``acompletion()``, fifty at once, beside a raw aiohttp session and LiteLLM."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

import promptwire
from benchmarks.harness import Report, interleave, serving
from benchmarks.peers import CALL, HEADERS, body, litellm

AT_ONCE = 50


async def _rate(call: Callable[[], Awaitable[object]], number: int) -> float:
    """Calls per second."""
    left = iter(range(number))

    async def work() -> None:
        for _ in left:
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return number / (time.perf_counter() - start)


async def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000))


def measure(report: Report, url: str, runner: asyncio.Runner) -> None:
    session = runner.run(_open_session())
    address, sent = f"{url}/chat/completions", body()
    number = 500 if report.quick else 1_500

    async def post() -> object:
        async with session.post(address, data=sent, headers=HEADERS) as answer:
            return await answer.json()

    subjects = {
        "aiohttp": lambda: runner.run(_rate(post, number)),
        "ours": lambda: runner.run(_rate(lambda: promptwire.acompletion(**CALL), number)),
    }
    with litellm(report) as peer:
        if peer:
            seconds = peer.measure("at once", number // 5)
            subjects["litellm"] = lambda: 1 / seconds()
        samples = interleave(subjects, report.rounds)
    runner.run(session.close())
    report.compare("acompletion() vs aiohttp", samples["ours"], samples["aiohttp"], "/s", at_least=0.25)
    if peer:
        report.compare("acompletion() vs LiteLLM", samples["ours"], samples["litellm"], "/s", at_least=6)


def main() -> None:
    report = Report.of_arguments(f"{AT_ONCE} model calls at once", ["promptwire", "aiohttp", "httpx-aiohttp"])
    with serving() as server, asyncio.Runner() as runner:
        measure(report, server.url, runner)
    report.finish()


if __name__ == "__main__":
    main()
