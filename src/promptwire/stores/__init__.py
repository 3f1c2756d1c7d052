"""Stores: where the last good prompts outlive a process. One file each, opened when a resolver is first used."""

import hashlib
import json
import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from promptwire.errors import ConfigurationError
from promptwire.prompts import Prompt, PromptRef


@dataclass(frozen=True, slots=True)
class StoreKey:
    """Whose prompt is meant. ``identity`` tells host and credentials apart, and never leaves the process as it is."""

    backend: str
    identity: Hashable = field(repr=False)
    ref: PromptRef

    @property
    def name(self) -> str:
        """64 hexadecimal digits, the same in every process whose backend has an ``identity`` of the same ``repr``."""
        return self._digest("name", self.ref.id, self.ref.version, self.ref.label).hex()

    @property
    def secret(self) -> bytes:
        """A key for authenticating what is stored, known to whoever holds the backend's credentials."""
        return self._digest("secret")

    def _digest(self, purpose: str, *parts: object) -> bytes:
        told = ["promptwire", purpose, self.backend, repr(self.identity), *parts]
        return hashlib.sha256(json.dumps(told).encode()).digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A prompt that a store has; for ``fresh_for`` seconds it may be used without asking the backend."""

    prompt: Prompt
    fresh_for: float = 0.0


class Store(Protocol):
    """Plain blocking code, called on the fetch threads alone, of any number of threads and processes at once.

    ``deadline`` is a monotonic time: whoever waits for the answer leaves then. An exception costs one warning
    and the answer, no more.
    """

    shared: bool
    """Whether ``get`` is asked before each fetch, since other processes may have been faster (Redis); a store that
    only remembers (a folder) is asked where memory has nothing."""

    def get(self, key: StoreKey, deadline: float) -> Stored | None:
        """What was last put, if it can be trusted."""
        ...

    def put(self, key: StoreKey, prompt: Prompt, ttl: float, deadline: float) -> None:
        """The backend has answered with this prompt, which stays fresh for ``ttl`` seconds."""
        ...

    def drop(self, key: StoreKey, deadline: float) -> None:
        """The backend says that there is no such prompt."""
        ...


def open_store(given: Any, *, frozen: bool = False) -> Store | None:
    """A store by name: a folder, or a lock file (``*.lock``).

    ``None`` is what ``PROMPTWIRE_STORE`` says, ``False`` no store.
    """
    if given is None:
        given = os.environ.get("PROMPTWIRE_STORE") or False
    if frozen and not (isinstance(given, str | os.PathLike) and is_lock(os.fspath(given))):
        raise ConfigurationError("frozen=True needs a lock: give store='prompts.lock'")
    if given is False:
        return None
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return _by_name(str(os.fspath(given)), frozen=frozen)
    lacking = [name for name in ("shared", "get", "put", "drop") if not hasattr(given, name)]
    if lacking or isinstance(given, type):
        raise ConfigurationError(f"store is a folder, a lock file or a Store, not {type(given).__name__}")
    return cast("Store", given)


def is_lock(name: Any) -> bool:
    """Whether a store's name is a lock file's."""
    return str(name).endswith(".lock")


def _by_name(name: str, *, frozen: bool) -> Store:
    if "://" in name:
        raise ConfigurationError(f"there is no store for {name.partition('://')[0]}:// URLs; give a folder or a file")
    if is_lock(name):
        from promptwire.stores.lock import LockStore

        return LockStore(name, frozen=frozen)
    from promptwire.stores.disk import DiskStore

    return DiskStore(name)
