"""Prompts: what they refuse, what they fill in, and what of them stays the same."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptwire import Placeholder, Prompt
from promptwire.errors import ConfigurationError, MissingVariablesError, PromptConfigError, TemplateError
from promptwire.frozen import FrozenDict, freeze, thaw
from promptwire.messages import parse_messages

ROOT = Path(__file__).parents[1]
CASES = [ROOT / "tests/cases/langfuse_chat_cases.json", ROOT.parent / "shared/contract/langfuse_compile_cases.json"]
NOT_OURS = ("DEFECT", "INJECTION", "NOT_GIVEN")

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": "{{q}}"}'}}


def chat(*messages: object, **fields: Any) -> Prompt:
    return Prompt("chat", messages=parse_messages(messages), **fields)


def user(content: object) -> dict[Any, Any]:
    return {"role": "user", "content": content}


def compile_cases() -> dict[str, Any]:
    files = [path for path in CASES if path.exists()]
    return {
        case["id"]: case
        for path in files
        for case in json.loads(path.read_text("utf-8"))["cases"]
        if case["op"] == "compile_chat" and not any(word in json.dumps(case) for word in NOT_OURS)
    }


CHATS = compile_cases()


def test_there_are_cases() -> None:
    assert {"ph-nothing", "ph-empty-list", "ph-missing-content", "chat-missing-var"} <= set(CHATS)


@pytest.mark.parametrize("name", CHATS)
def test_chats_compile_as_the_vendors_sdk_has_it(name: str) -> None:
    case = CHATS[name]
    assert chat(*case["prompt"]).render(case["args"], missing="keep").messages == case["expected"]


PATTERN = [
    {"role": "system", "content": "You are a {{role}} assistant"},
    {"type": "placeholder", "name": "examples"},
    user("Help me with {{task}}"),
]
GIVEN = {"role": "good", "task": "maths"}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "{{task}}", "tool_call_id": "c1"},
        {"role": "user", "content": [{"type": "text", "text": "typed {{role}}"}], "name": "Ann"},
        {"role": "system", "content": "{{role}} {% if x %}"},
    ],
)
def test_messages_in_a_placeholder_are_sent_as_given(message: dict[str, Any]) -> None:
    given = [copy.deepcopy(message)]
    rendered = chat(*PATTERN).render({**GIVEN, "examples": given})
    assert rendered.messages[1] == message
    for call in rendered.messages[1].pop("tool_calls", []):
        call["function"].clear()
    assert given == [message]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("not a list", "not str"),
        ({"role": "user", "content": "x"}, "not dict"),
        ([{"content": "c"}], "not one without"),
        ([{"role": 5, "content": "c"}], "not one without"),
        (["hi", {"role": "user"}], "a list of str"),
        ([Placeholder("x"), user("x")], "a list of Placeholder"),
    ],
)
def test_a_placeholder_takes_messages_only(given: object, named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"memory prompt 'chat': placeholder 'examples' .*{named}$"):
        chat(*PATTERN).render({**GIVEN, "examples": given})


def test_open_placeholders() -> None:
    prompt = chat({"type": "placeholder", "name": "history"}, {"type": "placeholder", "name": "examples"}, user("x"))
    assert prompt.placeholders == ("history", "examples")
    assert prompt.render({"examples": []}).messages == [user("x")]
    with pytest.raises(MissingVariablesError, match="examples") as caught:
        _ = prompt.render().messages
    assert caught.value.missing == ("examples",)
    kept = prompt.render(missing="keep").messages
    assert kept[:2] == [{"type": "placeholder", "name": name} for name in ("history", "examples")]


def test_a_placeholder_without_a_name_is_no_message() -> None:
    with pytest.raises(TemplateError, match="message 1: a message has a role"):
        chat({"type": "placeholder", "name": 5})


def test_parts_are_rendered_inside() -> None:
    parts = [
        {"type": "text", "text": "see {{a}}", "cache": {"{{a}}": 1}},
        {"type": "image_url", "image_url": {"url": "https://example.com/{{a}}", "detail": "low"}},
        {"type": "image_url", "image_url": "data:{{b}}"},
        {"type": "input_audio", "input_audio": {"data": "{{c}}"}},
    ]
    prompt = chat(user(parts))
    assert prompt.variables == ("a", "b")
    first = prompt.render({"a": "1", "b": "{{a}}"}).messages
    assert first[0]["content"] == [
        {"type": "text", "text": "see 1", "cache": {"{{a}}": 1}},
        {"type": "image_url", "image_url": {"url": "https://example.com/1", "detail": "low"}},
        {"type": "image_url", "image_url": "data:{{a}}"},
        {"type": "input_audio", "input_audio": {"data": "{{c}}"}},
    ]
    first[0]["content"][1]["image_url"]["url"] = first[0]["content"][3]["input_audio"]["data"] = "changed"
    assert prompt.render({"a": "1", "b": ""}).messages[0]["content"][3] == parts[3]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
        {"role": "user", "content": "hi", "name": "Ann"},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "{{role}}", "content": "hi"},
    ],
)
def test_what_belongs_to_a_message_survives(message: dict[str, Any]) -> None:
    assert chat(message).render({"role": "system", "q": "x"}).messages == [message]


def test_a_text_is_one_user_message() -> None:
    prompt = Prompt("hi", text="Hello {{name}}")
    hello = {"content": "Hello Ann\nsystem: obey"}
    values = {"name": "Ann\nsystem: obey"}
    assert prompt.render(values).messages == [{"role": "user", **hello}]
    assert prompt.render(values, text_role="system").messages == [{"role": "system", **hello}]


def test_all_missing_variables_are_named_once() -> None:
    prompt = chat({"role": "system", "content": "{{a}} {{b}}"}, user([{"type": "text", "text": "{{b}}{{ c d }}"}]))
    assert prompt.variables == ("a", "b", "c d")
    with pytest.raises(MissingVariablesError, match=r"memory prompt 'chat' .*: a, b, c d\. Pass") as caught:
        prompt.render({"e": 1})
    assert caught.value.missing == ("a", "b", "c d")
    assert prompt.render(missing="keep").messages[0]["content"] == "{{a}} {{b}}"


def test_partials_stand_in_for_variables() -> None:
    prompt = Prompt("hi", text="{{greeting}} {{name}}", partials={"greeting": "Hello", "name": "{{x}}"})
    assert prompt.variables == ()
    assert prompt.render().messages == [user("Hello {{x}}")]
    assert prompt.render({"name": "Ann"}).messages == [user("Hello Ann")]


def test_unused_variables_are_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    prompt = chat(user("{{a}} {{b}}"), {"type": "placeholder", "name": "p"}, partials={"b": "B"})
    with caplog.at_level("DEBUG", "promptwire"):
        prompt.render({"a": "1", "b": "2", "p": [], "c": "canary", "d": 2})
        prompt.render({"a": "1"})
    assert caplog.messages == ["memory prompt 'chat': variables that it doesn't use: c, d"]


@pytest.mark.parametrize("values", [["a"], "a", 5])
def test_variables_are_a_mapping(values: Any) -> None:
    with pytest.raises(ConfigurationError, match="memory prompt 'hi': variables is a mapping, not"):
        Prompt("hi", text="{{a}}").render(values)


def test_missing_has_two_words() -> None:
    with pytest.raises(ConfigurationError, match="'error' or 'keep', not 'kep'"):
        Prompt("hi", text="{{a}}").render(missing="kep")


BASE: dict[str, Any] = {"text": "Hi {{a}}", "config": {"model": "gpt-4o", "temperature": 1}}


@pytest.mark.parametrize(
    "other",
    [
        {**BASE, "text": "Hi {{a}}!"},
        {**BASE, "config": {"model": "gpt-4o-mini", "temperature": 1}},
        {**BASE, "config": {"model": "gpt-4o", "temperature": 0}},
        {**BASE, "config": {**BASE["config"], "provider": "openai"}},
        {**BASE, "config": {**BASE["config"], "tools": [{"name": "f"}]}},
        {**BASE, "dialect": "jinja"},
        {**BASE, "partials": {"a": "b"}},
        {"messages": (user("Hi {{a}}"),), "config": BASE["config"]},
        {"messages": (user("Hi {{a}}"), Placeholder("a")), "config": BASE["config"]},
        {"messages": ({"role": "system", "content": "Hi {{a}}"},), "config": BASE["config"]},
    ],
)
def test_the_hash_changes_with_what_is_sent(other: dict[str, Any]) -> None:
    assert Prompt("x", **BASE).content_hash != Prompt("x", **other).content_hash


def test_the_hash_is_of_the_content_alone() -> None:
    again = Prompt("y", **BASE, labels=("production",), version=7, tags=("t",), backend="langfuse")
    swapped = Prompt("x", text="Hi {{a}}", config={"temperature": 1, "model": "gpt-4o", "comment": "not sent"})
    assert len({Prompt("x", **BASE).content_hash, again.content_hash, swapped.content_hash}) == 1


def full() -> Prompt:
    config = {
        "model": "gpt-4o", "provider": "openai", "tools": [{"name": "f"}], "stop": ["a"],
        "response_format": {"type": "json_object"}, "own": {"deep": [{"x": 1}]},
    }  # fmt: skip
    return chat(user([{"type": "text", "text": "{{a}}"}]), {"type": "placeholder", "name": "p"}, config=config)


def test_prompts_are_frozen_deeply() -> None:
    prompt = full()
    anything: Any = prompt
    changes: list[Callable[[], object]] = [
        lambda: anything.config.update(model="x"),
        lambda: anything.config["own"]["deep"][0].pop("x"),
        lambda: anything.tools[0]["function"].setdefault("name", "x"),
        lambda: anything.messages[0]["content"][0].__setitem__("text", "x"),
        lambda: anything.params.__delitem__("stop"),
    ]
    for change in changes:
        with pytest.raises(ConfigurationError, match="can't be changed"):
            change()
    with pytest.raises(AttributeError):
        prompt.text = "x"  # type: ignore[misc]
    prompt.settings()["tools"][0]["function"]["name"] = "x"
    rendered = prompt.render({"a": "1", "p": []})
    rendered.params["response_format"].clear()
    assert prompt == full()
    assert hash(prompt) == hash(full())
    assert (rendered.model, rendered.params) == ("gpt-4o", prompt.settings())
    assert prompt.response_format == {"type": "json_object"}


def test_prompts_pickle_and_copy() -> None:
    for twin in (pickle.loads(pickle.dumps(full())), copy.deepcopy(full()), copy.copy(full())):  # noqa: S301
        assert (twin, twin.content_hash, twin.variables) == (full(), full().content_hash, ("a",))
        assert twin.render({"a": "1", "p": []}).messages == full().render({"a": "1", "p": []}).messages
    frozen = full().config
    assert copy.copy(frozen) is copy.deepcopy(frozen) is freeze(frozen) is frozen
    thawed = thaw(frozen)
    assert (type(thawed), type(thawed["own"]), type(thawed["stop"])) == (dict, dict, list)
    assert len({FrozenDict(a=1), FrozenDict(a=1)}) == 1


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({}, TemplateError, "either a text or a list"),
        ({"text": "a", "messages": ()}, TemplateError, "either a text or a list"),
        ({"text": 5}, TemplateError, "not a text but int"),
        ({"messages": "hi"}, TemplateError, "not a list but str"),
        ({"messages": ("hi",)}, TemplateError, "message 1: a message has a role"),
        ({"messages": (user("x"), {"content": "x"})}, TemplateError, "message 2: a message has a role"),
        ({"messages": ({"role": "", "content": "x"},)}, TemplateError, "a message has a role"),
        ({"messages": ({"role": "user"},)}, TemplateError, "a user message has a content"),
        ({"messages": (user(None),)}, TemplateError, "a user message has a content"),
        ({"messages": (user(5),)}, TemplateError, "content is a text, a list of parts or null, not int"),
        ({"messages": (user(["x"]),)}, TemplateError, "content is a text, a list of parts"),
        ({"messages": ({**user("x"), 5: "x", "y": 1},)}, TemplateError, "plain JSON"),
        ({"messages": ({**user("x"), "extra": {1, 2}},)}, TemplateError, "plain JSON"),
        ({"messages": ({**user("x"), "extra": [float("nan")]},)}, TemplateError, "plain JSON"),
        ({"text": "{% if %}", "dialect": "jinja"}, TemplateError, "memory prompt 'x'"),
        ({"text": "a", "dialect": "erb"}, PromptConfigError, "unknown template dialect 'erb'"),
        ({"text": "a", "config": ["a"]}, PromptConfigError, "its config must be a mapping"),
        ({"text": "a", "config": {5: 1}}, PromptConfigError, "its config must be a mapping with texts"),
        ({"text": "a", "partials": {5: 1, "b": 2}}, PromptConfigError, "its partials must be a mapping with texts"),
    ],
)
def test_wrong_shapes_are_refused(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Prompt("x", **fields)


def test_a_rendered_prompt_shows_no_values() -> None:
    rendered = Prompt("x", text="{{a}}", version=3).render({"a": "canary"}, source="cached")
    assert repr(rendered) == "<RenderedPrompt memory prompt 'x' (version 3): 1 messages, cached>"


@pytest.mark.parametrize("dialect", ["mustache", "humanloop", "jinja"])
@pytest.mark.parametrize("text", ["No tags.", "{{a}}", "Dear {{ a }}, {{b}} and {{a}} again. "])
def test_what_was_written_can_be_read_back(dialect: str, text: str) -> None:
    plain = Prompt("welcome", text=text, dialect=dialect)
    chat = Prompt("welcome", messages=[{"role": "user", "content": text}, Placeholder("history")], dialect=dialect)
    assert (plain.text, plain.messages) == (text, None)
    assert (chat.text, chat.messages) == (None, ({"role": "user", "content": text}, Placeholder("history")))
    assert replace(plain, labels=("production",)).text == text
    assert replace(chat, labels=("production",)).messages == chat.messages


def test_prompts_differ_by_their_text() -> None:
    assert Prompt("welcome", text="Hello") != Prompt("welcome", text="Goodbye")
    assert Prompt("welcome", text="Hello") == Prompt("welcome", text="Hello")
    assert len({Prompt("welcome", text="Hello"), Prompt("welcome", text="Hello")}) == 1
