"""A prompt put into a backend: a new version where its content is new, and labels only where they are named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from promptwire.attempts import fetch_prompt
from promptwire.backends import LATEST, Backend, writable_backend
from promptwire.backends.http import Http
from promptwire.differences import compare
from promptwire.display import Displayed
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, TemplateError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

if TYPE_CHECKING:
    from promptwire.display.view import View


@dataclass(frozen=True, slots=True)
class Pushed(Displayed):
    """What a push did, or would: ``version`` is ``None`` for one that a dry run didn't make."""

    id: str
    version: int | str | None
    created: bool
    labels: tuple[str, ...] = ()

    def _view(self) -> "View":
        from promptwire.display.differences import pushed_view

        return pushed_view(self)


def push(
    backend: Backend, prompt: Prompt, labels: Sequence[str], message: str | None, http: Http, *, dry_run: bool = False
) -> Pushed:
    """Make a new version unless the newest, or the one it is a copy of, has its content; move ``labels`` to it.

    Safe to repeat: what was created before a failure is found again.
    """
    writable = writable_backend(backend)
    adapted = writable.adapt(prompt)
    held = _held(backend, adapted, http)
    if held is None:
        version = None if dry_run else writable.create(adapted, labels, message, http)
        return Pushed(prompt.id, version, created=True, labels=tuple(labels))
    moved = tuple(label for label in labels if label not in held.labels)
    if moved and not dry_run:
        writable.move_labels(PromptRef(prompt.id, version=held.version), moved, http)
    return Pushed(prompt.id, held.version, created=False, labels=moved)


def _held(backend: Backend, prompt: Prompt, http: Http) -> Prompt | None:
    """The version of the backend's that has the prompt's content."""
    newest = PromptRef(prompt.id, label=LATEST)
    is_known = isinstance(prompt.version, int) or prompt.backend == backend.name
    copied = [replace(newest, version=prompt.version, label=None)] if prompt.version is not None and is_known else []
    for ref in (*copied, newest):
        try:
            held = fetch_prompt(backend, ref, http)
        except (PromptNotFoundError, TemplateError, PromptConfigError):  # a broken version is mended by a new one
            continue
        if not compare(held, prompt):
            return held
    return None


def check_labels(labels: Sequence[str], backend: str) -> tuple[str, ...]:
    """The labels, if they are texts and may be moved."""
    if isinstance(labels, str) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise ConfigurationError("labels is a list of texts that aren't empty")
    if LATEST in labels:
        raise ConfigurationError(f"{backend}: the label 'latest' is always the newest version's; it can't be moved")
    return tuple(dict.fromkeys(labels))
