"""What notebooks show of prompts, answers and errors: all that was said, and nothing that acts."""

import html
import pickle
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.lib.pretty import pretty

import promptwire
from promptwire import ConfigurationError, GatewayError, MissingVariablesError, Placeholder, Prompt, PromptVersion
from promptwire.comparison.columns import Column
from promptwire.comparison.result import Cell, Comparison
from promptwire.differences import Differences, MessageDifference, SettingDifference
from promptwire.display import Displayed
from promptwire.display.view import Table, View
from promptwire.gateway.answers import PromptInfo, answer
from promptwire.history import History
from promptwire.publishing import Pushed

KINDS = ("text/plain", "text/markdown", "text/html")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)></pre></div>&amp; ``` \u202e drawkcab \x00 \ud800 | x |"
HARMLESS_TAGS = {
    "style", "div", "b", "span", "dl", "dt", "dd", "pre", "table", "thead", "tbody", "tr", "th", "td", "ins", "del"
}  # fmt: skip


def shown(thing: Any) -> dict[str, str]:
    bundle: dict[str, str] = thing._repr_mimebundle_()
    assert tuple(bundle) == KINDS
    return bundle


def text_of(page: str) -> str:
    """What a reader of the page reads."""
    return html.unescape(re.sub("<[^>]*>", "", page.split("</style>")[1]))


class Tags(HTMLParser):
    """Collects a page's tags, and refuses those left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def reply(**fields: Any) -> Prompt:
    messages: list[Any] = [
        {"role": "system", "content": "You are {{role}}."},
        Placeholder("history"),
        {"role": "user", "content": "Why, {{name}}?"},
    ]
    config = {"model": "gpt-4o", "temperature": 0.2, "api_key": "sk-canary", "tools": [{"name": "look"}]}
    defaults: dict[str, Any] = {"backend": "langfuse", "version": 3, "labels": ("production",), "config": config}
    return Prompt("support/reply", messages=messages, **{**defaults, **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_shows_what_it_says_and_sets(kind: str) -> None:
    text = shown(reply())[kind]
    text = text_of(text) if kind == "text/html" else text.replace("\\", "")
    for said in ("support/reply", "version 3", "production", "langfuse", "gpt-4o", "temperature", "0.2", "look",
                 "system", "You are {{role}}.", "history", "Why, {{name}}?", "role, name", "0 s ago"):  # fmt: skip
        assert said in text


def test_what_a_prompt_may_not_set_is_named_without_its_value() -> None:
    for text in shown(reply()).values():
        assert "never sent" in text
        assert "canary" not in text


def test_variables_are_marked() -> None:
    page = shown(reply())["text/html"]
    assert '<span class="pw-variable" title="role">{{role}}</span>' in page
    literal = shown(Prompt("x", text='{{name}} {{"a": 1}}'))["text/html"]
    assert literal.count('class="pw-variable"') == 1


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Dear {{ name }}, {# why #} {% if a %}so{% endif %}.", 4),
        ("{% raw %}{{{% endraw %} {{ a }}", 2),
        ("{{ a }} {% raw %}{# not closed{% endraw %}", 2),
    ],
)
def test_jinja_is_marked_tag_by_tag(text: str, tags: int) -> None:
    page = shown(Prompt("x", text=text, dialect="jinja"))["text/html"]
    assert text in text_of(page)
    assert page.count('class="pw-variable"') == tags


def test_values_are_marked_and_missing_ones_flagged() -> None:
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    rendered = reply().render({"role": "a guide", "history": history}, missing="keep")
    bundle = shown(rendered)
    assert '<span class="pw-value" title="role">a guide</span>' in bundle["text/html"]
    assert '<span class="pw-missing" title="name was not given">{{name}}</span>' in bundle["text/html"]
    assert "Why, ⟪{{name}}⟫?" in bundle["text/plain"]
    assert "Yes?" in bundle["text/plain"]


def test_messages_changed_by_their_owner_are_shown_as_they_are() -> None:
    rendered = Prompt("x", text="Hello {{name}}").render({"name": "Ann"})
    rendered.messages[0]["content"] = "Goodbye"
    page = shown(rendered)["text/html"]
    assert "Goodbye" in page
    assert "Ann" not in page


def test_an_open_placeholder_is_flagged() -> None:
    assert "⟪history⟫" in shown(reply().render({"role": "a", "name": "b"}))["text/plain"]


def test_parts_are_named_and_never_loaded() -> None:
    parts = [
        {"type": "text", "text": "See {{what}}"},
        {"type": "image_url", "image_url": {"url": "https://example.com/{{name}}.png"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ]
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    prompt = Prompt("x", messages=[
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": calls},
    ])  # fmt: skip
    for thing in (prompt, prompt.render({"what": "this", "name": "cat"})):
        page = shown(thing)["text/html"]
        assert {"example.com", "file_id", "look"} <= set(re.findall(r"example\.com|file_id|look", page))
        assert Tags(page).attributes <= {"class", "title", "dir", "tabindex"}


def hostile() -> dict[str, Displayed]:
    """One of each kind, all its texts those of an attacker."""
    name, config = HOSTILE.replace("\x00", "").replace("\ud800", ""), {"model": HOSTILE, "user": HOSTILE, HOSTILE: 1}
    prompt = Prompt(name, text=HOSTILE + " {{name}}", labels=(HOSTILE,), backend=HOSTILE, config=config)
    other = Prompt(name, text=f"Not {HOSTILE}", config={"model": HOSTILE * 2})
    message = {"role": HOSTILE, "content": HOSTILE}
    said = {"choices": [{"finish_reason": HOSTILE, "message": message}], "model": HOSTILE}
    error = GatewayError(HOSTILE, status_code=500, body=HOSTILE)
    cells = {(0, 0): Cell(HOSTILE, cached=True), (0, 1): Cell(f"Not {HOSTILE}"), (1, 1): Cell(error=error)}
    columns = (Column(HOSTILE, prompt, None), Column(f"not {HOSTILE}", other, HOSTILE))
    return {
        "prompt": prompt,
        "rendered": prompt.render({"name": HOSTILE}),
        "error": error,
        "answer": answer(said, None),
        "differences": prompt.diff(other),
        "history": History(HOSTILE, [PromptVersion(3, (HOSTILE,), HOSTILE, None, HOSTILE), PromptVersion(HOSTILE)]),
        "pushed": Pushed(HOSTILE, HOSTILE, created=True, labels=(HOSTILE,)),
        "comparison": Comparison(columns, ({"name": HOSTILE}, {HOSTILE: HOSTILE}), cells),
    }


IN_FENCES = ("prompt", "rendered", "error", "answer", "differences", "comparison")


@pytest.mark.parametrize("thing", hostile())
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_is_shown_as_text(kind: str, thing: str) -> None:
    text = shown(hostile()[thing])[kind]
    assert not re.search("[\u202e\x00\ud800]", text)
    assert "[U+202E]" in text.replace("\\", "")
    if kind == "text/html":
        assert Tags(text).seen <= HARMLESS_TAGS
        assert Tags(text).attributes <= {"class", "title", "dir", "tabindex"}
        assert "<script>alert(1)</script>" in text_of(text)
    if kind == "text/markdown":
        fence = re.search("\n(`{4,})text\n", text)
        assert (fence is not None) == (thing in IN_FENCES)
        assert fence is None or text.count(f"\n{fence[1]}") >= 2


@pytest.mark.parametrize("thing", ["differences", "history", "comparison"])
def test_no_cell_of_a_table_ends_it_or_acts(thing: str) -> None:
    text = shown(hostile()[thing])["text/markdown"]
    rows = [line for line in text.partition("\n*")[0].splitlines() if line.startswith("| ")]
    assert len(rows) > 2
    for row in rows:
        assert not re.search(r"(?<!\\)[<>`!]", row)
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert len(set(widths)) == len([row for row in rows if re.fullmatch(r"[| -]+", row)])  # one a table


def test_a_long_line_is_cut_and_says_so() -> None:
    bundle = shown(Prompt("x", text="a" * 1_000_000 + "{{name}}"))
    assert all(len(text) < 120_000 for text in bundle.values())
    assert "900,008 more characters" in bundle["text/plain"]


def test_an_answer_shows_its_text_and_where_it_came_from() -> None:
    info = PromptInfo("support/reply", 3, "production", "langfuse", "stale", "abc")
    call = {"function": {"name": "look", "arguments": '{"q": 1}'}}
    message = {"role": "assistant", "content": "Nine to five.", "tool_calls": [call]}
    usage = {"prompt_tokens": 60, "completion_tokens": 20}
    choice = {"message": message, "finish_reason": "length"}
    made = answer({"choices": [choice], "model": "gpt-4o-2024", "usage": usage}, info, 1.234)
    text = shown(made)["text/plain"]
    for said in ("Nine to five.", 'look({"q": 1})', "gpt-4o-2024", "langfuse:support/reply@3", "stale", "60 in, 20 out",
                 "1.23 s", "length"):  # fmt: skip
        assert said in text
    assert pickle.loads(pickle.dumps(made)).latency == 1.234  # noqa: S301 - its own


def test_a_part_of_an_answer_shows_its_json() -> None:
    nested = answer({"choices": [{"message": {"content": "x"}}]}, None).choices[0].message
    assert '{"content": "x"}' in shown(nested)["text/plain"]
    assert nested.latency is None


def test_an_error_says_what_to_do() -> None:
    text = shown(MissingVariablesError("langfuse prompt 'x' needs variables: name", ("name",)))["text/plain"]
    assert "prompt_variables" in text
    assert "missing  name" in text
    assert "what to do" not in shown(promptwire.PromptwireError("of a third party"))["text/plain"]
    assert "Nothing was sent" in shown(ConfigurationError("no key"))["text/html"]


class Angry:
    """Whoever asks what it says, or does anything else with it, is told off."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __format__ = __len__ = __bool__ = __iter__ = __eq__ = __hash__ = __str__  # type: ignore[assignment]


def odd(angry: Any) -> dict[str, Displayed]:
    """One of each kind, with what no backend or model of ours would put there."""
    prompt = Prompt("x", text="Hello {{name}}")
    rendered = prompt.render({"name": "Ann"})
    rendered.values = {"name": angry}
    columns = (Column(angry, prompt, None), Column("b", prompt, None))
    missing, failed = MissingVariablesError("m"), GatewayError("m")
    missing.missing, failed.args = (angry,), (angry,)
    said = [{"message": {"content": angry, "tool_calls": [{"function": {"name": angry}}]}}]
    return {
        "Prompt": Prompt("x", text="Hello", fetched_at=angry),
        "RenderedPrompt": rendered,
        "Answer": answer({"choices": said, "usage": {"prompt_tokens": angry}}, None),
        "Differences": Differences(
            (MessageDifference(angry, None, None, angry, 1, None),), (SettingDifference("a", angry, None),)
        ),
        "History": History("x", [PromptVersion(angry, (angry,), angry, angry, angry)]),
        "Pushed": Pushed(angry, angry, created=True, labels=(angry,)),
        "Comparison": Comparison(columns, ({"name": angry},), {(0, 0): Cell(angry, latency=angry)}),
        "MissingVariablesError": missing,
        "GatewayError": failed,
    }


@pytest.mark.parametrize("kind", odd(0))
def test_a_display_never_raises(kind: str) -> None:
    thing = odd(Angry())[kind]
    assert thing._repr_mimebundle_() == {"text/plain": f"<{kind}>"}
    assert thing._repr_html_() is None


@pytest.mark.parametrize("value", [None, 0, -1.5, float("nan"), b"\xff", "", [], {}, object(), "\ud800", 10**400])
def test_a_display_of_odd_values_is_one(value: Any) -> None:
    for kind, thing in odd(value).items():
        text = thing._repr_mimebundle_()["text/plain"]
        assert text.isprintable() or "\n" in text, kind


class Listing(Displayed):
    def _view(self) -> View:
        return View("list", tables=[Table(("version", "by"), [("3", "Ann | <b>"), ("12", "Bo\nb")])])


def test_a_table_keeps_its_rows() -> None:
    bundle = shown(Listing())
    assert bundle["text/plain"].splitlines()[2:] == ["version  by", "3        Ann | <b>", "12       Bo b"]
    assert bundle["text/markdown"].splitlines()[2:] == [
        "| version | by |",
        "| --- | --- |",
        "| 3 | Ann \\| \\<b\\> |",
        "| 12 | Bo b |",
    ]
    assert "<td>Ann | &lt;b&gt;</td></tr><tr><td>12</td>" in bundle["text/html"]


def test_what_says_nothing_of_itself_shows_its_type() -> None:
    assert Displayed()._repr_mimebundle_() == {"text/plain": "<Displayed>"}


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0 s"), (59, "59 s"), (61, "1 min"), (7_300, "2 h"), (2e6, "23 d")])
def test_a_prompt_shows_its_age(seconds: float, said: str) -> None:
    assert f"{said} ago" in shown(reply(fetched_at=time.time() - seconds))["text/plain"]


def test_a_bundle_gives_what_is_asked_for() -> None:
    prompt = Prompt("x", text="Hello")
    assert list(prompt._repr_mimebundle_(include={"text/html"})) == ["text/html"]
    assert list(prompt._repr_mimebundle_(exclude={"text/html"})) == ["text/plain", "text/markdown"]
    assert prompt._repr_html_() == prompt._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    "thing",
    [
        answer({"choices": [{"message": {"content": "x"}}]}, None),
        History("reply", []),
        MissingVariablesError("m", ("name",)),
    ],
    ids=["answer", "history", "error"],
)
def test_plain_ipython_prints_the_same_but_not_amid_other_things(thing: Any) -> None:
    printed: Any = pretty
    assert printed(thing) == thing._repr_mimebundle_()["text/plain"]
    assert printed([thing]) == f"[{thing!r}]"


def test_a_prompt_amid_other_things_shows_no_key_that_an_editor_put_into_it() -> None:
    assert "sk-canary" not in repr([reply()])
