"""What a display shows, before it is text, Markdown or HTML."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["text", "variable", "value", "missing", "added", "removed"]

MAX_SHOWN = 100_000
"""Characters of one message that a display shows; a notebook keeps all that it displays."""

# Controls that are not seen, or that turn the order of what follows: shown by their numbers.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


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


def readable(text: str) -> str:
    """The text with its unseen characters spelled out, as in ``[U+202E]``."""
    if text.isascii() and text.isprintable():
        return text
    return UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text.replace("\r\n", "\n"))


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
