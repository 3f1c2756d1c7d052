"""``prompts.lock``: the prompts of an application in one committed file, as a store and, frozen, as the only source.

The file is JSON, of one form for one content: entries in order of backend, id and selector, each text as its lines, and
what doesn't print as an escape, so that a review shows what changed. A ``content_hash`` that doesn't fit is refused:
the file was edited by hand, or merged badly.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptwire.backends import Backend
from promptwire.backends.folder import read_text, replace_text
from promptwire.errors import BackendUnavailableError, ConfigurationError, raise_bare
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef
from promptwire.stores.records import RecordError, from_record, to_record
from promptwire.unseen import printable

if TYPE_CHECKING:
    from promptwire.resolver import Resolver

FORMAT = 1
MAX_SIZE = 100_000_000
CONCURRENCY = 8
ANEW = "Make it anew: promptwire lock --backend NAME, or promptwire lock PROMPT..."


@dataclass(frozen=True, slots=True)
class Locked:
    """A prompt as an application asks for it, and what it was answered; ``backend`` is the one that is asked."""

    backend: str
    ref: PromptRef
    prompt: Prompt

    def __str__(self) -> str:
        return f"{self.backend}:{self.ref}"


def take_lock(
    resolver: "Resolver", refs: Iterable[PromptRef], *, backend: str | Backend | None = None
) -> tuple[Locked, ...]:
    """The prompts as their backend serves them, in the file's order. Raises the error of the first that fails."""
    opened = resolver.open_backend(backend)
    asked = list(dict.fromkeys(_asked(opened, ref) for ref in refs))
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        found = pool.map(lambda ref: ask_backend(resolver, opened, ref), asked)
        return _ordered(Locked(opened.name, ref, prompt) for ref, prompt in zip(asked, found, strict=True))


def ask_backend(resolver: "Resolver", backend: Backend, ref: PromptRef) -> Prompt:
    """What the backend says. Raises an error where something else would answer in its place."""
    found, source = resolver.find(ref.id, backend=backend, version=ref.version, label=ref.label)
    if source not in {"fresh", "cached"}:
        raise BackendUnavailableError(f"{found.where}: its backend doesn't answer, and a {source} one won't do")
    return found


def dump_lock(entries: Iterable[Locked]) -> str:
    """The text of a lock file. Raises ``ConfigurationError`` for a prompt that JSON can't hold."""
    lines = [json.dumps(_told(entry), indent=2, ensure_ascii=False) for entry in _ordered(entries)]
    body = ",\n".join(lines)
    text = f'{{\n"promptwire_lock": {FORMAT},\n"prompts": [\n{body}\n]\n}}\n'
    return printable(text)


def write_lock(path: str | os.PathLike[str], entries: Iterable[Locked]) -> None:
    """Write the file, whole or not at all."""
    text = dump_lock(entries)
    replace_text(Path(path), text)


def read_lock(path: str | os.PathLike[str]) -> tuple[Locked, ...]:
    """The entries of a lock file. Raises ``ConfigurationError`` for what is none."""
    try:
        text = read_text(Path(path), MAX_SIZE)
    except (OSError, UnicodeDecodeError) as error:
        raise_bare(ConfigurationError(f"{path} can't be read ({type(error).__name__}). {ANEW}"))
    if len(text) > MAX_SIZE:
        raise ConfigurationError(f"{path} can't be read: it is larger than {MAX_SIZE // 1_000_000} MB")
    return parse_lock(text, str(path))


def parse_lock(text: str, where: str = "the lock") -> tuple[Locked, ...]:
    """The inverse of ``dump_lock``. Raises ``ConfigurationError``, which names the entry."""
    try:
        return _entries(json.loads(text, object_pairs_hook=_without_twins))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigurationError, RecordError) as error:
        reason = str(error) if isinstance(error, RecordError) else "it is not a lock file's JSON"
        raise_bare(ConfigurationError(f"{where} can't be used: {reason}. {ANEW}"))


def _record_of(prompt: Prompt) -> dict[str, Any]:
    """A prompt for human readers: what an application must know of it first, texts as lines."""
    told = {"version": prompt.version, "model": prompt.model, "provider": prompt.provider}
    named = {"variables": list(prompt.variables), "placeholders": list(prompt.placeholders)}
    known = {name: value for name, value in {**told, **named}.items() if value}
    record = to_record(prompt)
    record.pop("labels", None)  # publishing another version moves them
    if "text" in record:
        record["text"] = _lines(record["text"])
    for message in record.get("messages", ()):
        if isinstance(message.get("content"), str):
            message["content"] = _lines(message["content"])
    return {**known, "content_hash": prompt.content_hash, "prompt": record}


def _told(entry: Locked) -> dict[str, Any]:
    try:
        return _record(entry)
    except RecordError as error:
        raise ConfigurationError(f"{entry.prompt.where} can't be locked: {error}") from error


def _record(entry: Locked) -> dict[str, Any]:
    if entry.prompt.id != entry.ref.id or entry.ref.version not in {None, entry.prompt.version}:
        raise RecordError(f"{str(entry)!r} was answered with another prompt or version")
    asked = {"id": entry.ref.id, "backend": entry.backend, "version": entry.ref.version, "label": entry.ref.label}
    return {"asked": {name: value for name, value in asked.items() if value is not None}, **_record_of(entry.prompt)}


def _entries(body: Mapping[str, Any]) -> tuple[Locked, ...]:
    if body["promptwire_lock"] != FORMAT:
        raise RecordError(f"its format is {body['promptwire_lock']!r:.10}, and this version knows {FORMAT}")
    entries = tuple(_entry(record) for record in body["prompts"])
    if len({(entry.backend, entry.ref) for entry in entries}) < len(entries):
        raise RecordError("a prompt is in it twice")
    return entries


def _entry(record: Mapping[str, Any]) -> Locked:
    """An entry, if it is what ``dump_lock`` writes: what a reviewer reads of a prompt must not be false."""
    asked = record["asked"]
    prompt = from_record(_joined(record["prompt"]))
    if prompt.content_hash != record["content_hash"]:
        raise RecordError(f"prompt {prompt.id!r} was changed by hand, or in a merge")
    if not isinstance(asked["backend"], str):
        raise TypeError
    entry = Locked(asked["backend"], PromptRef(asked["id"], asked.get("version"), asked.get("label")), prompt)
    if _record(entry) != record:
        raise RecordError(f"what {str(entry)!r} tells of its prompt isn't so, or is more than a lock holds")
    return entry


def _joined(record: Mapping[str, Any]) -> dict[str, Any]:
    """Texts of their lines; a content that is a list of parts holds no text itself."""
    joined = {**record}
    if "text" in joined:
        joined["text"] = "".join(joined["text"])
    if "messages" in joined:
        joined["messages"] = [_joined_message(message) for message in joined["messages"]]
    return joined


def _joined_message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, list) and content and all(isinstance(line, str) for line in content):
        return {**message, "content": "".join(content)}
    return {**message}


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text) or [""]


def _asked(backend: Backend, ref: PromptRef) -> PromptRef:
    """The reference as the resolver asks it."""
    return replace(ref, label=backend.default_label) if ref.version is None and ref.label is None else ref


def _ordered(entries: Iterable[Locked]) -> tuple[Locked, ...]:
    return tuple(sorted(entries, key=lambda one: (one.backend, one.ref.id, str(one.ref.version), str(one.ref.label))))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that is there twice shows a reviewer one value, and a parser the other."""
    built = dict(pairs)
    if len(built) < len(pairs):
        raise RecordError("an object has a key twice")
    return built
