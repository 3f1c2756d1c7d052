"""``completion()`` in both colours, and each test with a resolver of its own."""

from collections.abc import Iterator

import pytest

from promptwire.default import fresh_resolver
from promptwire.telemetry import switch
from tests.gateway.conftest import Ask


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return Ask(request.param)


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """A resolver, and complaints, of this test alone."""
    switch._complain.cache_clear()  # noqa: SLF001 - once a process
    with fresh_resolver():
        yield
