"""What differs between two prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import Placeholder, Prompt
from promptwire.differences import MAX_WORDS, compare

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello {{name}}"}


def chat(*messages: object, **options: object) -> Prompt:
    return Prompt("p", messages=list(messages), **options)  # type: ignore[arg-type]


def test_what_is_no_content_makes_no_difference() -> None:
    one = chat(SYSTEM, USER, version=1, labels=("a",), tags=("x",), backend="langfuse", config={"temperature": 1})
    other = chat(SYSTEM, USER, version=2, labels=("b",), backend="files", config={"temperature": 1.0})
    assert not compare(one, other)
    assert compare(one, other).unified() == ""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (chat(SYSTEM, USER), chat(SYSTEM), [("message 2 (user)", "Hello {{name}}", None)]),
        (chat(USER), chat(SYSTEM, USER), [("message 1 (system)", None, "Be brief.")]),
        (
            chat(SYSTEM, USER),
            chat(SYSTEM, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"}),
            [("message 2 (assistant)", None, "Hi"), ("message 2 → 3 (user)", "Hello {{name}}", "Bye")],
        ),
        (chat(Placeholder("a"), USER), chat(Placeholder("b"), USER), [("message 1 (placeholder)", "a", "b")]),
        (Prompt("p", text="a"), Prompt("p", text="b"), [("message 1 (text)", "a", "b")]),
        (
            Prompt("p", text="a"),
            chat({"role": "user", "content": "a"}),
            [("message 1 (text)", "a", None), ("message 1 (user)", None, "a")],
        ),
    ],
)
def test_messages_are_paired_by_place_and_role(before: Prompt, after: Prompt, expected: list[object]) -> None:
    assert [(one.title, one.before, one.after) for one in compare(before, after).messages] == expected


def test_messages_with_more_than_a_text_are_told_as_json() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    found = compare(chat(call), chat({**call, "tool_calls": [{"id": "2"}]})).messages[0]
    assert '"id": "1"' in str(found.before)
    assert [piece for kind, piece in found.words() if kind != "same"] == ["1", "2"]


def test_settings_each_by_itself() -> None:
    before = Prompt(
        "p",
        text="x",
        config={"model": "a", "stop": ["x"], "note": {"b": 1}, "template_format": "own"},
        partials={"v": 1},
    )
    after = Prompt("p", text="x", dialect="jinja", config={"model": "b", "note": {"b": 2}, "template_format": "own"})
    assert [(one.name, one.before, one.after) for one in compare(before, after).settings] == [
        ("template_format", '"mustache"', '"jinja"'), ("partials.v", "1", None), ("model", '"a"', '"b"'),
        ("stop", '["x"]', None), ("note", '{"b": 1}', '{"b": 2}'),
    ]  # fmt: skip
    assert "config.template_format" not in compare(before, after).unified()


def test_true_is_not_one() -> None:
    assert compare(Prompt("p", text="x", config={"a": True}), Prompt("p", text="x", config={"a": 1}))


def test_keys_are_not_told() -> None:
    one, other = (Prompt("p", text="x", config={"deep": {"secret_key": key}, "max_tokens": 1}) for key in ("k1", "k2"))
    told = compare(one, other)
    assert told.settings[0].before == told.settings[0].after == '{"secret_key": "*****"}'
    assert "k1" not in repr(told)


def test_unified_keeps_three_lines_around_a_change() -> None:
    lines = [f"line {number}" for number in range(30)]
    changed = lines.copy()
    changed[5], changed[25] = "new", ""
    told = compare(Prompt("p", text="\n".join(lines)), Prompt("p", text="\n".join(changed))).unified("a", "b")
    assert told.startswith("--- a\n+++ b\n@@ message 1 (text) @@\n line 2\n line 3\n line 4\n-line 5\n+new\n line 6\n")
    assert told.count("@@ … @@\n") == 1
    assert "line 15" not in told


def test_line_ends_alone_are_a_difference_that_shows() -> None:
    told = compare(Prompt("p", text="a\n"), Prompt("p", text="a")).unified()
    assert told.endswith('-"a\\n"\n+"a"\n')


@given(st.text(alphabet="ab \n"), st.text(alphabet="ab \n"))
def test_words_make_both_texts_again(before: str, after: str) -> None:
    for found in compare(Prompt("p", text=before), Prompt("p", text=after)).messages:
        assert "".join(piece for kind, piece in found.words() if kind != "added") == before
        assert "".join(piece for kind, piece in found.words() if kind != "removed") == after


def test_a_text_too_long_for_words_is_compared_by_line() -> None:
    words = " ".join(f"w{number * number % 7}" for number in range(MAX_WORDS)) + "\n"
    found = compare(Prompt("p", text=words + "end"), Prompt("p", text=words + "END")).messages[0]
    assert found.words() == [("same", words), ("removed", "end"), ("added", "END")]
