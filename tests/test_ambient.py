"""Variables given once for all calls made inside."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from promptwire import MissingVariablesError, Prompt, Resolver, variables
from promptwire.ambient import ambient_variables
from promptwire.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from tests.conftest import Stub


def test_nested_scopes_add_up_and_end() -> None:
    assert ambient_variables() is None
    with variables(name="Ada", tone="dry"):
        with variables(name="Bo", place="here"):
            assert ambient_variables() == {"name": "Bo", "tone": "dry", "place": "here"}
        assert ambient_variables() == {"name": "Ada", "tone": "dry"}
    assert ambient_variables() is None


def test_a_scope_ends_with_its_exception() -> None:
    with pytest.raises(KeyError), variables(name="Ada"):
        raise KeyError
    assert ambient_variables() is None


async def test_tasks_and_threads_of_the_loop_inherit_it_and_keep_their_own() -> None:
    async def inner(name: str) -> object:
        with variables(name=name):
            await asyncio.sleep(0)
            return ambient_variables()

    with variables(tone="dry"):
        found = await asyncio.gather(*(inner(name) for name in "abc"))
        assert await asyncio.to_thread(ambient_variables) == {"tone": "dry"}
    assert found == [{"tone": "dry", "name": name} for name in "abc"]


def test_a_bare_thread_does_not_inherit_it() -> None:
    seen: list[object] = []
    with variables(name="Ada"):
        thread = threading.Thread(target=lambda: seen.append(ambient_variables()))
        thread.start()
        thread.join(10)
    assert seen == [None]


@pytest.fixture
def resolver() -> Resolver:
    return Resolver(MemoryBackend({"p": "{{tone}} {{name}}"}))


def said(resolver: Resolver) -> object:
    return resolver.resolve("p").messages[0]["content"]


async def test_a_task_keeps_what_was_around_it_when_it_was_made(resolver: Resolver) -> None:
    """Whatever scopes have ended or begun by the time that it calls, and whoever awaits it."""
    go = asyncio.Event()

    async def later() -> object:
        await go.wait()
        return (await resolver.aresolve("p")).messages[0]["content"]

    with variables(tone="dry"):
        with variables(name="Ada"):
            ada = asyncio.create_task(later())
        nobody = asyncio.create_task(later())
        with variables(name="Bo", tone="warm"):
            bo = asyncio.create_task(later())
    bare = asyncio.create_task(later())
    with variables(name="Eve", tone="loud"):
        await asyncio.sleep(0)
        go.set()
        assert (await ada, await bo) == ("dry Ada", "warm Bo")
        for task, missing in ((nobody, ("name",)), (bare, ("tone", "name"))):
            with pytest.raises(MissingVariablesError) as caught:
                await task
            assert caught.value.missing == missing


async def test_an_executors_threads_keep_nothing_of_those_who_used_them(resolver: Resolver) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        with variables(name="Ada", tone="dry"):
            assert pool.submit(contextvars.copy_context().run, said, resolver).result(10) == "dry Ada"
            with pytest.raises(MissingVariablesError):
                await loop.run_in_executor(pool, said, resolver)
        assert pool.submit(ambient_variables).result(10) is None
        with variables(name="Bo", tone="warm"):
            assert pool.submit(contextvars.copy_context().run, said, resolver).result(10) == "warm Bo"
        assert pool.submit(ambient_variables).result(10) is None


async def test_the_threads_that_fetch_see_nobodys(stub: "type[Stub]") -> None:
    """Those who wait for one and the same fetch have one prompt, and each its own values."""
    seen: list[object] = []
    gate = threading.Event()

    def reply(ref: object, http: object) -> Prompt:
        seen.append(ambient_variables())
        gate.wait(10)
        return Prompt("p", text="{{name}}", backend="stub")

    backend = stub(reply)
    resolver = Resolver(backend)

    async def ask(name: str) -> object:
        with variables(name=name):
            return (await resolver.aresolve("p")).messages[0]["content"]

    tasks = [asyncio.create_task(ask(name)) for name in ("Ada", "Bo", "{{name}}")]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*tasks) == ["Ada", "Bo", "{{name}}"]
    assert backend.fetched["p"] == 1
    with variables(name="Eve"):
        resolver.invalidate("p")
        assert await ask("Cy") == "Cy"
    assert seen == [None, None]
