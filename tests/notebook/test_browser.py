"""The playground's module in a real browser, with its kernel side behind it: what a user sees, types and presses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import promptwire
from promptwire import Prompt, Resolver
from promptwire.testing import FakeOpenAI
from tests.conftest import wait_until
from tests.display.test_display import HOSTILE
from tests.doubles.browser import violations, watched
from tests.doubles.kernel import Bridge

GROUND = {"light": "#ffffff", "dark": "#111111"}
Open = Callable[..., Bridge]


@pytest.fixture(params=["light"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page of either theme; the test fails if it raises, asks for anything from elsewhere or opens a dialog."""
    opened = browser.new_page(color_scheme=request.param, viewport={"width": 1000, "height": 900})
    opened.set_default_timeout(20_000)
    with watched(opened) as seen:
        opened.set_content(f"<body style='background:{GROUND[request.param]}'>")
        yield opened
        assert seen == []


BOTH = pytest.mark.parametrize("page", ["light", "dark"], indirect=True)


@pytest.fixture
def show(page: Page, prompts: Resolver) -> Open:
    def opened(*subjects: Any, **options: Any) -> Bridge:
        widget = promptwire.playground(*subjects, resolver=prompts, **options)
        bridge = Bridge(page, widget)
        if isinstance(subjects[0], str):
            bridge.until("document.querySelectorAll('optgroup').length > 1")
        return bridge

    return opened


def messages(page: Page) -> list[str]:
    return page.locator(".pw-messages pre").all_inner_texts()


def answers(page: Page) -> list[str]:
    return page.locator(".pw-said pre, .pw-answer .pw-failed pre").all_inner_texts()


def status(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def test_a_key_press_is_shown_at_once_and_the_kernel_says_the_same(page: Page, show: Open) -> None:
    bridge = show("ask@1", "ask@2")
    page.get_by_label("question").fill("Why?")
    before = messages(page)
    assert before == ["Briefly: Why?", "Be {{tone}}.", "Why?"]
    bridge.carry()
    assert messages(page) == before
    assert page.locator(".pw-value").all_inner_texts() == ["Why?", "Why?"]
    page.get_by_label("question").fill("")
    assert messages(page)[0] == "Briefly: {{question}}"
    bridge.carry()
    assert messages(page)[0] == "Briefly: {{question}}"
    assert page.locator(".pw-missing").all_inner_texts() == ["{{question}}", "{{tone}}", "{{question}}"]
    assert status(page) == "Empty: question, tone"


def test_only_the_last_key_press_counts(page: Page, show: Open) -> None:
    bridge = show("ask@1")
    field = page.get_by_label("question")
    field.press_sequentially("abc")
    bridge.to_kernel()
    field.press_sequentially("de")
    bridge.to_browser()  # the kernel's answers to "a", "ab" and "abc"
    assert messages(page) == ["Briefly: abcde"]
    bridge.carry()
    assert messages(page) == ["Briefly: abcde"]


def test_a_key_press_changes_only_what_it_changes(page: Page, show: Open) -> None:
    bridge = show(Prompt("long", text="word {{other}} " * 1_000 + "{{name}}"))
    page.get_by_label("name").fill("A")
    bridge.carry()
    page.evaluate(
        "window.touched = 0, new MutationObserver(all => window.touched += all.length)"
        ".observe(document.querySelector('pre'),"
        " {subtree: true, childList: true, characterData: true, attributes: true})"
    )
    page.get_by_label("name").fill("Ann")
    bridge.carry()
    assert messages(page)[0].endswith("{{other}} Ann")
    assert 1 <= page.evaluate("touched") <= 3


def test_a_busy_kernel_is_told_of_while_typing_goes_on(page: Page, show: Open, openai: FakeOpenAI) -> None:
    openai.hang(after=1)  # else the answer could be there before Stop
    bridge = show("ask@1")
    page.get_by_label("question").fill("Why?")
    page.wait_for_function("document.querySelector('.pw-status').textContent === 'The kernel is busy …'")
    assert messages(page) == ["Briefly: Why?"]
    page.keyboard.press("Control+Enter")
    assert status(page) == "Waiting for the kernel …"
    page.keyboard.press("Escape")
    bridge.until("document.querySelector('.pw-status').textContent === 'Stopped'")
    assert bridge.widget.answers[0]["state"] == "stopped"


def test_it_runs_streams_and_stops(page: Page, show: Open, openai: FakeOpenAI) -> None:
    gate = openai.gate(after=2)
    bridge = show("ask@1", variables={"question": "Why?"})
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelector('.pw-said pre')")
    assert answers(page) == ["[gpt-4o-mini]"]
    assert status(page) == "Answering …"
    page.get_by_role("button", name="Run").click(force=True)
    gate.release()
    bridge.until("document.querySelector('.pw-status').textContent === 'Done'")
    assert answers(page) == ["[gpt-4o-mini] Briefly: Why?"]
    assert "3 in, 3 out" in page.locator(".pw-line").inner_text()
    assert openai.count == 1
    openai.hang(after=1)
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelector('.pw-answer').dataset.state === 'streaming'")
    page.get_by_role("button", name="Stop").click()
    bridge.until("document.querySelector('.pw-status').textContent === 'Stopped'")
    assert openai.wait_for_hang_ups(1)


def test_a_failing_model_is_shown_as_any_error(page: Page, show: Open, openai: FakeOpenAI) -> None:
    openai.fail(400)
    bridge = show("ask@1", variables={"question": "Why?"})
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelector('.pw-answer').dataset.state === 'failed'")
    shown = page.locator(".pw-answer").inner_text()
    for said in ("GatewayError", "what happened", "the provider answered 400", "what to do", "status_code"):
        assert said in shown


def test_versions_and_models_are_picked_side_by_side(page: Page, show: Open, openai: FakeOpenAI) -> None:
    bridge = show("ask@1", models=["gpt-4o"], variables={"question": "Why?", "tone": "kind"})
    page.get_by_label("side by side").check()
    bridge.until("document.querySelectorAll('.pw-pane').length === 2")
    second = page.get_by_label("side 2")
    second.get_by_label("version", exact=True).select_option(label="version 2 · warmer")
    bridge.until("document.querySelectorAll('.pw-messages pre').length === 3")
    second.get_by_label("model").select_option("gpt-4o")
    assert page.get_by_label("tone").input_value() == "kind"
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelectorAll('[data-state=done]').length === 2")
    assert answers(page) == ["[gpt-4o-mini] Briefly: Why?", "[gpt-4o] Why?"]
    page.get_by_label("side by side").uncheck()
    bridge.until("document.querySelectorAll('.pw-pane').length === 1")
    assert page.locator("textarea").count() == 1


def test_a_fetch_under_way_and_one_that_failed_are_told(page: Page, show: Open) -> None:
    bridge = show("ask@1")
    bridge.page.evaluate("model.set('picked', [{version: 'nothing', model: 'other'}]); model.save_changes()")
    bridge.until("document.querySelector('.pw-messages.pw-failed')")
    assert "there is no version" in messages(page)[0]
    assert page.get_by_label("model").input_value() == "other"


def test_two_views_of_it_show_the_same(page: Page, show: Open) -> None:
    bridge = show("ask@1")
    bridge.page.evaluate("model.receive({typed: {serial: 1, values: {question: 'From elsewhere'}}})")
    assert page.get_by_label("question").input_value() == "From elsewhere"


def test_hostile_text_is_shown_as_text_and_breaks_nothing(page: Page, prompts: Resolver, openai: FakeOpenAI) -> None:
    text = HOSTILE.replace("\x00", "").replace("\ud800", "")
    long = "a" * 1_000_000
    prompt = Prompt(text, text=f"{HOSTILE} {{{{name}}}} {{{{<b>}}}}{long}", labels=(text,), config={"model": "gpt-4o"})
    widget = promptwire.playground(prompt, resolver=prompts, models=[HOSTILE], variables={"<b>": text})
    bridge = Bridge(page, widget)
    page.get_by_label("name").fill("<img src=x onerror=alert(1)>\u202e")
    bridge.carry()
    shown = messages(page)[0]
    assert "<script>alert(1)</script><img src=x onerror=alert(1)></pre></div>&amp;" in shown
    assert "<img src=x onerror=alert(1)>[U+202E]" in shown
    assert "more characters" in shown
    assert page.locator("img, script").count() == 0
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelector('.pw-status').textContent !== 'Waiting for the kernel …'")
    widget.wait(10)
    bridge.carry()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("text", ["مرحبا بالعالم", "a\u0301" * 3, "x" * 1_000_000, "a\n" * 5_000])
def test_a_text_of_any_script_and_length_stays_in_its_place(page: Page, show: Open, text: str) -> None:
    bridge = show("ask@1", variables={"question": text})
    page.get_by_label("question").press("End")
    page.get_by_label("question").press("a")
    bridge.carry()
    assert messages(page)[0].startswith("Briefly: " + text[:3].strip())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_prompt_of_very_many_tags_stays_quick(page: Page, show: Open) -> None:
    bridge = show(Prompt("tags", text="{{a}}" * 30_000))
    page.get_by_label("a", exact=True).fill("x")
    bridge.carry()
    assert messages(page)[0].startswith("xxx")
    assert page.locator("pre span").count() <= 2_000


@BOTH
def test_every_state_of_it_meets_wcag_aa(page: Page, show: Open, openai: FakeOpenAI) -> None:
    bridge = show("ask@1", "ask@2", models=["gpt-4o"], variables={"question": "Why?"})
    assert violations(page, ".promptwire") == []
    gate = openai.gate(after=2)
    page.get_by_role("button", name="Run").click()
    bridge.until("document.querySelector('[data-state=streaming]') && document.querySelector('[data-state=failed]')")
    page.locator("summary").first.click()
    assert violations(page, ".promptwire") == []
    gate.release()
    bridge.until("document.querySelector('[data-state=done]')")
    page.get_by_label("question").focus()
    assert violations(page, ".promptwire") == []
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page, ".promptwire") == []


def test_every_field_has_a_name_of_its_own(page: Page, show: Open) -> None:
    show("ask@1", "ask@2", models=["gpt-4o"])
    for role, names in {
        "textbox": ["question", "tone"],
        "combobox": ["version", "model"] * 2,
        "checkbox": ["side by side"],
    }.items():
        found = page.get_by_role(role)  # type: ignore[arg-type]
        assert [found.nth(at).evaluate("node => node.labels[0].textContent") for at in range(found.count())] == names


def test_the_keyboard_alone_does_it_all(page: Page, show: Open, openai: FakeOpenAI) -> None:
    bridge = show("ask@1", models=["gpt-4o"])
    reached: list[str] = []
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body") and len(reached) < 20:
        reached.append(
            page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.type ?? '')").strip()
        )
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Tab")
    assert reached == [
        "INPUT checkbox", "TEXTAREA textarea", "BUTTON button", "BUTTON button", "SELECT select-one",
        "SELECT select-one", "PRE", "SUMMARY",
    ]  # fmt: skip
    openai.hang()
    page.get_by_label("question").focus()
    page.keyboard.type("Why?\nHow?")
    page.keyboard.press("Control+Enter")
    bridge.until("document.querySelector('.pw-status').textContent === 'Waiting for the model …'")
    assert openai.requests[0].json["messages"][0]["content"] == "Briefly: Why?\nHow?"
    page.keyboard.press("Escape")
    bridge.until("document.querySelector('.pw-status').textContent === 'Stopped'")
    assert openai.wait_for_hang_ups(1)


def test_a_view_that_goes_leaves_nothing_behind(page: Page, show: Open) -> None:
    bridge = show("ask@1")
    page.evaluate("cleanup()")
    assert page.evaluate("Object.values(heard).every(list => list.length === 0)")
    assert page.locator(".promptwire").count() == 0
    bridge.widget.run()
    wait_until(lambda: bridge.widget.answers[0]["state"] == "failed")
    bridge.to_browser()
