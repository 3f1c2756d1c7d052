"""Ambient prompt variables: given once, used by every call made inside."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_variables: ContextVar[Mapping[str, Any] | None] = ContextVar("promptwire_variables", default=None)

ambient_variables = _variables.get
"""The variables around the running code, or ``None``."""


@contextmanager
def variables(**values: Any) -> Generator[None]:
    """Prompt variables for calls made inside; nested scopes add to the outer ones, the inner winning.

    Follows the context: into tasks and ``asyncio.to_thread``, not into a bare thread pool
    (there, ``contextvars.copy_context().run``).
    """
    token = _variables.set({**(_variables.get() or {}), **values})
    try:
        yield
    finally:
        _variables.reset(token)
