"""The ways to a Redis: TLS, client certificates, users with few rights; slow ones, and back after an outage."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from promptwire import PromptNotFoundError, Resolver
from promptwire.stores.redis import RedisStore
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import RIGHTS, RedisServer
from tests.doubles.tls import OPENSSL, Certificate
from tests.doubles.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Door

Until = Callable[..., None]
Start = Callable[..., RedisServer]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    return Certificate(tmp_path, "redis")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "store" in record.getMessage()]


TLS = {
    "its authority": ("no", "?ssl_ca_certs={file}", True),
    "its authority, by name": ("no", "?ssl_ca_certs={file}#localhost", True),
    "unchecked": ("no", "?ssl_cert_reqs=none&ssl_check_hostname=false", True),
    "a client's certificate": ("yes", "?ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={key}", True),
    "no client's certificate": ("yes", "?ssl_ca_certs={file}", False),
    "an unknown authority": ("no", "", False),
    "no tls": ("no", "?plain", False),
}


@pytest.mark.parametrize("way", TLS)
def test_by_tls_prompts_are_shared_if_the_certificate_is_trusted_and_else_it_costs_the_sharing(
    way: str, start_redis: Start, certificate: Certificate, langfuse: FakeLangfuse, until: Until
) -> None:
    auth, query, works = TLS[way]
    redis = start_redis("--tls-auth-clients", auth, tls=certificate)
    url = redis.url + query.format(file=certificate.file, key=certificate.key)
    if "?plain" in url:
        url = url.replace("rediss", "redis").partition("?")[0]
    if "#" in url:
        url = url.replace("127.0.0.1", "localhost").partition("#")[0]
    first, second = (Worker(url, cache_ttl=ttl) for ttl in (0, 60))
    assert [worker.hear() for worker in (first, second)] == ["ready"] * 2
    assert first.do("find", "greeting") == [1, "fresh"]
    if works:
        until(lambda: first.do("find", "greeting") and redis.keys("prompt") and not redis.keys("lock"))
    assert second.do("find", "greeting")[0] == 1
    first.end()
    second.end()
    assert len(redis.keys("prompt")) == works


def test_a_user_needs_few_rights(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    redis.client().acl_setuser(
        "app", enabled=True, passwords=["+canary"], keys=["promptwire:*"], channels=["promptwire:invalidate"],
        commands=["-@all", *(f"+{command}" for command in RIGHTS.split())],
    )  # fmt: skip
    url = redis.url.replace("//", "//app:canary@")
    with caplog.at_level(logging.WARNING):
        first, second = (Resolver("langfuse", store=url) for _ in range(2))
        first.get_prompt("greeting")
        until(lambda: redis.keys("prompt") and not redis.keys("lock"))
        assert second.find("greeting")[1] == "store"
        langfuse.publish("greeting", "Good day {{name}}")
        first.invalidate("greeting")
        until(lambda: second.get_prompt("greeting").version == 2)
    assert told(caplog) == []
    refused = {entry["object"] for entry in redis.client().acl_log()}
    assert {name for name in refused if not name.startswith("client")} == set(), "the client's own name may be refused"


def test_a_lock_that_may_not_be_let_go_is_told_of(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    redis.client().acl_setuser("default", enabled=True, nopass=True, commands=["-eval"])
    store = RedisStore(redis.url)
    resolver, other = (Resolver("langfuse", store=store) for _ in range(2))
    with caplog.at_level(logging.WARNING):
        assert resolver.find("greeting")[1] == "fresh"
        until(lambda: told(caplog))
        assert other.find("greeting")[1] == "store"
        assert resolver.find("farewell")[1] == "fresh"
        until(lambda: len(redis.keys("prompt")) == 2)
        with pytest.raises(PromptNotFoundError):
            resolver.find("nobody's")
    assert len(told(caplog)) == 1
    assert "won't have locks ended" in told(caplog)[0]
    assert "'eval'" in told(caplog)[0]


@pytest.fixture
def slow(start_redis: Start) -> Iterator[RedisServer]:
    """It answers, but sleeps for a fifth of a second between any two commands."""
    redis, over = start_redis("--enable-debug-command", "yes"), threading.Event()

    def sleep() -> None:
        client = redis.client()
        while not over.is_set():
            client.execute_command("DEBUG", "SLEEP", "0.2")

    thread = threading.Thread(target=sleep)
    thread.start()
    yield redis
    over.set()
    thread.join()


def test_a_slow_redis_costs_at_most_half_of_the_time(
    door: Door, slow: RedisServer, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            resolver, began = Resolver("langfuse", store=slow.url, timeout=3), time.monotonic()
            assert door.source(resolver, "greeting") in {"fresh", "store"}
            assert door.source(resolver, "greeting") == "cached"
            assert time.monotonic() - began < 3
    assert len(told(caplog)) <= 2


def test_a_paused_redis_is_one_that_hangs(
    door: Door, redis: RedisServer, langfuse: FakeLangfuse, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse", store=redis.url, timeout=3, cache_ttl=0)
    door.find(resolver, "greeting")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    redis.client().client_pause(2000, all=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            began = time.monotonic()
            assert door.source(resolver, "greeting") == "fresh"
            assert time.monotonic() - began < 3
    assert len(told(caplog)) == 1


def test_an_invalidation_reaches_those_who_were_cut_off_and_are_back(
    redis: RedisServer, langfuse: FakeLangfuse, until: Until
) -> None:
    first, second = (Resolver("langfuse", store=redis.url) for _ in range(2))
    for resolver in (first, second):
        resolver.get_prompt("greeting")
    for version in (2, 3):
        redis.stop()
        redis.start()
        until(lambda: redis.listening() == 2, 20)
        until(lambda: [one.find("greeting")[1] for one in (first, second)] == ["cached"] * 2)
        langfuse.publish("greeting", f"Version {version}")
        assert second.find("greeting")[1] == "cached"
        first.invalidate("greeting")
        until(lambda version=version: second.get_prompt("greeting").version == version)
