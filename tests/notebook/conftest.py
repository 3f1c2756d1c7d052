"""Fixtures of the playground's tests: prompts in memory, and a comm that records."""

from collections.abc import Iterator

import pytest

from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from tests.doubles.kernel import comms


@pytest.fixture(autouse=True)
def _recorded() -> Iterator[None]:
    with comms():
        yield


@pytest.fixture
def prompts() -> Resolver:
    """``ask`` in two versions, the newer one a chat, and prompts of other kinds."""
    backend = MemoryBackend()
    backend.publish("ask", "Briefly: {{question}}", config={"model": "gpt-4o-mini"}, labels=["production"])
    chat = [{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "{{question}}"}]
    backend.publish("ask", chat, labels=["candidate"], message="warmer")
    backend.publish("persona", [{"role": "system", "content": "You answer for {{company}}."}])
    slot = {"type": "placeholder", "name": "history"}
    backend.publish("chat", [{"role": "system", "content": "Be kind."}, slot])
    backend.publish("list", "{% for item in items %}- {{ item | upper }}\n{% endfor %}", dialect="jinja")
    return Resolver(backend)
