"""What is cut off when a server fails, for whom, and how it is found to be back (DESIGN 4.7)."""

from __future__ import annotations

import asyncio
import logging
import statistics
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from promptwire import BackendAuthError, BackendUnavailableError, Prompt, PromptRef, Resolver
from promptwire.backends.http import Http
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.conftest import Clock, Door, Stub

    Until = Callable[..., None]


def test_an_unreachable_host_is_not_asked_again_for_any_prompt(
    door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    resolver = Resolver("langfuse")
    langfuse.stop()
    with pytest.raises(BackendUnavailableError, match="could not connect"):
        door.find(resolver, "greeting")
    langfuse.start()
    for prompt_id in ("greeting", "farewell"):
        with pytest.raises(BackendUnavailableError, match=f"'{prompt_id}'.* not asked for"):
            door.find(resolver, prompt_id)
    assert langfuse.count == 0
    clock.ahead += 10
    assert [door.source(resolver, prompt_id) for prompt_id in ("farewell", "greeting")] == ["fresh", "fresh"]


def test_another_credential_and_another_host_are_not_cut_off(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse")
    langfuse.drop(0, times=3)
    with pytest.raises(BackendUnavailableError):
        door.find(resolver, "greeting")
    other_key = LangfuseBackend(langfuse.public_key, "sk-another", langfuse.url)
    with pytest.raises(BackendAuthError):
        door.find(resolver, "greeting", backend=other_key)
    with FakeLangfuse() as second:
        second.publish("greeting", "Hello")
        elsewhere = LangfuseBackend(second.public_key, second.secret_key, second.url)
        assert door.source(resolver, "greeting", backend=elsewhere) == "fresh"
    assert langfuse.count == 4


def test_what_is_slow_in_a_folder_cuts_off_itself_alone(door: Door, stub: type[Stub], clock: Clock) -> None:
    """A stamp is of something local."""
    slow, read = threading.Event(), threading.Event()

    def reply(ref: PromptRef, http: Http) -> Prompt:
        if ref.id == "slow":
            slow.set()
            assert read.wait(10)
        return Prompt(ref.id, text="Hi")

    backend = stub(reply)
    backend.stamp = lambda ref: "unchanged"
    resolver = Resolver(backend, timeout=0.1)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="'slow': no answer within"):
            door.find(resolver, "slow")
    assert slow.is_set()
    assert door.source(resolver, "quick", timeout=10) == "fresh"
    assert backend.fetched == {"slow": 1, "quick": 1}
    read.set()
    clock.ahead += 10
    assert door.find(resolver, "slow", timeout=10)[0].text == "Hi"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_error_cuts_off_its_prompt_alone(
    status: int, door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    resolver = Resolver("langfuse")
    langfuse.fail(status, match="greeting")
    for _ in range(3):
        with pytest.raises(BackendUnavailableError, match=str(status)):
            door.find(resolver, "greeting")
    assert langfuse.count == 3
    assert door.source(resolver, "farewell") == "fresh"
    langfuse.heal()
    clock.ahead += 10
    assert door.source(resolver, "greeting") == "fresh"


def test_a_prompt_that_failed_before_the_outage_does_not_ask_throughout_it(
    door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    resolver = Resolver("langfuse")
    langfuse.fail(503, times=3)
    with pytest.raises(BackendUnavailableError):
        door.find(resolver, "greeting")
    clock.ahead += 10
    langfuse.drop(0)
    for _ in range(3):
        with pytest.raises(BackendUnavailableError):
            door.find(resolver, "greeting")
    assert langfuse.count == 6


def test_while_one_caller_probes_the_others_go_on_with_what_they_have(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    resolver = Resolver("langfuse")
    door.find(resolver, "greeting")
    clock.ahead += 10_000
    langfuse.stop()
    assert door.source(resolver, "greeting") == "stale"
    langfuse.start()
    clock.ahead += 10
    with langfuse.gate() as gate:
        assert [door.source(resolver, "greeting") for _ in range(3)] == ["stale"] * 3
        assert door.source(resolver, "farewell", fallback="Bye") == "fallback"
        with pytest.raises(BackendUnavailableError, match="not asked for"):
            door.find(resolver, "farewell")
        assert gate.wait_for(1)
        assert langfuse.count == 2
    until(lambda: door.source(resolver, "greeting") == "cached")
    assert door.source(resolver, "farewell") == "fresh"


def test_a_failed_probe_keeps_the_circuit_open(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse")
    langfuse.drop(0)
    for ahead, expected in ((0, 3), (9, 3), (1, 6), (9, 6), (1, 9)):
        clock.ahead += ahead
        with pytest.raises(BackendUnavailableError):
            door.find(resolver, "greeting")
        assert langfuse.count == expected


async def test_a_hanging_server_fails_for_all_at_the_first_deadline(langfuse: FakeLangfuse, clock: Clock) -> None:
    """Newcomers don't keep a fetch up, else the circuit never opens under steady traffic."""
    resolver = Resolver("langfuse", timeout=5)
    with langfuse.gate() as gate:
        waiting = []
        for _ in range(5):
            waiting.append(asyncio.create_task(resolver.afind("greeting")))
            await asyncio.sleep(0)
            assert await asyncio.to_thread(gate.wait_for, 1)
            clock.ahead += 1
        with pytest.raises(BackendUnavailableError, match="no answer within 5 s"):
            resolver.find("greeting", timeout=0)
        with pytest.raises(BackendUnavailableError, match="not asked for"):
            resolver.find("farewell")
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {BackendUnavailableError}


async def test_a_more_patient_caller_keeps_the_fetch_up(langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse", timeout=5)
    with langfuse.gate() as gate:
        assert resolver.find("greeting", fallback="Hi", timeout=0)[1] == "fallback"
        patient = asyncio.create_task(resolver.afind("greeting", timeout=30))
        assert await asyncio.to_thread(gate.wait_for, 1)
        clock.ahead += 6
        with pytest.raises(BackendUnavailableError, match="no answer within 0 s"):
            resolver.find("greeting", timeout=0)
    assert (await patient)[1] == "fresh"


@pytest.mark.parametrize("answer", ["stale", "fallback"])
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_an_open_circuit_costs_next_to_nothing(
    answer: str, colour: str, langfuse: FakeLangfuse, clock: Clock
) -> None:
    """A connection or a wait for one would take milliseconds; the median leaves out what the machine does besides."""
    resolver = Resolver("langfuse")
    prompt_id, fallback = ("greeting", None) if answer == "stale" else ("farewell", "Bye")

    async def call() -> str:
        if colour == "async":
            return (await resolver.aresolve(prompt_id, variables={"name": "Ann"}, fallback=fallback)).source
        return resolver.resolve(prompt_id, variables={"name": "Ann"}, fallback=fallback).source

    resolver.get_prompt("greeting")
    langfuse.stop()
    clock.ahead += 4000
    assert await call() == answer
    took = []
    for _ in range(101):
        started = time.perf_counter()
        assert await call() == answer
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.001


def test_an_outage_is_logged_once(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse")

    def has_recovered() -> bool:
        clock.ahead += 11  # a refresh of the outage may fail late, and is believed for 10 s
        return door.source(resolver, "greeting") in {"fresh", "cached"}

    with caplog.at_level(logging.WARNING, "promptwire"):
        for outage in (1, 2):
            langfuse.heal()
            until(has_recovered)
            langfuse.fail(503)
            for _ in range(5):
                clock.ahead += 4000
                assert door.source(resolver, "greeting") == "stale"
            assert len(caplog.records) == outage
    assert "answering with a stale prompt: langfuse prompt 'greeting'" in caplog.text


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.message.startswith("answering with a")]


@pytest.mark.parametrize("status", [401, 503, None])
def test_an_outage_of_many_prompts_is_one_warning(
    status: int | None, door: Door, langfuse: FakeLangfuse, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse")
    names = [f"p{number}" for number in range(4)]
    for name in names:
        langfuse.publish(name, "Hi")
        door.find(resolver, name)
    clock.ahead += 4000
    langfuse.fail(status) if status else langfuse.stop()
    with caplog.at_level(logging.DEBUG, "promptwire"):
        assert {door.source(resolver, name) for name in names} == {"stale"}
    assert levels(caplog) == [logging.WARNING, logging.DEBUG, logging.DEBUG, logging.DEBUG]


def test_of_each_prompt_that_is_gone_a_warning_tells(
    door: Door, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse")
    for name in ("gone", "lost"):
        assert door.source(resolver, name, fallback="Hi") == "fallback"
    assert levels(caplog) == [logging.WARNING, logging.WARNING]


def test_what_is_remembered_of_many_hosts_is_bounded(
    stub: type[Stub], clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("promptwire.fetching.MAX_CIRCUITS", 3)

    def reply(*_: object) -> None:
        raise BackendUnavailableError("down")

    resolver, backends = Resolver("memory"), [stub(reply, identity=number) for number in range(4)]
    for backend in (*backends, backends[-1], backends[0]):
        with pytest.raises(BackendUnavailableError):
            resolver.find("x", backend=backend)
    assert [backend.fetched["x"] for backend in backends] == [2, 1, 1, 1]
    for backend in (*backends, backends[0]):
        resolver.find(f"y{len(caplog.records)}", backend=backend, fallback="Hi")
    assert levels(caplog) == 5 * [logging.WARNING]
