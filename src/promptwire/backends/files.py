"""A folder of YAML prompts: ``name.yaml``, and older or newer versions beside it as ``name@3.yaml``."""

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from promptwire.backends import PromptSummary
from promptwire.backends.folder import Folder, is_file, read_yaml, state
from promptwire.backends.http import Http
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError
from promptwire.messages import Placeholder
from promptwire.params import PROMPT_PARAMS, nearest
from promptwire.prompts import MAX_VERSION, Prompt, PromptRef

SUFFIXES = (".yaml", ".yml")
KEYS = (
    "text", "messages", "version", "labels", "tags", "model", "provider", "params", "tools", "response_format",
    "template_format", "partials", "description",
)  # fmt: skip

_VERSIONED = re.compile(r"(?P<name>.*[^/])@(?P<version>[1-9][0-9]{0,9})\Z")


class FilesBackend:
    """Reads ``root``, by default ``PROMPTWIRE_PROMPTS_DIR`` or ``./prompts``; an edit is seen by its mtime.

    A file holds ``text`` or ``messages`` (``{role, content}`` or ``{placeholder: name}``), and may hold ``version``,
    ``labels``, ``tags``, ``model``, ``provider``, ``params``, ``tools``, ``response_format``, ``template_format``
    (``jinja``, the default, or ``mustache``), ``partials`` (values for variables the caller doesn't give) and
    ``description``. The label ``latest`` is the highest version.
    """

    name = "files"
    default_label = None
    options: ClassVar[Mapping[str, str]] = {"prompts_dir": "root"}

    def __init__(self, root: str | Path | None = None) -> None:
        self._folder = Folder(root or os.environ.get("PROMPTWIRE_PROMPTS_DIR") or "prompts", self.name)
        self.identity: Hashable = str(self._folder.root)

    def stamp(self, ref: PromptRef) -> Hashable:
        """Name, mtime and size of every file that could answer."""
        return tuple(state(path) for path in self._candidates(ref))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """Read the file that answers; the newest of several."""
        found = [self._load(path, ref.id, http.where) for path in self._candidates(ref)]
        chosen = [prompt for prompt in found if prompt is not None and _answers(prompt, ref)]
        if not chosen and ref.label == "latest":
            chosen = [prompt for prompt in found if prompt is not None]
        if not chosen:
            raise PromptNotFoundError(
                f"{http.where} does not exist in {self._folder.root}; list_prompts() shows what does"
            )
        unversioned = ref.version is None and ref.label is None and chosen[0].version is not None
        return chosen[0] if unversioned else max(chosen, key=lambda prompt: int(prompt.version or 0))

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """All prompts of the folder, ordered by id."""
        ids = sorted({_VERSIONED.sub(r"\g<name>", name) for name, _ in self._folder.walk(*SUFFIXES)})
        return [self._summary(prompt_id, http) for prompt_id in ids]

    def _summary(self, prompt_id: str, http: Http) -> PromptSummary:
        paths = self._candidates(PromptRef(prompt_id, label="latest"))
        prompts = [prompt for path in paths if (prompt := self._load(path, prompt_id, http.where))]
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
        base = self._folder.path(ref.id)
        own = [base.with_name(base.name + suffix) for suffix in SUFFIXES]
        present = [path for path in own if is_file(path)]
        if ref.version is not None:
            named = [base.with_name(f"{base.name}@{ref.version}{suffix}") for suffix in SUFFIXES]
            return present + [path for path in named if is_file(path)]
        if present and ref.label is None:
            return present[:1]
        return present + sorted(_versions(base), key=_number, reverse=True)

    def _load(self, path: Path, prompt_id: str, where: str) -> Prompt | None:
        text = self._folder.read(path, where)
        if text is None:
            return None
        return parse_prompt(read_yaml(text, f"{where}, file {path.name}"), prompt_id, path, where)


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
    config = {**params, **{k: body[k] for k in ("model", "provider", "tools", "response_format") if k in body}}
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
