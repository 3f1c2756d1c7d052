"""``to_native()``: a snapshot as a template of LlamaIndex's own, its braces right."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.llms.promptwire import ManagedPromptTemplate
from pydantic import BaseModel

import promptwire
from promptwire import Resolver, TemplateError
from promptwire.backends.memory import MemoryBackend

BRACES = 'Say {"a": {"b": {}}} and {code} to {{name}} }{'


def managed(text: Any, dialect: str = "mustache", **given: Any) -> ManagedPromptTemplate:
    library = MemoryBackend()
    library.publish("x", text, dialect=dialect)
    return ManagedPromptTemplate("x", resolver=Resolver(library), **given)


def test_a_text() -> None:
    native = managed(BRACES).to_native()
    assert type(native) is PromptTemplate
    expected = 'Say {"a": {"b": {}}} and {code} to {code}{x} }{'
    assert native.format(name="{code}{x}") == expected
    assert native.format(name="{code}{x}", code="never") == expected
    assert native.partial_format(name="A").format_messages()[0].content == 'Say {"a": {"b": {}}} and {code} to A }{'
    assert "name" in native.template_vars


def test_a_chat() -> None:
    native = managed([{"role": "system", "content": BRACES}, {"role": "user", "content": "{{question}}"}]).to_native()
    assert type(native) is ChatPromptTemplate
    system, question = native.format_messages(name="{question}", question="{name}?", code="never")
    assert (system.role.value, system.content) == ("system", 'Say {"a": {"b": {}}} and {code} to {question} }{')
    assert question.content == "{name}?"
    assert type(managed("Hi {{name}}", text_role="system").to_native()) is ChatPromptTemplate


@pytest.mark.parametrize("text", [BRACES, [{"role": "system", "content": BRACES}]])
def test_for_str_format(text: Any) -> None:
    native = managed(text).to_native(str_format=True)
    assert type(native) is PromptTemplate
    assert native.template.format(name="{code}") == 'Say {"a": {"b": {}}} and {code} to {code} }{'
    assert native.format().format(name="A") == managed(text).format().format(name="A")


@given(st.text(st.sampled_from("{}ab _")), st.text(st.sampled_from("{}ab _")))
def test_any_braces(literal: str, value: str) -> None:
    text = f"{literal.replace('{{', '{ {')}|{{{{name}}}}"
    template = managed(text)
    expected = template.format(name=value)
    assert template.to_native().format(name=value, a="never", b="never") == expected
    assert template.to_native(str_format=True).get_template().format(name=value) == expected


def test_engines_names_and_known_values() -> None:
    """What is known already is text, wherever the template goes; what isn't has the engine's name."""
    mapped = {"context_str": "context", "topic": "subject"}
    template = managed("{{subject}}: {{context}} {{ day }}", template_var_mappings=mapped, topic="{context_str}")
    with promptwire.variables(day="{today}"):
        native = template.to_native()
        assert template.template == "{context_str}: {context_str} {today}"
    assert native.format(context_str="x", topic="never", today="never") == "{context_str}: x {today}"
    assert template.to_native().template_vars[-2:] == ["context_str", "day"]


def test_what_else_it_carries() -> None:
    class Answer(BaseModel):
        text: str

    parser = PydanticOutputParser(Answer)
    template = managed(
        "{{a}} {{b}}", function_mappings={"b": lambda **given: given["a"] * 2}, output_parser=parser,
        prompt_type="summary", metadata={"owner": "team"},
    )  # fmt: skip
    native = template.to_native()
    assert native.format(a="x") == parser.format("x xx")
    assert native.metadata == {"owner": "team", "prompt_type": "summary"} == template.metadata


def test_a_snapshot_does_not_follow() -> None:
    library = MemoryBackend({"x": "one {{name}}"})
    template = ManagedPromptTemplate("x", resolver=Resolver(library))
    native = template.to_native()
    library.publish("x", "two {{name}}")
    assert (native.format(name="A"), template.format(name="A")) == ("one A", "two A")


@pytest.mark.parametrize(
    "text",
    [
        "Hi {{ name|upper }} {{ name|trim }}",
        "{% if name %}Hi {{ name }}{% endif %}",
        "{% raw %}{{ x }}{% endraw %} {{ name }}",
    ],
)  # fmt: skip
def test_jinja_that_shows_its_variables(text: str) -> None:
    native = managed(text, "jinja").to_native()
    assert native.format(name="A") in {"Hi A A", "Hi A", "{{ x }} A"}


@pytest.mark.parametrize(
    ("text", "dialect", "why"),
    [
        ("{% if vip %}Dear{% endif %} {{ name }}", "jinja", r"it doesn't simply show \(vip\)"),
        ("{{ name }}: {% for one in name %}{{ one }}, {% endfor %}", "jinja", "takes apart"),
        ("{{ name|length }}", "jinja", r"it doesn't simply show \(name\)"),
        ("Hi {{user.name}}", "mustache", "a variable named 'user.name'"),
        ([{"type": "placeholder", "name": "history"}], "mustache", "a placeholder"),
        ([{"role": "user", "content": [
            {"type": "text", "text": "{{name}}"},
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1/{{name}}"}},
         ]}], "mustache", "outside its texts"),
    ],
)  # fmt: skip
def test_what_llama_index_has_no_form_for(text: Any, dialect: str, why: str) -> None:
    template = managed(text, dialect)
    for str_format in (False, True):
        with pytest.raises(TemplateError, match=why):
            template.to_native(str_format=str_format)
    with pytest.raises(TemplateError, match=why):
        _ = template.template


@pytest.mark.parametrize("part", [{"type": "text"}, {"type": "text", "text": 5}])
def test_a_text_that_is_none(part: Any) -> None:
    with pytest.raises(TemplateError, match=r"memory prompt 'x'.* no block for"):
        managed([{"role": "user", "content": [part]}]).to_native()


def test_messages_that_hold_what_is_no_json() -> None:
    template = managed([{"type": "placeholder", "name": "history"}], history=[{"role": "user", "content": object()}])
    with pytest.raises(TemplateError, match="no block for"):
        template.to_native()


def test_its_source_is_shown_in_place() -> None:
    """``get_template`` serves callbacks on every call and never fails."""
    loop = "{% for one in names %}{{ one }}, {% endfor %}"
    assert managed(loop, "jinja").get_template() == loop
    parts = [{"type": "text", "text": "See {{user.name}}"}]
    chat = [{"role": "system", "content": "Hi {{name}}"}, {"type": "placeholder", "name": "history"}]
    assert managed([*chat, {"role": "user", "content": parts}]).get_template() == (
        "system: Hi {{name}}\n{history}\nuser: See {{user.name}}"
    )
    renamed = managed("Hi {{user.name}}", template_var_mappings={"user": "user.name"})
    assert renamed.to_native().format(user="A") == "Hi A"
