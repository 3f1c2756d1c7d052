"""Backends: where prompts live. One file each, found by name, imported when first used."""

import importlib
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol

from promptwire.backends.http import Http
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.params import nearest
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

LATEST = "latest"
"""The label of a prompt's newest version, wherever prompts can be put in."""

ENTRY_POINTS = "promptwire.backends"

BUILT_IN = {
    "chain": "promptwire.backends.chain:Chain",
    "files": "promptwire.backends.files:FilesBackend",
    "humanloop": "promptwire.backends.humanloop:HumanloopBackend",
    "langfuse": "promptwire.backends.langfuse:LangfuseBackend",
    "memory": "promptwire.backends.memory:MemoryBackend",
}


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """What a listing tells of a prompt, without its text."""

    id: str
    versions: tuple[int | str, ...] = ()
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def merged_into(self, known: "PromptSummary | None") -> "PromptSummary":
        """What is known of this prompt, and what this adds."""
        if known is None:
            return self
        return PromptSummary(
            self.id,
            tuple(dict.fromkeys((*known.versions, *self.versions))),
            tuple(dict.fromkeys((*known.labels, *self.labels))),
            tuple(dict.fromkeys((*known.tags, *self.tags))),
        )


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version in a prompt's history, without its text; what a backend doesn't record is ``None``."""

    version: int | str | None
    labels: tuple[str, ...] = ()
    author: str | None = None
    created_at: datetime | None = None
    message: str | None = None


class Backend(Protocol):
    """Plain blocking code, called on a thread of its own; may use ``http`` or any SDK.

    ``identity`` tells host and credentials apart without holding a secret: with ``name`` it keys caches and
    circuits.
    """

    name: str
    identity: Hashable
    options: ClassVar[Mapping[str, str]]
    """Keywords of ``completion()`` that configure it, to those of its constructor."""

    @property
    def default_label(self) -> str | None:
        """What is meant where neither label nor version is given."""
        ...

    @property
    def stamp(self) -> Callable[[PromptRef], Hashable] | None:
        """Tells at next to no cost whether what was fetched still holds; ``None`` leaves that to the TTL."""
        ...

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The prompt, or ``PromptNotFoundError``; errors of ``http`` pass through."""
        ...

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """All prompts, ordered by id."""
        ...


class HistoryBackend(Backend, Protocol):
    """A backend that can tell a prompt's history."""

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """The newest ``limit`` versions, or all, the newest first; ``PromptNotFoundError`` without any."""
        ...


class WritableBackend(Backend, Protocol):
    """A backend that takes new versions; its label ``latest`` is the newest one, and is never moved by hand."""

    def adapt(self, prompt: Prompt) -> Prompt:
        """The prompt as the backend would hold it; ``ConfigurationError`` for what would be lost."""
        ...

    def create(self, prompt: Prompt, labels: Sequence[str], message: str | None, http: Http) -> int | str:
        """Store an adapted prompt as a new version, move the labels to it, and answer its number."""
        ...

    def move_labels(self, ref: PromptRef, labels: Sequence[str], http: Http) -> None:
        """Move labels to the version that ``ref`` names, which keeps those it has."""
        ...


@cache
def known_backends() -> frozenset[str]:
    """The names of all backends, built in and registered as entry points."""
    return frozenset(BUILT_IN) | {point.name for point in entry_points(group=ENTRY_POINTS)}


def backend_prefix(prompt_id: str) -> str | None:
    """``langfuse`` for ``langfuse:team/welcome``: only a known backend's name is a prefix, ids are literal."""
    prefix, colon, rest = prompt_id.partition(":")
    return prefix if colon and rest and prefix in known_backends() else None


def backend_class(name: str) -> Any:
    """The class of a backend, or ``ConfigurationError`` that lists the known ones."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=ENTRY_POINTS, name=name):
        return point.load()
    known = sorted(known_backends())
    raise ConfigurationError(f"there is no backend {name!r}{nearest(name, known)}; known are {', '.join(known)}")


def open_backend(name: str, **options: object) -> Backend:
    """A backend, configured by ``options`` and the environment."""
    try:
        return check_backend(backend_class(name)(**options))
    except PromptwireError:
        raise
    except Exception as error:  # a third party's module or constructor may raise anything
        raise ConfigurationError(f"backend {name!r} can't be opened: it raised {type(error).__name__}") from error


def check_backend(backend: Any) -> Backend:
    """The backend, if it has what the protocol asks for."""
    needed = ("name", "identity", "default_label", "stamp", "fetch")
    lacking = [attribute for attribute in needed if not hasattr(backend, attribute)]
    if isinstance(backend, type):
        raise ConfigurationError(f"a backend is a name or an object, not the class {backend.__name__}")
    if lacking:
        raise ConfigurationError(f"{type(backend).__name__} is no backend: it lacks {', '.join(lacking)}")
    checked: Backend = backend
    return checked


def writable_backend(backend: Any) -> WritableBackend:
    """The backend, if prompts can be put into it."""
    if all(hasattr(backend, method) for method in ("adapt", "create", "move_labels")):
        writable: WritableBackend = backend
        return writable
    raise ConfigurationError(
        f"{backend.name}: prompts can't be put into this backend; langfuse, files and memory take them"
    )


def history_backend(backend: Any) -> HistoryBackend:
    """The backend, if it can tell a prompt's history."""
    if hasattr(backend, "history"):
        told: HistoryBackend = backend
        return told
    raise ConfigurationError(f"{backend.name}: this backend can't tell a prompt's history; list_prompts() has versions")


def default_backend_name() -> str:
    """What ``PROMPTWIRE_BACKEND`` says, or ``files``."""
    return os.environ.get("PROMPTWIRE_BACKEND") or "files"
