"""Invalidation: what is cached is fetched anew, here and, where a store is shared, in every other process."""

import asyncio
from collections.abc import Iterable

from promptwire.backends import Backend
from promptwire.cache import NEVER, PromptCache
from promptwire.fetching import Fetcher
from promptwire.stores import Scope


def announce(fetcher: Fetcher, backends: Iterable[Backend], prompt_id: str | None) -> None:
    """Tell the others: in a running event loop without waiting, else as long as the store allows."""
    keeper = fetcher.keeper
    for backend in {(backend.name, backend.identity): backend for backend in backends}.values():
        keeper.announce(backend, prompt_id)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        keeper.tell()
    else:
        fetcher.later(keeper.tell)


def hear(cache: PromptCache, scope: Scope | None) -> None:
    """Another process says what has changed; or, without a scope, nothing was heard for a while.

    Then what is cached goes on answering while it is refreshed.
    """
    mine: dict[object, bool] = {}
    for slot in cache.select():
        if scope is None:
            slot.fresh_until = NEVER
            continue
        if slot.source not in mine:
            mine[slot.source] = Scope.of(*slot.source).backend == scope.backend
        if mine[slot.source] and (not scope.prompt or Scope.of(*slot.source, slot.ref.id) == scope):
            slot.expire()
