"""Fixtures of the stores' tests: a folder that a first process has filled, and a second process's resolver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import Resolver
from promptwire.testing import FakeLangfuse

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
