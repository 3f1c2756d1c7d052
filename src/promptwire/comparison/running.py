"""The cells of a comparison, filled in by model calls of which only so many run at once."""

import asyncio
import hashlib
from collections.abc import Mapping, MutableMapping, Sequence
from time import perf_counter
from typing import Any

from promptwire.comparison.columns import Column
from promptwire.comparison.progress import progress
from promptwire.comparison.result import Cell, Comparison
from promptwire.comparison.scorers import Score
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.gateway.answers import Answer, answer
from promptwire.gateway.ask import plan_of
from promptwire.gateway.driver import ModelCall, asend
from promptwire.transport import warm

MAX_KEPT = 10_000


class Runner:
    """Every case in every column."""

    def __init__(
        self,
        columns: Sequence[Column],
        cases: Sequence[Mapping[str, Any]],
        score: Score | None,
        kept: MutableMapping[bytes, Any],
        options: dict[str, Any],
    ) -> None:
        self._columns = columns
        self._cases = cases
        self._score = score
        self._kept = kept
        self._concurrency = options.pop("concurrency", 8)
        self._shown = options.pop("progress", None)
        self._prices: Mapping[str, tuple[float, float]] = options.pop("prices", {})
        self._options = options
        self._cells: dict[tuple[int, int], Cell] = {}
        if not isinstance(self._concurrency, int) or self._concurrency < 1:
            raise ConfigurationError(f"concurrency is a whole number of at least 1, not {self._concurrency!r}")

    def result(self) -> Comparison:
        """What is done so far."""
        return Comparison(tuple(self._columns), tuple(self._cases), dict(sorted(self._cells.items())))

    async def run(self) -> None:
        """Fill the cells in, so many at a time."""
        places = iter([(row, at) for row in range(len(self._cases)) for at in range(len(self._columns))])
        total = len(self._cases) * len(self._columns)
        with progress(total, shown=self._shown) as step:

            async def work() -> None:
                for row, at in places:
                    self._cells[row, at] = await self._cell(self._cases[row], self._columns[at])
                    step()

            tasks = [asyncio.ensure_future(work()) for _ in range(min(self._concurrency, total))]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def _cell(self, case: Mapping[str, Any], column: Column) -> Cell:
        try:
            plan = plan_of((column.prompt, "fresh"), case, self._options, model=column.model)
            call, info = plan.call, plan.info
            key = _key(call)
            cached = self._kept.get(key)
            if cached is None:
                await warm()
                started = perf_counter()
                self._keep(key, answer(await asend(call), info, perf_counter() - started))
        except PromptwireError as error:
            return Cell(error=error)
        return self._judged(self._kept[key], case, column, cached=cached is not None)

    def _keep(self, key: bytes, known: Answer) -> None:
        while len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = known

    def _judged(self, known: Answer, case: Mapping[str, Any], column: Column, *, cached: bool) -> Cell:
        message = known.choices[0].message
        text = message.content or ""
        score = None if self._score is None else float(self._score(text, case))
        usage = known.usage or {}
        read, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
        return Cell(text, known, None, known.latency, read, made, self._cost(known, column, read, made), score, cached)

    def _cost(self, known: Answer, column: Column, read: int | None, made: int | None) -> float | None:
        names = (column.model or column.prompt.model, known.get("model"))
        price = next((price for name in names if name and (price := self._prices.get(name))), None)
        if price is None or read is None or made is None:
            return None
        return (read * price[0] + made * price[1]) / 1e6


def _key(call: ModelCall) -> bytes:
    """A request is known by all that the model sees of it; keys are in its headers, and no part of this.

    A digest of a key that isn't salted gives a short one away to whoever has the cache's file.
    """
    return hashlib.sha256(call.request.url.encode() + b"\0" + (call.request.body or b"")).digest()
