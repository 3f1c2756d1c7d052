"""What is printed: tables for people, tabs for programs, JSON for both; on a terminal no foreign control characters."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from promptwire.unseen import printable, readable

_BREAKS = str.maketrans({"\t": " ", "\n": " ", "\r": " "})


def on_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def say(text: str = "", *, end: str = "\n") -> None:
    """Print a text that others wrote: for a program exactly, for a person cleaned."""
    _write((readable(text) if on_terminal() else text) + end)


def complain(message: str) -> None:
    """One line on stderr."""
    click.echo(f"promptwire: {readable(' '.join(message.split()))}", err=True)


def say_json(value: Any) -> None:
    """Print a value as JSON, control characters escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    _write(printable(text) + "\n")


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, as_json: bool = False) -> None:
    """Print rows: a table on a terminal, else one a line with tabs between; sequences are joined by commas."""
    listed = list(rows)
    if as_json:
        say_json([dict(zip((name.lower() for name in columns), row, strict=True)) for row in listed])
        return
    cells = [[_cell(value) for value in row] for row in listed]
    if not on_terminal():
        for row in cells:
            say("\t".join(row))
        return
    if cells:
        _draw(columns, [[readable(cell) for cell in row] for row in cells])


def _write(text: str) -> None:
    """At once, and without click's hand in it, which takes escapes out of pipes."""
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _cell(value: object) -> str:
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    return "" if value is None else str(value).translate(_BREAKS)


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """By rich, which folds long cells to the terminal's width; without it in plain columns."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout, highlight=False).print(table)
