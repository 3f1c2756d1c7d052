"""Fixtures of the playground's tests: prompts in memory, a comm that records, and what a user does and sees."""

from collections.abc import Iterator
from typing import Any

import pytest

import promptwire
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from tests.doubles.kernel import comms, send, tell


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


def play(*subjects: Any, **options: Any) -> Any:
    return promptwire.playground(*subjects, **options)


def text(widget: Any, pane: int = 0) -> str:
    """What a pane shows of its messages."""
    blocks = widget.drawn["panes"][pane]["blocks"]
    return "\n".join(f"{one['heading']}: {''.join(span[1] for span in one['spans'])}" for one in blocks)


def said(widget: Any, pane: int = 0) -> str:
    """What a pane shows of its answer, or of its error."""
    told = widget.answers[pane]["answer"] or widget.answers[pane]["error"]
    return "".join(span[1] for block in told["blocks"] for span in block["spans"])


def ran(widget: Any) -> Any:
    send(widget, {"type": "run"})
    widget.wait(10)
    return widget


def typed(widget: Any, serial: int = 1, /, **values: str) -> Any:
    tell(widget, typed={"serial": serial, "values": {**widget.typed["values"], **values}})
    return widget
