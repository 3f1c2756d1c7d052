"""Differences and histories in notebooks."""

import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from promptwire import ConfigurationError, Prompt, PromptVersion, Resolver
from promptwire.default import fresh_resolver
from promptwire.history import History
from promptwire.publishing import Pushed
from promptwire.testing import FakeLangfuse
from tests.conftest import Door

VERSIONS = [
    PromptVersion(2, ("production",), "Ann <b>", datetime(2026, 11, 2, 9, 30, tzinfo=UTC), "warmer"),
    PromptVersion(1),
]


def reply(**config: Any) -> Prompt:
    return Prompt("reply", messages=[{"role": "user", "content": "Be brief, {{name}}."}], config=config)


def test_a_difference_is_shown_word_by_word_and_by_setting() -> None:
    other = Prompt("reply", messages=[{"role": "user", "content": "Be <kind>, {{name}}."}], config={"temperature": 1})
    bundle = reply(temperature=0).diff(other)._repr_mimebundle_()
    assert "Be [-brief-]{+<kind>+}, {{name}}." in bundle["text/plain"]
    assert "temperature  0       1" in bundle["text/plain"]
    page = bundle["text/html"]
    assert '<del class="pw-removed">brief</del><ins class="pw-added">&lt;kind&gt;</ins>' in page


def test_no_difference_says_so() -> None:
    assert "no difference" in reply().diff(reply())._repr_mimebundle_()["text/markdown"]


def test_a_history_is_a_list_and_a_table() -> None:
    history = History("reply", VERSIONS)
    assert history[0].version == 2
    bundle = history._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [
        "reply  2 versions",
        "",
        "version  labels      author   date              message",
        "2        production  Ann <b>  2026-11-02 09:30  warmer",
        "1",
    ]
    assert "Ann &lt;b&gt;" in bundle["text/html"]
    assert list(history.to_pandas()["version"]) == [2, 1]


def test_a_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("pandas")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="pip install pandas"):
        History("reply", VERSIONS).to_pandas()


def test_a_prompt_tells_its_history(langfuse: FakeLangfuse, door: Door) -> None:
    for text in ("Hello", "Good day"):
        langfuse.publish("changing", text)
    with fresh_resolver():
        prompt = Resolver("langfuse").get_prompt("changing", version=1)
        assert [one.version for one in prompt.history()] == [2, 1]
        assert [one.version for one in prompt.history(backend="langfuse", limit=1)] == [2]


@pytest.mark.parametrize(
    ("pushed", "said"),
    [
        (Pushed("reply", 2, created=True, labels=("production",)), ["reply  version 2  created", "production"]),
        (Pushed("reply", 1, created=False), ["reply  version 1  there already"]),
        (Pushed("reply", None, created=True), ["reply  created"]),  # a dry run
    ],
)
def test_a_push_says_what_it_did(pushed: Pushed, said: list[str]) -> None:
    lines = pushed._repr_mimebundle_()["text/plain"].splitlines()
    assert [line.replace("labels moved", "").strip() for line in lines] == said
