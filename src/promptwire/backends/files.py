"""A folder of YAML prompts: ``name.yaml``, and older or newer versions beside it as ``name@3.yaml``."""

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from promptwire import log
from promptwire.backends import LATEST, PromptSummary, PromptVersion
from promptwire.backends.files_format import StoredFile, body_of, dump
from promptwire.backends.folder import Folder, is_file, read_yaml, state
from promptwire.backends.http import Http
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, TemplateError
from promptwire.messages import Placeholder
from promptwire.params import PROMPT_PARAMS, nearest
from promptwire.prompts import Prompt
from promptwire.refs import MAX_VERSION, PromptRef

SUFFIXES = (".yaml", ".yml")
KEYS = (
    "text", "messages", "version", "labels", "tags", "model", "provider", "params", "tools", "response_format",
    "template_format", "partials", "config", "description", "message", "source",
)  # fmt: skip

_VERSIONED = re.compile(r"(?P<name>.*[^/])@(?P<version>[1-9][0-9]{0,9})\Z")


class FilesBackend:
    """Reads ``root``, by default ``PROMPTWIRE_PROMPTS_DIR`` or ``./prompts``; an edit is seen by its mtime.

    A file holds ``text`` or ``messages`` (``{role, content}`` or ``{placeholder: name}``), and may hold ``version``,
    ``labels``, ``tags``, ``model``, ``provider``, ``params``, ``tools``, ``response_format``, ``template_format``
    (``jinja``, the default, or ``mustache``), ``partials`` (values for variables the caller doesn't give), ``config``
    (settings that are not sent), ``description``, ``message`` (what is new in this version) and ``source`` (what it is
    a copy of). The label ``latest`` is the highest version.
    """

    name = "files"
    default_label = None
    options: ClassVar[Mapping[str, str]] = {"prompts_dir": "root"}

    def __init__(self, root: str | Path | None = None) -> None:
        self.folder = Folder(root or os.environ.get("PROMPTWIRE_PROMPTS_DIR") or "prompts", self.name)
        self.identity: Hashable = str(self.folder.root)

    def stamp(self, ref: PromptRef) -> Hashable:
        """Name, mtime and size of every file that could answer."""
        return tuple(state(path) for path in self._candidates(ref))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """Read the file that answers; the newest of several."""
        stored = [self._load(path, ref.id, http.where) for path in self._candidates(ref)]
        found = [one.prompt for one in stored if one is not None]
        chosen = [prompt for prompt in found if _answers(prompt, ref)]
        if not chosen and ref.label == LATEST:
            chosen = found
        if not chosen:
            raise self._absent(http.where)
        unversioned = ref.version is None and ref.label is None and chosen[0].version is not None
        return chosen[0] if unversioned else max(chosen, key=lambda prompt: int(prompt.version or 0))

    def list(self, http: Http) -> Sequence[PromptSummary]:  # noqa: ARG002 - the protocol's
        """All prompts of the folder, ordered by id; a file that can't be asked for is told of, and left out."""
        ids = sorted({id_of(name) for name, _ in self.folder.walk(*SUFFIXES)})
        return [summary for prompt_id in ids if (summary := self._summary(prompt_id))]

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """By version; a file's date is its mtime."""
        stored = sorted(self.stored(prompt_id, http.where), key=lambda one: one.number, reverse=True)
        if not stored:
            raise self._absent(http.where)
        return [one.told() for one in stored[:limit]]

    def adapt(self, prompt: Prompt) -> Prompt:
        """Files hold whatever a prompt has."""
        return prompt

    def create(self, prompt: Prompt, labels: Sequence[str], message: str | None, http: Http) -> int:
        """Write ``name@N.yaml``, one above the highest version there is."""
        stored = self.stored(prompt.id, http.where)
        number = max((one.number for one in stored), default=0) + 1
        path = self.path_of(prompt.id, number)
        self.folder.write(path, dump(body_of(prompt, number, labels, message=message)))
        self._take_labels(stored, labels)
        return number

    def move_labels(self, ref: PromptRef, labels: Sequence[str], http: Http) -> None:
        """Rewrite the files whose labels change."""
        stored = self.stored(ref.id, http.where)
        target = [one for one in stored if one.prompt.version == ref.version]
        if not target:
            raise self._absent(http.where)
        self._take_labels([one for one in stored if one not in target], labels)
        for one in target:
            self.folder.write(one.path, one.relabelled(dict.fromkeys((*one.prompt.labels, *labels))))

    def stored(self, prompt_id: str, where: str) -> Sequence[StoredFile]:
        """Every file of a prompt, its own first."""
        paths = self._candidates(PromptRef(prompt_id, label=LATEST))
        return [one for path in paths if (one := self._load(path, prompt_id, where))]

    def path_of(self, prompt_id: str, number: int | None = None) -> Path:
        """The file that a prompt's version is written to; ``ConfigurationError`` for an id that none can hold."""
        base = self.folder.path(prompt_id)
        told = base.relative_to(self.folder.root).as_posix()
        if told != prompt_id or _VERSIONED.fullmatch(base.name):
            raise ConfigurationError(f"files prompt {prompt_id!r} can't be a file's name: it would be another's")
        return base.with_name(base.name + (f"@{number}" if number else "") + SUFFIXES[0])

    def _take_labels(self, stored: Sequence[StoredFile], labels: Sequence[str]) -> None:
        for one in stored:
            kept = [label for label in one.prompt.labels if label not in labels]
            if len(kept) < len(one.prompt.labels):
                self.folder.write(one.path, one.relabelled(kept))

    def _absent(self, where: str) -> PromptNotFoundError:
        return PromptNotFoundError(
            f"{where} does not exist in {self.folder.root}; `promptwire list` or list_prompts() shows what does"
        )

    def _summary(self, prompt_id: str) -> PromptSummary | None:
        """What its files tell; a broken one doesn't hide the rest of the folder."""
        try:
            prompts = [one.prompt for one in self.stored(prompt_id, f"{self.name} prompt {prompt_id!r}")]
        except (PromptConfigError, TemplateError) as error:
            log.logger.warning("%s", error)
            prompts = []
        except ConfigurationError as error:  # its name is no prompt's, or its file is a link that leads out
            log.logger.warning("%s", error)
            return None
        return PromptSummary(
            prompt_id,
            tuple(sorted(int(prompt.version) for prompt in prompts if prompt.version is not None)),
            tuple(dict.fromkeys(label for prompt in prompts for label in prompt.labels)),
            tuple(dict.fromkeys(tag for prompt in prompts for tag in prompt.tags)),
        )

    def _candidates(self, ref: PromptRef) -> Sequence[Path]:
        """The files that may hold the prompt: its own first, then its versions, the highest first."""
        if isinstance(ref.version, str):
            raise ConfigurationError(f"files prompt {ref.id!r}: the versions of files are numbers")
        base = self.folder.path(ref.id)
        own = [base.with_name(base.name + suffix) for suffix in SUFFIXES]
        present = [path for path in own if is_file(path)]
        if ref.version is not None:
            named = [base.with_name(f"{base.name}@{ref.version}{suffix}") for suffix in SUFFIXES]
            return present + [path for path in named if is_file(path)]
        if present and ref.label is None:
            return present[:1]
        return present + sorted(_versions(base), key=_number, reverse=True)

    def _load(self, path: Path, prompt_id: str, where: str) -> StoredFile | None:
        """A file, unless it is gone."""
        text = self.folder.read(path, where)
        if text is None:
            return None
        body = read_yaml(text, f"{where}, file {path.name}")
        return StoredFile(path, text, body, parse_prompt(body, prompt_id, path, where))


def id_of(name: str) -> str:
    """The id of the prompt that a file holds, of its path below the root without suffix."""
    return _VERSIONED.sub(r"\g<name>", name)


def parse_prompt(body: Any, prompt_id: str, path: Path, where: str) -> Prompt:
    """A file's YAML as a prompt; ``PromptConfigError`` names the key that is wrong."""
    where = f"{where}, file {path.name}"
    if not isinstance(body, dict):
        raise PromptConfigError(f"{where}: a prompt file is a mapping with 'text' or 'messages'")
    for key in body:
        if key not in KEYS:
            hint = " under 'params'" if key in PROMPT_PARAMS else nearest(str(key), KEYS)
            raise PromptConfigError(f"{where}: it has no key {key!r}{hint}")
    params = _typed(body, "params", dict, where) or {}
    named = {k: body[k] for k in ("model", "provider", "tools", "response_format") if k in body}
    config = {**(_typed(body, "config", dict, where) or {}), **params, **named}
    return Prompt(
        prompt_id,
        text=_typed(body, "text", str, where),
        messages=_messages(_typed(body, "messages", list, where)),
        backend=FilesBackend.name,
        version=_file_version(body, path, where),
        labels=tuple(map(str, _typed(body, "labels", list, where) or ())),
        tags=tuple(map(str, _typed(body, "tags", list, where) or ())),
        config=config,
        dialect=_typed(body, "template_format", str, where) or "jinja",
        partials=_typed(body, "partials", dict, where) or {},
    )


def _typed(body: dict[str, Any], key: str, wanted: type, where: str) -> Any:
    value = body.get(key)
    if value is not None and not isinstance(value, wanted):
        name = {str: "a text", dict: "a mapping", list: "a list", int: "a whole number"}[wanted]
        raise PromptConfigError(f"{where}: {key!r} must be {name}, not {type(value).__name__}")
    return value


def _messages(items: list[Any] | None) -> tuple[Any, ...] | None:
    if items is None:
        return None
    return tuple(
        Placeholder(item["placeholder"])
        if isinstance(item, dict) and set(item) == {"placeholder"} and isinstance(item["placeholder"], str)
        else item
        for item in items
    )


def _file_version(body: dict[str, Any], path: Path, where: str) -> int | None:
    """The version a file states, or its name does; they must agree."""
    stated: int | None = _typed(body, "version", int, where)
    if stated is not None and (isinstance(stated, bool) or not 1 <= stated <= MAX_VERSION):
        raise PromptConfigError(f"{where}: 'version' counts from 1 to {MAX_VERSION}")
    named = _number(path)
    if named and stated not in {None, named}:
        raise PromptConfigError(f"{where}: 'version' says {stated}, the file's name {named}")
    return named or stated


def _number(path: Path) -> int:
    match = _VERSIONED.fullmatch(path.stem)
    return int(match["version"]) if match else 0


def _versions(base: Path) -> Iterator[Path]:
    try:
        entries = sorted(base.parent.iterdir())
    except OSError:
        return
    for path in entries:
        match = _VERSIONED.fullmatch(path.stem)
        if path.suffix in SUFFIXES and match and match["name"] == base.name and is_file(path):
            yield path


def _answers(prompt: Prompt, ref: PromptRef) -> bool:
    if ref.version is not None:
        return prompt.version == ref.version
    return ref.label is None or ref.label in prompt.labels
