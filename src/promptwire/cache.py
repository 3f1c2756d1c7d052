"""The memory cache: one slot per prompt and selector, bounded, read without a lock."""

import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from promptwire.errors import PromptwireError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef
from promptwire.stores import StoreKey
from promptwire.workers import rebuild_after_fork

if TYPE_CHECKING:
    from promptwire.backends import Backend
    from promptwire.flights import Flight

NEVER = float("-inf")
NO_ETAGS: Mapping[str, str] = {}


class Slot:
    """What is known of one prompt: the last good answer, and the last failure while it is believed.

    Times are monotonic. Readers take no lock: each field is replaced whole.
    """

    __slots__ = (
        "_key", "backend", "error", "etags", "fetched_at", "flight", "fresh_until", "held_back", "outage", "prompt",
        "ref", "retry_at", "stamp", "stored", "used",
    )  # fmt: skip

    def __init__(self, backend: "Backend", ref: PromptRef) -> None:
        self.backend = backend
        self.ref = ref
        self.prompt: Prompt | None = None
        self.fetched_at = self.fresh_until = self.retry_at = self.used = NEVER
        self.etags: Mapping[str, str] = NO_ETAGS
        self.stamp: Hashable = None
        self.error: PromptwireError | None = None
        self.flight: Flight[Prompt] | None = None
        self.outage = False
        self.held_back: str | None = None  # why the newest version isn't the one that serves
        self.stored: bool | None = None  # whether the prompt is a store's; None: no store was asked
        self._key: StoreKey | None = None

    @property
    def source(self) -> tuple[str, Hashable]:
        """The backend, host and credentials: what circuits and the pool of threads tell apart."""
        return self.backend.name, self.backend.identity

    @property
    def key(self) -> StoreKey:
        """The prompt's in stores."""
        key = self._key
        if key is None or key.identity != self.backend.identity:  # which may be another by now
            self._key = key = StoreKey(*self.source, self.ref)
        return key

    @property
    def where(self) -> str:
        """How error messages name this prompt."""
        return where(self.backend.name, self.ref)

    def keep(self, prompt: Prompt, etags: dict[str, str], now: float, ttl: float) -> None:
        """A good answer has come."""
        self.etags = etags or NO_ETAGS
        self.error = self.held_back = None
        self.outage = self.stored = False
        self.fetched_at = now
        self.prompt = prompt
        self.fresh_until = now + ttl

    def expire(self) -> None:
        """Forget how fresh it is, its failure, and a fetch under way: the next call asks the backend."""
        self.flight = None  # first, and then the times: one that lands meanwhile looks whether it is still there
        self.fetched_at = self.fresh_until = self.retry_at = NEVER
        self.error = self.stamp = None

    def doubt(self, until: float) -> None:
        """It is fresh until then at most, and goes on answering while it is refreshed."""
        self.fresh_until = min(self.fresh_until, until)
        if self.fetched_at == NEVER:  # another thread has just had it expire
            self.fresh_until = NEVER


def where(backend: str, ref: PromptRef) -> str:
    """How error messages name a prompt that isn't there yet."""
    selector = f" (version {ref.version})" if ref.version is not None else f" (label {ref.label!r})"
    return f"{backend} prompt {ref.id!r}{selector if ref.version or ref.label else ''}"


class PromptCache:
    """At most ``limit`` slots; past it the tenth that was used longest ago goes."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._size = 0
        self._slots: dict[Hashable, dict[PromptRef, Slot]] = {}
        self.reset()
        rebuild_after_fork(self)

    def reset(self) -> None:
        """A lock of our own, whatever state a forked parent's was in."""
        self._lock = threading.Lock()

    def slot(self, backend: "Backend", ref: PromptRef, now: float) -> Slot:
        """The slot for a prompt; made if there is none."""
        table = self._slots.get((backend.name, backend.identity))
        found = table.get(ref) if table else None
        return self._make(Slot(backend, ref), now) if found is None else found

    def _make(self, slot: Slot, now: float) -> Slot:
        with self._lock:
            found = self._slots.setdefault(slot.source, {}).setdefault(slot.ref, slot)
            found.used = now
            self._size += found is slot
            if self._size > self._limit:
                self._evict()
        return found

    def _evict(self) -> None:
        # Tables go by the key that a slot came in under: a backend's identity may be another by now.
        held = [(source, slot) for source, table in self._slots.items() for slot in table.values()]
        held.sort(key=lambda one: one[1].used)
        for source, slot in held[: max(1, self._limit // 10)]:
            table = self._slots[source]
            table.pop(slot.ref).expire()
            self._size -= 1
            if not table:
                del self._slots[source]

    def select(self, prompt_id: str | None = None, backend: "Backend | None" = None) -> list[Slot]:
        """The slots of a prompt, of a backend, or all."""
        tables = list(self._slots.values())
        if backend is not None:
            tables = [self._slots.get((backend.name, backend.identity), {})]
        slots = [slot for table in tables for slot in list(table.values())]
        return [slot for slot in slots if prompt_id is None or slot.ref.id == prompt_id]


class Shortcuts:
    """What callers typed, to its slot: spares the cached path the building of a key; at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.slots: dict[tuple[object, ...], dict[str, Slot]] = {}
        self._size = 0

    def put(self, selector: tuple[object, ...], prompt_id: str, slot: Slot) -> None:
        """The ids of one selector share its key. Raises ``TypeError`` if it can't be hashed."""
        if self._size >= self.limit:
            self.clear()
        table = self.slots.setdefault(selector, {})
        self._size += prompt_id not in table
        table[prompt_id] = slot
