"""A real browser for what pages show, and axe-core's judgement of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's; a test without it is skipped."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def watched(page: Page) -> Iterator[list[str]]:
    """What the page must not do: errors, dialogs, and requests to any other host. It is closed at the end."""
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(f"error {error}"))
    page.on("dialog", lambda dialog: seen.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: None if _is_local(request.url) else seen.append(f"request {request.url}"))
    yield seen
    page.close()


def _is_local(url: str) -> bool:
    return url.startswith(("data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:"))


def violations(page: Page, selector: str) -> list[str]:
    """What of WCAG 2.2 A and AA an element fails: rules, with the places."""
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": _LEVELS}, "resultTypes": ["violations"]}
    found = Axe().run(page, selector, options).response
    assert found["passes"], "axe-core judged nothing"
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found["violations"] for node in rule["nodes"]]
