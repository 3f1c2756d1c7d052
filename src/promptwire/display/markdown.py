"""A view as Markdown: what GitHub and converted notebooks show."""

import re

from promptwire.display.view import Block, Table, View, bounded
from promptwire.unseen import readable

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$-])")


def markdown(view: View) -> str:
    """The view; texts are in fences that nothing in them can close."""
    title = f"**{_inline(view.title)}**"
    parts = [" ".join([title, *(f"`{_code(mark)}`" for mark in view.marks)])]
    if view.facts:
        parts.append("\n".join(f"- {_inline(name)}: {_inline(value)}" for name, value in view.facts))
    return "\n\n".join([*parts, *map(_table, view.tables), *map(_block, view.blocks)])


def _block(block: Block) -> str:
    text = readable("".join(span.text for span in bounded(block.spans)))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"*{_inline(block.heading)}*\n\n{fence}text\n{text}\n{fence}"


def _table(table: Table) -> str:
    rows = [[_inline(cell) for cell in row] for row in table.rows]
    lines = [list(map(_inline, table.head)), ["---"] * len(table.head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _inline(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", readable(text).replace("\n", " "))


def _code(text: str) -> str:
    return readable(text).replace("`", "'").replace("\n", " ")
