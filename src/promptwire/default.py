"""The default resolver, and its calls as functions."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Unpack

from promptwire import log
from promptwire.backends import Backend
from promptwire.prompts import Prompt
from promptwire.rendered import RenderedPrompt
from promptwire.resolver import Resolver
from promptwire.search import FindOptions, ResolveOptions

_lock = threading.Lock()
_resolver: Resolver | None = None


def default_resolver() -> Resolver:
    """The resolver of ``resolve()``, ``completion()`` and adapters without one of their own."""
    global _resolver  # noqa: PLW0603 - the one global that the house allows
    if _resolver is None:
        log.configure_from_environment()
        with _lock:
            _resolver = _resolver or Resolver()
    return _resolver


@contextmanager
def fresh_resolver() -> Generator[None]:
    """A new default resolver inside, which reads the environment anew: for tests."""
    global _resolver  # noqa: PLW0603 - as above
    before, _resolver = _resolver, None
    try:
        yield
    finally:
        _resolver = before


def resolve(prompt_id: str, **options: Unpack[ResolveOptions]) -> RenderedPrompt:
    """Find a prompt and fill in its variables, by the default resolver: made of the environment at its first use.

    Options are ``Resolver.resolve``'s: ``variables``, ``backend``, ``label``, ``version``, ``rollout_key``,
    ``missing``, ``text_role``, ``fallback`` and ``timeout``.
    """
    return default_resolver().resolve(prompt_id, **options)


async def aresolve(prompt_id: str, **options: Unpack[ResolveOptions]) -> RenderedPrompt:
    """``resolve`` without blocking the loop."""
    return await default_resolver().aresolve(prompt_id, **options)


def get_prompt(prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
    """Find a prompt, its variables not filled in, by the default resolver.

    Options are ``Resolver.get_prompt``'s: ``backend``, ``label``, ``version``, ``rollout_key``, ``fallback`` and
    ``timeout``.
    """
    return default_resolver().get_prompt(prompt_id, **options)


async def aget_prompt(prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
    """``get_prompt`` without blocking the loop."""
    return await default_resolver().aget_prompt(prompt_id, **options)


def invalidate(prompt_id: str | None = None, *, backend: str | Backend | None = None) -> int:
    """Have the default resolver fetch a prompt, or all, at the next call; answers how many were in memory.

    ``Resolver.invalidate`` says what becomes of them, and of a store that other processes share.
    """
    return default_resolver().invalidate(prompt_id, backend=backend)
