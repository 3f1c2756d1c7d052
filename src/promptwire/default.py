"""The default resolver, and the backends that calls configure by keyword."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Unpack

from promptwire.backends import Backend, open_backend
from promptwire.prompts import Prompt, RenderedPrompt
from promptwire.resolver import FindOptions, ResolveOptions, Resolver

MAX_OPENED = 1000

_lock = threading.Lock()
_resolver: Resolver | None = None
_opened: OrderedDict[str, Backend] = OrderedDict()


def default_resolver() -> Resolver:
    """The resolver of ``resolve()``, ``completion()`` and adapters without one of their own."""
    global _resolver  # noqa: PLW0603 - the one global that the house allows
    if _resolver is None:
        with _lock:
            _resolver = _resolver or Resolver()
    return _resolver


def opened_backend(name: str, options: Mapping[str, Any]) -> Backend:
    """The backend for these options, opened once, so that calls with equal keys share one identity."""
    key = hashlib.sha256(repr((name, sorted(options.items()))).encode()).hexdigest()
    with _lock:
        found = _opened.get(key)
        if found is None:
            found = _opened[key] = open_backend(name, **options)
            if len(_opened) > MAX_OPENED:
                _opened.popitem(last=False)
        return found


def resolve(prompt_id: str, **options: Unpack[ResolveOptions]) -> RenderedPrompt:
    """``Resolver.resolve`` of the default resolver."""
    return default_resolver().resolve(prompt_id, **options)


async def aresolve(prompt_id: str, **options: Unpack[ResolveOptions]) -> RenderedPrompt:
    """``Resolver.aresolve`` of the default resolver."""
    return await default_resolver().aresolve(prompt_id, **options)


def get_prompt(prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
    """``Resolver.get_prompt`` of the default resolver."""
    return default_resolver().get_prompt(prompt_id, **options)


async def aget_prompt(prompt_id: str, **options: Unpack[FindOptions]) -> Prompt:
    """``Resolver.aget_prompt`` of the default resolver."""
    return await default_resolver().aget_prompt(prompt_id, **options)


def invalidate(prompt_id: str | None = None, *, backend: str | Backend | None = None) -> int:
    """``Resolver.invalidate`` of the default resolver."""
    return default_resolver().invalidate(prompt_id, backend=backend)
