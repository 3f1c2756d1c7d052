"""A view as HTML, in the notebook's own colours; every text is escaped, and nothing is loaded from anywhere."""

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from promptwire.display.view import Block, Span, Table, View, bounded
from promptwire.unseen import readable


@cache
def style() -> str:
    """The stylesheet, which an output carries with it: it must look right on its own, in a saved notebook too."""
    return (Path(__file__).parent / "display.css").read_text("utf-8")


def html(view: View) -> str:
    """The view, with its style."""
    marks = "".join(f'<span class="pw-mark">{_text(mark)}</span>' for mark in view.marks)
    parts = [f"<style>{style()}</style>", f"<div><b>{_text(view.title)}</b>{marks}</div>"]
    if view.facts:
        parts.append(
            f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{_text(value)}</dd>' for name, value in view.facts)}</dl>"
        )
    parts += [*map(_table, view.tables), *map(_block, view.blocks)]
    return f'<div class="promptwire">{"".join(parts)}</div>'


def _block(block: Block) -> str:
    content = "".join(map(_span, bounded(block.spans)))
    heading = f'<div class="pw-role">{_text(block.heading)}</div>'
    return f'{heading}<pre class="pw-text" dir="auto" tabindex="0">{content}</pre>'


def _span(span: Span) -> str:
    if span.kind == "text":
        return _text(span.text)
    tag = {"added": "ins", "removed": "del"}.get(span.kind, "span")
    note = f' title="{_text(span.note)}"' if span.note else ""
    return f'<{tag} class="pw-{span.kind}"{note}>{_text(span.text)}</{tag}>'


def _table(table: Table) -> str:
    """With a class: themes of notebooks and sites dress tables that have none."""
    head, rows = _row(table.head, "th"), "".join(_row(row, "td") for row in table.rows)
    return f'<table class="pw-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    return escape(readable(text))
