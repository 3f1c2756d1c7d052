"""One store for many machines: who fetches, who waits, and what an invalidation reaches. On a real Redis."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import BackendError, ConfigurationError, Prompt, PromptNotFoundError, PromptRef, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.stores import Scope, StoreKey, open_store
from promptwire.stores.redis import RedisStore
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import RedisServer
from tests.doubles.worker import Worker

if TYPE_CHECKING:
    from tests.conftest import Door, Stub

Until = Callable[..., None]
Workers = Callable[..., list[Worker]]


def fetches(langfuse: FakeLangfuse, prompt_id: str = "greeting") -> int:
    return sum(f"/{prompt_id}" in request.path for request in langfuse.requests)


def shared(redis: RedisServer, until: Until, count: int = 1) -> None:
    """The value has been written, and its lock is gone."""
    until(lambda: len(redis.keys("prompt")) == count and not redis.keys("lock"))


@pytest.mark.parametrize("unix", [False, True])
def test_what_one_process_fetched_spares_the_next_ones_fetch(
    *, unix: bool, door: Door, start_redis: Callable[..., RedisServer], langfuse: FakeLangfuse, until: Until
) -> None:
    redis = start_redis(unix=unix)
    assert door.source(Resolver("langfuse", store=redis.url), "greeting") == "fresh"
    shared(redis, until)
    second = Resolver("langfuse", store=redis.url)
    assert [door.source(second, "greeting") for _ in range(2)] == ["store", "cached"]
    assert fetches(langfuse) == 1


@pytest.mark.parametrize("find", ["find", "afind"])
def test_eight_processes_with_cold_caches_make_one_fetch(
    find: str, workers: Workers, redis: RedisServer, langfuse: FakeLangfuse
) -> None:
    started = workers(8)
    langfuse.slow(0.3)
    for worker in started:
        worker.tell(find, "greeting")
    assert sorted(worker.hear()[1] for worker in started) == ["fresh", *["store"] * 7]
    assert fetches(langfuse) == 1


def test_many_threads_that_come_first_open_one_store(
    redis: RedisServer, stub: type[Stub], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would keep the locks that the first took, and a connection."""
    start = threading.Barrier(20)

    def slowly(*args: Any, **options: Any) -> Any:
        opened = open_store(*args, **options)
        time.sleep(0.01)  # long enough for another thread to come
        return opened

    def find(number: int) -> str:
        start.wait(30)
        return resolver.find(f"p{number}")[1]

    monkeypatch.setattr("promptwire.stores.keeper.open_store", slowly)
    resolver = Resolver(stub(), store=redis.url, timeout=30)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(find, range(20))) == {"fresh"}
    shared(redis, until, 20)
    assert redis.listening() == 1


def test_each_version_and_label_is_shared_for_itself(
    door: Door, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    langfuse.publish("greeting", "Good day {{name}}", labels=["staging"])
    first, second = (Resolver("langfuse", store=redis.url) for _ in range(2))
    selectors: list[dict[str, Any]] = [{}, {"label": "staging"}, {"version": 1}, {"version": 2}]
    told = [first.find("greeting", **selector)[0].version for selector in selectors]
    shared(redis, until, 4)
    assert told == [1, 2, 1, 2]
    assert [second.find("greeting", **selector) for selector in selectors] == [
        (first.get_prompt("greeting", **selector), "store") for selector in selectors
    ]


def test_projects_that_share_a_redis_see_nothing_of_each_other(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    Resolver("langfuse", store=redis.url).get_prompt("greeting")
    shared(redis, until)
    with FakeLangfuse(secret_key="sk-lf-another") as other:
        other.publish("greeting", "From another")
        backend = LangfuseBackend(other.public_key, other.secret_key, other.url)
        assert Resolver(backend, store=redis.url).find("greeting")[1] == "fresh"
        shared(redis, until, 2)
        first = Resolver("langfuse", store=redis.url)
        assert first.find("greeting")[1] == "store"
        Resolver(backend, store=redis.url).invalidate()
        assert Resolver("langfuse", store=redis.url).find("greeting")[1] == "store"
        assert first.find("greeting")[1] == "cached"


def test_a_shorter_ttl_than_the_writers_is_kept(redis: RedisServer, stub: type[Stub], until: Until) -> None:
    backend = stub()
    Resolver(backend, store=redis.url, cache_ttl=60).get_prompt("a")
    shared(redis, until)
    (name,) = redis.keys("prompt")
    left = redis.client().pttl(name)
    redis.client().pexpire(name, left - 10_000)  # ten seconds later
    assert Resolver(backend, store=redis.url, cache_ttl=5).find("a")[1] == "fresh"
    shared(redis, until)
    redis.client().pexpire(name, left - 10_000)
    assert Resolver(backend, store=redis.url, cache_ttl=0).find("a")[1] == "fresh"
    until(lambda: redis.client().pttl(name) > left - 5_000)
    redis.client().pexpire(name, left - 61_000)
    assert Resolver(backend, store=redis.url, cache_ttl=600).find("a")[1] == "fresh", "cache_ttl=0 wrote it"


def test_a_process_whose_backend_is_down_runs_on_what_redis_holds(
    door: Door, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    Resolver("langfuse", store=redis.url, cache_ttl=0).get_prompt("greeting")
    shared(redis, until)
    langfuse.stop()
    resolver = Resolver("langfuse", store=redis.url, timeout=1)
    assert [door.source(resolver, "greeting") for _ in range(2)] == ["store", "store"]
    with pytest.raises(Exception, match="farewell"):
        door.find(resolver, "farewell")
    assert not redis.keys("lock")


def test_what_the_backend_says_is_gone_leaves_redis(
    door: Door, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    resolver = Resolver("langfuse", store=redis.url, cache_ttl=0)
    door.find(resolver, "greeting")
    shared(redis, until)
    langfuse.unpublish("greeting")
    with pytest.raises(PromptNotFoundError):
        door.find(resolver, "greeting")
    until(lambda: [redis.client().get(name) for name in redis.keys("prompt")] == [b"-"] and not redis.keys("lock"))
    langfuse.fail(503)
    with pytest.raises(BackendError, match="503"):
        door.find(Resolver("langfuse", store=redis.url), "greeting")
    langfuse.heal()
    langfuse.publish("greeting", "Back again")
    assert door.source(Resolver("langfuse", store=redis.url), "greeting") == "fresh"
    shared(redis, until)
    assert door.source(Resolver("langfuse", store=redis.url), "greeting") == "store"


def test_processes_that_ask_for_what_does_not_exist_do_not_queue_for_it(
    workers: Workers, redis: RedisServer, langfuse: FakeLangfuse
) -> None:
    started = workers(4)
    gate = langfuse.hang(match="absent", times=1)
    for worker in started:
        worker.tell("find", "absent", {"fallback": "Hi"})
    assert gate.wait_for()
    together = langfuse.hang(match="absent")
    gate.release()
    assert together.wait_for(len(started) - 1), "all others ask at once, when the first was told"
    together.release()
    assert [worker.hear()[1] for worker in started] == ["fallback"] * len(started)
    assert fetches(langfuse, "absent") == len(started)
    assert all(0 < redis.client().ttl(name) <= 5 for name in redis.keys("prompt"))


def test_a_killed_holder_of_the_lock_costs_the_others_a_part_of_their_time(
    door: Door, workers: Workers, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    (holder,) = workers(1)
    gate = langfuse.hang(times=1)
    holder.tell("find", "greeting")
    gate.wait_for()
    assert len(redis.keys("lock")) == 1
    holder.kill()
    began = time.monotonic()
    assert door.source(Resolver("langfuse", store=redis.url, timeout=2), "greeting") == "fresh"
    assert time.monotonic() - began < 2
    assert fetches(langfuse) == 2


def test_when_a_killed_holders_lock_has_ended_one_of_the_others_takes_it(
    workers: Workers, redis: RedisServer, langfuse: FakeLangfuse
) -> None:
    (holder,), others = workers(1, timeout=1), workers(3, timeout=20)
    gate = langfuse.hang(times=1)
    holder.tell("find", "greeting")
    assert gate.wait_for()
    (lock,) = redis.keys("lock")
    holder.kill()
    assert redis.client().pttl(lock) > 0
    for worker in others:
        worker.tell("find", "greeting")
    assert sorted(worker.hear()[1] for worker in others) == ["fresh", "store", "store"]
    assert fetches(langfuse) == 2


def test_no_lock_lasts_for_as_long_as_its_holder_may(redis: RedisServer) -> None:
    for seconds in (2, 3600):
        key = StoreKey("langfuse", "x", PromptRef(f"p{seconds}"))
        RedisStore(redis.url).claim(key, time.monotonic() + seconds)
        assert 0 < redis.client().pttl(f"promptwire:lock:{key.name}") <= min(seconds, 5) * 1000


def test_a_fetch_that_fails_lets_the_next_one_in(redis: RedisServer, stub: type[Stub], until: Until) -> None:
    failing, well = stub(), stub()
    inside, failed = threading.Event(), threading.Event()

    def fail(ref: Any, http: Any) -> Any:
        inside.set()
        failed.wait(10)
        return 1 / 0

    failing.reply = fail
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Resolver(failing, store=redis.url).find, "a")
        inside.wait(10)
        second = pool.submit(Resolver(well, store=redis.url, timeout=60).find, "a")
        failed.set()
        assert isinstance(first.exception(10), BackendError)
        assert second.result(10)[1] == "fresh"
    assert well.fetched["a"] == 1


def test_backends_that_tell_at_no_cost_what_is_current_are_not_shared(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    backend = stub()
    backend.stamp = lambda ref: 1
    resolver = Resolver(backend, store=redis.url)
    assert [resolver.find("a")[1] for _ in range(2)] == ["fresh", "cached"]
    assert not redis.keys("prompt")


INVALIDATIONS: list[tuple[str, list[str], bool]] = [
    ("invalidate", ["greeting"], True),
    ("invalidate", ["langfuse:greeting"], True),
    ("invalidate", [], True),
    ("ainvalidate", ["greeting"], True),
    ("invalidate", ["farewell"], False),
]


@pytest.mark.parametrize(("call", "args", "reaches"), INVALIDATIONS)
def test_an_invalidation_reaches_every_process_and_costs_one_fetch(
    *, call: str, args: list[str], reaches: bool, workers: Workers, redis: RedisServer, langfuse: FakeLangfuse,
    until: Until,
) -> None:  # fmt: skip
    started = workers(3)
    assert [worker.do("find", "greeting")[0] for worker in started] == [1, 1, 1]
    shared(redis, until)
    langfuse.publish("greeting", "Good day {{name}}")
    before = redis.keys("epoch")
    assert started[0].do(call, *args) == (0 if args == ["farewell"] else 1)
    until(lambda: redis.keys("epoch") != before)
    if not reaches:
        assert [worker.do("find", "greeting")[1] for worker in started] == ["cached"] * 3
        return
    for worker in started:
        until(lambda worker=worker: worker.do("find", "greeting")[0] == 2)
    assert fetches(langfuse) == 2


def test_an_invalidation_in_a_loop_does_not_wait_for_redis(redis: RedisServer, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", store=redis.url)
    resolver.get_prompt("greeting")

    async def stalled() -> float:
        began = time.perf_counter()
        resolver.invalidate()
        return time.perf_counter() - began

    redis.halt()
    assert asyncio.run(stalled()) < 0.2
    redis.go_on()


def test_a_fetch_under_way_when_the_prompt_is_invalidated_is_not_shared_as_fresh(
    redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    backend, inside, go_on = stub(), threading.Event(), threading.Event()
    usual = backend.reply

    def slowly(ref: Any, http: Any) -> Any:
        inside.set()
        go_on.wait(10)
        return usual(ref, http)

    backend.reply = slowly
    first, second = Resolver(backend, store=redis.url), Resolver(backend, store=redis.url)
    thread = threading.Thread(target=first.find, args=("a",))
    thread.start()
    inside.wait(10)
    second.invalidate("a", backend=backend)
    go_on.set()
    thread.join()
    until(lambda: not redis.keys("lock"))
    assert second.find("a")[1] == "fresh"


def test_what_was_asked_for_before_an_invalidation_and_written_after_it_is_not_fresh(redis: RedisServer) -> None:
    first, second = RedisStore(redis.url), RedisStore(redis.url)
    key = StoreKey("langfuse", "x", PromptRef("a"))
    deadline = time.monotonic() + 60
    for scope in (*key.scopes, Scope.of("langfuse", "x", "b"), Scope.of("langfuse", "y")):
        assert first.claim(key, deadline) is None
        second.announce(scope)
        second.flush()
        first.put(key, Prompt("a", text="x"), 60, deadline)
        stored = second.get(key, deadline)
        assert stored
        assert (stored.fresh_for > 0) is (scope not in key.scopes)
        first.drop(key, deadline)


def test_an_invalidation_by_a_process_that_has_cached_nothing_reaches_the_others(
    workers: Workers, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    (worker,) = workers(1)
    worker.do("find", "greeting")
    shared(redis, until)
    langfuse.publish("greeting", "Good day {{name}}")
    script = "import promptwire; promptwire.invalidate('langfuse:greeting')"
    env = {**langfuse.env, "PROMPTWIRE_STORE": redis.url}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=60)
    until(lambda: worker.do("find", "greeting")[0] == 2)


def test_what_was_announced_while_a_process_was_cut_off_is_found_out_when_it_is_back(
    workers: Workers, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    (worker,) = workers(1)
    assert worker.do("find", "greeting") == [1, "fresh"]
    shared(redis, until)
    redis.stop()
    langfuse.publish("greeting", "Good day {{name}}")
    assert worker.do("find", "greeting") == [1, "cached"]
    redis.start()
    until(lambda: worker.do("find", "greeting")[0] == 2)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_a_forked_child_has_a_link_of_its_own_and_trusts_nothing_it_could_not_hear_of(
    workers: Workers, redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    (worker,) = workers(1)
    worker.do("find", "greeting")
    shared(redis, until)
    child = worker.do("fork", "greeting")
    assert child[0][1] in {"stale", "store"}
    assert worker.do("find", "greeting")[1] == "cached"
    until(lambda: redis.listening() == 1)
    assert fetches(langfuse) == 1


def test_a_resolver_pickles_without_the_urls_password_which_is_read_from_the_environment(
    start_redis: Callable[..., RedisServer], langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    redis = start_redis("--requirepass", "sk-canary-pw", password="sk-canary-pw")
    url = redis.url.replace("//", "//default:sk-canary-pw@")
    monkeypatch.setenv("PROMPTWIRE_STORE", url)
    for made in (Resolver("langfuse", store=url), Resolver("langfuse", store=RedisStore(url, timeout=0.2))):
        data = pickle.dumps(made)
        assert b"canary" not in data
        twin = pickle.loads(data)  # noqa: S301 - our own
        assert "canary" not in repr(RedisStore(url))
        twin.get_prompt("greeting")
        until(lambda: redis.keys("prompt"))
        redis.client().flushall()


def test_a_resolver_that_is_gone_takes_its_thread_along(redis: RedisServer, stub: type[Stub], until: Until) -> None:
    resolver = Resolver(stub(), store=redis.url)
    resolver.get_prompt("a")
    assert redis.listening() == 1
    del resolver
    until(lambda: gc.collect() >= 0 and redis.listening() == 0)


def test_a_missing_extra_is_named_with_its_command(stub: type[Stub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'promptwire\[redis\]'"):
        Resolver(stub(), store="redis://127.0.0.1").get_prompt("a")
