"""Langfuse's own SDK records the spans: which of them are linked to a prompt version."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any
from uuid import uuid4

import langfuse
import pytest
from langfuse import Langfuse, propagate_attributes
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from promptwire.gateway.answers import PromptInfo
from promptwire.testing import FakeLangfuse
from promptwire.tracing import is_linkable, link_span, linked

WELCOME = PromptInfo("team/welcome", 3, "production", "langfuse", "fresh", "0" * 64)
LINK = ("team/welcome", 3)


class Trace:
    """A tracer, and what Langfuse's processor made of its spans."""

    def __init__(self, sdk: Langfuse, tracer: Tracer, exporter: InMemorySpanExporter) -> None:
        self._sdk = sdk
        self._exporter = exporter
        self.start = tracer.start_as_current_span

    def spans(self) -> dict[str, Any]:
        self._sdk.flush()
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def links(self) -> dict[str, tuple[Any, Any] | None]:
        key = "langfuse.observation.prompt"
        told = {name: span.attributes or {} for name, span in self.spans().items()}
        return {
            name: (found[f"{key}.name"], found[f"{key}.version"]) if f"{key}.name" in found else None
            for name, found in told.items()
        }


@pytest.fixture
def trace() -> Iterator[Trace]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    with FakeLangfuse() as server:
        sdk = Langfuse(
            public_key=f"pk-lf-{uuid4()}",  # the SDK keeps a client per key, and a port may come again
            secret_key=server.secret_key, base_url=server.url,
            tracer_provider=provider, span_exporter=exporter, should_export_span=lambda _: True,
        )  # fmt: skip
        yield Trace(sdk, provider.get_tracer("tests"), exporter)
        sdk.shutdown()


def test_spans_inside_are_linked_and_those_around_are_not(trace: Trace) -> None:
    with trace.start("around"):
        with linked(WELCOME), trace.start("inside"), trace.start("further in"):
            pass
        with trace.start("after"):
            pass
    assert trace.links() == {"around": None, "inside": LINK, "further in": LINK, "after": None}
    spans = trace.spans()
    assert spans["inside"].parent.span_id == spans["around"].context.span_id
    assert {span.context.trace_id for span in spans.values()} == {spans["around"].context.trace_id}


def test_inside_a_trace_or_not(trace: Trace) -> None:
    with linked(WELCOME), trace.start("alone"):
        pass
    assert trace.links() == {"alone": LINK}
    assert trace.spans()["alone"].parent is None


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_backend": "files"},
        {"prompt_source": "fallback"},
        {"prompt_version": None},
        {"prompt_version": "v3"},
        {"prompt_version": True},
    ],
)
def test_what_langfuse_does_not_know_is_not_linked(
    change: dict[str, Any], trace: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), linked(replace(WELCOME, **change)), trace.start("inside"):
        pass
    with linked(None), trace.start("without a prompt"):
        pass
    assert trace.links() == {"inside": None, "without a prompt": None}
    assert [one for one in caplog.records if "prompt" in one.getMessage().lower() and one.levelno > logging.DEBUG] == []


@pytest.mark.parametrize("source", ["cached", "stale", "store"])
def test_a_prompt_from_memory_is_as_good(source: str, trace: Trace) -> None:
    with linked(replace(WELCOME, prompt_source=source)), trace.start("inside"):
        pass
    assert trace.links() == {"inside": LINK}


def test_the_inner_of_two_wins_and_the_outer_is_back_after_it(trace: Trace) -> None:
    with linked(WELCOME):
        with linked(replace(WELCOME, prompt_version=4)), trace.start("inner"):
            pass
        with trace.start("outer"):
            pass
    assert trace.links() == {"inner": ("team/welcome", 4), "outer": LINK}


def test_what_the_caller_propagates_stays_on_its_own_span(trace: Trace) -> None:
    with trace.start("around"), propagate_attributes(prompt={"name": "mine", "version": 1}, user_id="u1"):
        with linked(WELCOME), trace.start("inside"):
            pass
        with trace.start("after"):
            pass
    assert trace.links() == {"around": ("mine", 1), "inside": LINK, "after": ("mine", 1)}
    assert trace.spans()["inside"].attributes["user.id"] == "u1"


async def test_tasks_do_not_see_each_others_prompts(trace: Trace) -> None:
    async def call(version: int) -> None:
        with linked(replace(WELCOME, prompt_version=version)):
            await asyncio.sleep(0)
            with trace.start(f"call {version}"):
                await asyncio.sleep(0)

    async def neighbour() -> None:
        await asyncio.sleep(0)
        with trace.start("neighbour"):
            await asyncio.sleep(0)

    await asyncio.gather(*(call(version) for version in range(1, 50)), neighbour())
    expected = {f"call {version}": ("team/welcome", version) for version in range(1, 50)}
    assert trace.links() == {**expected, "neighbour": None}


def test_one_span_is_linked_and_neither_those_around_nor_inside(trace: Trace) -> None:
    with trace.start("around"), trace.start("model call") as span:
        with trace.start("current"):
            link_span(WELCOME, span)
        with trace.start("inside"):
            pass
    assert trace.links() == {"around": None, "model call": LINK, "current": None, "inside": None}
    parents = {name: one.parent and one.parent.span_id for name, one in trace.spans().items()}
    assert parents["inside"] == trace.spans()["model call"].context.span_id


def test_a_span_that_is_not_there_or_has_no_prompt_is_not_linked(trace: Trace) -> None:
    with trace.start("around") as span:
        link_span(WELCOME, None)
        link_span(None, span)
        link_span(replace(WELCOME, prompt_backend="files"), span)
    link_span(WELCOME, span)  # which has ended
    assert trace.links() == {"around": None}


def test_what_can_be_linked(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_linkable(WELCOME)
    assert not is_linkable(replace(WELCOME, prompt_source="fallback"))
    monkeypatch.delitem(sys.modules, "langfuse")
    assert not is_linkable(WELCOME)


def test_an_error_passes_and_ends_the_link(trace: Trace) -> None:
    with pytest.raises(ZeroDivisionError), linked(WELCOME):
        1 / 0  # noqa: B018 - the error is the point
    with trace.start("after"):
        pass
    assert trace.links() == {"after": None}


@pytest.mark.parametrize("version", ["none", "older"])
def test_without_a_langfuse_that_can_it_does_nothing(
    version: str, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = ModuleType("langfuse")
    older.propagate_attributes = lambda *, user_id=None: pytest.fail("it can't take a prompt")  # type: ignore[attr-defined]
    if version == "none":
        monkeypatch.delitem(sys.modules, "langfuse")
    else:
        monkeypatch.setitem(sys.modules, "langfuse", older)
    with linked(WELCOME), trace.start("inside"):
        pass
    assert trace.links() == {"inside": None}
    assert sys.modules.get("langfuse") is not langfuse


def test_it_imports_no_langfuse_of_its_own() -> None:
    code = (
        "import sys\n"
        "from promptwire.gateway.answers import PromptInfo\n"
        "from promptwire.tracing import linked\n"
        "with linked(PromptInfo('x', 1, None, 'langfuse', 'fresh', '')): pass\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'langfuse', 'opentelemetry'})"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
