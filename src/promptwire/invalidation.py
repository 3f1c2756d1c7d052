"""Invalidation: what is cached is fetched anew, here and, where a store is shared, in every other process."""

import random
import time
from collections.abc import Iterable

from promptwire.backends import Backend
from promptwire.cache import NEVER, PromptCache, Slot
from promptwire.fetching import Fetcher
from promptwire.flights import on_a_loop
from promptwire.stores import GAP, Scope

REFRESHES_A_SECOND = 100
"""Of one process, when what is cached can't be relied on any more; its first is due at once."""


def announce(fetcher: Fetcher, backends: Iterable[Backend], prompt_id: str | None) -> None:
    """Tell the others: in a running event loop without waiting, else as long as the store allows."""
    keeper = fetcher.keeper
    for backend in {(backend.name, backend.identity): backend for backend in backends}.values():
        keeper.announce(backend, prompt_id)
    if on_a_loop():
        fetcher.later(keeper.tell)
    else:
        keeper.tell()


def hear(cache: PromptCache, scope: Scope | None) -> None:
    """Another process says what has changed; or, without a scope or with ``GAP``, nothing was heard for a while.

    Then what is cached goes on answering while it is refreshed; after a gap not all of it at once: every process that
    shares the store has just come to the same point.
    """
    slots = cache.select()
    if scope is GAP:  # an equal one could come from whoever may publish
        _spread(slots)
        return
    for slot in slots:
        if scope is None:
            slot.doubt(NEVER)
        elif scope in slot.key.scopes:
            slot.expire()


def _spread(slots: list[Slot]) -> None:
    """Those that an earlier gap, or their time, has due soon enough stay so; the others come behind them."""
    now = time.monotonic()
    fresh = [slot for slot in slots if slot.fresh_until > now]
    soon = now + len(fresh) / REFRESHES_A_SECOND
    others = [slot for slot in fresh if slot.fresh_until > soon]
    random.shuffle(others)
    for place, slot in enumerate(others, len(fresh) - len(others)):
        slot.doubt(now + place / REFRESHES_A_SECOND)
