"""What calls leave to Python's collector of cycles, which holds up every thread while it works: nothing."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import promptwire
from promptwire import PromptwireError, Resolver, acompletion, completion

if TYPE_CHECKING:
    from promptwire.testing import FakeLangfuse, FakeOpenAI

Call = Callable[[], Awaitable[object]]
Left = Callable[[], list[str]]

CALLS = 3
HOUSE = promptwire.__path__[0]
OURS = ("promptwire", "httpx", "httpcore", "httpx_aiohttp", "aiohttp")
FAULTS: dict[str, Callable[[FakeLangfuse], None]] = {
    "none": lambda server: None,
    "403": lambda server: server.fail(403),
    "404": lambda server: server.fail(404),
    "503": lambda server: server.fail(503),
    "HTML": lambda server: server.garbage(),
    "dropped": lambda server: server.drop(),
}
ASKED: dict[str, Any] = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def is_ours(found: object) -> bool:
    """Not the doubles', which run in this process too, nor a thread's that an earlier test's store asks Redis from."""
    if inspect.isframe(found):
        path = found.f_code.co_filename
        return path.startswith(HOUSE) and not path.startswith((f"{HOUSE}/testing", f"{HOUSE}/stores"))
    package, _, rest = type(found).__module__.partition(".")
    return package in OURS and not rest.startswith("testing")


@pytest.fixture
def left() -> Iterator[Left]:
    """Tells what has come to need the collector since it was last called."""

    def collect() -> list[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = [str(one) for one in gc.garbage if is_ours(one)]
        gc.garbage.clear()
        gc.collect()
        return found

    gc.disable()
    gc.freeze()  # what earlier tests' threads are about to let go
    yield collect
    gc.unfreeze()
    gc.enable()


def leaves(call: Call, left: Left, spoil: Callable[[], None]) -> list[str]:
    """What a few calls leave that are alike to one before them, first well and then spoilt, all on one loop."""

    async def run() -> list[str]:
        for is_spoilt in (False, True):
            if is_spoilt:
                spoil()
            for number in range(1 + CALLS):
                if number == 1:
                    left()
                with suppress(PromptwireError):
                    await call()
        return left()

    return asyncio.run(run())


@pytest.mark.parametrize("prompt_id", ["greeting", "farewell"], ids=["known", "unknown"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_prompt_that_is_fetched_or_fails(
    colour: str, langfuse: FakeLangfuse, prompt_id: str, fault: str, left: Left
) -> None:
    resolver = Resolver("langfuse", cache_ttl=0, timeout=0.1)
    resolver.find("greeting", timeout=60)

    async def call() -> None:
        resolver.invalidate()
        _ = await resolver.afind(prompt_id) if colour == "async" else resolver.find(prompt_id)

    assert leaves(call, left, lambda: FAULTS[fault](langfuse)) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_listing(colour: str, langfuse: FakeLangfuse, fault: str, left: Left) -> None:
    resolver = Resolver("langfuse", timeout=0.1)

    async def call() -> None:
        _ = await resolver.alist_prompts() if colour == "async" else resolver.list_prompts()

    assert leaves(call, left, lambda: FAULTS[fault](langfuse)) == []


async def whole() -> None:
    completion(**ASKED)


async def streamed() -> None:
    deque(completion(**ASKED, stream=True))


async def awhole() -> None:
    await acompletion(**ASKED)


async def astreamed() -> None:
    async for _ in await acompletion(**ASKED, stream=True):
        pass


@pytest.mark.parametrize("call", [whole, streamed, awhole, astreamed])
def test_a_models_answer(call: Call, openai: FakeOpenAI, left: Left) -> None:
    assert leaves(call, left, lambda: openai.fail(400)) == []
