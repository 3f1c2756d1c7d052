"""A folder that prompts are read from: no path leads out of it, no file is larger than it should be."""

import errno
import os
import stat
import threading
from collections.abc import Hashable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, raise_bare

MAX_BYTES = 10_000_000


class Folder:
    """The files under ``root``; ``~`` is the user's home. ``kind`` opens messages that have no other beginning."""

    def __init__(self, root: str | Path, kind: str) -> None:
        self.root = Path(os.path.expanduser(root)).absolute()  # noqa: PTH111 - pathlib's raises where there is no home
        self._kind = kind

    def path(self, prompt_id: str) -> Path:
        """The path of an id, without suffix; an id that leads out of the folder, by a link too, is refused."""
        path = self.root / prompt_id
        try:
            inside = self._holds(path.parent)
        except (OSError, RuntimeError) as error:
            raise PromptNotFoundError(f"{self._kind} prompt {prompt_id!r} can't be a file's name") from error
        if not inside:
            raise ConfigurationError(f"{self._kind} prompt {prompt_id!r} leads out of the prompts folder")
        return path

    def read(self, path: Path, where: str) -> str | None:
        """A file's text, or ``None`` if it isn't there; ``where`` opens the message of every error."""
        if not self._holds(path):
            raise ConfigurationError(f"{where}: its file is a link that leads out of the prompts folder")
        try:
            text = read_text(path, MAX_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            kind = type(error).__name__
            raise_bare(PromptConfigError(f"{where}: its file {path.name} can't be read as UTF-8 text ({kind})"))
        if len(text) > MAX_BYTES:
            raise PromptConfigError(f"{where}: its file {path.name} is larger than {MAX_BYTES // 1_000_000} MB")
        return text

    def write(self, path: Path, text: str) -> None:
        """Put a file in place whole, or not at all; a link in its place is replaced, not followed."""
        self._check_place(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(path, text)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its name can't be a file's"
            raise ConfigurationError(f"{self._kind}: {path.name} can't be written: {reason}") from error

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self._check_place(path)
        path.unlink(missing_ok=True)

    def _check_place(self, path: Path) -> None:
        if not self._holds(path.parent):
            raise ConfigurationError(f"{self._kind}: {path.name} would lie outside the prompts folder")

    def walk(self, *suffixes: str) -> Iterator[tuple[str, Path]]:
        """Every file with one of these suffixes: its path below the root without suffix, and its path."""
        for path in self.root.rglob("*"):
            if path.suffix in suffixes and path.is_file():
                yield path.relative_to(self.root).with_suffix("").as_posix(), path

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root.resolve())


def read_text(path: Path, limit: int) -> str:
    """A file's text, one character more than ``limit`` at most. ``OSError`` for what is no file: a pipe never ends."""
    with open(path, encoding="utf-8", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        return file.read(limit + 1)


def _at_once(path: str, flags: int) -> int:
    """A pipe's open would wait for who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, by a draft of one's own beside it; a link planted there is not followed."""
    draft = path.with_name(f".promptwire-{os.getpid()}-{threading.get_ident()}.tmp")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether it is there; a name that the file system can't hold is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def state(path: Path) -> Hashable:
    """What changes when the file does; ``None`` without one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_mtime_ns, status.st_size, status.st_ino


MAX_DEPTH = 100
MAX_VALUES = 20_000
MAX_DIGITS = 1000


def read_yaml(text: str, where: str) -> Any:
    """Plain YAML: no tags, no aliases, which can grow a few lines to gigabytes, and no key twice.

    Of bounded size: the parser needs a second for some 20,000 keys and values.
    """
    import yaml

    try:
        count = depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            count += isinstance(event, yaml.NodeEvent)
            if count > MAX_VALUES:
                raise PromptConfigError(f"{where}: it has more than {MAX_VALUES:,} keys and values")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # the loader's own error comes late: its time grows with the square of the depth
                raise RecursionError  # noqa: TRY301 - the loader's own word for it
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
                raise PromptConfigError(f"{where}: YAML tags and aliases are not read; write the value out")
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        place = "" if line is None else f" in line {line}"
        problem = getattr(error, "problem", None) or "unreadable"
        raise_bare(PromptConfigError(f"{where}: not plain YAML{place}: {problem}", line))
    except (RecursionError, ValueError):
        raise_bare(PromptConfigError(f"{where}: not usable as YAML: nested too deeply, or an impossible value"))


@cache
def _loader() -> type[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses what would read as one thing to a reviewer and as another here, and numbers of absurd length."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - the library's
            names = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(names)) < len(names):
                raise yaml.constructor.ConstructorError(None, None, "a key stands twice in it", node.start_mark)
            return super().construct_mapping(node, deep)

        def construct_scalar(self, node: Any) -> Any:
            if len(node.value) > MAX_DIGITS and node.tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}:
                raise ValueError
            return super().construct_scalar(node)

    return Loader
