"""Fixtures of the stores' tests: a folder that a first process has filled, and a second process's resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import Resolver
from promptwire.testing import FakeLangfuse
from tests.doubles.redis_server import EXECUTABLE, RedisServer
from tests.doubles.worker import Worker

if TYPE_CHECKING:
    from tests.conftest import Door

Until = Callable[..., None]
Warm = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def files(folder: Path) -> Callable[[], list[Path]]:
    return lambda: sorted(folder.glob("*.prompt"))


@pytest.fixture
def warm(folder: Path, files: Callable[[], list[Path]], langfuse: FakeLangfuse, until: Until) -> Warm:
    """Have a process of its own, so to say, resolve prompts; answers the file of the last, once it is written."""

    def warm(*prompt_ids: str, **options: Any) -> Path:
        resolver = Resolver("langfuse", store=folder)
        for prompt_id in prompt_ids or ("greeting",):
            before = set(files())
            resolver.get_prompt(prompt_id, **options)
            until(lambda before=before: set(files()) - before)
        return next(iter(set(files()) - before))

    return warm


@pytest.fixture
def later(door: Door, folder: Path) -> Callable[..., str]:
    """Where a process that starts later has its answer from."""

    def source(prompt_id: str = "greeting", *, backend: Any = "langfuse", **options: Any) -> str:
        timeout = options.pop("timeout", 0.3)
        return door.source(Resolver(backend, store=folder, timeout=timeout), prompt_id, **options)

    return source


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    if EXECUTABLE is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    servers: list[RedisServer] = []

    def start(*options: str, **more: Any) -> RedisServer:
        servers.append(RedisServer(*options, **more))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.clean()


@pytest.fixture
def redis(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis()


@pytest.fixture
def workers(redis: RedisServer) -> Iterator[Callable[..., list[Worker]]]:
    """Starts processes whose resolvers share the store, and has them ready."""
    started: list[Worker] = []

    def start(count: int, **options: Any) -> list[Worker]:
        made = [Worker(redis.url, **options) for _ in range(count)]
        started.extend(made)
        for worker in made:
            worker.hear()
        return made

    yield start
    for worker in started:
        worker.end()
