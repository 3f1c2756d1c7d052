"""Takes the pictures in docs/screenshots, light and dark: what notebooks show. Run it by `make screenshots`."""

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

import promptwire
from promptwire import Resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.browser import chromium
from tests.doubles.kernel import Bridge, comms

FOLDER = Path(__file__).parent / "screenshots"
GROUND = {"light": "#ffffff", "dark": "#111111"}
VALUES = {"company": "ACME", "customer": "Ann", "question": "Where is my parcel?"}
ANSWERS = {
    "kind": "Thank you for your patience, Ann. Your parcel has left our warehouse, and the carrier will write to you "
    "as soon as it is on its way to your door.",
    "next": "Your parcel left our warehouse this morning, Ann. The carrier brings it within two days; if it isn't "
    "there by Friday, write to me and I'll send another one.\n\nKim",
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with FakeLangfuse() as langfuse, FakeOpenAI(reply=_reply) as openai, comms(), chromium() as browser:
        os.environ.update({**langfuse.env, **openai.env})
        _publish(langfuse)
        openai.slow(0.6)  # as models are
        for scheme in GROUND:
            _displays(_page(browser, scheme, 780), scheme)
            _comparison(_page(browser, scheme, 780), scheme)
            _playground(_page(browser, scheme, 940), scheme)


def _reply(request: dict[str, Any]) -> str:
    return ANSWERS["next" if "what happens next" in request["messages"][0]["content"] else "kind"]


def _publish(langfuse: FakeLangfuse) -> None:
    """Two versions of a prompt."""
    first = "You answer the customers of {{company}}, kindly and in at most two sentences."
    texts = {
        "production": first,
        "candidate": f"{first} Say what happens next, and by when. Sign with {{{{agent}}}}.",
    }
    for label, text in texts.items():
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "{{customer}} asks: {{question}}"}]
        config = {"model": "gpt-4o-mini", "temperature": 0.2 if label == "production" else 0.5}
        langfuse.publish("support/reply", messages, labels=[label], config=config)


def _page(browser: Browser, scheme: Any, width: int) -> Page:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 100}, device_scale_factor=1.35)
    page.set_content(f"<body style='margin: 20px; background: {GROUND[scheme]}'>")
    return page


def _displays(page: Page, scheme: str) -> None:
    resolver = Resolver("langfuse")
    one, two = (resolver.get_prompt("support/reply", version=version) for version in (1, 2))
    shown = (one, one.render({"company": "ACME", "customer": "Ann"}, missing="keep"), one.diff(two))
    _show(page, *shown)
    _take(page, f"displays-{scheme}")


def _comparison(page: Page, scheme: str) -> None:
    made = promptwire.compare(
        "support/reply@production", "support/reply@candidate",
        cases=[{**VALUES, "agent": "Kim"}], resolver=Resolver("langfuse"), progress=False,
    )  # fmt: skip
    _show(page, made)
    _take(page, f"comparison-{scheme}")


def _playground(page: Page, scheme: str) -> None:
    widget = promptwire.playground(
        "support/reply@production", "support/reply@candidate",
        resolver=Resolver("langfuse"), models=["gpt-4o"], variables={**VALUES, "agent": "Kim"},
    )  # fmt: skip
    bridge = Bridge(page, widget)
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelectorAll('[data-state=done]').length === 2")
    _take(page, f"playground-{scheme}")


def _show(page: Page, *shown: Any) -> None:
    parts = [f"<div style='margin-bottom: 28px'>{one._repr_html_()}</div>" for one in shown]
    page.evaluate("html => document.body.innerHTML = html", "".join(parts))


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    page.close()


if __name__ == "__main__":
    main()
