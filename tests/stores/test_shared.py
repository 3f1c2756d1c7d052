"""A store that many processes share: how long what it holds is fresh, and that its trouble costs the sharing alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import Prompt, Resolver
from promptwire.stores import Stored, StoreKey

if TYPE_CHECKING:
    from tests.conftest import Clock, Door, Stub

Until = Callable[..., None]


class Shared:
    """What a shared cache looks like to a resolver: it says how long what it holds stays fresh."""

    shared = True

    def __init__(self) -> None:
        self.held: dict[str, Stored] = {}
        self.asked: list[str] = []
        self.put_ttls: list[float] = []
        self.broken = False

    def get(self, key: StoreKey, deadline: float) -> Any:
        assert not self.broken
        self.asked.append(key.ref.id)
        return self.held.get(key.name)

    def put(self, key: StoreKey, prompt: Prompt, ttl: float, deadline: float) -> None:
        assert not self.broken
        self.put_ttls.append(ttl)
        self.held[key.name] = Stored(prompt, ttl)

    def drop(self, key: StoreKey, deadline: float) -> None:
        self.held.pop(key.name, None)


def test_what_a_shared_store_says_is_fresh_spares_the_backend(
    door: Door, stub: type[Stub], clock: Clock, until: Until
) -> None:
    store, backend = Shared(), stub()
    assert door.source(Resolver(backend, store=store, cache_ttl=30), "a") == "fresh"
    until(lambda: store.put_ttls == [30])
    second = Resolver(backend, store=store, cache_ttl=60)
    assert [door.source(second, "a") for _ in range(2)] == ["store", "cached"]
    clock.ahead += 31
    assert door.source(second, "a") == "stale"
    until(lambda: door.source(second, "a") == "cached")
    assert backend.fetched["a"] == 1
    assert store.asked == ["a"] * 3


def test_what_was_old_when_it_came_from_a_shared_store_is_too_old_for_stale_that_much_sooner(
    door: Door, stub: type[Stub], clock: Clock
) -> None:
    store, backend = Shared(), stub()
    store.get = lambda key, deadline: Stored(Prompt("a", text="Held"), fresh_for=5, age=20)  # type: ignore[method-assign]
    resolver = Resolver(backend, store=store, max_stale=25)
    assert door.source(resolver, "a") == "store"
    clock.ahead += 4
    assert door.source(resolver, "a") == "cached"
    store.get = lambda key, deadline: None  # type: ignore[method-assign]
    clock.ahead += 2
    assert door.source(resolver, "a") == "fresh"


def test_what_a_shared_store_no_longer_holds_for_fresh_is_there_for_an_outage(
    door: Door, stub: type[Stub], until: Until
) -> None:
    store, backend = Shared(), stub()
    door.find(Resolver(backend, store=store), "a")
    until(lambda: store.held)
    store.held = {name: Stored(stored.prompt) for name, stored in store.held.items()}
    assert door.source(Resolver(backend, store=store), "a") == "fresh"
    until(lambda: len(store.put_ttls) == 2)
    store.held = {name: Stored(stored.prompt) for name, stored in store.held.items()}
    backend.reply = lambda ref, http: 1 / 0
    assert door.source(Resolver(backend, store=store), "a") == "store"


def test_a_shared_store_that_breaks_costs_the_sharing_alone(
    door: Door, stub: type[Stub], caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    store = Shared()
    store.broken = True
    resolver = Resolver(stub(), store=store, cache_ttl=0)
    with caplog.at_level(logging.WARNING):
        assert [door.source(resolver, "a") for _ in range(3)] == ["fresh"] * 3
        until(lambda: len(caplog.records) == 2)
        store.broken = False
        door.find(resolver, "a")
        until(lambda: store.held)
        store.broken = True
        door.find(resolver, "a")
        until(lambda: len(caplog.records) == 4)
    assert {record.getMessage().split(":")[1] for record in caplog.records} == {
        " the store can't be read, and is done without",
        " the store can't be written, and is done without",
    }


def test_an_answer_of_a_store_that_is_none_is_not_taken_for_a_prompt(door: Door, stub: type[Stub]) -> None:
    store = Shared()
    store.held = {}
    store.get = lambda key, deadline: "a text"  # type: ignore[method-assign]
    assert door.source(Resolver(stub(), store=store), "a") == "fresh"
