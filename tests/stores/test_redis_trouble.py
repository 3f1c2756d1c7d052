"""Redis that is slow, hung, full, read-only, gone, no Redis, or won't have us: it costs the sharing, and no answer."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import Prompt, PromptRef, Resolver
from promptwire.stores import Scope, StoreKey
from promptwire.stores.redis import RedisStore
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import RedisServer
from tests.doubles.worker import Worker

if TYPE_CHECKING:
    from tests.conftest import Door, Stub

Until = Callable[..., None]
Start = Callable[..., RedisServer]


def _read_only(redis: RedisServer) -> None:
    redis.client().replicaof("127.0.0.1", 1)


def _full(redis: RedisServer) -> None:
    redis.client().config_set("maxmemory", 1)


def _new_password(redis: RedisServer) -> None:
    client = redis.client()
    client.config_set("requirepass", "another")
    redis.password = "another"
    for kind in ("normal", "pubsub"):  # who is connected already stays so
        client.client_kill_filter(_type=kind, skipme=True)


def _no_writers(redis: RedisServer) -> None:
    redis.client().config_set("min-replicas-to-write", 3)


def _nothing_allowed(redis: RedisServer) -> None:
    redis.client().acl_setuser("default", enabled=True, nopass=True, commands=["-@all", "+subscribe"])


TROUBLES: dict[str, Callable[[RedisServer], object]] = {
    "killed": RedisServer.stop,
    "hung": RedisServer.halt,
    "full": _full,
    "read-only": _read_only,
    "no writers": _no_writers,
    "another password": _new_password,
    "nothing allowed": _nothing_allowed,
}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "store" in record.getMessage()]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_process_that_starts_with_redis_in_trouble_answers_in_time_and_warns_once(
    trouble: str, door: Door, redis: RedisServer, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    TROUBLES[trouble](redis)
    resolver = Resolver("langfuse", store=redis.url, cache_ttl=0, timeout=2)
    with caplog.at_level(logging.WARNING):
        began = time.monotonic()
        assert [door.source(resolver, "greeting") for _ in range(5)] == ["fresh"] * 5
        assert door.source(resolver, "farewell") == "fresh"
        assert time.monotonic() - began < 4, "the first pays once, and the rest nothing"
        resolver.invalidate()
    assert len(told(caplog)) <= 1
    redis.go_on() if trouble == "hung" else None


@pytest.mark.parametrize("trouble", TROUBLES)
def test_redis_that_fails_while_it_is_in_use_costs_no_answer_and_one_warning(
    trouble: str,
    door: Door,
    redis: RedisServer,
    langfuse: FakeLangfuse,
    *,
    caplog: pytest.LogCaptureFixture,
    until: Until,
) -> None:
    resolver = Resolver("langfuse", store=redis.url, timeout=2, cache_ttl=0)
    door.find(resolver, "greeting")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    TROUBLES[trouble](redis)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            began = time.monotonic()
            assert door.source(resolver, "greeting") == "fresh"
            assert time.monotonic() - began < 2
        until(lambda: len(told(caplog)) == 1)
        door.find(resolver, "farewell")
    assert len(told(caplog)) == 1
    assert "canary" not in caplog.text
    redis.go_on() if trouble == "hung" else None


@pytest.mark.parametrize("trouble", ["killed", "hung"])
def test_sharing_is_resumed_when_redis_is_back(
    trouble: str, redis: RedisServer, langfuse: FakeLangfuse, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse", store=redis.url, cache_ttl=0, timeout=2)
    with caplog.at_level(logging.WARNING):
        for round_ in range(1, 3):
            TROUBLES[trouble](redis)
            resolver.get_prompt("greeting")
            until(lambda round_=round_: len(told(caplog)) == round_)
            redis.start() if trouble == "killed" else redis.go_on()
            until(lambda: resolver.find("greeting") and redis.keys("prompt"), 20)
            redis.client().flushall()
    assert len(told(caplog)) == 2, "one an outage"


def test_what_is_invalidated_while_redis_is_away_is_told_when_it_is_back(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    first, second = (Resolver("langfuse", store=redis.url, timeout=2) for _ in range(2))
    first.get_prompt("greeting")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    assert second.find("greeting")[1] == "store"
    redis.halt()
    langfuse.publish("greeting", "Good day {{name}}")
    first.invalidate("greeting")
    assert first.get_prompt("greeting").version == 2
    redis.go_on()
    until(lambda: second.get_prompt("greeting").version == 2)
    until(lambda: redis.keys("epoch"))


def test_while_redis_is_full_what_was_invalidated_here_is_not_taken_from_it(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    resolver = Resolver("langfuse", store=redis.url)
    resolver.get_prompt("greeting")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    langfuse.publish("greeting", "Good day {{name}}")
    heard: list[Any] = []
    listener = redis.client().pubsub()
    listener.subscribe("promptwire:invalidate")
    _full(redis)
    for _ in range(3):
        resolver.invalidate("greeting")
        assert resolver.find("greeting")[0].version == 2
    resolver.find("farewell")
    while (message := listener.get_message(timeout=0.2)) is not None:
        heard.append(message["type"])
    assert heard == ["subscribe", *["message"] * 3], "each is told once, however often it has to be written"
    redis.client().config_set("maxmemory", 0)
    resolver.get_prompt("greeting", version=1)
    until(lambda: redis.keys("epoch"))
    listener.close()


@pytest.fixture
def liar() -> Iterator[Callable[[bytes], str]]:
    """A server that answers each message with the same bytes."""
    from promptwire.testing.listener import Listener

    made: list[Listener] = []

    def start(answer: bytes) -> str:
        def serve(connection: Any, stopped: threading.Event) -> None:
            while connection.recv(65536) and not stopped.is_set():
                connection.sendall(answer)

        made.append(Listener(0, serve))
        return f"redis://127.0.0.1:{made[-1].port}"

    yield start
    for listener in made:
        listener.close()


LIES = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "OK to all": b"+OK\r\n" * 4,
    "an endless text": b"$900000000\r\n",
    "deep lists": b"*1\r\n" * 5000,
    "a negative length": b"*-7\r\n",
    "numbers": b":1\r\n" * 6,
    "errors": b"-ERR no\r\n" * 6,
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_redis_costs_no_answer(
    lie: str, door: Door, liar: Callable[[bytes], str], stub: type[Stub], caplog: pytest.LogCaptureFixture
) -> None:
    backend = stub()
    resolver = Resolver(backend, store=liar(LIES[lie]), cache_ttl=0, timeout=2)
    assert [door.source(resolver, "a") for _ in range(3)] == ["fresh"] * 3


def test_a_call_with_little_time_does_not_spend_it_on_redis(
    door: Door, redis: RedisServer, langfuse: FakeLangfuse
) -> None:
    redis.halt()
    resolver = Resolver("langfuse", store=redis.url, timeout=5)
    began = time.monotonic()
    assert door.source(resolver, "greeting", timeout=0.5) == "fresh"
    assert time.monotonic() - began < 0.5
    redis.go_on()


def test_a_lock_that_is_never_let_go_costs_half_the_time_at_most(
    door: Door, redis: RedisServer, stub: type[Stub], until: Until
) -> None:
    backend = stub()
    resolver = Resolver(backend, store=redis.url, timeout=1.5, cache_ttl=0)
    door.find(resolver, "a")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    name = redis.keys("prompt")[0].replace(b":prompt:", b":lock:")
    redis.client().set(name, "another's", px=5_000)
    began = time.monotonic()
    assert door.source(resolver, "a") == "fresh"
    assert 0.5 < time.monotonic() - began < 1.5
    assert redis.client().get(name) == b"another's", "only the holder lets go"


@pytest.mark.parametrize("lasts", [None, 3600])
def test_a_lock_that_would_outlast_every_fetch_is_not_waited_for(
    redis: RedisServer, stub: type[Stub], until: Until, lasts: int | None
) -> None:
    resolver = Resolver(stub(), store=redis.url, timeout=20, cache_ttl=0)
    resolver.find("a")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    name = redis.keys("prompt")[0].replace(b":prompt:", b":lock:")
    redis.client().set(name, "nobody's", ex=lasts)
    began = time.monotonic()
    assert resolver.find("a")[1] == "fresh"
    assert time.monotonic() - began < 5
    assert redis.client().get(name) == b"nobody's"


@pytest.mark.parametrize("trouble", ["killed", "hung", "well"])
def test_the_thread_does_not_delay_an_exit(trouble: str, redis: RedisServer, langfuse: FakeLangfuse) -> None:
    worker = Worker(redis.url, timeout=2)
    worker.hear()
    worker.do("find", "greeting")
    if trouble != "well":
        TROUBLES[trouble](redis)
        worker.do("find", "farewell")
    began = time.monotonic()
    worker.end()
    assert time.monotonic() - began < 2
    assert worker.process.returncode == 0
    redis.go_on() if trouble == "hung" else None


def test_no_thread_is_started_and_no_redis_imported_where_none_is_used() -> None:
    script = """
import sys, threading
from promptwire import Prompt, PromptRef, Resolver
from promptwire.backends.memory import MemoryBackend
Resolver("files", store=False).invalidate()
assert threading.active_count() == 1
assert "redis" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_nobody_can_be_told_is_remembered_within_bounds(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    scopes = [Scope.of("langfuse", "x", f"p{number}") for number in range(1001)]
    for scope in scopes:
        store.announce(scope)
    assert store.flush() == 0
    assert len(redis.keys("epoch")) == 1000
    assert f"promptwire:epoch:{scopes[0].digest}".encode() not in redis.keys("epoch")


def test_a_server_that_falls_silent_is_noticed_without_a_call(
    redis: RedisServer, stub: type[Stub], until: Until, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("promptwire.stores.redis_link.POLL_SECONDS", 0.1)
    monkeypatch.setattr("promptwire.stores.redis_link.PING_SECONDS", 0.1)
    monkeypatch.setattr("promptwire.stores.redis_link.SILENT_SECONDS", 1.0)
    resolver = Resolver(stub(), store=redis.url)
    with caplog.at_level(logging.WARNING):
        resolver.get_prompt("a")
        until(lambda: redis.keys("prompt") and not redis.keys("lock"))  # nothing is under way
        redis.halt()
        until(lambda: len(told(caplog)) == 1)
    assert "fallen silent" in told(caplog)[0]
    redis.go_on()


class Hearer:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hear(self, scope: Scope | None) -> None:
        self.heard.append(scope)


def test_a_child_is_told_that_it_may_have_missed_something(redis: RedisServer) -> None:
    store, hearer = RedisStore(redis.url), Hearer()
    store.listen(hearer.hear)
    store.reset()
    assert hearer.heard == [None]


def test_what_there_is_no_time_for_is_not_written(redis: RedisServer) -> None:
    key = StoreKey("langfuse", "x", PromptRef("a"))
    store = RedisStore(redis.url)
    store.put(key, Prompt("a", text="x"), 60, time.monotonic() + 0.1)
    store.drop(key, time.monotonic() + 0.1)
    assert not redis.keys("*")
