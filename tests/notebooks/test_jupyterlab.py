"""Notebooks in JupyterLab, in a real browser: they run, look right, and ask nobody else for anything."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from docs import lab

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
  return `<body ${theme} style="${given}; background: var(--jp-layout-color1)">${displays}`;
}"""


@pytest.fixture(scope="module")
def jupyter() -> Iterator[lab.Lab]:
    if lab.CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with lab.opened() as opened:
        yield opened


@pytest.mark.parametrize(
    ("notebook", "scheme", "texts"),
    [
        ("1-first-prompt", "light", ["Be brief and warm", "2 versions", "[gpt-4o] Ann asks: Where is my {{parcel}}?"]),
        ("4-compare", "dark", ["6 cases", "tour/extract@2", "waffle iron"]),
    ],
    ids=["first-prompt", "compare"],
)
def test_it_runs_from_top_to_bottom(jupyter: lab.Lab, notebook: str, scheme: Any, texts: list[str]) -> None:
    with jupyter.ran(notebook, scheme) as page:
        shown = "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())
        assert [text for text in texts if text not in shown] == []
        assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
        assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0
        assert page.locator(".jp-OutputArea-output img").count() == (notebook == "4-compare")
        assert page.evaluate(DARK) == scheme
        assert page.evaluate(BOX)
        assert set(page.evaluate(ALIGNED)) == {"left"}
        alone = page.context.browser.new_page(color_scheme=scheme)  # type: ignore[union-attr]
        alone.set_content(page.evaluate(ALONE))
        found = Axe().run(alone, options={"runOnly": ["color-contrast"]})
        alone.close()
        assert found.violations_count == 0, found.generate_report()
        assert len(found.response["passes"][0]["nodes"]) > 20
    assert (jupyter.errors, jupyter.asked) == ([], [])


def test_requests_to_other_hosts_are_noted() -> None:
    noting = lab.Lab(None, "http://127.0.0.1:8888", "token")
    urls = [
        "http://127.0.0.1:8888/lab",
        "ws://127.0.0.1:8888/api",
        "data:,x",
        "https://x.example/",
        "http://127.0.0.1/",
    ]
    for url in urls:
        noting.note(SimpleNamespace(url=url))
    assert noting.asked == urls[3:]
