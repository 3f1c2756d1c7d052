"""What two threads or processes do at the same moment: no invalidation is lost, and no child hangs. On a real Redis."""

from __future__ import annotations

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import pytest

from promptwire import Prompt, PromptRef, Resolver
from promptwire.cache import Slot
from promptwire.stores import Scope, StoreKey
from promptwire.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Stub
    from tests.doubles.redis_server import RedisServer

    Until = Callable[..., None]


class Versions:
    """A prompt server whose prompts say which version they are."""

    def __init__(self, stub: type[Stub]) -> None:
        self._stub = stub
        self.number = 1

    def backend(self) -> Stub:
        return self._stub(lambda ref, http: Prompt(ref.id, text=f"version {self.number}", backend="stub"))


@pytest.fixture
def versions(stub: type[Stub]) -> Versions:
    return Versions(stub)


def says(resolver: Resolver, prompt_id: str = "a") -> str | None:
    return resolver.get_prompt(prompt_id).text


def shared(redis: RedisServer, until: Until, count: int = 1) -> None:
    until(lambda: len(redis.keys("prompt")) == count and not redis.keys("lock"))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_a_child_that_is_forked_while_a_thread_makes_digests_makes_its_own() -> None:
    import multiprocessing

    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        """An identity that is being looked at while the process forks."""

        def __repr__(self) -> str:
            inside.set()
            go_on.wait(20)
            return "slow"

    def digests(identity: Any) -> None:
        StoreKey("langfuse", identity, PromptRef("a")).scopes  # noqa: B018 - whenever they are made

    thread = threading.Thread(target=digests, args=(Slow(),))
    thread.start()
    assert inside.wait(20)
    child = multiprocessing.get_context("fork").Process(target=digests, args=("x",))
    child.start()
    child.join(5)
    hangs = child.is_alive()
    child.kill()
    child.join()
    go_on.set()
    thread.join()
    assert not hangs


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_a_forked_child_trusts_none_of_its_many_prompts_before_it_hears_of_changes(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    import multiprocessing

    resolver, ids = Resolver(stub(), store=redis.url), [f"p{number}" for number in range(50)]
    for prompt_id in ids:
        resolver.find(prompt_id)
    until(lambda: len(redis.keys("prompt")) == len(ids) and not redis.keys("lock"))
    forking = multiprocessing.get_context("fork")
    sources = forking.SimpleQueue()
    child = forking.Process(target=lambda: sources.put([resolver.find(prompt_id)[1] for prompt_id in ids]))
    child.start()
    child.join(20)
    assert "cached" not in sources.get()


def test_resolvers_of_one_process_that_have_one_store_hear_each_other(
    redis: RedisServer, versions: Versions, until: Until
) -> None:
    store = RedisStore(redis.url)
    first, second = (Resolver(versions.backend(), store=store) for _ in range(2))
    assert says(first) == "version 1"
    shared(redis, until)
    assert says(second) == "version 1"
    versions.number = 2
    first.invalidate("a")
    assert says(second) == "version 2"


def test_what_is_looked_up_while_its_invalidation_is_being_announced_does_not_stay(
    redis: RedisServer, versions: Versions, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, usual = Resolver(versions.backend(), store=redis.url), RedisStore.announce
    says(resolver)
    shared(redis, until)

    def announce(store: RedisStore, scope: Scope) -> None:
        assert says(resolver) == "version 1"  # another thread, before anybody knows
        usual(store, scope)

    monkeypatch.setattr(RedisStore, "announce", announce)
    versions.number = 2
    resolver.invalidate("a")
    assert says(resolver) == "version 2"


def test_a_fetch_that_lands_at_the_moment_of_an_invalidation_does_not_count_as_fresh(
    redis: RedisServer, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, usual = Resolver(versions.backend(), store=redis.url), Slot.keep

    def keep(*args: Any, **options: Any) -> None:
        monkeypatch.undo()
        versions.number = 2
        resolver.invalidate("a")
        usual(*args, **options)

    monkeypatch.setattr(Slot, "keep", keep)
    assert says(resolver) == "version 1"
    assert says(resolver) == "version 2"


def test_an_invalidation_at_the_moment_of_redis_return_is_not_undone(
    redis: RedisServer, versions: Versions, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, times, usual = Resolver(versions.backend(), store=redis.url), 0, min
    ids = [f"p{number}" for number in range(20)]
    for prompt_id in ids:
        says(resolver, prompt_id)
    shared(redis, until, len(ids))

    def least(*args: float) -> float:
        nonlocal times
        found = usual(*args)
        if times == len(ids) - 1:  # that prompt would be due last
            resolver.invalidate()
        times += 1
        return found

    monkeypatch.setattr("promptwire.invalidation.REFRESHES_A_SECOND", 1)
    for module in ("cache", "invalidation"):
        monkeypatch.setattr(f"promptwire.{module}.min", least, raising=False)
    redis.client().client_kill_filter(_type="pubsub")
    until(lambda: times == len(ids))
    monkeypatch.undo()
    versions.number = 2
    assert {says(resolver, prompt_id) for prompt_id in ids} == {"version 2"}


def test_what_memory_let_go_while_it_was_fetched_is_not_beyond_an_invalidations_reach(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    number = 1

    def reply(ref: PromptRef, http: Any) -> Prompt:
        if ref.id == "a" and number == 1:
            asked.set()
            go_on.wait(20)
        return Prompt(ref.id, text=f"version {number}", backend="stub")

    resolver, other = Resolver(stub(reply), store=redis.url, max_entries=1), Resolver(stub(), store=redis.url)
    thread = threading.Thread(target=resolver.get_prompt, args=("a",))
    thread.start()
    assert asked.wait(20)
    resolver.get_prompt("b")
    go_on.set()
    thread.join()
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    number = 2
    other.get_prompt("c")
    other.invalidate()
    until(lambda: says(resolver) == "version 2", 3)


def test_resolvers_that_are_gone_leave_nothing_in_the_store_they_had(redis: RedisServer, stub: type[Stub]) -> None:
    store = RedisStore(redis.url)
    gc.collect()  # what other tests have left
    kept: list[int] = []
    for _ in range(5):
        Resolver(stub(), store=store).open_backend()
        gc.collect()
        kept.append(sum(isinstance(one, WeakMethod) for one in gc.get_objects()))
    assert kept[-1] <= kept[0]


def test_threads_that_announce_more_than_is_remembered_do_not_get_in_each_others_way(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.stores.redis_link.MAX_PENDING", 1)
    store, usual = RedisStore(redis.url), Scope.__hash__

    def slowly(scope: Scope) -> int:
        time.sleep(0)  # another thread's turn
        return usual(scope)

    def announce(thread: int) -> None:
        for number in range(300):
            store.announce(Scope("backend", f"{thread}-{number}"))

    monkeypatch.setattr(Scope, "__hash__", slowly)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(announce, range(8)))
    store.flush()
    assert len(redis.keys("epoch")) == 1
