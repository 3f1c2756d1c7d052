"""Template dialects: a text is compiled once and rendered in one pass, so that values are never re-expanded."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from promptwire.errors import PromptConfigError
from promptwire.frozen import share

# The two forms that Humanloop's SDK looks up: a name, or a tool call taken as a literal key.
_HUMANLOOP_TAG = re.compile(r'{{\s?([a-zA-Z_\d.\[\]]+|[a-zA-Z_\-\d]+\([a-zA-Z_\-\d,\s"]+\))\s?}}')
_JINJA_TAG = re.compile(r"\{[{%#]")
_ABSENT = object()
_NONE: frozenset[str] = frozenset()


Path: TypeAlias = tuple[str, ...]  # a variable's name, and the keys that lead on from it


class Segment(NamedTuple):
    """A piece of a template or of what it was rendered to; a tag names its variable, and may be ``filled``."""

    text: str
    variable: str | None = None
    filled: bool = False


class Template(Protocol):
    """A compiled text; it never changes, and threads may share it."""

    variables: tuple[str, ...]

    @property
    def source(self) -> str:
        """The text that was compiled."""
        ...

    @property
    def reads(self) -> tuple[Path, ...]:
        """Which of the variables, or of the items in them, the text shows or asks for; and names that are none."""
        ...

    def render(self, values: Mapping[str, object], missing: list[str] | None) -> str:
        """Names not given are added to the list, each once, and the text then means nothing; with None, tags stay."""
        ...

    def segments(self, values: Mapping[str, object]) -> list[Segment]:
        """What rendering makes of each piece, tags staying where a value is missing; for those who show it."""
        ...


class _Literal:
    """A text without tags."""

    __slots__ = ("source",)

    variables: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()

    def __init__(self, text: str) -> None:
        self.source = text

    def render(self, values: Mapping[str, object], missing: list[str] | None) -> str:  # noqa: ARG002
        return self.source

    def segments(self, values: Mapping[str, object]) -> list[Segment]:  # noqa: ARG002
        return [Segment(self.source)]


class _Tags:
    """Literal pieces and tags in turn, so that a tag nobody fills is already in its place.

    Prompts are cached by the thousand: the text is kept once, in its pieces, and what recurs is shared.
    """

    __slots__ = ("_literals", "_names", "_none", "_pieces", "variables")

    def __init__(self, tags: Iterable[tuple[str, str, str]], end: str, none: str | None) -> None:
        pieces: list[str] = []
        names: list[str] = []
        for before, tag, name in tags:
            pieces += (before, share(tag))
            names.append(share(name))
        self._pieces = (*pieces, end)
        self._none = none
        self._names = tuple(names)
        unique = tuple(dict.fromkeys(names))
        literals = () if none is None else [name for name in unique if not _is_name(name)]
        self._literals = frozenset(literals) if literals else _NONE
        if literals:
            unique = tuple(name for name in unique if name not in self._literals)
        self.variables = self._names if unique == self._names else unique

    @property
    def source(self) -> str:
        return "".join(self._pieces)

    @property
    def reads(self) -> tuple[Path, ...]:
        return tuple((name,) for name in self.variables)

    def render(self, values: Mapping[str, object], missing: list[str] | None) -> str:
        pieces = list(self._pieces)
        absent: list[str] = []
        get = values.get
        literals = _NONE if missing is None else self._literals
        place = -1
        for name in self._names:
            place += 2
            if literals and name in literals:
                continue
            value = get(name, _ABSENT)
            if type(value) is str:
                pieces[place] = value
            elif value is _ABSENT or (text := self._written(value)) is None:
                absent.append(name)
            else:
                pieces[place] = text
        if absent and missing is not None:
            add_missing(missing, absent)
        return "".join(pieces)

    def segments(self, values: Mapping[str, object]) -> list[Segment]:
        made = [Segment(piece) for piece in self._pieces]
        for index, name in enumerate(self._names):
            if name not in self._literals:
                value = values.get(name, _ABSENT)
                text = None if value is _ABSENT else self._written(value)
                tag = self._pieces[2 * index + 1]
                made[2 * index + 1] = Segment(tag if text is None else text, name, text is not None)
        return made

    def _written(self, value: object) -> str | None:
        """A value as text; ``None`` is nothing to one dialect and a missing value to the other."""
        return self._none if value is None else str(value)


def compile_template(text: str, dialect: str, where: str = "template") -> Template:
    """Compile a text of the named dialect; ``where`` opens the message of every error, now and at rendering."""
    match dialect:
        case "mustache":
            return _compile_tags(text, _mustache_tags(text), none="")
        case "humanloop":
            return _compile_tags(text, _humanloop_tags(text), none=None)
        case "jinja":
            return _compile_jinja(text, where)
        case _:
            raise PromptConfigError(f"{where}: unknown template dialect {dialect!r}; use mustache, humanloop or jinja")


def add_missing(missing: list[str], names: Iterable[str]) -> None:
    """Append the names that the list lacks, in time linear in both."""
    known = set(missing)
    missing.extend(name for name in dict.fromkeys(names) if name not in known)


def _compile_tags(text: str, spans: Iterator[tuple[int, int, str]], none: str | None) -> Template:
    tags: list[tuple[str, str, str]] = []
    position = 0
    for start, end, name in spans:
        tags.append((text[position:start], text[start:end], name))
        position = end
    return _Tags(tags, text[position:], none) if tags else _Literal(text)


def _mustache_tags(text: str) -> Iterator[tuple[int, int, str]]:
    end = 0
    while (start := text.find("{{", end)) >= 0 and (close := text.find("}}", start)) >= 0:
        end = close + 2
        yield start, end, text[start + 2 : close].strip()


def _humanloop_tags(text: str) -> Iterator[tuple[int, int, str]]:
    return ((tag.start(), tag.end(), tag[1]) for tag in _HUMANLOOP_TAG.finditer(text))


def _is_name(name: str) -> bool:
    # Marks count as letters: the vowel signs of Devanagari or Thai are marks.
    kinds = {"L" if letter == "_" else unicodedata.category(letter)[0] for letter in name if letter not in " .-"}
    return bool(kinds) and kinds <= {"L", "M", "N"}


def _compile_jinja(text: str, where: str) -> Template:
    if not _JINJA_TAG.search(text):
        return _Literal(text)
    from promptwire.sandbox import JinjaTemplate

    return JinjaTemplate(text, where)
