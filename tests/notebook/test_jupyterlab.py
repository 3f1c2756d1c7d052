"""The playground in JupyterLab, as people use it: typed into, run, streamed and stopped in a real browser."""

from pathlib import Path

from playwright.sync_api import Browser

from promptwire.testing import FakeOpenAI
from tests.doubles.browser import violations, watched
from tests.doubles.jupyter import jupyter

PUBLISH = """
import promptwire
from promptwire.backends.memory import MemoryBackend

backend = MemoryBackend()
backend.publish("ask", "Briefly: {{question}}", config={"model": "gpt-4o-mini"})
backend.publish(
    "ask", "{% if question %}At length: {{ question | upper }}{% endif %}",
    dialect="jinja", config={"model": "gpt-4o"}, labels=["candidate"],
)
resolver = promptwire.Resolver(backend)
"""
CELLS = (PUBLISH, "promptwire.playground('ask@1', 'ask@candidate', resolver=resolver, models=['gpt-4o'])")


def test_it_is_typed_into_run_and_stopped(browser: Browser, openai: FakeOpenAI, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1500})
    with jupyter(tmp_path, openai.env) as server, watched(page) as seen:
        server.write("play.ipynb", CELLS)
        server.open(page, "play.ipynb", wait=2)
        page.wait_for_selector(".jp-OutputArea .promptwire textarea")
        assert page.locator(".jp-OutputArea .promptwire").count() == 1  # the live view, and not the display too
        page.get_by_label("question").press_sequentially("Why <b>?")
        page.get_by_text("At length: WHY <B>?", exact=True).wait_for()  # which only the kernel can render
        assert page.locator(".pw-messages pre").first.inner_text() == "Briefly: Why <b>?"

        page.keyboard.press("Control+Enter")
        page.wait_for_selector("[data-state=done] .pw-said pre")
        page.wait_for_function("document.querySelectorAll('[data-state=done]').length === 2")
        assert page.locator(".pw-said pre").all_inner_texts() == [
            "[gpt-4o-mini] Briefly: Why <b>?",
            "[gpt-4o] At length: WHY <B>?",
        ]
        assert openai.count == 2  # Jupyter's own Ctrl+Enter would have run the cell anew
        for theme in ("light", "dark"):
            page.evaluate(f"document.body.dataset.jpThemeLight = {'true' if theme == 'light' else 'false'}")
            assert violations(page, ".promptwire") == []

        openai.hang(after=2)
        page.get_by_label("side by side").uncheck()
        page.wait_for_function("document.querySelectorAll('.pw-pane').length === 1")
        page.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_function("document.querySelector('.pw-said pre')?.textContent === '[gpt-4o-mini]'")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_function("document.querySelector('.pw-status').textContent === 'Stopped'")
        assert openai.wait_for_hang_ups(1)
        assert seen == []
