"""What changed behind a lock: each of its prompts beside what its backend says, told for a reviewer."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from promptwire.errors import PromptNotFoundError, PromptwireError
from promptwire.lock import CONCURRENCY, Locked, ask_backend
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver
from promptwire.unseen import printable

Kind = Literal["moved", "variables", "text", "child", "config", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One prompt that is not what was locked.

    ``kinds``: ``moved`` (the label is on another version), ``variables``, ``text``, ``child`` (the text is another
    under the same version: a prompt that it is composed of has changed), ``config``, ``gone`` (404), ``unknown`` (the
    backend could not be asked). ``diff`` is unified, keys in it masked; empty where no text and no setting differs.
    """

    locked: Locked
    kinds: tuple[Kind, ...]
    message: str
    diff: str = ""


def check_lock(entries: Iterable[Locked], resolver: Resolver | None = None) -> tuple[Finding, ...]:
    """Compare with the backends, by default those that the environment configures; nothing found is an empty tuple.

    Raises ``ConfigurationError`` for a backend that can't be opened.
    """
    asked = resolver or Resolver(store=False)
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        found = pool.map(lambda entry: _finding(entry, asked), [*entries])
        return tuple(finding for finding in found if finding)


def _finding(entry: Locked, resolver: Resolver) -> Finding | None:
    backend = resolver.open_backend(entry.backend)
    try:
        current = ask_backend(resolver, backend, entry.ref)
    except PromptNotFoundError as error:
        return Finding(entry, ("gone",), f"{entry}: {error}")
    except PromptwireError as error:
        return Finding(entry, ("unknown",), f"{entry}: {error}")
    return compare(entry, current)


def compare(entry: Locked, current: Prompt) -> Finding | None:
    """What differs between a locked prompt and the current one; ``None`` for nothing that an application would see."""
    locked = entry.prompt
    changes: dict[Kind, str] = {}
    if current.version != locked.version:
        changes["moved"] = f"version {locked.version} → {current.version}"
    if needs := _needs(locked, current):
        changes["variables"] = needs
    if _text(current) != _text(locked):
        if current.version == locked.version and locked.version is not None:
            changes["child"] = f"its text changed under version {locked.version}: so did a prompt it is composed of"
        else:
            changes["text"] = "its text changed"
    if _settings(current) != _settings(locked):
        changes["config"] = "its config changed"
    if not changes:
        return None
    diff = printable(locked.diff(current).unified(f"{entry} (locked)", f"{entry} (backend)"))
    return Finding(entry, tuple(changes), f"{entry}: {'; '.join(changes.values())}", diff)


def _needs(locked: Prompt, current: Prompt) -> str:
    """The variables and placeholders that came and went, as ``+name, -name``."""
    before, after = ({*prompt.variables, *prompt.placeholders} for prompt in (locked, current))
    named = [f"+{name}" for name in sorted(after - before)] + [f"-{name}" for name in sorted(before - after)]
    return f"variables {', '.join(map(printable, named))}" if named else ""


def _text(prompt: Prompt) -> object:
    return prompt.dialect, prompt.text, prompt.messages


def _settings(prompt: Prompt) -> object:
    return prompt.config, prompt.partials
