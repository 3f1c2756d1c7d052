"""Where in a YAML file a key or an item lies."""

import re
from collections.abc import Sequence
from typing import Any

import yaml


class Lines:
    """The lines of a file that ``read_yaml`` has read, by the path of what stands there; they count from 1."""

    def __init__(self, text: str) -> None:
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)
        self._text = text.splitlines()

    def of(self, *path: str | int) -> int:
        """The line of a key, or of a list's item; of what encloses it, if it isn't there."""
        return self._find(path)[0]

    def inside(self, path: Sequence[str | int], offset: int = 1) -> int:
        """The line of a text's own line ``offset``."""
        node = self._find(path)[1]
        first: int = node.start_mark.line + (2 if getattr(node, "style", None) in {"|", ">"} else 1)
        last: int = node.end_mark.line + 1
        return min(first + offset - 1, last)

    def mention(self, path: Sequence[str | int], name: str) -> int:
        """The first line from a text's beginning on that has the name."""
        start = self.inside(path)
        for number, line in enumerate(self._text[start - 1 :], start):
            if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", line):
                return number
        return start

    def _find(self, path: Sequence[str | int]) -> tuple[int, Any]:
        line, node = 1, self._root
        for step in path:
            line, node = _child(node, step) or (line, node)
        return line, node


def _child(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None
