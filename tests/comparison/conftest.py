"""Fixtures of the comparisons' tests: prompts in memory, a fake OpenAI, and one door for both colours."""

from typing import Any

import pytest

from promptwire import Resolver, acompare, compare
from promptwire.backends.memory import MemoryBackend
from promptwire.comparison.result import Comparison


class Compare:
    """``compare()`` in one colour, to be awaited in either."""

    def __init__(self, colour: str) -> None:
        self.is_async = colour == "async"

    async def __call__(self, *subjects: Any, **options: Any) -> Comparison:
        return await acompare(*subjects, **options) if self.is_async else compare(*subjects, **options)


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Compare:
    return Compare(request.param)


@pytest.fixture
def prompts() -> Resolver:
    backend = MemoryBackend()
    backend.publish("ask", "Briefly: {{question}}", config={"model": "gpt-4o-mini"})
    backend.publish("ask", "At length: {{question}}", config={"model": "gpt-4o"}, labels=["candidate"])
    return Resolver(backend)
