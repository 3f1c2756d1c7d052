"""A lock file as a store: the last known good that is committed, or, frozen, all there is."""

import math
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from promptwire.backends import PromptSummary
from promptwire.backends.http import Http
from promptwire.errors import PromptNotFoundError
from promptwire.lock import Locked, read_lock
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef
from promptwire.stores import Stored, StoreKey


class LockStore:
    """A lock as a store that nobody writes to; with ``frozen`` what it holds is asked for nowhere else."""

    def __init__(self, path: str | os.PathLike[str], *, frozen: bool = False) -> None:
        self.path = Path(path).absolute()
        self.shared = self._frozen = frozen
        self._entries: tuple[Locked, ...] | None = None
        self._index: dict[tuple[str, PromptRef], Prompt] = {}

    def entries(self) -> tuple[Locked, ...]:
        """What the file holds, read once. Raises ``ConfigurationError``."""
        if self._entries is None:
            entries = read_lock(self.path)
            numbered = {(one.backend, PromptRef(one.ref.id, one.prompt.version)): one.prompt for one in entries}
            self._index = {**numbered, **{(one.backend, one.ref): one.prompt for one in entries}}
            self._entries = entries
        return self._entries

    def get(self, key: StoreKey, deadline: float) -> Stored | None:  # noqa: ARG002 - the protocol's
        """By id and label as they were locked, or by the version that was found; whatever the credentials."""
        self.entries()
        prompt = self._index.get((key.backend, key.ref))
        return None if prompt is None else Stored(prompt, math.inf if self._frozen else 0.0)

    def put(self, key: StoreKey, prompt: Prompt, ttl: float, deadline: float) -> None:
        """Nothing: the file is committed."""

    def drop(self, key: StoreKey, deadline: float) -> None:
        """Nothing, as above."""


class FrozenBackend:
    """Stands for a backend that must not be asked: what the lock doesn't hold does not exist."""

    stamp = None
    options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, name: str, default_label: str | None, lock: LockStore) -> None:
        self.name = name
        self.default_label = default_label
        self.identity: Hashable = ("frozen", str(lock.path))
        self._lock = lock

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """Raises ``PromptNotFoundError``, and ``ConfigurationError`` for a lock that can't be read."""
        others = sorted({entry.backend for entry in self._lock.entries() if entry.ref.id == ref.id} - {self.name})
        held = f"; it holds that id from {', '.join(others)}: name that backend" if others else ""
        raise PromptNotFoundError(
            f"{http.where} is not in {self._lock.path}, and frozen=True asks nobody else: "
            f"add it with promptwire lock, or ask for what was locked{held}"
        )

    def list(self, http: Http) -> Sequence[PromptSummary]:  # noqa: ARG002 - the protocol's
        """What the lock holds of this backend."""
        mine = [entry for entry in self._lock.entries() if entry.backend == self.name]
        found: dict[str, PromptSummary] = {}
        for entry in mine:
            summary = PromptSummary(
                entry.ref.id, _filled(entry.prompt.version), _filled(entry.ref.label), entry.prompt.tags
            )
            found[summary.id] = summary.merged_into(found.get(summary.id))
        return [found[prompt_id] for prompt_id in sorted(found)]


def _filled(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,)
