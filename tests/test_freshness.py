"""What counts as fresh, and what happens when it no longer does (DESIGN 4.6)."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import BackendError, Prompt, PromptNotFoundError, PromptRef, Resolver
from promptwire.testing import Answer, FakeLangfuse, LoopbackServer, Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Clock, Door, Stub

    Until = Callable[..., None]


def stamped(backend: Stub, stamp: Callable[[PromptRef], object]) -> Stub:
    backend.stamp = stamp
    return backend


def test_fresh_then_cached_then_stale_while_one_refresh_runs(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    resolver = Resolver("langfuse")
    assert [door.source(resolver, "greeting") for _ in range(3)] == ["fresh", "cached", "cached"]
    langfuse.publish("greeting", "Good day {{name}}")
    clock.ahead += 59
    assert door.source(resolver, "greeting") == "cached"
    clock.ahead += 2
    with langfuse.gate():
        answers = [door.find(resolver, "greeting") for _ in range(20)]
        assert {(prompt.version, source) for prompt, source in answers} == {(1, "stale")}
        assert langfuse.wait_for(2)
        assert not langfuse.wait_for(3, timeout=0.1)
    until(lambda: door.source(resolver, "greeting") == "cached")
    assert door.find(resolver, "greeting")[0].version == 2
    assert langfuse.count == 2


def test_each_key_is_refreshed_by_itself(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse")
    for prompt_id in ("greeting", "farewell"):
        door.find(resolver, prompt_id)
    clock.ahead += 61
    with langfuse.gate() as gate:
        assert [door.source(resolver, prompt_id) for prompt_id in ("greeting", "farewell") * 3] == ["stale"] * 6
        assert gate.wait_for(2)
    assert not langfuse.wait_for(5, timeout=0.1)


def test_older_than_max_stale_is_fetched_first(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse", max_stale=100)
    door.find(resolver, "greeting")
    langfuse.publish("greeting", "Good day {{name}}")
    clock.ahead += 101
    prompt, source = door.find(resolver, "greeting")
    assert (prompt.version, source) == (2, "fresh")


def test_a_ttl_of_zero_always_fetches(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", cache_ttl=0)
    for version in (1, 2, 3):
        prompt, source = door.find(resolver, "greeting")
        assert (prompt.version, source) == (version, "fresh")
        langfuse.publish("greeting", f"Version {version + 1}")
    assert langfuse.count == 3


def test_a_ttl_of_zero_still_has_the_last_answer_in_an_outage(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", cache_ttl=0, timeout=2)
    door.find(resolver, "greeting")
    langfuse.fail(401)
    assert [door.source(resolver, "greeting") for _ in range(2)] == ["stale", "stale"]
    assert langfuse.count == 3


def test_not_modified_keeps_the_prompt_and_makes_it_fresh(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse", max_stale=0)
    first, _ = door.find(resolver, "greeting")
    clock.ahead += 61
    again, source = door.find(resolver, "greeting")
    assert again is first
    assert source == "fresh"
    assert "if-none-match" in langfuse.requests[1].headers
    assert door.source(resolver, "greeting") == "cached"
    langfuse.publish("greeting", "Good day {{name}}")
    clock.ahead += 61
    assert door.find(resolver, "greeting")[0].version == 2


class Tagged(LoopbackServer):
    """One prompt under an ETag of the test's choice."""

    etag: str | None = None
    always_unmodified = False

    def answer(self, request: Received) -> Answer:
        headers = {} if self.etag is None else {"ETag": self.etag}
        if self.always_unmodified or (self.etag and request.headers.get("if-none-match") == self.etag):
            return Answer(304, b"", headers)
        return Answer.of_json(200, {"prompt": "Hello", "version": 1, "type": "text"}, **headers)


UNSENDABLE = ['"é"', '"a\tb"', '"\x01"', '"\x7f"', f'"{"x" * 2000}"']


@pytest.mark.parametrize(
    ("etag", "condition"), [('W/"weak"', 'W/"weak"'), (None, None), *((etag, None) for etag in UNSENDABLE)]
)
def test_weak_absent_and_unusable_etags(
    etag: str | None, condition: str | None, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
    with Tagged() as server:
        monkeypatch.setenv("LANGFUSE_HOST", server.url)
        server.etag = etag
        resolver = Resolver("langfuse", max_stale=0)
        resolver.find("x")
        clock.ahead += 61
        assert resolver.find("x")[1] == "fresh"
        assert server.requests[1].headers.get("if-none-match") == condition


def test_not_modified_without_a_condition_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
    with Tagged() as server:
        monkeypatch.setenv("LANGFUSE_HOST", server.url)
        server.always_unmodified = True
        with pytest.raises(BackendError, match="304"):
            Resolver("langfuse").find("x")


def test_not_found_evicts_and_is_remembered_briefly(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    resolver = Resolver("langfuse", max_stale=0)
    door.find(resolver, "greeting")
    langfuse.unpublish("greeting")
    clock.ahead += 61
    for _ in range(3):
        with pytest.raises(PromptNotFoundError, match=r"langfuse prompt 'greeting' \(label 'production'\)"):
            door.find(resolver, "greeting")
    assert langfuse.count == 2
    langfuse.publish("greeting", "Back again")
    clock.ahead += 6
    assert door.source(resolver, "greeting") == "fresh"


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_keep_the_stale_prompt_and_are_logged(
    status: int, door: Door, langfuse: FakeLangfuse, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse", max_stale=0)
    door.find(resolver, "greeting")
    langfuse.fail(status)
    clock.ahead += 61
    with caplog.at_level(logging.WARNING, "promptwire"):
        assert [door.source(resolver, "greeting") for _ in range(3)] == ["stale"] * 3
    assert [record.getMessage() for record in caplog.records if str(status) in record.getMessage()]
    assert len(caplog.records) == 1
    assert langfuse.count == 2


@pytest.mark.parametrize(
    "scope", [{"prompt_id": "greeting"}, {"prompt_id": "langfuse:greeting"}, {"backend": "langfuse"}, {}]
)
def test_invalidate_has_the_next_call_fetch(scope: dict[str, Any], door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    door.find(resolver, "greeting")
    door.find(resolver, "greeting", label="latest")
    langfuse.publish("greeting", "Good day")
    assert resolver.invalidate(**scope) == 2
    prompt, source = door.find(resolver, "greeting")
    assert (prompt.version, source) == (2, "fresh")


def test_invalidate_leaves_others_alone(door: Door, langfuse: FakeLangfuse, stub: type[Stub]) -> None:
    resolver, other = Resolver("langfuse"), stub()
    door.find(resolver, "greeting")
    assert resolver.invalidate("farewell") == 0
    assert resolver.invalidate(backend=other) == 0
    assert door.source(resolver, "greeting") == "cached"


def test_invalidated_but_unreachable_is_stale(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    door.find(resolver, "greeting")
    resolver.invalidate("greeting")
    langfuse.fail(401)
    assert door.source(resolver, "greeting") == "stale"


def test_an_answer_from_before_the_invalidation_is_not_kept(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    with langfuse.gate(times=1) as gate:
        early: list[Any] = []
        caller = threading.Thread(target=lambda: early.append(door.find(resolver, "greeting")[0].version))
        caller.start()
        assert gate.wait_for(1)
        resolver.invalidate("greeting")
        langfuse.publish("greeting", "Newer")
        assert door.find(resolver, "greeting")[0].version == 2
        langfuse.publish("greeting", "Newest, as the held request sees it")
    caller.join(10)
    assert early == [3]
    prompt, source = door.find(resolver, "greeting")
    assert (prompt.version, source) == (2, "cached")


def test_invalidate_reaches_what_the_full_cache_let_go(stub: type[Stub]) -> None:
    """A prompt evicted while its fetch was under way must not be answered from behind the cache."""
    gate = threading.Event()

    def reply(ref: PromptRef, _: object) -> Prompt:
        if ref.id == "slow":
            gate.wait(10)
        return Prompt(ref.id, text="Hello")

    backend = stub(reply)
    resolver = Resolver(backend, max_entries=1)
    caller = threading.Thread(target=resolver.find, args=("slow",))
    caller.start()
    while not backend.fetched["slow"]:
        pass
    resolver.find("other")
    gate.set()
    caller.join(10)
    resolver.invalidate()
    assert resolver.find("slow")[1] == "fresh"


def test_a_stamp_takes_the_place_of_the_ttl(door: Door, stub: type[Stub], clock: Clock) -> None:
    stamp = ["one"]
    backend = stamped(stub(lambda ref, _: Prompt(ref.id, text=stamp[0])), lambda _: stamp[0])
    resolver = Resolver(backend)
    assert [door.source(resolver, "x") for _ in range(2)] == ["fresh", "cached"]
    stamp[0] = "two"
    prompt, source = door.find(resolver, "x")
    assert (prompt.text, source) == ("two", "fresh")
    clock.ahead += 10_000
    assert door.source(resolver, "x") == "cached"
    resolver.invalidate()
    assert door.source(resolver, "x") == "fresh"


@pytest.mark.parametrize("cache_ttl", [0, 60])
def test_after_a_broken_edit_the_old_prompt_is_stale_until_the_next(
    cache_ttl: float, door: Door, stub: type[Stub]
) -> None:
    stamp = ["good"]

    def reply(ref: PromptRef, _: object) -> Prompt:
        if stamp[0] == "broken":
            raise BackendError("broken")
        return Prompt(ref.id, text=stamp[0])

    resolver = Resolver(stamped(stub(reply), lambda _: stamp[0]), cache_ttl=cache_ttl)
    door.find(resolver, "x")
    stamp[0] = "broken"
    assert [door.find(resolver, "x")[0].text for _ in range(3)] == ["good"] * 3
    assert [door.source(resolver, "x") for _ in range(3)] == ["stale"] * 3
    stamp[0] = "mended"
    prompt, source = door.find(resolver, "x")
    assert (prompt.text, source) == ("mended", "fresh")


def test_an_edit_during_a_fetch_is_not_lost(stub: type[Stub]) -> None:
    stamp, reading, go_on = ["old"], threading.Event(), threading.Event()

    def reply(ref: PromptRef, _: object) -> Prompt:
        text = stamp[0]
        if not reading.is_set():
            reading.set()
            go_on.wait(10)
        return Prompt(ref.id, text=text)

    resolver = Resolver(stamped(stub(reply), lambda _: stamp[0]))
    caller = threading.Thread(target=resolver.find, args=("x",))
    caller.start()
    assert reading.wait(10)
    stamp[0] = "new"
    late = threading.Timer(0.05, go_on.set)
    late.start()
    assert resolver.find("x")[0].text == "new"
    caller.join(10)
    late.join(10)
    assert resolver.find("x")[0].text == "new"
