"""Threads, tasks, loops, forks and exits: one fetch for all who wait, and nobody held up by another's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from llama_index.llms.promptwire import Promptwire

from langchain_promptwire import ChatPromptwire
from promptwire import BackendUnavailableError, Prompt, PromptRef, Resolver, acompletion
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.default import fresh_resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from promptwire.search import Found
    from tests.conftest import Clock, Door, Stub

    Until = Callable[..., None]

MANY = 200


def in_threads(resolver: Resolver, start: threading.Barrier) -> list[Found]:
    def call(_: int) -> Found:
        start.wait(30)
        return resolver.find("greeting", timeout=30)

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(call, range(MANY)))


def in_tasks(resolver: Resolver, start: threading.Barrier) -> list[Found]:
    async def gather() -> list[Found]:
        start.wait(30)
        return await asyncio.gather(*(resolver.afind("greeting", timeout=30) for _ in range(MANY)))

    return asyncio.run(gather())


@pytest.mark.parametrize("kinds", [[in_threads], [in_tasks], [in_threads, in_tasks]], ids=["threads", "tasks", "both"])
def test_many_callers_on_a_cold_cache_make_one_request(
    kinds: list[Callable[[Resolver, threading.Barrier], list[Found]]], langfuse: FakeLangfuse
) -> None:
    resolver = Resolver("langfuse", timeout=30)
    start = threading.Barrier(1 + sum(MANY if kind is in_threads else 1 for kind in kinds))
    with langfuse.gate() as gate, ThreadPoolExecutor() as pool:
        running = [pool.submit(kind, resolver, start) for kind in kinds]
        start.wait(30)
        assert gate.wait_for(1)
        assert not langfuse.wait_for(2, timeout=0.2)
        gate.release()
        found = [one for answers in running for one in answers.result(30)]
    assert len(found) == MANY * len(kinds)
    assert len({id(prompt) for prompt, _ in found}) == 1
    assert langfuse.count == 1


def test_many_files_read_at_once_are_read_once(stub: type[Stub]) -> None:
    """A stamped backend has no TTL, but the same single flight."""
    gate = threading.Event()

    def reply(ref: PromptRef, _: object) -> Prompt:
        gate.wait(30)
        return Prompt(ref.id, text="Hello")

    backend = stub(reply)
    backend.stamp = lambda ref: "unchanged"
    resolver, start = Resolver(backend), threading.Barrier(MANY + 1)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(in_threads, resolver, start)
        start.wait(30)
        gate.set()
        assert {prompt.text for prompt, _ in running.result(30)} == {"Hello"}
    assert backend.fetched == {"greeting": 1}


async def test_a_cancelled_caller_cancels_nobody_else(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", timeout=30)
    with langfuse.gate() as gate:
        first, second = (asyncio.create_task(resolver.afind("greeting")) for _ in range(2))
        assert await asyncio.to_thread(gate.wait_for, 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert (await second)[1] == "fresh"
    assert langfuse.count == 1


async def test_an_impatient_caller_leaves_the_fetch_to_the_others(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", timeout=30)
    with langfuse.gate() as gate:
        patient = asyncio.create_task(resolver.afind("greeting"))
        assert await asyncio.to_thread(gate.wait_for, 1)
        with pytest.raises(BackendUnavailableError):
            await resolver.afind("greeting", timeout=0.01)
        with pytest.raises(BackendUnavailableError):
            await asyncio.to_thread(resolver.find, "greeting", timeout=0.01)
    assert (await patient)[1] == "fresh"
    assert langfuse.count == 1


async def test_a_loop_goes_on_while_a_fetch_hangs(langfuse: FakeLangfuse) -> None:
    """The loop itself ends the hang: were it blocked, nobody would."""
    resolver = Resolver("langfuse", timeout=30)
    with langfuse.gate() as gate:
        task = asyncio.create_task(resolver.afind("greeting"))
        while not gate.wait_for(1, timeout=0):  # noqa: ASYNC110 - what it waits for happens on another thread
            await asyncio.sleep(0)
        assert not task.done()
    assert (await task)[1] == "fresh"


async def by_completion(prompt_id: str) -> object:
    return await acompletion(model="langfuse/gpt-4o", prompt_id=prompt_id)


async def by_langchain(prompt_id: str) -> object:
    return await ChatPromptwire(model="langfuse/gpt-4o", prompt_id=prompt_id).ainvoke([])


async def by_llamaindex(prompt_id: str) -> object:
    return await Promptwire(model="langfuse/gpt-4o", prompt_id=prompt_id).acomplete("")


@pytest.mark.parametrize("call", [by_completion, by_langchain, by_llamaindex])
async def test_no_front_door_waits_for_another_calls_prompt(
    call: Callable[[str], Awaitable[object]], langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same loop finishes one call while the other's fetch hangs, and only then ends the hang."""
    langfuse.publish("slow", "Hello")
    with fresh_resolver(), FakeOpenAI() as openai, langfuse.gate(match="slow") as gate:
        for name, value in openai.env.items():
            monkeypatch.setenv(name, value)
        slow = asyncio.ensure_future(call("slow"))
        assert await asyncio.to_thread(gate.wait_for, 1)
        await asyncio.wait_for(call("farewell"), 5)
        assert not slow.done()
        gate.release()
        await slow
        assert openai.count == 2


async def test_a_sync_call_inside_a_running_loop(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    waiting = asyncio.create_task(resolver.afind("greeting"))
    await asyncio.sleep(0)
    assert resolver.find("greeting")[1] in {"fresh", "cached"}
    assert (await waiting)[1] == "fresh"
    assert langfuse.count == 1


def test_several_loops_in_a_row_and_one_within_another(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", cache_ttl=0)
    inner: list[str] = []

    async def outer() -> str:
        nested = threading.Thread(target=lambda: inner.append(asyncio.run(resolver.afind("farewell"))[1]))
        nested.start()
        nested.join(30)
        return (await resolver.afind("greeting"))[1]

    assert [asyncio.run(outer()) for _ in range(3)] == ["fresh"] * 3
    assert inner == ["fresh"] * 3


def test_a_loop_that_closes_before_its_prompt_comes(langfuse: FakeLangfuse, until: Until) -> None:
    resolver = Resolver("langfuse", timeout=30)
    with langfuse.gate() as gate:
        loop = asyncio.new_event_loop()
        task = loop.create_task(resolver.afind("greeting"))
        loop.run_until_complete(asyncio.sleep(0))
        assert gate.wait_for(1)
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()
    until(lambda: resolver.find("greeting", fallback="Hi")[1] == "cached")


def test_a_slow_host_does_not_stall_another(door: Door, langfuse: FakeLangfuse, until: Until) -> None:
    resolver = Resolver("langfuse", timeout=30)
    with FakeLangfuse() as slow, slow.gate() as gate:
        hanging = LangfuseBackend(slow.public_key, slow.secret_key, slow.url)
        for number in range(50):
            assert resolver.find(f"p{number}", backend=hanging, timeout=0, fallback="Hi")[1] == "fallback"
        assert gate.wait_for(1)
        assert door.source(resolver, "greeting") == "fresh"
        assert door.source(resolver, "farewell") == "fresh"
        assert slow.count <= 8


def test_a_wait_in_the_queue_says_nothing_of_the_host(door: Door, stub: type[Stub], until: Until) -> None:
    gate = threading.Event()

    def reply(ref: PromptRef, _: object) -> Prompt:
        assert gate.wait(30)
        return Prompt(ref.id, text="Hello")

    backend = stub(reply)
    resolver = Resolver(backend, timeout=0.01)
    with ThreadPoolExecutor(8) as pool:
        busy = [pool.submit(resolver.find, f"p{number}", timeout=30) for number in range(8)]
        until(lambda: backend.fetched.total() == 8)
        for _ in range(2):
            with pytest.raises(BackendUnavailableError, match="no answer within"):
                door.find(resolver, "queued")
        gate.set()
        assert [answer.result(30)[1] for answer in busy] == ["fresh"] * 8
    until(lambda: backend.fetched["queued"] == 1)
    assert door.source(resolver, "another") == "fresh"


@pytest.fixture
def refreshing(stub: type[Stub], clock: Clock, until: Until) -> Iterator[Resolver]:
    """It has a hundred prompts whose time was up at once, and whose refreshes hang."""
    gate, names = threading.Event(), [f"p{number}" for number in range(100)]
    held = set(names[:-1])

    def reply(ref: PromptRef, _: object) -> Prompt:
        assert ref.id not in held or gate.wait(30)
        return Prompt(ref.id, text="Hello")

    backend = stub(reply)
    resolver = Resolver(backend, timeout=30, max_stale=120)
    gate.set()
    for name in names:
        resolver.find(name)
    gate.clear()
    clock.ahead += 61
    assert {resolver.find(name)[1] for name in names} == {"stale"}
    until(lambda: backend.fetched.total() == 104)
    yield resolver
    gate.set()


def test_what_somebody_waits_for_does_not_wait_for_refreshes(door: Door, refreshing: Resolver) -> None:
    """A thousand prompts whose time is up at once must not keep the one that is new from its deadline."""
    assert door.source(refreshing, "new") == "fresh"


def test_a_refresh_that_somebody_has_come_to_wait_for_does_not_wait_for_the_others(
    door: Door, refreshing: Resolver, clock: Clock
) -> None:
    """Who finds a prompt too old to be used must not wait behind every other refresh."""
    clock.ahead += 120
    assert door.source(refreshing, "p99") == "fresh"


async def test_a_slow_host_does_not_stall_another_asked_in_the_same_breath(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", timeout=30)
    await resolver.afind("greeting")  # leaves one idle thread, which both would count on
    with FakeLangfuse() as slow, slow.gate():
        hanging = LangfuseBackend(slow.public_key, slow.secret_key, slow.url)
        held = asyncio.create_task(resolver.afind("x", backend=hanging, fallback="Hi"))
        quick = asyncio.create_task(resolver.afind("farewell", timeout=5))
        assert (await quick)[1] == "fresh"
        slow.stop()
    assert (await held)[1] == "fallback"


def interpreter(script: str, langfuse: FakeLangfuse) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]  # 3.12 warns of forks with threads
    environment = {**os.environ, **langfuse.env}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


FORK = """
import asyncio, os, threading
from promptwire import Resolver

resolver = Resolver("langfuse", timeout=30)
resolver.find("farewell")
answers = []
caller = threading.Thread(target=lambda: answers.append(resolver.find("greeting")[1]))
caller.start()
input()
if not (child := os.fork()):
    found = [resolver.find("farewell")[1], resolver.find("greeting")[1]]
    resolver.invalidate()
    found += [asyncio.run(resolver.afind("greeting"))[1], resolver.find("farewell")[1]]
    print(*found, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("child gone", flush=True)
input()
caller.join()
print(*answers, resolver.find("farewell")[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_child_resolves_by_itself(langfuse: FakeLangfuse) -> None:
    with langfuse.gate(times=1, match="greeting") as gate, interpreter(FORK, langfuse) as parent:
        assert parent.stdin
        assert parent.stdout
        assert gate.wait_for(1, timeout=30)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "cached fresh fresh fresh\n"
        assert parent.stdout.readline() == "child gone\n"
        gate.release()
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "fresh cached\n"


EXIT = """
from promptwire import Resolver

resolver = Resolver("langfuse", timeout=600, cache_ttl=1e-6)
print(resolver.find("greeting")[1], resolver.find("greeting")[1], flush=True)
input()
"""


def test_a_hanging_refresh_does_not_delay_the_exit(langfuse: FakeLangfuse) -> None:
    with langfuse.hang(match="greeting") as gate:
        langfuse.slow(0, times=1)
        with interpreter(EXIT, langfuse) as process:
            assert process.stdout
            assert process.stdout.readline() == "fresh stale\n"
            assert gate.wait_for(1, timeout=30)
            process.communicate("\n", timeout=20)
            assert process.returncode == 0
