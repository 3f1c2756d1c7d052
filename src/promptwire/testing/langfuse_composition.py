"""Prompts composed of others by ``@@@langfusePrompt:name=…|label=…@@@`` tags."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from promptwire.testing.wire import Answer, Json, RefusedError

_TAG = re.compile(r"@@@langfusePrompt:(.*?)@@@")
_MAX_DEPTH = 5


def refuse(status: int, error: str, message: str) -> RefusedError:
    """The server's own errors, other than those of validation."""
    return RefusedError(Answer.of_json(status, {"message": message, "error": error}))


class Node(Protocol):
    """What composition reads of a stored version."""

    id: str
    name: str
    version: int
    type: str
    prompt: Json
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Dependency:
    """A child that a composition tag names."""

    tag: str
    name: str
    version: int | None
    label: str | None

    def __str__(self) -> str:
        return f"{self.name} - " + (f"label {self.label}" if self.version is None else f"version {self.version}")

    def names(self, child: Node) -> bool:
        """Whether it is this version, by its number or one of its labels."""
        if child.name != self.name:
            return False
        return child.version == self.version if self.version is not None else self.label in child.labels


def dependencies(prompt: Json) -> Iterator[Dependency]:
    """The well-formed tags of a prompt's texts; others stay text."""
    texts = [prompt] if isinstance(prompt, str) else [str(message.get("content", "")) for message in prompt]
    for match in (match for text in texts for match in _TAG.finditer(text)):
        parts = match[1].split("|")
        if len(parts) != 2 or not parts[0].startswith("name="):
            continue
        name = parts[0].removeprefix("name=")
        key, _, value = parts[1].partition("=")
        if key == "version" and value.isdecimal():
            yield Dependency(match[0], name, int(value), None)
        elif key == "label":
            yield Dependency(match[0], name, None, value)


class Composer:
    """Resolves one prompt among ``versions``; ``refuse`` makes the error for what can't be resolved."""

    def __init__(self, root: Node, versions: list[Json], refuse: Callable[[str], RefusedError]) -> None:
        self._root = root
        self._versions: list[Node] = versions
        self._refuse = refuse
        self._graph: dict[str, list[dict[str, Json]]] = {}

    def resolve(self) -> tuple[Json, dict[str, Json] | None]:
        """The prompt with its tags replaced, and the graph of what went into it."""
        prompt = self._expand(self._root, 0)
        top = {"name": self._root.name, "version": self._root.version, "id": self._root.id}
        return prompt, {"root": top, "dependencies": self._graph} if self._graph else None

    def _expand(self, current: Node, level: int) -> Json:
        if level >= _MAX_DEPTH:
            raise self._refuse(f"Maximum nesting depth exceeded ({_MAX_DEPTH})")
        if level and current.name == self._root.name:
            where = f"'{current.name}' version {current.version}"
            raise self._refuse(f"Circular dependency detected involving prompt {where}")
        prompt = current.prompt
        for dependency in dependencies(current.prompt):
            child = self._child(dependency)
            entry = {"id": child.id, "name": child.name, "version": child.version}
            self._graph.setdefault(current.id, []).append(entry)
            prompt = _replace(prompt, dependency.tag, self._expand(child, level + 1))
        return prompt

    def _child(self, dependency: Dependency) -> Node:
        child = next(filter(dependency.names, self._versions), None)
        if child is None:
            raise self._refuse(f"Prompt dependency not found: {dependency}")
        if child.type != "text":
            raise self._refuse(f"Prompt dependency is not a text prompt: {dependency}")
        return child


def dependants(doomed: list[Json], versions: list[Json]) -> list[str]:
    """A line for each prompt among ``versions`` that needs one of the ``doomed``."""
    return [
        f"{parent.name} v{parent.version} depends on {one.name} {one.label or f'v{one.version}'}"
        for parent in versions
        for one in dependencies(parent.prompt)
        if any(map(one.names, doomed))
    ]


def _replace(prompt: Json, tag: str, text: str) -> Json:
    if isinstance(prompt, str):
        return prompt.replace(tag, text)
    return [
        {**message, "content": message["content"].replace(tag, text)} if "content" in message else message
        for message in prompt
    ]
