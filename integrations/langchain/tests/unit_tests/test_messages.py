"""OpenAI's dicts to LangChain's messages and back."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_promptwire.messages import to_langchain, turn
from langchain_promptwire.outgoing import to_openai

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
SPACED = {**CALL, "function": {"name": "f", "arguments": '{"x": 1}'}}
TEXT = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
MESSAGES: list[tuple[dict[str, Any], type]] = [
    ({"role": "system", "content": "S"}, SystemMessage),
    ({"role": "developer", "content": "D"}, SystemMessage),
    ({"role": "developer", "content": [TEXT]}, SystemMessage),
    ({"role": "user", "content": "é \u2028 😀"}, HumanMessage),
    ({"role": "user", "content": ""}, HumanMessage),
    ({"role": "user", "content": [TEXT]}, HumanMessage),
    ({"role": "user", "content": [TEXT, TEXT, IMAGE]}, HumanMessage),
    ({"role": "user", "content": [{**TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}}]}, HumanMessage),
    ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, HumanMessage),
    (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "a", "format": "wav"}}]},
        HumanMessage,
    ),
    ({"role": "user", "name": "Ada", "content": "Hi"}, HumanMessage),
    ({"role": "user", "name": "Ada L", "content": "Hi"}, HumanMessage),
    ({"role": "assistant", "content": "A"}, AIMessage),
    ({"role": "assistant", "content": ""}, AIMessage),
    ({"role": "assistant", "content": None, "tool_calls": [CALL]}, AIMessage),
    ({"role": "assistant", "content": None, "tool_calls": [SPACED]}, AIMessage),
    ({"role": "assistant", "content": "", "tool_calls": [CALL]}, AIMessage),
    ({"role": "assistant", "tool_calls": [SPACED]}, AIMessage),
    ({"role": "assistant", "content": "A", "name": "bot", "tool_calls": [CALL, {**SPACED, "id": "b"}]}, AIMessage),
    (
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}]},
        AIMessage,
    ),
    ({"role": "assistant", "content": None, "refusal": "No"}, AIMessage),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}, AIMessage),
    ({"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, ChatMessage),
    ({"role": "tool", "content": "R", "tool_call_id": "a"}, ToolMessage),
    ({"role": "tool", "content": [TEXT], "tool_call_id": "a", "name": "f"}, ToolMessage),
    ({"role": "tool", "content": "R"}, ChatMessage),
    ({"role": "narrator", "content": "N"}, ChatMessage),
]


@pytest.mark.parametrize(("message", "kind"), MESSAGES)
def test_there_and_back(message: dict[str, Any], kind: type) -> None:
    before = copy.deepcopy(message)
    made = to_langchain(message)
    assert type(made) is kind
    assert to_openai([made]) == [message] == [before]


@given(st.text(), st.sampled_from(["system", "user", "assistant", "developer"]))
def test_any_text_survives(text: str, role: str) -> None:
    assert to_openai([to_langchain({"role": role, "content": text})]) == [{"role": role, "content": text}]


def test_langchains_own_shapes_go_out_as_openais() -> None:
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
    calls = [{"name": "f", "args": {"x": 1}, "id": "a", "type": "tool_call"}]
    broken = [{"name": "f", "args": "{", "id": "b", "error": "", "type": "invalid_tool_call"}]
    said = AIMessage([use], tool_calls=calls, invalid_tool_calls=broken, name="my agent")
    (sent,) = to_openai([said])
    assert sent == {
        "role": "assistant",
        "name": "my_agent",
        "content": None,
        "tool_calls": [SPACED, {"type": "function", "id": "b", "function": {"name": "f", "arguments": "{"}}],
    }
    assert to_openai([ToolMessage("R", tool_call_id="a", name="f")]) == [
        {"role": "tool", "content": "R", "tool_call_id": "a"}
    ]
    assert turn(said).calls_tools
    assert turn(AIMessage("", tool_calls=calls)).calls_tools
    assert turn(AIMessage([use])).calls_tools


def test_turns_are_views() -> None:
    mixed = HumanMessage(["Hi", IMAGE])
    seen = turn(mixed)
    assert (seen.role, seen.content, seen.item) == ("user", [TEXT, IMAGE], mixed)
    assert seen.item is mixed
    assert turn(to_langchain({"role": "developer", "content": "D"})).role == "developer"
    assert turn(ChatMessage(role="narrator", content="N")).role == "narrator"
    assert turn(HumanMessage([{"type": "tool_result", "tool_use_id": "a", "content": "R"}])).role == "tool"
    assert (turn(AIMessage("A")).role, turn(AIMessage("A")).calls_tools) == ("assistant", False)
