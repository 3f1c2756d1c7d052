"""A cached prompt, resolved and rendered, beside the official Langfuse SDK; and five thousand of them."""

import asyncio
import gc
import itertools
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from timeit import timeit

import langfuse

import promptwire
from benchmarks.harness import ROOT, VARIABLES, Report, interleave, serving
from promptwire import Resolver

MANY, FEW = 5_000, 5
CALLS = 500
MEMORY_LIMIT = 10e6 / MANY  # per prompt
HISTORY = [{"role": "user", "content": "Good morning."}, {"role": "assistant", "content": "Good morning!"}]


def compare_rendering(report: Report) -> None:
    resolver, sdk = Resolver("langfuse"), langfuse.Langfuse()
    chat = {**VARIABLES, "history": HISTORY}
    samples = interleave(
        {
            "text": _timed(lambda: resolver.resolve("text", variables=VARIABLES).messages),
            "sdk text": _timed(lambda: sdk.get_prompt("text").compile(**VARIABLES)),
            "chat": _timed(lambda: resolver.resolve("chat", variables=chat).messages),
            "sdk chat": _timed(lambda: sdk.get_prompt("chat", type="chat").compile(**chat)),
        },
        _rounds(report),
    )
    report.compare("text, 3 variables", samples["text"], samples["sdk text"], at_most=0.5, best=True)
    report.compare("chat, and a history", samples["chat"], samples["sdk chat"], at_most=0.5, best=True)


def compare_idioms(report: Report) -> None:
    samples = interleave(
        {
            "ours": _timed(lambda: promptwire.resolve("text", backend="langfuse", variables=VARIABLES).messages),
            "sdk": _timed(lambda: langfuse.get_client().get_prompt("text").compile(**VARIABLES)),
        },
        _rounds(report),
    )
    report.compare("as both READMEs write it", samples["ours"], samples["sdk"], at_most=0.5, best=True)


def compare_sizes(report: Report) -> None:
    few, many = Resolver("langfuse"), Resolver("langfuse")
    names = _names(report)
    asyncio.run(_fill(few, names[:FEW]))
    asyncio.run(_fill(many, names))
    some, all_names = itertools.cycle(names[:FEW]), itertools.cycle(names)
    samples = interleave(
        {
            "few": _timed(lambda: few.get_prompt(next(some))),
            "many": _timed(lambda: many.get_prompt(next(some))),
            "in turn": _timed(lambda: many.get_prompt(next(all_names))),
        },
        _rounds(report),
    )
    report.compare(f"look-up among {len(names)} vs {FEW}", samples["many"], samples["few"], at_most=1.1, best=True)
    report.compare(f"each of {len(names)} in turn", samples["in turn"], samples["few"], best=True)


def compare_memory(report: Report) -> None:
    ours, peer = (_held(which, report) for which in ("ours", "sdk"))
    number = len(_names(report))
    report.bound(f"memory of {number} prompts", ours, MEMORY_LIMIT * number, "B", peer)


def _timed(call: Callable[[], object]) -> Callable[[], float]:
    """Samples short enough to fall between two interruptions now and then."""
    return lambda: timeit(call, number=CALLS) / CALLS


def _rounds(report: Report) -> int:
    return 10 * report.rounds


def _names(report: Report) -> list[str]:
    return [f"prompt-{number}" for number in range(MANY // 5 if report.quick else MANY)]


async def _fill(resolver: Resolver, names: Sequence[str]) -> None:
    for start in range(0, len(names), 100):
        await asyncio.gather(*map(resolver.aget_prompt, names[start : start + 100]))


def _held(which: str, report: Report) -> float:
    """Bytes that the prompts take, in a process that holds nothing else."""
    command = [sys.executable, "-m", "benchmarks.resolve", "memory", which, json.dumps(_names(report))]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def measure_memory(which: str, names: Sequence[str]) -> int:
    """What a cache of these prompts holds, in bytes: the child's work."""
    resolver, sdk = Resolver("langfuse"), langfuse.Langfuse()

    def fill(some: Sequence[str]) -> None:
        if which == "ours":
            asyncio.run(_fill(resolver, some))
        else:
            for name in some:
                sdk.get_prompt(name)

    fill([f"warm-up-{number}" for number in range(100)])
    tracemalloc.start()
    fill(names)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    report = Report.of_arguments("A cached prompt, found and filled in", ["promptwire", "langfuse"])
    with serving():
        compare_rendering(report)
        compare_idioms(report)
        compare_sizes(report)
        compare_memory(report)
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(measure_memory(sys.argv[2], json.loads(sys.argv[3])))
    else:
        main()
