"""A comparison as a view: totals, every answer side by side, and what changed from the first column to the second."""

import math
from collections.abc import Iterator

from promptwire.comparison.result import Cell, Comparison
from promptwire.display.differences import changed
from promptwire.display.prompts import compact
from promptwire.display.view import Block, Table, View, counted

TOTALS = ("column", "answered", "failed", "score", "latency", "tokens in", "tokens out", "cost")
MAX_ROWS = 50
"""Cases that a display shows; ``to_pandas()`` has them all."""


def comparison_view(comparison: Comparison) -> View:
    """Of a long comparison the first cases."""
    cases = len(comparison.cases)
    marks = [counted(cases, "case")] + ([] if comparison.complete else ["interrupted"])
    facts = [("shown", f"the first {MAX_ROWS} cases")] if cases > MAX_ROWS else []
    head = ["case", *(column.name for column in comparison.columns)]
    tables = [Table(TOTALS, totals(comparison)), Table(head, answers(comparison)[:MAX_ROWS])]
    return View("comparison", marks, facts, tables, list(_changes(comparison)))


def totals(comparison: Comparison) -> list[list[str]]:
    """A row for each column, under ``TOTALS``."""
    return [
        [
            total.name, str(total.answered), str(total.failed), _number(total.score, ".2f"),
            _number(total.latency, ".2f", " s"), _number(total.prompt_tokens, ",d"),
            _number(total.completion_tokens, ",d"), _dollars(total.cost),
        ]
        for total in comparison.totals()
    ]  # fmt: skip


def answers(comparison: Comparison) -> list[list[str]]:
    """A row for each case: its variables, and what came of it in each column."""
    return [
        [compact(dict(case)), *(_cell(comparison.cells.get((row, at))) for at in range(len(comparison.columns)))]
        for row, case in enumerate(comparison.cases)
    ]


def _changes(comparison: Comparison) -> Iterator[Block]:
    """Word by word, what the second column says in place of the first."""
    for row in range(min(len(comparison.cases), MAX_ROWS)):
        cells = [comparison.cells.get((row, at)) for at in (0, 1)]
        texts = [cell.text for cell in cells if cell is not None and cell.error is None]
        if len(texts) == 2 and texts[0] != texts[1]:
            names = " → ".join(column.name for column in comparison.columns[:2])
            yield Block(f"case {row + 1}: {names}", changed(*texts))


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "…"
    if cell.error is not None:
        return f"{type(cell.error).__name__}: {cell.error}"
    told = [_number(cell.score, ".2f"), _number(cell.latency, ".2f", " s"), "cached" if cell.cached else ""]
    return f"{compact(cell.text)}\n({', '.join(filter(None, told))})"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _dollars(value: float | None) -> str:
    """To two digits that say something: a call can cost a hundredth of a cent."""
    digits = 2 if not value else max(2, 1 - math.floor(math.log10(value)))
    return _number(value, f".{digits}f", " $")
