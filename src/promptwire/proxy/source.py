"""A YAML file that remembers its lines, so that an error can name file, line and key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from promptwire.errors import ConfigurationError, raise_bare

MAX_BYTES = 1_000_000
MAX_DEPTH = 50

Key: TypeAlias = tuple[str | int, ...]


class Source:
    """Plain YAML: no tags, no aliases (which can grow a few lines to gigabytes), and no key twice.

    ``data`` is what it holds. Raises ``ConfigurationError``.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._lines: dict[Key, int] = {}
        self.data: Any = None
        self._read(text)

    @classmethod
    def of_file(cls, path: Path) -> "Source":
        """A file's, in UTF-8."""
        try:
            with path.open("rb") as file:
                held = file.read(MAX_BYTES + 1)
            text = held.decode()
        except OSError as error:
            raise ConfigurationError(f"{path}: can't be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise_bare(ConfigurationError(f"{path}: is not UTF-8 text"))
        if len(held) > MAX_BYTES:
            raise ConfigurationError(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB")
        return cls(str(path), text)

    def error(self, key: Key, problem: str) -> ConfigurationError:
        """An error that says where ``problem`` is; a key that isn't there is where it should be."""
        at = key
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at]}" if at in self._lines else ""
        return ConfigurationError(f"{self.name}{line}: {f'{shown(key)}: ' if key else ''}{problem}")

    def _read(self, text: str) -> None:
        import yaml

        try:
            self._check(yaml.parse(text, Loader=yaml.SafeLoader))
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is not None:
                self.data = self._value(node, (), yaml.SafeLoader(""))
        except yaml.MarkedYAMLError as error:
            raise_bare(self._broken(error.problem_mark or error.context_mark, f"not YAML: {error.problem}"))
        except yaml.YAMLError:
            raise_bare(ConfigurationError(f"{self.name}: not YAML: a character that it can't hold"))
        except ValueError:
            raise_bare(ConfigurationError(f"{self.name}: not usable: it holds an impossible date or number"))

    def _check(self, events: Iterator[Any]) -> None:
        import yaml

        depth = 0
        for event in events:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._broken(event.start_mark, "nested too deeply")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
                raise self._broken(event.start_mark, "YAML tags and aliases are not read; write the value out")

    def _value(self, node: Any, at: Key, loader: Any) -> Any:
        import yaml

        self._lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, number), loader) for number, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return loader.construct_object(node)
        found: dict[str, Any] = {}
        for key_node, item in node.value:
            key = loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self._broken(key_node.start_mark, "a key is a text; put it in quotation marks")
            if key in found:
                raise self._broken(key_node.start_mark, f"{shown((*at, key))} is there twice")
            self._lines[*at, key] = key_node.start_mark.line + 1
            found[key] = self._value(item, (*at, key), loader)
        return found

    def _broken(self, mark: Any, problem: str) -> ConfigurationError:
        line = f", line {mark.line + 1}" if mark is not None else ""
        return ConfigurationError(f"{self.name}{line}: {problem}")


def shown(key: Key) -> str:
    """``model_list[0].litellm_params.model``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")
