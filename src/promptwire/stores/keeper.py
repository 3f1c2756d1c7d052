"""A resolver's store, kept from its callers: whatever fails in it costs one warning, and nobody's answer."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from promptwire import log
from promptwire.backends import Backend
from promptwire.cache import Slot
from promptwire.prompts import Prompt
from promptwire.stores import Hear, Scope, SharedStore, Store, Stored, open_store
from promptwire.stores.records import RecordError
from promptwire.workers import rebuild_after_fork

T = TypeVar("T")

MAX_REPORTED = 10_000


class Keeper:
    """Asks the store on the fetch threads; ``open()`` comes first."""

    def __init__(self, given: Any, *, frozen: bool = False) -> None:
        self._given = given
        self.frozen = frozen
        self._store: Store | None = None
        self._shared: SharedStore | None = None
        self._is_open = False
        self._failing: set[str] = set()
        self._unfit: set[str] = set()
        self.reset()
        rebuild_after_fork(self)

    def reset(self) -> None:
        """A lock of our own, whatever state a forked parent's was in."""
        self._lock = threading.Lock()

    def open(self, hear: Hear) -> None:
        """Read the environment, at a resolver's first use, once however many come. Raises ``ConfigurationError``."""
        with self._lock:
            if self._is_open:
                return
            self._store = store = open_store(self._given, frozen=self.frozen)
            if isinstance(store, SharedStore):  # a slow question, by its protocol's names
                self._shared = store
                store.listen(hear)
            self._is_open = True

    def stand_in(self, name: str, default_label: str | None) -> Backend:
        """What a frozen lock says in place of a backend."""
        from promptwire.stores.lock import FrozenBackend, LockStore

        assert isinstance(self._store, LockStore)  # noqa: S101 - open_store() saw to it
        return FrozenBackend(name, default_label if isinstance(default_label, str) else None, self._store)

    def wanted(self, slot: Slot) -> bool:
        """Whether memory has nothing, and the store was not asked yet."""
        return self._of(slot) is not None and slot.prompt is None and slot.stored is None

    def look(self, slot: Slot, deadline: float, *, fetching: bool) -> Stored | None:
        """What the store has, where that may be of use before the backend is asked, or, not ``fetching``, instead."""
        store = self._of(slot)
        if store is None or not (store.shared or self.wanted(slot)):
            return None
        get = self._shared.claim if fetching and self._shared is not None else store.get
        found = self._guarded("read", slot, lambda: get(slot.key, deadline))
        return found if isinstance(found, Stored) else None

    def keep(self, slot: Slot, prompt: Prompt, ttl: float, deadline: float) -> None:
        """The backend has answered."""
        if (store := self._of(slot)) is not None:
            self._guarded("written", slot, lambda: store.put(slot.key, prompt, ttl, deadline))

    def drop(self, slot: Slot, deadline: float) -> None:
        """The backend says that there is none."""
        if (store := self._of(slot)) is not None:
            self._guarded("written", slot, lambda: store.drop(slot.key, deadline))

    def release(self, slot: Slot) -> None:
        """A fetch is over, whatever came of it."""
        if (shared := self._shared) is not None and self._of(slot) is not None:
            self._guarded("released", slot, lambda: shared.release(slot.key))

    def announce(self, backend: Backend, prompt_id: str | None) -> None:
        """A backend's prompts, or those of one id, are invalidated; ``tell`` has the others know."""
        if self._shared is not None:
            self._shared.announce(Scope.of(backend.name, backend.identity, prompt_id))

    def tell(self) -> int | None:
        """How many processes listen to what is announced; ``None`` if none can be told."""
        return None if self._shared is None else self._shared.flush()

    @property
    def is_shared(self) -> bool:
        """Whether other processes are told."""
        return self._shared is not None

    def _of(self, slot: Slot) -> Store | None:
        """No shared store where a backend can tell at no cost what is current, and maybe for this machine alone."""
        store = self._store
        return None if store is not None and store.shared and slot.backend.stamp is not None else store

    def _guarded(self, what: str, slot: Slot, do: Callable[[], T]) -> T | None:
        """Say once that something fails, and again only after it has worked; of what can't be stored, once a prompt."""
        try:
            done = do()
        except Exception as error:  # noqa: BLE001 - a third party's store may raise anything
            known, name = (self._unfit, slot.where) if isinstance(error, RecordError) else (self._failing, what)
            if name not in known and len(known) < MAX_REPORTED:
                known.add(name)
                log.logger.warning(
                    "%s: the store can't be %s, and is done without: %s: %s",
                    slot.where, what, type(error).__name__, error,
                )  # fmt: skip
            return None
        self._failing.discard(what)
        return done
