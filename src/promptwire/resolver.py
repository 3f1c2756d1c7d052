"""The single path from a prompt id to a prompt: memory, then the backend, then what is left when it fails."""

import hashlib
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any, TypedDict, Unpack

from promptwire import log
from promptwire.ambient import ambient_variables
from promptwire.backends import (
    Backend,
    backend_prefix,
    check_backend,
    default_backend_name,
    open_backend,
)
from promptwire.cache import PromptCache, Shortcuts, Slot
from promptwire.catalog import Catalog
from promptwire.errors import ConfigurationError
from promptwire.fetching import Fetcher
from promptwire.messages import close_slots
from promptwire.params import merge_variables
from promptwire.prompts import Prompt, PromptRef, check_missing
from promptwire.rendered import RenderedPrompt
from promptwire.search import MAX_TIMEOUT, Fallback, Found, Search, as_seconds

MAX_BACKENDS = 1000


class FindOptions(TypedDict, total=False):
    """Which version of a prompt, from where, and what to do without it."""

    backend: str | Backend | None
    label: str | None
    version: int | str | None
    fallback: Fallback
    timeout: float | None


class ResolveOptions(FindOptions, total=False):
    """``FindOptions``, and how to fill the prompt in."""

    variables: Mapping[str, Any] | None
    missing: str | None
    text_role: str


class Resolver(Catalog):
    """Turns prompt ids into prompts; shared by any number of threads and event loops.

    ``backend`` is a name, a ``Backend``, or by default what ``PROMPTWIRE_BACKEND`` says (``files``). ``cache_ttl``,
    ``max_stale`` and ``timeout`` are seconds: a prompt is fresh for ``cache_ttl`` (0: always fetch), then answered
    stale while it is refreshed for ``max_stale``, and a call never waits longer than ``timeout`` for a fetch.
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
    ) -> None:
        check_missing(missing)
        if not isinstance(max_entries, int) or max_entries < 1:
            raise ConfigurationError(f"max_entries is a whole number of at least 1, not {max_entries!r}")
        self._options: dict[str, Any] = {
            "backend": backend, "cache_ttl": cache_ttl, "max_stale": max_stale,
            "missing": missing, "timeout": timeout, "max_entries": max_entries,
        }  # fmt: skip
        self._backend = backend
        self._freshness = (as_seconds("cache_ttl", cache_ttl), as_seconds("max_stale", max_stale))
        self.missing = missing
        self._timeout = as_seconds("timeout", timeout, MAX_TIMEOUT)
        self._cache = PromptCache(max_entries)
        self._fetcher = Fetcher(cache_ttl=cache_ttl, timeout=timeout)
        self._backends: dict[tuple[str, bytes], Backend] = {}
        self._typed = Shortcuts(4 * max_entries)
        self._noted: set[Hashable] = set()
        self.answers: dict[bytes, Any] = {}  # what comparisons were answered

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._options,)

    def __deepcopy__(self, _: object) -> "Resolver":
        return self

    def resolve(
        self,
        prompt_id: str,
        *,
        variables: Mapping[str, Any] | None = None,
        backend: str | Backend | None = None,
        label: str | None = None,
        version: int | str | None = None,
        missing: str | None = None,
        text_role: str = "user",
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> RenderedPrompt:
        """Find a prompt and fill in its variables. Raises ``get_prompt``'s errors and ``MissingVariablesError``."""
        found = self._cached(prompt_id, backend, label, version) or self.find(
            prompt_id, backend=backend, label=label, version=version, fallback=fallback, timeout=timeout
        )
        return self._render(found, variables, missing, text_role)

    async def aresolve(
        self,
        prompt_id: str,
        *,
        variables: Mapping[str, Any] | None = None,
        backend: str | Backend | None = None,
        label: str | None = None,
        version: int | str | None = None,
        missing: str | None = None,
        text_role: str = "user",
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> RenderedPrompt:
        """``resolve`` without blocking the loop."""
        found = self._cached(prompt_id, backend, label, version) or await self.afind(
            prompt_id, backend=backend, label=label, version=version, fallback=fallback, timeout=timeout
        )
        return self._render(found, variables, missing, text_role)

    def get_prompt(self, prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
        """The prompt with its templates unfilled; takes ``find``'s options.

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
        label: str | None = None,
        version: int | str | None = None,
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> Found:
        """The prompt, and where it came from."""
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
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
        label: str | None = None,
        version: int | str | None = None,
        fallback: Fallback = None,
        timeout: float | None = None,
    ) -> Found:
        """``find`` without blocking the loop."""
        found = self._cached(prompt_id, backend, label, version)
        if found is None:
            search = self._search(self._slot(prompt_id, backend, label, version), fallback, timeout)
            if (flight := search.begin()) is not None:
                await flight.await_(search.deadline)
            found = search.end()
        return found

    def invalidate(self, prompt_id: str | None = None, *, backend: str | Backend | None = None) -> int:
        """Have the next call fetch anew: one prompt, a backend's, or all; answers how many were cached.

        What was cached is kept for the case that the fetch fails.
        """
        chosen = None if backend is None else self._open(backend)
        if prompt_id is not None and (prefix := backend_prefix(prompt_id)):
            chosen, prompt_id = self._open(prefix), prompt_id[len(prefix) + 1 :]
        slots = self._cache.select(prompt_id, chosen)
        self._typed.clear()  # it may lead to prompts that the cache has let go
        for slot in slots:
            slot.expire()
        return len(slots)

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
        seconds = self._timeout if timeout is None else as_seconds("timeout", timeout, MAX_TIMEOUT)
        return Search(self._fetcher, slot, self._freshness, fallback, seconds)

    def _slot(
        self, prompt_id: str, backend: str | Backend | None, label: str | None, version: int | str | None
    ) -> Slot:
        typed, typed_id = (backend, label, version, version.__class__), prompt_id  # True equals 1, but is no version
        if not self._typed.slots:
            log.configure_from_environment()
        if isinstance(prompt_id, str) and (prefix := backend_prefix(prompt_id)):
            backend, prompt_id = prefix, prompt_id[len(prefix) + 1 :]
        opened = self._open(backend)
        if label is None and version is None:
            label = opened.default_label
        slot = self._cache.slot(opened, PromptRef(prompt_id, version, label), time.monotonic())
        with suppress(TypeError):  # a backend that can't be hashed
            self._typed.put(typed, typed_id, slot)
        return slot

    def _open(self, backend: str | Backend | None) -> Backend:
        """A backend by name, opened once; ``None`` is this resolver's own."""
        if backend is None:
            backend = self._backend = self._backend or default_backend_name()
        if not isinstance(backend, str):
            return check_backend(backend)
        return self.open_backend(backend)

    def open_backend(self, name: str, **options: object) -> Backend:
        """A backend as ``options`` configure it; opened once, so that calls with equal keys share one identity."""
        key = (name, hashlib.sha256(repr(sorted(options.items())).encode()).digest() if options else b"")
        opened = self._backends.get(key)
        if opened is None:
            if len(self._backends) >= MAX_BACKENDS:
                self._backends.clear()
            opened = self._backends.setdefault(key, open_backend(name, **options))
        return opened

    def _render(
        self, found: Found, variables: Mapping[str, Any] | None, missing: str | None, text_role: str
    ) -> RenderedPrompt:
        around = ambient_variables()
        if around:
            variables = merge_variables(around, variables)
        prompt, source = found
        rendered = prompt.render(variables, missing=missing or self.missing, text_role=text_role, source=source)
        if rendered.is_open:
            close_slots(rendered.items, prompt.where, keep=rendered.missing == "keep")
        return rendered


def _rebuild(options: dict[str, Any]) -> Resolver:
    return Resolver(**options)
