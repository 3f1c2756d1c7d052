"""Prompts held in memory: for tests, and for prompts that a program makes itself."""

import itertools
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from promptwire.backends import LATEST, PromptSummary, PromptVersion
from promptwire.backends.http import Http
from promptwire.errors import PromptNotFoundError
from promptwire.messages import parse_messages
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

_serial = itertools.count(1)

Content = str | Sequence[Mapping[str, Any]]


class MemoryBackend:
    """``MemoryBackend({"greeting": "Hello {{name}}"})``: each text or message list is version 1 of its id."""

    name = "memory"
    default_label = None
    options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, prompts: Mapping[str, Content] | None = None) -> None:
        self.identity: Hashable = next(_serial)
        self._lock = threading.Lock()
        self._versions: dict[str, list[Prompt]] = {}
        self._notes: dict[tuple[str, int | str | None], tuple[datetime, str | None]] = {}
        for prompt_id, content in (prompts or {}).items():
            self.publish(prompt_id, content)

    def __deepcopy__(self, _: object) -> "MemoryBackend":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._versions,)

    def publish(
        self,
        prompt_id: str,
        content: Content,
        *,
        labels: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        dialect: str = "mustache",
        message: str | None = None,
    ) -> int:
        """Add a version, take its labels from the older ones, and answer its number."""
        body: dict[str, Any] = {"text": content} if isinstance(content, str) else {"messages": parse_messages(content)}
        return self._add(prompt_id, message, labels=tuple(labels), config=config or {}, dialect=dialect, **body)

    def _add(self, prompt_id: str, message: str | None, **fields: Any) -> int:
        with self._lock:
            versions = self._versions.setdefault(prompt_id, [])
            added = Prompt(prompt_id, version=len(versions) + 1, **fields)
            versions[:] = [_without(older, added.labels) for older in versions] + [added]
            self._notes[prompt_id, added.version] = datetime.now(UTC), message
            return len(versions)

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """What was published, and when."""
        versions = self._versions.get(prompt_id)
        if not versions:
            raise PromptNotFoundError(f"{http.where} does not exist; publish() it first")
        told: list[PromptVersion] = []
        for prompt in versions[::-1][:limit]:
            made, message = self._notes.get((prompt_id, prompt.version), (None, None))
            told.append(PromptVersion(prompt.version, prompt.labels, None, made, message))
        return told

    def adapt(self, prompt: Prompt) -> Prompt:
        """Memory holds whatever a prompt has."""
        return prompt

    def create(self, prompt: Prompt, labels: Sequence[str], message: str | None, http: Http) -> int:  # noqa: ARG002
        """As ``publish``, for a prompt of any backend."""
        kept = {name: getattr(prompt, name) for name in ("text", "messages", "tags", "config", "dialect", "partials")}
        return self._add(prompt.id, message, labels=tuple(labels), **kept)

    def move_labels(self, ref: PromptRef, labels: Sequence[str], http: Http) -> None:
        """Take them from the version that has them."""
        target = self.fetch(ref, http)
        with self._lock:
            versions = self._versions[ref.id]
            versions[:] = [
                replace(older, labels=tuple(dict.fromkeys((*older.labels, *labels))))
                if older.version == target.version
                else _without(older, labels)
                for older in versions
            ]

    def stamp(self, ref: PromptRef) -> Hashable:
        """The versions with their labels."""
        return tuple(prompt.labels for prompt in self._versions.get(ref.id, ()))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The newest version, the one asked for, or the newest that bears the label."""
        for prompt in reversed(self._versions.get(ref.id, [])):
            if ref.version in {None, prompt.version} and ref.label in {None, LATEST, *prompt.labels}:
                return prompt
        raise PromptNotFoundError(f"{http.where} does not exist; publish() it first")

    def list(self, http: Http) -> Sequence[PromptSummary]:  # noqa: ARG002 - the protocol's
        """All prompts, ordered by id."""
        return [
            PromptSummary(
                prompt_id,
                tuple(prompt.version for prompt in versions if prompt.version is not None),
                tuple(dict.fromkeys(label for prompt in versions for label in prompt.labels)),
            )
            for prompt_id, versions in sorted(self._versions.items())
        ]


def _without(prompt: Prompt, labels: Sequence[str]) -> Prompt:
    kept = tuple(label for label in prompt.labels if label not in labels)
    return prompt if kept == prompt.labels else replace(prompt, labels=kept)


def _rebuild(versions: dict[str, list[Prompt]]) -> MemoryBackend:
    backend = MemoryBackend()
    backend._versions = versions  # noqa: SLF001 - its own
    return backend
