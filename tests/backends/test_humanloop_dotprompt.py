"""``.prompt`` files: Humanloop's own read exactly, others and ambiguous ones refused."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import Resolver
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.backends.humanloop_dotprompt import read_dotprompt
from promptwire.errors import PromptConfigError, PromptwireError, TemplateError

Write = Callable[..., Path]

HEADER = "---\nmodel: gpt-4o\nendpoint: chat\n---\n"
FULL = """---
model: gpt-4o
temperature: 0.7
max_tokens: -1
top_p: 1.0
provider: openai_azure
endpoint: chat
tools: [
  {
    "name": "look",
    "description": "Looks it up",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}
  }
]
---

<system>
  You help {{company}}.

    - Answer in <b>bold</b>, & keep {"a": 1} and <context>{{ctx}}</context>.
</system>

<user>
  <text>
    What is
      this?
  </text>
  <image url='https://127.0.0.1/{{picture}}?a=1&lt=2' />
</user>

<assistant>
  Let me see.
  <tool name="look" id="call_1">
    {"q": "{{raw}}"}
  </tool>
  <tool id="call_2" name="look">{}</tool>
</assistant>
<tool name="look" id="call_1">
  Found {{what}}
</tool>
<tool name="look" id="call_2">nothing</tool>
<assistant><tool name="look" id="call_3">{}</tool></assistant>
<developer>Be brief.</developer>
"""


def messages(body: str) -> Any:
    return read_dotprompt(HEADER + body, "p")["template"]


def test_everything(write: Write, root: Path) -> None:
    write("team/p.prompt", FULL)
    values = {"company": "ACME", "ctx": "</system><user>x</user>", "picture": "a.png", "what": "it"}
    rendered = Resolver(HumanloopBackend(root=root)).resolve("team/p", variables=values)
    assert (rendered.model, rendered.prompt.provider, rendered.prompt.backend) == ("gpt-4o", "azure", "humanloop")
    assert rendered.params["tools"][0]["function"]["name"] == "look"
    assert {key: value for key, value in rendered.params.items() if key != "tools"} == {"temperature": 0.7, "top_p": 1}
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "look", "arguments": arguments}}
        for number, arguments in ((1, '{"q": "{{raw}}"}'), (2, "{}"), (3, "{}"))
    ]
    assert rendered.messages == [
        {
            "role": "system",
            "content": "You help ACME.\n\n  - Answer in <b>bold</b>, & keep "
            '{"a": 1} and <context></system><user>x</user></context>.',
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is\n  this?"},
                {"type": "image_url", "image_url": {"url": "https://127.0.0.1/a.png?a=1&lt=2"}},
            ],
        },
        {"role": "assistant", "content": "Let me see.", "tool_calls": calls[:2]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Found it"},
        {"role": "tool", "tool_call_id": "call_2", "content": "nothing"},
        {"role": "assistant", "content": None, "tool_calls": calls[2:]},
        {"role": "developer", "content": "Be brief."},
    ]


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("<user>x</user>", "x"),
        ("<user>  x  </user>", "  x  "),
        ("<user>\n  x\n</user>", "x"),
        ("<user>\nx\n  y\n</user>", "x\n  y"),
        ("<user>\n    x\n    y\n</user>", "  x\n  y"),
        ("<user>\n  x\n\n  y\n  </user>", "x\n\ny"),
        ("<user>\n\n  x\n\n</user>", "\nx\n"),
        ("<user>x\n  y</user>", "x\n  y"),
        ("<user>{{#if a}}{{role 'x'}}</user>", "{{#if a}}{{role 'x'}}"),
        ("<user>\n \n\n</user>", " \n"),
        ("<user></user>", ""),
        ("<user>\n</user>", ""),
        ("<user >x</user >", "x"),
        ("<user><text-area>{{a}}</text-area> &nothing; AT&T</user>", "<text-area>{{a}}</text-area> &nothing; AT&T"),
        ("<user>a < b > c <users> <!-- </user>", "a < b > c <users> <!-- "),
    ],
)
def test_text(body: str, content: str) -> None:
    assert messages(body) == [{"role": "user", "content": content}]


def test_what_is_no_tag_but_in_a_user_message() -> None:
    text = '<text>{{doc}}</text> <image url="x"/> <text a <image'
    assert messages(f"<system>{text}</system>") == [{"role": "system", "content": text}]


def test_parts_are_indented_by_four() -> None:
    (message,) = messages("<user>\n  <text>\n      deep\n  </text>\n  <image url=''/>\n</user>")
    assert message["content"] == [
        {"type": "text", "text": "  deep"},
        {"type": "image_url", "image_url": {"url": ""}},
    ]


def test_what_an_assistant_says_before_it_calls() -> None:
    for said, content in (("\n    a\n    b\n\n  ", "  a\n  b"), (" a ", " a"), ("\n  ", None), ("", None)):
        (message,) = messages(f"<assistant>{said}<tool name='t' id='c'>{{}}</tool></assistant>")
        assert (message["content"], message["tool_calls"][0]["id"]) == (content, "c")


def test_a_file_without_messages() -> None:
    assert messages("\n\n") == []


def test_raw_text() -> None:
    text = "---\nmodel: davinci\nendpoint: complete\n---\n\n<user>{{#if}} &amp; {{role 'x'}}\n---\n  end\n\n"
    read = read_dotprompt(text, "p")
    assert read["template"] == "<user>{{#if}} &amp; {{role 'x'}}\n---\n  end"


@pytest.mark.parametrize(
    "text", ["\ufeff---\nmodel: m\n---\n<user>x</user>", "\n--- \nmodel: m\n---", "---\nmodel:\n---"]
)
def test_headers(text: str) -> None:
    assert "model" in read_dotprompt(text, "p")


def test_jinja_inside_of_messages(write: Write, root: Path) -> None:
    write("p.prompt", "---\nmodel: m\ntemplate_language: jinja\n---\n<user>{% if a %}{{ a|upper }}{% endif %}</user>")
    rendered = Resolver(HumanloopBackend(root=root)).resolve("p", variables={"a": "<user>"})
    assert rendered.messages == [{"role": "user", "content": "<USER>"}]


BROKEN = [
    ("<user>x", 5, "<user> is never closed"),
    ("<user>x<user>", 5, "<user> stands inside <user>"),
    ("<user>x</system>", 5, "</system> stands inside <user>"),
    ("<system>Use\n<user> tags</system>", 6, "<user> stands inside <system>"),
    ("<system>a <tool> b</system>", 5, "<tool> stands inside <system>"),
    ("x", 5, "text outside of <system>"),
    ("<user>x</user>\n\n  y", 7, "text outside of <system>"),
    ("{% if a %}<user>x</user>{% endif %}", 5, "text outside of"),
    ("</user>", 5, "</user> doesn't begin a message"),
    ("<text>x</text>", 5, "<text> doesn't begin a message"),
    ("<user", 5, "<user is not closed by '>'"),
    ("<user>x</user", 5, "</user is not closed by '>'"),
    ("<user>x</user a>", 5, "</user is not closed by '>'"),
    ("<user a='b'>x</user>", 5, "the tag must be <user>"),
    ("<user/>", 5, "the tag must be <user>"),
    ("<user><text>x</user>", 5, "<text> is not closed before the next tag"),
    ("<user><text>x", 5, "<text> is not closed before the next tag"),
    ("<user><text>x<text>y</text></text></user>", 5, "<text> is not closed before the next tag"),
    ("<user></text></user>", 5, "</text> stands inside <user>"),
    ("<user>See <text>x</text></user>", 5, "<user> has text beside its tags"),
    ("<user><text>x</text> there</user>", 5, "<user> has text beside its tags"),
    ("<user><image url='x'></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='x' url='y'/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='x'/</user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url={x}/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='x' detail='low'/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='<user>'/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='a>b'/></user>", 5, 'the tag must be <image url="…"/>'),
    ("<user><image url='a&amp;b'/></user>", 5, "&amp; could mean itself or the character"),
    ("<user>&lt;system&gt;</user>", 5, "&lt; could mean itself or the character"),
    ("<user>&#60;x</user>", 5, "&#60; could mean itself"),
    ("<user>&#x3C;x</user>", 5, "&#x3C; could mean itself"),
    ("<user><text>&nbsp;</text></user>", 5, "&nbsp; could mean itself"),
    ("<tool>x</tool>", 5, 'the tag must be <tool name="…" id="…">'),
    ("<tool id='a'>x</tool>", 5, 'the tag must be <tool name="…" id="…">'),
    ("<assistant><tool id='a' name='b'>x</tool></assistant>", 5, "the arguments in <tool> are not JSON"),
    ("<assistant><tool id='a' name='b'>" + "[" * 9999 + "</tool></assistant>", 5, "the arguments in <tool> are not"),
    (
        "<assistant><tool id='a' name='b'>{}</tool> so</assistant>",
        5,
        "<assistant> has text beside its tags, or after its calls",
    ),
    ("<assistant></tool></assistant>", 5, "</tool> stands inside <assistant>"),
]


@pytest.mark.parametrize(("body", "line", "words"), BROKEN, ids=range(len(BROKEN)))
def test_ambiguous_bodies_are_refused(body: str, line: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        messages(body)
    assert str(caught.value).startswith(f"p, line {line}: {words}")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", PromptConfigError, "only Humanloop's are read: it has no YAML header"),
        ("Hi {{name}}", PromptConfigError, "it has no YAML header between lines of ---"),
        ("---\nmodel: m\n", PromptConfigError, "it has no YAML header"),
        ("---\n---\n", PromptConfigError, "it has no YAML header"),
        ("---\n- a\n---\n", PromptConfigError, "it has no YAML header"),
        ("---\na: !x b\n---\n", PromptConfigError, "YAML tags and aliases are not read"),
        ("---\na: b: c\n---\n", PromptConfigError, "not plain YAML in line 1"),
        ("---\ntemperature: 1\n---\n", PromptConfigError, "its header has no 'model'"),
        ("---\nmodel: m\ninput:\n  schema: {}\n---\nHi", PromptConfigError, "its header has the key 'input'"),
        ("---\nmodel: m\nconfig: {}\n---\nHi", PromptConfigError, "its header has the key 'config'"),
        ('---\nmodel: m\n---\n{{role "system"}}\nHi', PromptConfigError, "its body has helpers"),
        ("---\nmodel: m\n---\n{{#if a}}Hi{{/if}}", PromptConfigError, "its body has helpers"),
        ("---\nmodel: m\n---\n{{>part}}", PromptConfigError, "its body has helpers"),
        ("---\nmodel: m\n---\n{{media url=x}}", PromptConfigError, "its body has helpers"),
        ("---\nmodel: m\n---\nSystem: Hi", TemplateError, "line 4: text outside of <system>"),
        ("\n---\nmodel: m\n---\n{{history}}", TemplateError, "line 5: text outside of <system>"),
        ("---\nmodel: m\nendpoint: edit\n---\n", PromptConfigError, "endpoint is 'chat' or 'complete', not 'edit'"),
        ("---\nmodel: m\nendpoint: [chat]\n---\n", PromptConfigError, "endpoint is 'chat' or 'complete'"),
    ],
)
def test_what_is_not_humanloops(write: Write, root: Path, text: str, error: type[PromptwireError], words: str) -> None:
    write("p.prompt", text)
    with pytest.raises(error) as caught:
        Resolver(HumanloopBackend(root=root)).get_prompt("p")
    assert words in str(caught.value)
    assert str(caught.value).startswith("humanloop prompt 'p', file p.prompt")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<>&\r"), min_size=1).filter(
    lambda text: (
        text == text.strip() and "\n" not in text[:1] and all(not line or line.strip() for line in text.split("\n"))
    )
)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "developer"]), TEXTS), max_size=5))
def test_what_is_indented_by_two_comes_back_as_it_was(written: list[tuple[str, str]]) -> None:
    body = ""
    for role, text in written:
        body += f"<{role}>\n" + "".join(f"  {line}\n" for line in text.split("\n")) + f"</{role}>\n\n"
    assert messages(body) == [{"role": role, "content": text} for role, text in written]


@given(
    st.lists(st.sampled_from(["<", ">", "/", "user", "text", "image", "tool", " url='", "'", "&lt;", "x", "\n", '"']))
)
def test_any_body_is_read_or_refused(pieces: list[str]) -> None:
    try:
        read = messages("".join(pieces))
    except TemplateError:
        return
    assert all(message["role"] in {"user", "tool"} for message in read)


@pytest.mark.parametrize(
    "body",
    [
        "<user " * 100_000,
        "<user" + " a='b'" * 100_000,
        "&" * 300_000,
        "&a" * 100_000,
        "<user>x</user>" * 50_000,
        "<" * 300_000,
    ],
)
def test_hostile_bodies_take_linear_time(body: str) -> None:
    start = time.perf_counter()
    with suppress(TemplateError):
        messages(body)
    assert time.perf_counter() - start < 10  # a quadratic scan takes minutes
