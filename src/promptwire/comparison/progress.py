"""How far a comparison is, where somebody looks."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

PATIENCE = 0.5
"""Seconds after which a notebook shows a bar."""
PAUSE = 0.1

Step = Callable[[], object]


@contextmanager
def progress(total: int, *, shown: bool | None) -> Generator[Step]:
    """A bar in a notebook, or where rich is installed in a terminal; ``None`` shows one where somebody looks."""
    if shown is not False and _in_a_notebook():
        bar = _NotebookBar(total)
        try:
            yield bar.step
        finally:
            bar.end()
        return
    with _terminal_bar(total, shown=shown) as step:
        yield step


def _in_a_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return hasattr(ipython and ipython.get_ipython(), "kernel")


class _NotebookBar:
    """The browser's own, and nothing when it is done: rich's needs a widget, which stays in the saved notebook."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._next = perf_counter() + PATIENCE
        self._handle: Any = None

    def step(self) -> None:
        self._done += 1
        now = perf_counter()
        if now >= self._next:
            self._next = now + PAUSE
            said = f"{self._done} of {self._total}"
            bar = f'<progress value="{self._done}" max="{self._total}" aria-label="comparing"></progress>'
            self._show({"text/plain": f"comparing: {said}", "text/html": f"{bar} {said}"})

    def end(self) -> None:
        if self._handle is not None:
            self._show({"text/plain": ""})

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython import display

        if self._handle is None:
            self._handle = display.display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


@contextmanager
def _terminal_bar(total: int, *, shown: bool | None) -> Generator[Step]:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda: None
        return
    console = Console(stderr=True)
    watched = console.is_terminal and not console.is_dumb_terminal
    if not (watched if shown is None else shown):
        yield lambda: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("comparing", total=total)
        yield lambda: bar.advance(task)
