"""``promptwire invalidate``: every process that shares the store is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from promptwire import Resolver
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import EXECUTABLE, RedisServer

if TYPE_CHECKING:
    from tests.cli.conftest import Run


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    if EXECUTABLE is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    server = RedisServer()
    server.start()
    monkeypatch.setenv("PROMPTWIRE_STORE", server.url)
    yield server
    server.clean()


@pytest.mark.parametrize("args", [("langfuse:support/reply",), ("support/reply", "-b", "langfuse"), ("-b", "langfuse")])
def test_whoever_shares_the_store_fetches_anew(
    args: tuple[str, ...], run: Run, project: FakeLangfuse, redis: RedisServer, until: Callable[..., None]
) -> None:
    worker = Resolver("langfuse")
    assert worker.get_prompt("support/reply").version == 2
    project.publish("support/reply", [{"role": "user", "content": "Answer {{customer}}."}])
    assert run("invalidate", *args).stdout == "langfuse: told 1 process\n"
    until(lambda: worker.get_prompt("support/reply").version == 3)


def test_nobody_listening_is_said_and_json_says_the_same(run: Run, project: FakeLangfuse, redis: RedisServer) -> None:
    done = run("invalidate", "--backend", "langfuse", "--json")
    assert json.loads(done.stdout) == {"backend": "langfuse", "listening": 0}


TROUBLES: dict[str, Callable[[RedisServer], object]] = {
    "gone": RedisServer.stop,
    "full": lambda redis: redis.client().config_set("maxmemory", 1),
    "read-only": lambda redis: redis.client().replicaof("127.0.0.1", 1),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_redis_that_is_gone_or_refuses_to_be_written_to_is_an_error_of_its_own(
    trouble: str, run: Run, project: FakeLangfuse, redis: RedisServer
) -> None:
    TROUBLES[trouble](redis)
    done = run("invalidate", "--backend", "langfuse", code=5)
    assert "can't be reached, or refuses to be written to" in done.stderr
    assert not done.stdout


def test_what_cannot_be_meant_is_a_usage_error(
    run: Run, project: FakeLangfuse, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "leave them out" in run("invalidate", "langfuse:support/reply@2", code=2).stderr
    monkeypatch.delenv("PROMPTWIRE_STORE")
    assert "PROMPTWIRE_STORE=redis://" in run("invalidate", "--backend", "langfuse", code=2).stderr
