"""The single path from a prompt id to a prompt: memory, then the backend, then what is left when it fails."""

import math
import os
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any, Literal, Unpack

from promptwire import log
from promptwire.ambient import ambient_variables
from promptwire.backends import Backend, backend_prefix
from promptwire.backends.opened import Backends
from promptwire.cache import PromptCache, Shortcuts, Slot
from promptwire.catalog import Catalog
from promptwire.contracts import Contracts
from promptwire.errors import ConfigurationError
from promptwire.events import OnEvent, Teller
from promptwire.fetching import Fetcher
from promptwire.invalidation import announce, hear
from promptwire.messages import close_slots
from promptwire.params import merge_variables
from promptwire.prompts import Prompt, check_missing
from promptwire.refs import PromptRef
from promptwire.rendered import RenderedPrompt
from promptwire.rollout import Label, choose_label
from promptwire.search import MAX_TIMEOUT, Fallback, FindOptions, Found, Search, as_seconds
from promptwire.stores import Scope, Store, picklable
from promptwire.stores.keeper import Keeper


class Resolver(Catalog):
    """Turns prompt ids into prompts; shared by any number of threads and event loops.

    ``backend`` is a name, a ``Backend``, or by default what ``PROMPTWIRE_BACKEND`` says (``files``). ``cache_ttl``,
    ``max_stale`` and ``timeout`` are seconds: a prompt is fresh for ``cache_ttl`` (0: always fetch), then answered
    stale while it is refreshed for ``max_stale``, and a call never waits longer than ``timeout`` for a fetch.

    ``store`` keeps the last good prompts for the next process whose backend is down: a folder, a lock file
    (``prompts.lock``), or Redis' URL, which many processes share; by default what ``PROMPTWIRE_STORE`` says, and
    ``False`` is none. With ``frozen`` the lock alone is asked. ``contracts`` declares per prompt id what the
    application gives, as names or as a class with those fields: a version that needs more is held back. ``on_event`` is
    called with an ``Event`` of each answer, refresh and version held back, and must be quick; it is not pickled.
    """

    def __init__(
        self,
        backend: str | Backend | None = None,
        *,
        cache_ttl: float = 60.0,
        max_stale: float = 3600.0,
        missing: str = "error",
        timeout: float = 5.0,
        max_entries: int = 10_000,
        store: str | os.PathLike[str] | Store | Literal[False] | None = None,
        frozen: bool = False,
        contracts: Mapping[str, Any] | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        check_missing(missing)
        if not isinstance(max_entries, int) or max_entries < 1:
            raise ConfigurationError(f"max_entries is a whole number of at least 1, not {max_entries!r}")
        self._options: dict[str, Any] = {
            "backend": backend, "cache_ttl": cache_ttl, "max_stale": max_stale,
            "missing": missing, "timeout": timeout, "max_entries": max_entries, "store": store, "frozen": frozen,
            "contracts": contracts,
        }  # fmt: skip
        ttl = math.inf if frozen else as_seconds("cache_ttl", cache_ttl)
        self._freshness = (ttl, as_seconds("max_stale", max_stale))
        self.missing = missing
        self._timeout = as_seconds("timeout", timeout, MAX_TIMEOUT)
        self._cache = PromptCache(max_entries)
        self._keeper = Keeper(store, frozen=frozen)
        told = (self._keeper, Contracts(contracts), Teller(on_event))
        self._fetcher = Fetcher(*told, cache_ttl=ttl, timeout=timeout)
        self._backends = Backends(backend, self._keeper)
        self._typed = Shortcuts(4 * max_entries)
        self._is_open = False
        self._noted: set[Hashable] = set()
        self.answers: dict[bytes, Any] = {}  # what comparisons were answered

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, ({**self._options, "store": picklable(self._options["store"])},)

    def __deepcopy__(self, _: object) -> "Resolver":
        return self

    def resolve(
        self,
        prompt_id: str,
        *,
        variables: Mapping[str, Any] | None = None,
        backend: str | Backend | None = None,
        label: Label = None,
        version: int | str | None = None,
        rollout_key: str | int | None = None,
        missing: str | None = None,
        text_role: str = "user",
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> RenderedPrompt:
        """Find a prompt and fill in its variables. Raises ``get_prompt``'s errors and ``MissingVariablesError``.

        ``label`` may hold weights, ``{"production": 90, "candidate": 10}``: the same ``rollout_key`` always gets the
        same label (``promptwire.rollout``), and a call without one any of them.
        """
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
            label = choose_label(prompt_id, label, rollout_key)
            found = self.find(
                prompt_id, backend=backend, label=label, version=version, fallback=fallback, timeout=timeout
            )
        return self._render(found, variables, missing, text_role, label)

    async def aresolve(
        self,
        prompt_id: str,
        *,
        variables: Mapping[str, Any] | None = None,
        backend: str | Backend | None = None,
        label: Label = None,
        version: int | str | None = None,
        rollout_key: str | int | None = None,
        missing: str | None = None,
        text_role: str = "user",
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> RenderedPrompt:
        """``resolve`` without blocking the loop."""
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
            label = choose_label(prompt_id, label, rollout_key)
            found = await self.afind(
                prompt_id, backend=backend, label=label, version=version, fallback=fallback, timeout=timeout
            )
        return self._render(found, variables, missing, text_role, label)

    def get_prompt(self, prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
        """The prompt with its templates unfilled.

        Options are ``backend``, ``label``, ``version``, ``rollout_key``, ``fallback`` (a text, messages or a prompt)
        and ``timeout`` (seconds, in all).

        Raises ``ConfigurationError``, ``PromptNotFoundError``, ``BackendError``, ``TemplateError`` and
        ``PromptConfigError``; with a stale prompt or a ``fallback`` in hand only the first.
        """
        return self.find(prompt_id, **options)[0]

    async def aget_prompt(self, prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
        """``get_prompt`` without blocking the loop."""
        return (await self.afind(prompt_id, **options))[0]

    def find(
        self,
        prompt_id: str,
        *,
        backend: str | Backend | None = None,
        label: Label = None,
        version: int | str | None = None,
        rollout_key: str | int | None = None,
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> Found:
        """The prompt, and where it came from."""
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
            label = choose_label(prompt_id, label, rollout_key)
            search = self._search(self._slot(prompt_id, backend, label, version), fallback, timeout)
            if (flight := search.begin()) is not None:
                flight.wait(search.deadline)
            found = search.end()
        return found

    async def afind(
        self,
        prompt_id: str,
        *,
        backend: str | Backend | None = None,
        label: Label = None,
        version: int | str | None = None,
        rollout_key: str | int | None = None,
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> Found:
        """``find`` without blocking the loop."""
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
            label = choose_label(prompt_id, label, rollout_key)
            search = self._search(self._slot(prompt_id, backend, label, version), fallback, timeout)
            if (flight := search.begin()) is not None:
                await flight.await_(search.deadline)
            found = search.end()
        return found

    def invalidate(self, prompt_id: str | None = None, *, backend: str | Backend | None = None) -> int:
        """Have the next call fetch anew: one prompt, a backend's, or all; answers how many were cached.

        What was cached is kept for the case that the fetch fails. Where a store is shared (Redis), all its processes do
        so; outside an event loop that is told before this returns, or as soon as the store can be reached.
        """
        chosen = None if backend is None else self.open_backend(backend)
        if prompt_id is not None and (prefix := backend_prefix(prompt_id)):
            chosen, prompt_id = self.open_backend(prefix), prompt_id[len(prefix) + 1 :]
        if not self._is_open:
            with suppress(ConfigurationError):  # then there is nothing that could be invalidated
                self.open_backend()
        slots = self._cache.select(prompt_id, chosen)
        self._typed.clear()  # it may lead to prompts that the cache has let go
        for slot in slots:
            slot.expire()
        if self._keeper.is_shared:
            announce(self._fetcher, [chosen] if chosen else self._backends.known(), prompt_id)
        return len(slots)

    def _heard(self, scope: Scope | None) -> None:
        hear(self._cache, scope)

    def first_time(self, key: Hashable) -> bool:
        """Whether this is the first time that ``key`` is asked about: for notes made once per prompt."""
        if key in self._noted or len(self._noted) >= self._typed.limit:
            return False
        self._noted.add(key)
        return True

    def _cached(self, prompt_id: object, backend: object, label: object, version: object) -> Found | None:
        """The path of nearly every call: no lock, no I/O, no key to build."""
        try:
            slot = self._typed.slots[backend, label, version, version.__class__][prompt_id]  # type: ignore[index]
        except (KeyError, TypeError):
            return None
        now = time.monotonic()
        prompt = slot.prompt
        if now >= slot.fresh_until or prompt is None:
            return None
        slot.used = now
        return prompt, "cached"

    def _search(self, slot: Slot, fallback: Fallback, timeout: float | None) -> Search:
        return Search(self._fetcher, slot, self._freshness, fallback, self._seconds(timeout))

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else as_seconds("timeout", timeout, MAX_TIMEOUT)

    def _slot(
        self, prompt_id: str, backend: str | Backend | None, label: str | None, version: int | str | None
    ) -> Slot:
        typed, typed_id = (backend, label, version, version.__class__), prompt_id  # True equals 1, but is no version
        if isinstance(prompt_id, str) and (prefix := backend_prefix(prompt_id)):
            backend, prompt_id = prefix, prompt_id[len(prefix) + 1 :]
        opened = self.open_backend(backend)
        if label is None and version is None:
            label = opened.default_label
        slot = self._cache.slot(opened, PromptRef(prompt_id, version, label), time.monotonic())
        if self._fetcher.teller:  # each answer is told of, which the quick path doesn't
            self._typed.clear()
        else:
            with suppress(TypeError):  # a backend that can't be hashed
                self._typed.put(typed, typed_id, slot)
        return slot

    def open_backend(self, backend: str | Backend | None = None, **options: object) -> Backend:
        """A backend as ``options`` configure it; by default this resolver's own.

        Each is opened once, so that calls with equal keys share one identity.
        """
        if not self._is_open:
            log.configure_from_environment()
            self._keeper.open(self._heard)
            self._is_open = True
        return self._backends.open(backend, **options) if isinstance(backend, str) else self._backends.get(backend)

    def _render(
        self, found: Found, variables: Mapping[str, Any] | None, missing: str | None, text_role: str, label: Any
    ) -> RenderedPrompt:
        around = ambient_variables()
        if around:
            variables = merge_variables(around, variables)
        prompt, source = found
        rendered = prompt.render(variables, missing=missing or self.missing, text_role=text_role, source=source)
        rendered.label = label
        if rendered.is_open:
            close_slots(rendered.items, prompt.where, keep=rendered.missing == "keep")
        return rendered


def _rebuild(options: dict[str, Any]) -> Resolver:
    return Resolver(**options)
