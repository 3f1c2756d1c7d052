"""How far a comparison is, as a notebook shows it."""

from types import SimpleNamespace
from typing import Any

import IPython
import pytest

from promptwire import Resolver
from promptwire.testing import FakeOpenAI
from tests.comparison.conftest import Compare

CASES = [{"question": str(number)} for number in range(3)]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What one place of a notebook has shown, one after the other."""
    shown: list[dict[str, str]] = []

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool = False) -> Any:
        assert raw
        assert display_id is (not shown)  # later ones are updates of the first
        shown.append(bundle)
        return SimpleNamespace(update=display)

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    return shown


async def test_a_notebook_has_a_bar_that_goes_away(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, notebook: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE", "PAUSE"):
        monkeypatch.setattr(f"promptwire.comparison.progress.{name}", 0)
    await run("ask@1", CASES, resolver=prompts)
    assert [bundle["text/plain"] for bundle in notebook] == [*(f"comparing: {at} of 3" for at in (1, 2, 3)), ""]
    assert '<progress value="2" max="3" aria-label="comparing"></progress> 2 of 3' in notebook[1]["text/html"]


async def test_what_is_quick_or_not_to_be_shown_leaves_nothing(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, notebook: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.comparison.progress.PATIENCE", 600)
    await run("ask@1", CASES, resolver=prompts)
    monkeypatch.setattr("promptwire.comparison.progress.PATIENCE", 0)
    await run("ask@1", CASES, resolver=prompts, progress=False)
    assert notebook == []
