"""Fixtures of the gateway's tests: a fake OpenAI, and one door for both colours of ``completion()``."""

from collections.abc import Iterator
from typing import Any

import pytest

from promptwire import acompletion, completion
from promptwire.default import fresh_resolver


class Ask:
    """``completion()`` in one colour, to be awaited in either."""

    def __init__(self, colour: str) -> None:
        self.is_async = colour == "async"

    async def __call__(self, **options: Any) -> Any:
        return await acompletion(**options) if self.is_async else completion(**options)

    async def chunks(self, **options: Any) -> list[Any]:
        return await self.rest(await self(stream=True, **options))

    async def rest(self, stream: Any) -> list[Any]:
        return [chunk async for chunk in stream] if self.is_async else list(stream)

    async def close(self, stream: Any) -> None:
        if self.is_async:
            await stream.aclose()
        else:
            stream.close()

    async def next(self, stream: Any) -> Any:
        return await anext(stream) if self.is_async else next(stream)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return Ask(request.param)


@pytest.fixture(autouse=True)
def _default_resolver() -> Iterator[None]:
    """It reads the environment once in a process; here, once in a test."""
    with fresh_resolver():
        yield


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once: the jitter, a factor, is nought."""
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
