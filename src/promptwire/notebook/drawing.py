"""Views as JSON, which the browser draws with the same classes as the displays' HTML."""

from collections.abc import Sequence
from typing import Any

from promptwire.display.view import Block, Span, View, bounded
from promptwire.unseen import readable

_UNTOLD = ("source", "read")  # of a prompt that was fetched when it was picked, and then stays

MAX_SPANS = 2_000
"""Pieces of one message that the browser gets; the rest comes as one."""


def drawn(view: View) -> dict[str, Any]:
    """Texts are ready to be shown: unseen characters spelled out, and cut where a display cuts them."""
    return {
        "title": readable(view.title),
        "marks": [readable(mark) for mark in view.marks],
        "facts": [[readable(name), readable(value)] for name, value in view.facts if name not in _UNTOLD],
        "blocks": [{"heading": readable(block.heading), "spans": _spans(block)} for block in view.blocks],
    }


def _spans(block: Block) -> list[list[str]]:
    return [[span.kind, readable(span.text), readable(span.note), span.variable] for span in _few(block.spans)]


def _few(spans: Sequence[Span]) -> list[Span]:
    kept = bounded(spans)
    if len(kept) <= MAX_SPANS:
        return kept
    return [*kept[: MAX_SPANS - 1], Span("".join(span.text for span in kept[MAX_SPANS - 1 :]))]
