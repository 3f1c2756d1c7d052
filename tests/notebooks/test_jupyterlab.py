"""Notebooks in JupyterLab, in a real browser: they run, look right, and ask nobody else for anything."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from docs.notebook_pages import FOLDER, environment
from tests.doubles.browser import violations, watched
from tests.doubles.jupyter import Jupyter, jupyter

DARK = "getComputedStyle(document.querySelector('.promptwire')).colorScheme"
BOX = """() => {
  const text = document.querySelector('.promptwire pre'), page = document.querySelector('.jp-Notebook');
  return getComputedStyle(text).backgroundColor != getComputedStyle(page).backgroundColor;
}"""
ALIGNED = "[...document.querySelectorAll('.promptwire td')].map(cell => getComputedStyle(cell).textAlign)"
# The displays in the notebook's colours, without the lab around them, in which axe-core finds no text to look at.
ALONE = """() => {
  const names = ['--jp-ui-font-color1', '--jp-ui-font-color2', '--jp-cell-editor-background', '--jp-layout-color1'];
  const colours = getComputedStyle(document.body);
  const given = names.map(name => `${name}: ${colours.getPropertyValue(name)}`).join('; ');
  const displays = [...document.querySelectorAll('.promptwire')].map(display => display.outerHTML).join('');
  const theme = `data-jp-theme-light="${document.body.dataset.jpThemeLight}"`;
  return `<body ${theme} style="${given}; background: var(--jp-layout-color1)"><main>${displays}</main>`;
}"""


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    room = tmp_path_factory.mktemp("lab")
    with jupyter(room, environment(str(room))) as server:
        shutil.copytree(FOLDER, server.work, dirs_exist_ok=True)
        yield server


@pytest.mark.parametrize(
    ("notebook", "scheme", "texts"),
    [
        ("1-first-prompt", "light", ["Be brief and warm", "2 versions", "[gpt-4o] Ann asks: Where is my {{parcel}}?"]),
        ("4-compare", "dark", ["6 cases", "tour/extract@2", "waffle iron"]),
    ],
    ids=["first-prompt", "compare"],
)
def test_it_runs_from_top_to_bottom(
    lab: Jupyter, browser: Browser, notebook: str, scheme: Any, texts: list[str]
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 1600})
    with watched(page) as seen:
        lab.open(page, f"{notebook}.ipynb")
        shown = "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())
        assert [text for text in texts if text not in shown] == []
        assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
        assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        assert page.locator(".jp-OutputArea-output img").count() == (notebook == "4-compare")
        assert page.evaluate(DARK) == scheme
        assert page.evaluate(BOX)
        assert set(page.evaluate(ALIGNED)) == {"left"}
        alone = browser.new_page(color_scheme=scheme)
        alone.set_content(page.evaluate(ALONE))
        assert violations(alone, "main") == []
        alone.close()
        assert seen == []
