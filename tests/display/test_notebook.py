"""Displays in a real kernel, and what they make of a real browser."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Browser

from promptwire import GatewayError, MissingVariablesError, Placeholder, Prompt, PromptVersion
from promptwire.comparison.columns import Column
from promptwire.comparison.result import Cell, Comparison
from promptwire.gateway.answers import PromptInfo, answer
from promptwire.history import History
from tests.display.test_display import HOSTILE, hostile
from tests.doubles.browser import violations, watched

CELLS = (
    "from promptwire import Prompt",
    "one, two = (Prompt('reply', text='Dear {{name}}, ' + word) for word in ('hi', 'yo'))",
    "one",
    "one.render({'name': '<b>Ann</b>'})",
    "one.diff(two)",
    "one.render({})",
)


def test_a_kernel_shows_them(tmp_path: Path) -> None:
    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [cell["outputs"] for cell in notebook.cells]
    said = ("Dear {{name}}, hi", "<b>Ann</b>", "[-hi-]{+yo+}")
    for (output,), text in zip(shown[2:5], said, strict=True):
        assert output["data"].keys() >= {"text/plain", "text/markdown", "text/html"}
        assert text in output["data"]["text/plain"]
    assert shown[5][0]["ename"] == "MissingVariablesError"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_runs_loads_and_hides_nothing(browser: Browser, scheme: Any) -> None:
    text = f'{HOSTILE.replace(chr(0xD800), "")} <a href="https://example.com">{{{{name}}}}</a>'
    page = browser.new_page(color_scheme=scheme)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    things = [Prompt("x", text=text + "a" * 1_000_000), *hostile().values()]
    shown = "".join(thing._repr_mimebundle_()["text/html"] for thing in things)
    page.set_content(f"<body style='background:{'white' if scheme == 'light' else 'black'}'>{shown}")
    assert (asked, errors) == ([], [])
    assert '<a href="https://example.com">{{name}}</a>' in page.inner_text("pre")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(_CONTRAST) >= 4.5
    other = "dark" if scheme == "light" else "light"
    before = page.evaluate(_COLOUR)
    page.evaluate(f"document.body.className = '{other}'")  # a notebook's theme beats the browser's
    assert page.evaluate(_COLOUR) != before
    page.close()


def displays() -> list[Any]:
    """One of each kind, with every kind of mark."""
    messages: list[Any] = [{"role": "system", "content": "Be {{tone}}."}, Placeholder("history")]
    messages += [{"role": "user", "content": "Why, {{name}}?"}]
    prompt = Prompt("reply", messages=messages, version=3, labels=("production",), config={"model": "gpt-4o"})
    other = Prompt("reply", text="Why not, {{name}}?", config={"model": "gpt-4o-mini"})
    said = {"choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": "Because."}}]}
    columns = (Column("reply@3", prompt, None), Column("reply@4", other, None))
    cells = {(0, 0): Cell("Because."), (0, 1): Cell("Because not.")}
    return [
        prompt, prompt.render({"tone": "kind"}, missing="keep"), prompt.diff(other),
        History("reply", [PromptVersion(3, ("production",)), PromptVersion(2)]),
        answer(said, PromptInfo("reply", 3, None, "memory", "fresh", "0")),
        Comparison(columns, ({"name": "Ann"},), cells),
        MissingVariablesError("it needs tone", ("tone",)), GatewayError("it answered 429", status_code=429),
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_display_meets_wcag_aa(browser: Browser, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme)
    shown = "".join(one._repr_mimebundle_()["text/html"] for one in displays())
    with watched(page) as seen:
        page.set_content(f"<body style='background:{'#fff' if scheme == 'light' else '#111'}'>{shown}")
        assert violations(page, ".promptwire") == []
        assert seen == []


_COLOUR = "getComputedStyle(document.querySelector('.promptwire')).color"
# The least contrast of a text with what is behind it.
_CONTRAST = """() => {
  const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return rgb(colour);
    }
    return [255, 255, 255];
  };
  return Math.min(...[...document.querySelectorAll('.promptwire:first-of-type *:not(style)')].map(node => {
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
}"""
