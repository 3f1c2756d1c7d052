"""What ``on_event`` is told of, and that it can fail no call. It may slow one: it runs on the thread that tells."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from promptwire import Event, PromptNotFoundError, Resolver
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

Until = Callable[..., None]


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_each_answer_is_told_of_with_what_served_it(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    events: list[Event] = []
    resolver = Resolver("langfuse", max_stale=0, on_event=events.append)
    prompt = door.find(resolver, "greeting")[0]
    door.resolve(resolver, "langfuse:greeting", variables={"name": "secret value"})
    answered = Event("resolved", "langfuse", "greeting", "production", 1, prompt.content_hash)
    assert events == [answered, answered]
    langfuse.fail(400)
    clock.ahead += 61
    assert door.source(resolver, "greeting") == "stale"
    assert door.source(resolver, "farewell", fallback="Hi", version=1) == "fallback"
    stale, fallback = events[2:]
    assert stale == dataclasses.replace(answered, kind="stale", reason=stale.reason)
    assert "'greeting' (label 'production'): the server answered 400" in str(stale.reason)
    assert (fallback.kind, fallback.label, fallback.version) == ("fallback", None, None)
    assert "secret value" not in repr(events)


def test_a_stored_prompt_and_a_refresh_are_told_of(
    door: Door, langfuse: FakeLangfuse, clock: Clock, tmp_path: Path, until: Until
) -> None:
    events: list[Event] = []
    Resolver("langfuse", store=tmp_path).get_prompt("greeting")
    until(lambda: list(tmp_path.glob("*.prompt")))
    langfuse.stop()
    resolver = Resolver("langfuse", store=tmp_path, on_event=events.append)
    door.find(resolver, "greeting")
    assert [(event.kind, event.version) for event in events] == [("store", 1)]
    assert "could not connect" in str(events[0].reason)
    langfuse.start()
    langfuse.publish("greeting", "Good day {{name}}")
    clock.ahead += 11
    until(lambda: door.source(resolver, "greeting") == "cached")
    until(lambda: "refreshed" in kinds(events))
    refreshed = [event for event in events if event.kind == "refreshed"]
    assert [(event.version, event.label, event.reason) for event in refreshed] == [(2, "production", None)]


def test_a_refresh_that_brings_nothing_new_is_none(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    events: list[Event] = []
    resolver = Resolver("langfuse", on_event=events.append)
    for _ in range(2):
        door.find(resolver, "greeting")
        clock.ahead += 61
        door.find(resolver, "greeting")
        until(lambda: door.source(resolver, "greeting") == "cached")
    assert set(kinds(events)) == {"resolved", "stale"}


@pytest.mark.parametrize(
    ("text", "config", "reason"),
    [
        ("{{name}} {{city}}", {}, "held back: it needs city"),
        ("{{name}}", {"temperature": "warm"}, "'temperature' must be a number"),
    ],
)
def test_a_version_held_back_is_told_of_once_with_the_one_that_serves(
    text: str,
    config: dict[str, object],
    reason: str,
    door: Door,
    *,
    langfuse: FakeLangfuse,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: list[Event] = []
    resolver = Resolver("langfuse", cache_ttl=0, contracts={"greeting": ("name",)}, on_event=events.append)
    good = door.find(resolver, "greeting")[0]
    langfuse.publish("greeting", text, config=config)
    with caplog.at_level(logging.WARNING):
        assert [door.source(resolver, "greeting") for _ in range(4)] == ["stale"] * 4
    (record,) = caplog.records
    told = ("prompt_id", "prompt_version", "prompt_label", "prompt_backend", "prompt_source")
    assert [getattr(record, name) for name in told] == ["greeting", 1, "production", "langfuse", "stale"]
    until(lambda: "held_back" in kinds(events))
    (held,) = [event for event in events if event.kind == "held_back"]
    assert (held.version, held.content_hash) == (1, good.content_hash)
    assert reason in str(held.reason)


def test_a_version_held_back_without_another_is_told_of_too(door: Door, langfuse: FakeLangfuse, until: Until) -> None:
    events: list[Event] = []
    resolver = Resolver("langfuse", contracts={"greeting": ()}, on_event=events.append)
    assert door.source(resolver, "greeting", fallback="Hi") == "fallback"
    until(lambda: len(events) == 2)
    assert {(event.kind, event.version) for event in events} == {("held_back", None), ("fallback", None)}


def test_a_hook_that_fails_fails_no_call_and_is_told_of_once(
    door: Door, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(event: Event) -> None:
        raise KeyError(event.prompt_id)

    resolver = Resolver("langfuse", on_event=hook)
    with caplog.at_level(logging.WARNING):
        assert [door.source(resolver, "greeting") for _ in range(3)] == ["fresh", "cached", "cached"]
        with pytest.raises(PromptNotFoundError):
            door.find(resolver, "unknown")
    (record,) = caplog.records
    assert "on_event raised KeyError" in record.getMessage()


def test_a_hook_is_not_pickled(langfuse: FakeLangfuse) -> None:
    events: list[Event] = []
    resolver = Resolver("langfuse", on_event=lambda event: events.append(event))  # noqa: PLW0108 - a bound method pickles
    twin = pickle.loads(pickle.dumps(resolver))  # noqa: S301 - our own
    twin.get_prompt("greeting")
    assert events == []
    resolver.get_prompt("greeting")
    assert kinds(events) == ["resolved"]
