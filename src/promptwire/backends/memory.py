"""Prompts held in memory: for tests, and for prompts that a program makes itself."""

import itertools
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from promptwire.backends import PromptSummary
from promptwire.backends.http import Http
from promptwire.errors import PromptNotFoundError
from promptwire.messages import parse_messages
from promptwire.prompts import Prompt, PromptRef

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
    ) -> int:
        """Add a version, take its labels from the older ones, and answer its number."""
        body: dict[str, Any] = {"text": content} if isinstance(content, str) else {"messages": parse_messages(content)}
        with self._lock:
            versions = self._versions.setdefault(prompt_id, [])
            prompt = Prompt(
                prompt_id, version=len(versions) + 1, labels=tuple(labels), config=config or {}, dialect=dialect, **body
            )  # fmt: skip
            versions[:] = [_without(older, prompt.labels) for older in versions] + [prompt]
        return len(versions)

    def stamp(self, ref: PromptRef) -> Hashable:
        """How many versions there are."""
        return len(self._versions.get(ref.id, ()))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The newest version, the one asked for, or the newest that bears the label."""
        for prompt in reversed(self._versions.get(ref.id, [])):
            if ref.version in {None, prompt.version} and (ref.label is None or ref.label in prompt.labels):
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
