"""Many processes, many prompts: what Redis' return, its flapping and its messages cost. On a real Redis."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import Prompt, PromptRef, Resolver
from promptwire.stores import Scope, StoreKey
from promptwire.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Stub
    from tests.doubles.redis_server import RedisServer

    Until = Callable[..., None]


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each round trip to Redis takes along."""
    from redis.client import Pipeline

    seen: list[int] = []
    usual = Pipeline.execute

    def counted(pipe: Any, *args: Any, **options: Any) -> Any:
        seen.append(len(pipe))
        return usual(pipe, *args, **options)

    monkeypatch.setattr(Pipeline, "execute", counted)
    return seen


def test_when_redis_is_back_not_everything_is_refreshed_at_once(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    backend = stub()
    resolver, ids = Resolver(backend, store=redis.url), [f"p{number}" for number in range(300)]
    for prompt_id in ids:
        resolver.find(prompt_id)
    until(lambda: len(redis.keys("prompt")) == len(ids) and not redis.keys("lock"))
    redis.stop()
    redis.start()
    until(redis.listening)
    first = Counter(resolver.find(prompt_id)[1] for prompt_id in ids)
    assert first["cached"] > len(ids) / 2
    until(lambda: [resolver.find(prompt_id) for prompt_id in ids] and all(backend.fetched[i] > 1 for i in ids), 30)
    assert set(backend.fetched.values()) == {2}


def test_a_link_that_breaks_again_and_again_is_mended_as_fast_each_time(
    redis: RedisServer, stub: type[Stub], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.stores.redis_link.FIRST_PAUSE", 0.02)
    resolver = Resolver(stub(), store=redis.url)
    resolver.find("a")
    for _ in range(10):  # pauses that only grow would be at their longest by then, five seconds
        until(lambda: redis.listening() == 1, 3)
        found = time.monotonic()
        until(lambda found=found: time.monotonic() > found + 0.1)
        assert redis.client().client_kill_filter(_type="pubsub") == 1


def test_what_others_announce_is_compared_with_digests_that_are_made_once(
    redis: RedisServer, stub: type[Stub], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, other = Resolver(stub(), store=redis.url), RedisStore(redis.url)
    ids = [f"p{number}" for number in range(20)]
    for prompt_id in ids:
        resolver.find(prompt_id)
    until(lambda: redis.listening() == 1 and len(redis.keys("prompt")) == len(ids))
    scopes, made = [Scope.of("stub", "stub", prompt_id) for prompt_id in ids], []

    def counted(data: bytes) -> Any:
        made.append(data)
        return hashlib.sha256(data)

    monkeypatch.setattr("promptwire.stores.hashlib", SimpleNamespace(sha256=counted))
    for scope in scopes:
        other.announce(scope)
    other.flush()
    for prompt_id in ids:
        until(lambda prompt_id=prompt_id: resolver.find(prompt_id)[1] != "cached")
    assert made == []


def test_a_fetch_is_three_round_trips_and_what_another_process_fetched_is_one(
    redis: RedisServer, stub: type[Stub], until: Until, trips: list[int]
) -> None:
    first, second = (Resolver(stub(), store=redis.url) for _ in range(2))
    assert first.find("a")[1] == "fresh"
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    assert trips == [4, 6, 2], "a look, the lock and a look, the value and the lock's end"
    assert second.find("a")[1] == "store"
    assert trips[3:] == [4]


def test_who_waits_for_a_fetch_has_its_age_though_it_says_what_was_there_before(
    redis: RedisServer, until: Until, trips: list[int]
) -> None:
    fetching, waiting = RedisStore(redis.url), RedisStore(redis.url)
    key, prompt, deadline = StoreKey("langfuse", "x", PromptRef("a")), Prompt("a", text="x"), time.monotonic() + 20
    fetching.claim(key, deadline)
    fetching.put(key, prompt, 0.5, deadline)
    until(lambda: (stored := waiting.get(key, deadline)) and stored.fresh_for == 0)
    before = fetching.claim(key, deadline)
    assert before
    found: list[Any] = []
    thread, seen = threading.Thread(target=lambda: found.append(waiting.claim(key, deadline))), len(trips)
    thread.start()
    until(lambda: len(trips) >= seen + 4)  # it polls
    fetching.put(key, prompt, 0.5, deadline)
    thread.join()
    (after,) = found
    assert after.prompt == prompt
    assert after.fresh_for > 0
    assert after.age < before.age
    assert after.prompt.fetched_at > before.prompt.fetched_at + 0.4, "that of the later of two equal values"
