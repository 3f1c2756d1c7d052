"""What a comparison found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from promptwire.comparison.columns import Column
from promptwire.display import Displayed
from promptwire.errors import PromptwireError
from promptwire.gateway.answers import Answer
from promptwire.optional import needed

if TYPE_CHECKING:
    from promptwire.display.view import View


@dataclass(frozen=True, slots=True)
class Cell:
    """One case in one column. ``latency`` is in seconds, ``cost`` in dollars; ``None`` is not known."""

    text: str = ""
    answer: Answer | None = None
    error: PromptwireError | None = None
    latency: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    score: float | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """A column's sums over the cells that were answered; ``score`` is their mean."""

    name: str
    answered: int
    failed: int
    latency: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Comparison(Displayed):
    """Cells by the numbers of case and column, in order; those that an interruption left out are missing."""

    columns: tuple[Column, ...]
    cases: tuple[Mapping[str, Any], ...] = field(repr=False)  # their variables are anybody's
    cells: Mapping[tuple[int, int], Cell]

    @property
    def complete(self) -> bool:
        """Whether every cell is there."""
        return len(self.cells) == len(self.columns) * len(self.cases)

    def totals(self) -> list[Totals]:
        """One a column."""
        return [self._totals(at, column) for at, column in enumerate(self.columns)]

    def _totals(self, at: int, column: Column) -> Totals:
        cells = [cell for (_, place), cell in self.cells.items() if place == at]
        good = [cell for cell in cells if cell.error is None]
        sums = {name: _sum(getattr(cell, name) for cell in good) for name in ("latency", "cost")}
        tokens = [_sum(getattr(cell, name) for cell in good) for name in ("prompt_tokens", "completion_tokens")]
        scores = [cell.score for cell in good if cell.score is not None]
        return Totals(
            column.name,
            len(good),
            len(cells) - len(good),
            sums["latency"],
            None if tokens[0] is None else int(tokens[0]),
            None if tokens[1] is None else int(tokens[1]),
            sums["cost"],
            sum(scores) / len(scores) if scores else None,
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """A flat row for each cell: its case's variables, its column, and what came of it."""
        for (row, at), cell in self.cells.items():
            column = self.columns[at]
            yield {
                "case": row + 1, **self.cases[row], "column": column.name, "prompt": str(column.prompt.id),
                "version": column.prompt.version, "model": cell.answer and cell.answer.get("model"),
                "text": cell.text, "error": cell.error and str(cell.error), "latency": cell.latency,
                "prompt_tokens": cell.prompt_tokens, "completion_tokens": cell.completion_tokens,
                "cost": cell.cost, "score": cell.score, "cached": cell.cached,
            }  # fmt: skip

    def to_pandas(self) -> Any:
        """``rows()`` as a DataFrame. Raises ``ConfigurationError`` without pandas."""
        return needed("pandas").DataFrame(list(self.rows()))

    def plot(self) -> Any:
        """Bars of the columns' scores, latencies, tokens and costs, as far as known: a matplotlib figure.

        Raises ``ConfigurationError`` without matplotlib.
        """
        needed("matplotlib")
        from promptwire.comparison.plots import bars

        totals = self.totals()
        panels = {title: [getattr(total, name) for total in totals] for name, title in _TITLES.items()}
        known = {title: values for title, values in panels.items() if {*values} != {None}}
        return bars([total.name for total in totals], known)

    def _view(self) -> "View":
        from promptwire.display.comparisons import comparison_view

        return comparison_view(self)


_TITLES = {
    "score": "mean score", "latency": "seconds", "completion_tokens": "tokens made", "cost": "dollars",
}  # fmt: skip


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
