"""What can be wrong with a prompt before it is ever run."""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptwire.backends.files import KEYS, parse_prompt
from promptwire.backends.folder import Folder, read_yaml
from promptwire.cli.lines import Lines
from promptwire.contracts import Contracts
from promptwire.errors import ConfigurationError, PromptConfigError, TemplateError
from promptwire.gateway.hosts import all_providers, find_provider
from promptwire.gateway.providers import split_provider
from promptwire.messages import HISTORY_SLOTS
from promptwire.params import PROMPT_PARAMS, nearest
from promptwire.prompts import Prompt

_BROKEN = (PromptConfigError, TemplateError)
_LINE = re.compile(r", line (\d+)(?=: )")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; ``rule``: ``file``, ``setting``, ``template``, ``variable``, ``contract``, ``model``."""

    file: str
    line: int | None
    rule: str
    message: str


class Linter:
    """Checks prompt after prompt against the variables that callers have, if ``given`` says which, and the contracts.

    A prompt's contract is found by its id, and by the backend that it is in.
    """

    def __init__(self, given: AbstractSet[str] | None, contracts: Contracts) -> None:
        self._given = given
        self._contracts = contracts
        self.used: set[str] = set()

    def file(self, folder: Folder, path: Path, prompt_id: str, name: str) -> Iterator[Finding]:
        """Findings in a prompt's file, with their lines; ``name`` is how it is told."""
        try:
            text = folder.read(path, "")
            body = read_yaml(text or "", "")
        except (PromptConfigError, ConfigurationError) as error:
            line = getattr(error, "line", None)
            yield Finding(name, line, "file", str(error).removeprefix(": "))
            return
        lines = Lines(text or "")
        found = [Finding(name, line, rule, message) for line, rule, message in _broken(body, path, lines)]
        yield from found
        yield from self._models(body if isinstance(body, dict) else {}, name, lines)
        if not any(one.rule != "setting" or one.line is None for one in found):
            try:
                prompt = parse_prompt(body, prompt_id, path, "prompt")
            except _BROKEN:
                return
            yield from self._variables(prompt, name, lines)

    def prompt(self, prompt: Prompt, name: str) -> Iterator[Finding]:
        """What a prompt asks for that nobody gives, and the model that nobody has."""
        yield from self._models({"model": prompt.model, "provider": prompt.provider}, name, None)
        yield from self._variables(prompt, name, None)

    def _models(self, settings: Mapping[str, Any], name: str, lines: Lines | None) -> Iterator[Finding]:
        for key, message in _unknown_provider(settings.get("model"), settings.get("provider")):
            yield Finding(name, lines.of(key) if lines else None, "model", message)

    def _variables(self, prompt: Prompt, name: str, lines: Lines | None) -> Iterator[Finding]:
        self.used.update(prompt.variables, prompt.placeholders, prompt.partials)
        undeclared = self._contracts.undeclared(prompt.backend, prompt.id, prompt)
        for variable, place in _asked(prompt):
            line = lines.mention(place, variable) if lines else None
            if self._given is not None and variable not in self._given:
                yield Finding(name, line, "variable", f"variable {variable!r} is not among --vars and --var")
            if variable in undeclared:
                yield Finding(name, line, "contract", f"{variable!r} is not in its contract: it would be held back")


def _broken(body: Any, path: Path, lines: Lines) -> Iterator[tuple[int | None, str, str]]:
    """Each key and each message looked at by itself, so that all are named, with their lines."""
    if not isinstance(body, dict):
        yield 1, "file", "a prompt file is a mapping with 'text' or 'messages'"
        return
    for key, value in body.items():
        if key not in {"text", "messages", "params"} and (told := _told(path, {"text": "", key: value})):
            yield lines.of(key), "setting" if key in KEYS else "file", told[0]
    yield from _params(body.get("params"), path, lines)
    dialect = {"template_format": body["template_format"]} if "template_format" in body else {}
    if dialect and _told(path, {"text": "", **dialect}):
        return
    found = list(_templates(body, dialect, path, lines))
    yield from found
    if not found and (told := _told(path, {key: body[key] for key in ("text", "messages") if key in body})):
        yield 1, "template", told[0]


def _params(params: Any, path: Path, lines: Lines) -> Iterator[tuple[int, str, str]]:
    if not isinstance(params, dict):
        if told := _told(path, {"text": "", "params": params}):
            yield lines.of("params"), "setting", told[0]
        return
    for key, value in params.items():
        if key not in PROMPT_PARAMS:
            hint = nearest(str(key), tuple(PROMPT_PARAMS))
            yield lines.of("params", key), "setting", f"{key!r} is no parameter that a prompt may set{hint}"
        elif told := _told(path, {"text": "", "params": {key: value}}):
            yield lines.of("params", key), "setting", told[0]


def _templates(
    body: dict[str, Any], dialect: dict[str, Any], path: Path, lines: Lines
) -> Iterator[tuple[int, str, str]]:
    items: list[tuple[tuple[str | int, ...], tuple[str | int, ...], dict[str, Any]]] = []
    if "text" in body:
        items.append((("text",), ("text",), {"text": body["text"]}))
    messages = body.get("messages")
    for place, item in enumerate(messages if isinstance(messages, list) else ()):
        items.append((("messages", place), ("messages", place, "content"), {"messages": [item]}))
    for at, inside, part in items:
        if told := _told(path, {**part, **dialect}):
            message, line = told
            yield lines.of(*at) if line is None else lines.inside(inside, line), "template", message


def _told(path: Path, body: dict[str, Any]) -> tuple[str, int | None] | None:
    """What is wrong with a file's content, if anything is, and in which line of its text."""
    try:
        parse_prompt(body, "prompt", path, "prompt")
    except _BROKEN as error:
        line = _LINE.search(str(error))
        return str(error).partition(": ")[2], int(line[1]) if line else None
    return None


def _asked(prompt: Prompt) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """The variables and slots that a caller must fill, and where the first of each stands."""
    for variable in prompt.variables:
        yield variable, ("text",) if prompt.text is not None else ("messages",)
    for slot in prompt.placeholders:
        if slot not in HISTORY_SLOTS:
            yield slot, ("messages",)


def _unknown_provider(model: object, provider: object) -> Iterator[tuple[str, str]]:
    if isinstance(provider, str) and find_provider(provider) is None:
        yield "provider", f"there is no provider {provider!r}{nearest(provider, sorted(all_providers()))}"
    elif provider is None and isinstance(model, str) and "/" in model and split_provider(model)[0] is None:
        prefix = model.partition("/")[0]
        yield "model", f"model {model!r}: there is no provider {prefix!r}{nearest(prefix, sorted(all_providers()))}"
