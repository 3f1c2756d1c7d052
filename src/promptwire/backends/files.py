"""A folder of YAML prompts: ``name.yaml``, and older or newer versions beside it as ``name@3.yaml``."""

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from promptwire.backends import PromptSummary
from promptwire.backends.http import Http
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError
from promptwire.messages import Placeholder
from promptwire.params import PROMPT_PARAMS, nearest
from promptwire.prompts import Prompt, PromptRef

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 10_000_000
KEYS = (
    "text", "messages", "version", "labels", "tags", "model", "provider", "params", "tools", "response_format",
    "template_format", "partials", "description",
)  # fmt: skip

_VERSIONED = re.compile(r"(?P<name>.+)@(?P<version>[1-9]\d{0,9})")


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
        self._root = Path(root or os.environ.get("PROMPTWIRE_PROMPTS_DIR") or "prompts").absolute()
        self.identity: Hashable = str(self._root)

    def stamp(self, ref: PromptRef) -> Hashable:
        """Name, mtime and size of every file that could answer."""
        return tuple(_state(path) for path in self._candidates(ref))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """Read the file that answers; the newest of several."""
        found = [self._load(path, ref.id, http.where) for path in self._candidates(ref)]
        chosen = [prompt for prompt in found if prompt is not None and _answers(prompt, ref)]
        if not chosen and ref.label == "latest":
            chosen = [prompt for prompt in found if prompt is not None]
        if not chosen:
            raise PromptNotFoundError(f"{http.where} does not exist in {self._root}; list shows what does")
        unversioned = ref.version is None and ref.label is None and chosen[0].version is not None
        return chosen[0] if unversioned else max(chosen, key=lambda prompt: int(prompt.version or 0))

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """All prompts of the folder, ordered by id."""
        files = [path for path in self._root.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
        ids = sorted(
            {_VERSIONED.sub(r"\g<name>", path.relative_to(self._root).with_suffix("").as_posix()) for path in files}
        )
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
        base = self._confined(ref.id)
        own = [base.with_name(base.name + suffix) for suffix in SUFFIXES]
        present = [path for path in own if _is_file(path)]
        if ref.version is not None:
            named = [base.with_name(f"{base.name}@{ref.version}{suffix}") for suffix in SUFFIXES]
            return present + [path for path in named if _is_file(path)]
        if present and ref.label is None:
            return present[:1]
        return present + sorted(_versions(base), key=_number, reverse=True)

    def _confined(self, prompt_id: str) -> Path:
        """The path of an id, without suffix; an id that leads out of the folder, by a link too, is refused."""
        path = self._root / prompt_id
        try:
            inside = path.parent.resolve().is_relative_to(self._root.resolve())
        except (OSError, RuntimeError) as error:
            raise PromptNotFoundError(f"files prompt {prompt_id!r} can't be a file's name") from error
        if not inside:
            raise ConfigurationError(f"files prompt {prompt_id!r} leads out of the prompts folder")
        return path

    def _load(self, path: Path, prompt_id: str, where: str) -> Prompt | None:
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ConfigurationError(f"{where}: its file is a link that leads out of the prompts folder")
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PromptConfigError(f"{where}: its file {path.name} can't be read as UTF-8 text") from error
        if len(text) > MAX_BYTES:
            raise PromptConfigError(f"{where}: its file {path.name} is larger than {MAX_BYTES // 1_000_000} MB")
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


def read_yaml(text: str, where: str) -> Any:
    """Plain YAML: no tags, and no aliases, which can grow a few lines to gigabytes."""
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise PromptConfigError(f"{where}: YAML anchors and aliases are not read; repeat the value")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise PromptConfigError(
            f"{where}: not plain YAML{line}: {getattr(error, 'problem', None) or 'unreadable'}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise PromptConfigError(f"{where}: not usable as YAML: nested too deeply, or an impossible value") from error


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
        if path.suffix in SUFFIXES and match and match["name"] == base.name:
            yield path


def _answers(prompt: Prompt, ref: PromptRef) -> bool:
    if ref.version is not None:
        return prompt.version == ref.version
    return ref.label is None or ref.label in prompt.labels


def _is_file(path: Path) -> bool:
    """Whether it is there; a name that the file system can't hold is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _state(path: Path) -> Hashable:
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_mtime_ns, status.st_size, status.st_ino
