"""A view as plain text, for terminals and for those who read notebooks without a browser."""

from collections.abc import Sequence

from promptwire.display.view import Block, Span, Table, View, bounded
from promptwire.unseen import readable

_MARKS = {"missing": ("⟪", "⟫"), "added": ("{+", "+}"), "removed": ("[-", "-]")}


def plain(view: View) -> str:
    """The view; what the caller must mind is in brackets."""
    lines = ["  ".join(map(readable, [view.title, *view.marks]))]
    width = max((len(name) for name, _ in view.facts), default=0)
    lines += [f"  {name:<{width}}  {readable(value)}" for name, value in view.facts]
    for part in (*map(_table, view.tables), *map(_block, view.blocks)):
        lines += ["", *part]
    return "\n".join(lines)


def _block(block: Block) -> list[str]:
    text = "".join(map(_span, bounded(block.spans)))
    return [f"── {readable(block.heading)}", *text.split("\n")]


def _span(span: Span) -> str:
    before, after = _MARKS.get(span.kind, ("", ""))
    return f"{before}{readable(span.text)}{after}"


def _table(table: Table) -> list[str]:
    rows = [[readable(cell).replace("\n", " ") for cell in row] for row in (table.head, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_row(row, widths) for row in rows]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
