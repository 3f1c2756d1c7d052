"""What is in Redis: whole, private, bounded, and trusted only as far as it can be; and the URL that leads there."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptwire import ConfigurationError, Prompt, PromptRef, Resolver
from promptwire.stores import StoreKey
from promptwire.stores.records import RecordError, seal
from promptwire.stores.redis import RedisStore
from promptwire.stores.redis_url import client_options, public_url
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import RedisServer
from tests.doubles.stored import PROMPTS

if TYPE_CHECKING:
    from tests.conftest import Stub

Until = Callable[..., None]

KEY = StoreKey("langfuse", ("https://127.0.0.1", "digest"), PromptRef("support/reply", label="production"))
PROMPT = Prompt("support/reply", text="Hello {{name}}", backend="langfuse", version=3)


def soon() -> float:
    return time.monotonic() + 10


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(PROMPTS)
def test_a_prompt_comes_back_from_redis_as_it_was(redis: RedisServer, prompt: Prompt) -> None:
    store = RedisStore(redis.url)
    store.claim(KEY, soon())
    store.put(KEY, prompt, 60, soon())
    stored = RedisStore(redis.url).get(KEY, soon())
    assert stored is not None
    assert (stored.prompt, stored.prompt.content_hash) == (prompt, prompt.content_hash)
    assert 50 < stored.fresh_for <= 60
    redis.client().flushall()


@pytest.fixture
def warm(redis: RedisServer, langfuse: FakeLangfuse, until: Until) -> bytes:
    """The key under which Redis holds ``greeting``."""
    Resolver("langfuse", store=redis.url).get_prompt("greeting")
    until(lambda: redis.keys("prompt") and not redis.keys("lock"))
    return redis.keys("prompt")[0]


def test_no_secret_and_no_id_is_in_keys_and_no_secret_in_values(
    redis: RedisServer, warm: bytes, langfuse: FakeLangfuse
) -> None:
    resolver = Resolver("langfuse", store=redis.url)
    resolver.resolve("greeting", variables={"name": "canary-value"})
    resolver.invalidate("greeting")
    names = redis.client().keys("*")
    held = b"".join(redis.client().get(name) for name in names)
    assert len(names) == 2
    assert all(name.startswith(b"promptwire:") and b"greeting" not in name for name in names)
    identity = resolver.open_backend().identity
    for secret in (langfuse.secret_key, langfuse.public_key, "canary-value", str(identity[1])):  # type: ignore[index]
        assert secret.encode() not in held + b"".join(names)


def test_everything_in_redis_ends_by_itself(redis: RedisServer, warm: bytes, langfuse: FakeLangfuse) -> None:
    Resolver("langfuse", store=redis.url).invalidate("greeting")
    assert all(redis.client().ttl(name) > 0 for name in redis.client().keys("*"))


HEAD = b"60000 .\n"
ATTACKS: dict[str, Callable[[Any, bytes, bytes], object]] = {
    "emptied": lambda client, name, value: client.set(name, b"\n"),
    "torn": lambda client, name, value: client.set(name, value[:-1]),
    "longer": lambda client, name, value: client.append(name, b" "),
    "another text": lambda client, name, value: client.set(name, value.replace(b"Hello", b"Bribe")),
    "no head": lambda client, name, value: client.set(name, value.partition(b"\n")[2]),
    "no number": lambda client, name, value: client.set(name, b"-1 .\n" + value.partition(b"\n")[2]),
    "huge number": lambda client, name, value: client.set(name, b"9" * 5000 + b" .\n" + value.partition(b"\n")[2]),
    "other keys": lambda client, name, value: client.set(
        name, HEAD + seal(StoreKey("langfuse", "guess", PromptRef("greeting", label="production")), PROMPT), ex=604_800
    ),
    "a pickle": lambda client, name, value: client.set(name, HEAD + pickle.dumps(PROMPT), ex=604_800),
    "deep JSON": lambda client, name, value: client.set(name, HEAD + b"[" * 1_000_000),
    "oversized": lambda client, name, value: client.setrange(name, 50_000_000, b"x"),
    "a list": lambda client, name, value: client.delete(name) and client.rpush(name, value),
    "without an end": lambda client, name, value: client.persist(name),
}
SILENT = {"a list", "without an end"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_value_that_was_tampered_with_is_ignored_reported_once_and_replaced(
    attack: str, redis: RedisServer, warm: bytes, *, langfuse: FakeLangfuse, until: Until, caplog: Any
) -> None:
    good = redis.client().get(warm)
    ATTACKS[attack](redis.client(), warm, good)
    resolver = Resolver("langfuse", store=redis.url)
    with caplog.at_level(logging.WARNING):
        assert resolver.find("greeting")[1] == "fresh"
        until(lambda: redis.client().type(warm) == b"string" and redis.client().get(warm) == good)
    told = [record.getMessage() for record in caplog.records if "ignoring what the store at" in record.getMessage()]
    assert len(told) == (attack not in SILENT)
    until(lambda: not redis.keys("lock"))
    assert Resolver("langfuse", store=redis.url).find("greeting")[1] == "store"


def test_another_prompts_value_is_not_taken_for_this_ones(
    redis: RedisServer, warm: bytes, langfuse: FakeLangfuse, until: Until
) -> None:
    Resolver("langfuse", store=redis.url).get_prompt("farewell")
    until(lambda: len(redis.keys("prompt")) == 2 and not redis.keys("lock"))
    (other,) = set(redis.keys("prompt")) - {warm}
    redis.client().copy(warm, other, replace=True)
    assert Resolver("langfuse", store=redis.url).find("farewell")[1] == "fresh"


@pytest.mark.parametrize("config", [{"x": object()}, {"x": "é" * 400_000}], ids=["no JSON", "too large"])
def test_what_is_too_large_or_no_json_is_not_written_and_holds_nobody_up(
    config: dict[str, Any], redis: RedisServer, stub: type[Stub]
) -> None:
    store = RedisStore(redis.url)
    with pytest.raises(RecordError):
        store.put(KEY, Prompt("p", text="x", config=config), 60, soon())
    backend = stub(lambda ref, http: Prompt(ref.id, text="x", config=config))
    assert Resolver(backend, store=redis.url, cache_ttl=0).find("a")[1] == "fresh"
    assert not redis.keys("prompt")


def test_a_clock_of_redis_that_was_set_back_keeps_nothing_fresh(
    redis: RedisServer, warm: bytes, langfuse: FakeLangfuse
) -> None:
    redis.client().pexpire(warm, redis.client().pttl(warm) + 3_600_000)
    assert Resolver("langfuse", store=redis.url).find("greeting")[1] == "fresh"


def test_what_was_fetched_without_asking_redis_first_is_for_outages_alone(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    store.put(KEY, PROMPT, 60, soon())
    stored = store.get(KEY, soon())
    assert stored is not None
    assert stored.fresh_for == 0


@pytest.mark.parametrize("message", [b"", b"x", b"\xff\x00", b"a b c d", b"s " + b"f" * 64, b"x" * 100_000, b"a  "])
def test_a_message_that_is_none_of_ours_changes_nothing(
    message: bytes, redis: RedisServer, warm: bytes, langfuse: FakeLangfuse, until: Until
) -> None:
    resolver = Resolver("langfuse", store=redis.url)
    for prompt_id in ("greeting", "farewell"):
        resolver.get_prompt(prompt_id)
    assert redis.client().publish("promptwire:invalidate", message) >= 1
    backend = resolver.open_backend()
    wide, narrow = StoreKey(backend.name, backend.identity, PromptRef("farewell")).scopes
    redis.client().publish("promptwire:invalidate", f"x {wide.digest} {narrow.digest}")
    until(lambda: resolver.find("farewell")[1] != "cached")  # by then the one before it was heard, too
    assert resolver.find("greeting")[1] == "cached"
    redis.client().publish("promptwire:invalidate", f"x {wide.digest} ")
    until(lambda: resolver.find("greeting")[1] != "cached")


URLS = {
    "redis://h": {"host": "h", "port": 6379, "ssl": False, "db": 0},
    "redis://:p%40w@h:1/3": {"host": "h", "port": 1, "ssl": False, "db": 3, "password": "p@w"},
    "rediss://u:p@[::1]?db=2": {"host": "::1", "port": 6379, "ssl": True, "db": 2, "username": "u", "password": "p"},
    "rediss://h?ssl_check_hostname=false&ssl_ca_certs=/x": {
        "host": "h", "port": 6379, "ssl": True, "db": 0, "ssl_check_hostname": False, "ssl_ca_certs": "/x",
    },
    "unix://:p@/run/redis.sock?db=1": {"unix_socket_path": "/run/redis.sock", "db": 1, "password": "p"},
}  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_names_server_database_and_who_we_are(url: str) -> None:
    assert client_options(url) == URLS[url]


@pytest.mark.parametrize(
    "url", ["redis://:canary@h:port", "redis://:canary@h/x", "redis://:canary@h?password=canary", "redis://canary@[h"]
)
def test_a_url_that_is_wrong_is_refused_without_showing_it(url: str, stub: type[Stub]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Resolver(stub(), store=url).get_prompt("a")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text("abc:/@?#[]% ", max_size=30))
def test_whoever_is_let_in_is_never_in_what_is_shown(text: str) -> None:
    try:
        shown = public_url(f"redis://:canary@h/{text}?password=canary&db=1")
    except ConfigurationError as error:
        shown = str(error)
    assert ":canary@" not in shown
    assert "password=" not in shown or "?" in text or "#" in text
