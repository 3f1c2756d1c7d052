"""What a display shows, before it is text, Markdown or HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["text", "variable", "value", "missing", "added", "removed"]

MAX_SHOWN = 100_000
"""Characters of one message that a display shows; a notebook keeps all that it displays."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text; ``note`` explains it to whoever points at it, and ``variable`` is what it stands for."""

    text: str
    kind: Kind = "text"
    note: str = ""
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A message: its role, and its content."""

    heading: str
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under their headings."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class View:
    """A title with marks beside it, facts by name, tables, and messages."""

    title: str
    marks: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    blocks: Sequence[Block] = ()


def bounded(spans: Iterable[Span]) -> list[Span]:
    """The spans up to ``MAX_SHOWN`` characters, and a note of how many are left out."""
    kept: list[Span] = []
    room, left_out = MAX_SHOWN, 0
    for span in spans:
        shown = span.text[:room]
        if shown or not span.text:
            kept.append(span if shown == span.text else replace(span, text=shown))
        room -= len(shown)
        left_out += len(span.text) - len(shown)
    if left_out:
        kept.append(Span(f" … {left_out:,} more characters", "missing"))
    return kept


def counted(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
