"""One dialect's prompt in another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import ConfigurationError, Placeholder, Prompt
from promptwire.dialects import in_dialect

DIALECTS = ("mustache", "jinja", "humanloop")


@pytest.mark.parametrize("one", DIALECTS)
@pytest.mark.parametrize("other", DIALECTS)
def test_plain_tags_are_the_same_in_all(one: str, other: str) -> None:
    prompt = Prompt("p", messages=[{"role": "user", "content": "Hi {{ a }} and {{b}}{"}, Placeholder("x")], dialect=one)
    moved = in_dialect(prompt, other, "there")
    assert moved.dialect == other
    assert (
        moved.render({"a": 1, "b": "{{a}}", "x": []}).messages
        == prompt.render({"a": 1, "b": "{{a}}", "x": []}).messages
    )


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("{% if a %}b{% endif %}", "jinja", "mustache"),
        ("{{ a | upper }}", "jinja", "mustache"),
        ("{# said #}", "jinja", "mustache"),
        ("{# said #}", "mustache", "jinja"),
        ("{{ range }}", "mustache", "jinja"),
        ("{{ none }}", "mustache", "jinja"),
        ("{{ a.b }}", "mustache", "jinja"),
        ('{{"a": 1}}', "mustache", "humanloop"),
        ("{{  a  }}", "mustache", "humanloop"),
        ("{{ a }} and {{  a  }}", "mustache", "humanloop"),
        ("{{ a }}\r\n", "mustache", "jinja"),
    ],
)
def test_what_would_change_is_refused(text: str, one: str, other: str) -> None:
    prompt = Prompt("p", text=text, dialect=one)
    assert in_dialect(prompt, one, "there") is prompt
    with pytest.raises(ConfigurationError, match=f"there fills in {other} templates.*only {one} has"):
        in_dialect(prompt, other, "there")


def test_every_part_of_a_content_is_looked_at() -> None:
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "{% if a %}{% endif %}"}}]
    with pytest.raises(ConfigurationError):
        in_dialect(Prompt("p", messages=[{"role": "user", "content": parts}], dialect="jinja"), "mustache", "there")
    plain = [{"type": "text", "text": "{{ a }}"}, {"type": "image_url", "image_url": "{{b}}", "detail": 5}]
    assert in_dialect(Prompt("p", messages=[{"role": "user", "content": plain}]), "jinja", "there").variables == (
        "a",
        "b",
    )
    tool = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert in_dialect(Prompt("p", messages=[tool], dialect="jinja"), "mustache", "there").dialect == "mustache"


@given(st.text(alphabet="{}% #ab_\n."), st.sampled_from(DIALECTS), st.sampled_from(DIALECTS))
def test_whatever_is_moved_renders_the_same(text: str, one: str, other: str) -> None:
    try:
        prompt = Prompt("p", text=text, dialect=one)
        moved = in_dialect(prompt, other, "there")
    except Exception as error:
        if type(error).__module__ != "promptwire.errors":
            raise
        return
    values = dict.fromkeys(prompt.variables, "{{a}}")
    assert moved.variables == prompt.variables
    assert moved.render(values).messages == prompt.render(values).messages
