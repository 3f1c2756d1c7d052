"""What every front door does with a managed prompt: variables by rank, messages joined, one note where text is lost."""

import logging
from typing import Any

import pytest

from promptwire import Prompt, Resolver, variables
from promptwire.backends.memory import MemoryBackend
from promptwire.calls import PromptCall, make_ready, turn
from promptwire.errors import ConfigurationError, MissingVariablesError
from promptwire.messages import parse_messages

ASKED = {"role": "user", "content": "Why?"}
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, ASKED]


def ready(content: Any, messages: list[dict[str, Any]], resolver: Resolver | None = None, **options: Any) -> list[Any]:
    body = {"text": content} if isinstance(content, str) else {"messages": parse_messages(content)}
    call = PromptCall(prompt_id="p", **options)
    resolver = resolver or Resolver(MemoryBackend())
    made = make_ready(call, (Prompt("p", **body), "fresh"), [turn(message) for message in messages], resolver)
    assert made.rendered.source == "fresh"
    return made.messages


def texts(messages: list[Any]) -> list[str]:
    return [message["content"] for message in messages]


def test_variables_rank() -> None:
    low = {"a": "low", "b": "low", "c": "low"}
    with variables(b="ambient", c="ambient"):
        assert texts(ready("{{a}} {{b}} {{c}}", [], variables=low, overrides={"c": "top"})) == ["low ambient top"]
    assert low == {"a": "low", "b": "low", "c": "low"}


def test_the_question_fills_a_variable_and_leaves_the_turns() -> None:
    assert texts(ready("About {{q}}", TALK, input_variable="q")) == ["Hi", "Yes?", "About Why?"]
    assert texts(ready("About {{q}}", TALK, input_variable="q", overrides={"q": "x"})) == ["Hi", "Yes?", "About Why?"]
    assert texts(ready("About {{q}}", [], input_variable="q", overrides={"q": "x"})) == ["About x"]
    with pytest.raises(MissingVariablesError, match=r": q\."):
        ready("About {{q}}", [{"role": "user", "content": " "}], input_variable="q")


def test_a_slot_takes_the_turns() -> None:
    prompt = [
        {"role": "system", "content": "S"},
        {"type": "placeholder", "name": "x"},
        {"role": "user", "content": "Q"},
    ]
    sent = ready(prompt, TALK, messages_placeholder="x")
    assert texts(sent) == ["S", "Hi", "Yes?", "Why?", "Q"]
    assert sent[1] is TALK[0]
    assert texts(ready(prompt, TALK, overrides={"x": [ASKED]})) == ["S", "Why?", "Q", "Yes?", "Why?"]
    with pytest.raises(MissingVariablesError, match=r"placeholders .*: x"):
        ready(prompt, [])


def test_missing_is_the_calls_else_the_resolvers() -> None:
    keeper = Resolver(MemoryBackend(), missing="keep")
    assert texts(ready("{{a}}", [], keeper)) == ["{{a}}"]
    assert texts(ready("{{a}}", [], missing="keep")) == ["{{a}}"]
    with pytest.raises(MissingVariablesError):
        ready("{{a}}", [], keeper, missing="error")


def test_a_text_prompt_may_be_the_system_message() -> None:
    assert ready("S", [ASKED], text_role="system") == [{"role": "system", "content": "S"}, ASKED]


def test_lost_text_is_noted_once_a_prompt(caplog: pytest.LogCaptureFixture) -> None:
    resolver = Resolver(MemoryBackend())
    with caplog.at_level("DEBUG", "promptwire"):
        for options in ({"message_mode": "replace"}, {}, {}):
            assert texts(ready("Q", [ASKED], resolver, **options)) == ["Q"]
        ready("Q", [{"role": "user", "content": " "}], Resolver(MemoryBackend()))
    assert [(record.levelno, record.getMessage()[:40]) for record in caplog.records] == [
        (logging.DEBUG, "memory prompt 'p' stands for the caller'")
    ]
    for name in ("prepend", "input_variable", "text_role"):
        assert name in caplog.text
    assert "Why?" not in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variables": ["a"]}, "prompt 'p': prompt_variables is a mapping"),
        ({"overrides": None}, "prompt 'p': prompt_variables is a mapping"),
        ({"message_mode": "append"}, "message_mode is one of auto, replace, prepend, not 'append'"),
        ({"missing": ""}, "missing is 'error' or 'keep', not ''"),
    ],
)
def test_what_a_call_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PromptCall(prompt_id="p", **options)


@pytest.mark.parametrize("message", ["hi", None, {}, {"content": "x"}, {"role": 5}, {"role": None, "content": "x"}])
def test_what_is_no_message(message: Any) -> None:
    with pytest.raises(ConfigurationError, match="dicts with a role and a content"):
        turn(message)


@pytest.mark.parametrize(
    ("extra", "calls"),
    [({}, False), ({"tool_calls": []}, False), ({"tool_calls": [{}]}, True), ({"function_call": {"name": "f"}}, True)],
)
def test_a_message_as_compose_sees_it(extra: dict[str, Any], *, calls: bool) -> None:
    message = {"role": "assistant", **extra}
    seen = turn(message)
    assert (seen.role, seen.content, seen.calls_tools) == ("assistant", None, calls)
    assert seen.item is message


def test_a_call_shows_no_values() -> None:
    call = PromptCall(prompt_id="p", variables={"a": "canary"}, overrides={"b": "canary"}, label="x")
    assert "canary" not in repr(call)
    assert call.options() == {"backend": None, "label": "x", "version": None, "fallback": None}
