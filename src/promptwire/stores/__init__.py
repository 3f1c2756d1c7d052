"""Stores: where the last good prompts outlive a process, or are shared. Opened when a resolver is first used."""

import hashlib
import json
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from promptwire.errors import ConfigurationError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef


@dataclass(frozen=True, slots=True)
class Scope:
    """What is invalidated, as digests: a backend's prompts, or with ``prompt`` those of one id."""

    backend: str
    prompt: str = ""

    @classmethod
    def of(cls, backend: str, identity: Hashable, prompt_id: str | None = None) -> "Scope":
        """All prompts of a backend, or those of one id, whatever their version or label."""
        wide = _digest("scope", backend, identity).hex()
        return cls(wide, "" if prompt_id is None else _digest("scope", backend, identity, prompt_id).hex())

    @property
    def digest(self) -> str:
        """Of the narrower."""
        return self.prompt or self.backend


Hear: TypeAlias = Callable[[Scope | None], object]
"""Told of what another process has invalidated; ``None``: something may have been missed.

``GAP`` is that, too, where all who share the store are told so at the same time.
"""

GAP = Scope("")


@dataclass(frozen=True)
class StoreKey:
    """Whose prompt is meant. ``identity`` tells host and credentials apart, and never leaves the process as it is.

    Its digests are made once: each message that others announce is compared with those of all that is cached.
    """

    backend: str
    identity: Hashable = field(repr=False)
    ref: PromptRef
    name: str = field(init=False, repr=False, compare=False)
    """64 hexadecimal digits, the same in every process whose backend has an ``identity`` of the same ``repr``."""
    secret: bytes = field(init=False, repr=False, compare=False)
    """A key for authenticating what is stored, known to whoever holds the backend's credentials."""
    scopes: tuple[Scope, Scope] = field(init=False, repr=False, compare=False)
    """That of the backend, and that of the prompt."""

    def __post_init__(self) -> None:
        # No cached_property: in Python 3.11 that has one lock for all instances, which a forked child may inherit held.
        asked, ref = (self.backend, self.identity), self.ref
        object.__setattr__(self, "name", _digest("name", *asked, ref.id, ref.version, ref.label).hex())
        object.__setattr__(self, "secret", _digest("secret", *asked))
        object.__setattr__(self, "scopes", (Scope.of(*asked), Scope.of(*asked, ref.id)))


def _digest(purpose: str, backend: str, identity: Hashable, *parts: object) -> bytes:
    told = ["promptwire", purpose, backend, repr(identity), *parts]
    return hashlib.sha256(json.dumps(told).encode()).digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A prompt that a store has, ``age`` seconds after the backend answered it.

    For ``fresh_for`` seconds it may be used without asking the backend, as far as the asker's own TTL allows.
    """

    prompt: Prompt
    fresh_for: float = 0.0
    age: float = 0.0


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


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that many machines have at once: one fetch among all, and invalidation that reaches everybody.

    The calls of one fetch (``claim``, then ``put`` or ``drop``, and ``release``) come on one thread.
    """

    def claim(self, key: StoreKey, deadline: float) -> Stored | None:
        """``get``, where a fetch is to follow if it isn't fresh: waits while another process is at it."""
        ...

    def release(self, key: StoreKey) -> None:
        """That fetch is over."""
        ...

    def announce(self, scope: Scope) -> None:
        """What was put before is not fresh; doesn't wait."""
        ...

    def flush(self) -> int | None:
        """Tell the others what was announced; answers how many listen, ``None`` if they can't be told now."""
        ...

    def listen(self, hear: Hear) -> None:
        """Have a bound method told what others announce, for as long as its object lives."""
        ...


def open_store(given: Any, *, frozen: bool = False) -> Store | None:
    """A store by name: a folder, a lock file (``*.lock``), or Redis' URL.

    ``None`` is what ``PROMPTWIRE_STORE`` says, ``False`` no store.
    """
    if given is None:
        given = os.environ.get("PROMPTWIRE_STORE") or False
    if frozen and not (isinstance(given, str | os.PathLike) and is_lock(os.fspath(given))):
        raise ConfigurationError("frozen=True needs a lock: give store='prompts.lock'")
    if given is False:
        return None
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return _by_name(os.path.expanduser(str(os.fspath(given))), frozen=frozen)  # noqa: PTH111 - may be a URL
    lacking = [name for name in ("shared", "get", "put", "drop") if not hasattr(given, name)]
    if lacking or isinstance(given, type):
        raise ConfigurationError(
            f"store is a folder, a lock file, a redis:// URL or a Store, not {type(given).__name__}"
        )
    return cast("Store", given)


def picklable(given: Any) -> Any:
    """What names a store, without the password of a URL: the other process has it from its own environment."""
    from promptwire.stores.redis_url import is_redis, public_url

    return public_url(given) if is_redis(given) else given


def is_lock(name: Any) -> bool:
    """Whether a store's name is a lock file's."""
    return str(name).endswith(".lock")


def _by_name(name: str, *, frozen: bool) -> Store:
    from promptwire.stores.redis_url import is_redis

    if is_redis(name):
        from promptwire.stores.redis import RedisStore

        return RedisStore(name)
    if "://" in name:
        raise ConfigurationError(
            f"there is no store for {name.partition('://')[0]}:// URLs; give redis://, a folder or a file"
        )
    if is_lock(name):
        from promptwire.stores.lock import LockStore

        return LockStore(name, frozen=frozen)
    from promptwire.stores.disk import DiskStore

    return DiskStore(name)
