"""Fixtures of the backends' tests: a folder of prompts that a test writes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from promptwire import Resolver
from promptwire.backends.files import FilesBackend

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    return folder


@pytest.fixture
def resolver(root: Path) -> Resolver:
    return Resolver(FilesBackend(root))


@pytest.fixture
def write(root: Path) -> Write:
    clock = iter(range(1_000_000_000, 2_000_000_000))

    def write(name: str, text: str | bytes) -> Path:
        """Each write has an mtime of its own, however coarse the file system's clock is."""
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        os.utime(path, (now := next(clock), now))
        return path

    return write
