"""Displays in a real kernel, and what they make of a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Browser, sync_playwright

from promptwire import Prompt
from tests.display.test_display import HOSTILE

CHROMIUM = shutil.which("chromium")
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_runs_loads_and_hides_nothing(browser: Browser, scheme: Any) -> None:
    text = f'{HOSTILE.replace(chr(0xD800), "")} <a href="https://example.com">{{{{name}}}}</a>'
    page = browser.new_page(color_scheme=scheme)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    shown = Prompt("x", text=text + "a" * 1_000_000)._repr_mimebundle_()["text/html"]
    page.set_content(f"<body style='background:{'white' if scheme == 'light' else 'black'}'>{shown}")
    assert (asked, errors) == ([], [])
    assert '<a href="https://example.com">{{name}}</a>' in page.inner_text("pre")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(_CONTRAST) >= 4.5
    page.close()


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
  return Math.min(...[...document.querySelectorAll('.promptwire *:not(style)')].map(node => {
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
}"""
