"""A comparison as a view: totals, every answer side by side, and what changed from the first column to the second."""

from promptwire.comparison.result import Cell, Comparison, Totals
from promptwire.display.prompts import compact
from promptwire.display.view import Table, View

_HEAD = ("", "answered", "failed", "score", "latency", "tokens in", "tokens out", "cost")
MAX_ROWS = 50
"""Cases that a display shows; ``to_pandas()`` has them all."""


def comparison_view(comparison: Comparison) -> View:
    """Of a long comparison the first cases."""
    columns, cases = len(comparison.columns), len(comparison.cases)
    marks = [f"{cases} cases"] + ([] if comparison.complete else ["interrupted"])
    totals = Table(_HEAD, [_total(total) for total in comparison.totals()])
    head = ["case", *(column.name for column in comparison.columns)]
    shown = range(min(cases, MAX_ROWS))
    rows = [
        [compact(dict(comparison.cases[row])), *(_cell(comparison.cells.get((row, at))) for at in range(columns))]
        for row in shown
    ]
    facts = [("shown", f"the first {MAX_ROWS} cases")] if cases > MAX_ROWS else []
    return View("comparison", marks, facts, [totals, Table(head, rows)])


def _total(total: Totals) -> list[str]:
    return [
        total.name, str(total.answered), str(total.failed), _number(total.score, ".2f"),
        _number(total.latency, ".2f", " s"), _number(total.prompt_tokens, ",d"),
        _number(total.completion_tokens, ",d"), _number(total.cost, ".4f", " $"),
    ]  # fmt: skip


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "…"
    if cell.error is not None:
        return f"{type(cell.error).__name__}: {cell.error}"
    told = [_number(cell.score, ".2f"), _number(cell.latency, ".2f", " s"), "cached" if cell.cached else ""]
    return f"{compact(cell.text)}\n({', '.join(filter(None, told))})"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
