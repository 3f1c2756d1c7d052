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
from promptwire.stores.redis_link import FIRST_PAUSE, LONGEST_PAUSE

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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the link pauses for before it tries again; a moment is enough here."""
    seen: list[float] = []
    others = set(threading.enumerate())  # links that earlier tests have left

    def sleep(seconds: float) -> None:
        if threading.current_thread() in others:
            time.sleep(seconds)
            return
        seen.append(seconds)
        time.sleep(0.01)

    monkeypatch.setattr("promptwire.stores.redis_link.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return seen


def test_in_a_forked_child_nothing_is_fresh_until_its_own_link_has_been_heard(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    store = RedisStore(redis.url)
    resolver, ids = Resolver(stub(), store=store), [f"p{number}" for number in range(20)]
    for prompt_id in ids:
        resolver.find(prompt_id)
    until(lambda: len(redis.keys("prompt")) == len(ids) and not redis.keys("lock"))
    assert {resolver.find(prompt_id)[1] for prompt_id in ids} == {"cached"}
    store.reset()  # as the child's hook does
    assert "cached" not in {resolver.find(prompt_id)[1] for prompt_id in ids}


def test_a_link_that_breaks_again_and_again_is_mended_as_fast_each_time_even_after_an_outage(
    redis: RedisServer, stub: type[Stub], until: Until, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.stores.redis_link.STEADY_SECONDS", 0.1)
    resolver = Resolver(stub(), store=redis.url)
    resolver.find("a")
    until(redis.listening)
    redis.stop()
    until(lambda: pauses and pauses[-1] == LONGEST_PAUSE)
    redis.start()
    for number in range(1, 6):
        until(redis.listening)
        found = time.monotonic()
        until(lambda found=found: time.monotonic() > found + 0.2)
        pauses.clear()
        assert redis.client().client_kill_filter(_type="pubsub") == 1, f"break {number}"
        until(lambda: pauses)
        assert pauses == [FIRST_PAUSE]


def test_a_redis_that_takes_subscriptions_and_hangs_is_tried_less_and_less_often(
    redis: RedisServer, stub: type[Stub], until: Until, pauses: list[float]
) -> None:
    resolver = Resolver(stub(), store=redis.url, timeout=5, cache_ttl=0)
    resolver.find("a")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    redis.client().client_pause(60_000, all=False)  # writes wait, as in a failover
    until(lambda: resolver.find("a") and len(pauses) == 3)
    assert pauses == sorted(set(pauses)), "each costs somebody the timeout"
    redis.client().client_unpause()


def test_a_link_that_breaks_often_does_not_have_everything_refreshed_more_often(
    redis: RedisServer, stub: type[Stub], until: Until, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.invalidation.REFRESHES_A_SECOND", 2)
    backend, ids = stub(), [f"p{number}" for number in range(20)]
    resolver = Resolver(backend, store=redis.url)
    for prompt_id in ids:
        resolver.find(prompt_id)
    until(lambda: len(redis.keys("prompt")) == len(ids) and not redis.keys("lock"))
    began = time.monotonic()
    for number in range(1, 31):
        assert redis.client().client_kill_filter(_type="pubsub") == 1
        until(lambda number=number: len(pauses) == number and redis.listening())
    due = sum(resolver.find(prompt_id)[1] != "cached" for prompt_id in ids)
    assert due <= 2 * (time.monotonic() - began) + 1


def test_however_much_is_to_be_told_takes_one_round_trip(redis: RedisServer, trips: list[int]) -> None:
    store, key = RedisStore(redis.url), StoreKey("langfuse", "x", PromptRef("a"))
    redis.client().config_set("maxmemory", 1)
    for number in range(100):
        store.announce(Scope.of("langfuse", "x", f"p{number}"))
    assert store.flush() is None
    store.get(key, time.monotonic() + 20)
    assert trips[0] == 200
    assert trips[-2:] == [100, 4], "Redis is full: all is told, and remains to be written"
    redis.client().config_set("maxmemory", 0)
    assert store.flush() == 0, "nobody is told twice"
    assert len(redis.keys("epoch")) == 100


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
