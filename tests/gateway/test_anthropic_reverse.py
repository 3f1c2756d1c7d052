"""Anthropic's requests as OpenAI's, and what survives the way there and back."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.wire import AnthropicWire, to_openai
from promptwire.gateway.openai import OpenAIWire
from promptwire.gateway.providers import Target
from promptwire.testing import FakeOpenAI
from promptwire.testing.openai_rules import check_request as check_openai
from tests.doubles.anthropic_model import thought
from tests.doubles.anthropic_rules import check_request
from tests.doubles.wire_calls import WireCalls

MODEL = "claude-sonnet-5-5"
HI = {"role": "user", "content": "Hi"}
MARK = {"cache_control": {"type": "ephemeral"}}


def turned(*messages: Any, **body: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return to_openai({"model": MODEL, "max_tokens": 9, "messages": list(messages or (HI,)), **body})


def asked(messages: Any, params: Mapping[str, Any], model: str = MODEL) -> dict[str, Any]:
    """The body that the wire makes."""
    request = AnthropicWire().request(Target("p", model, None, "http://h"), messages, params, stream=False)
    body: dict[str, Any] = json.loads(request.body or b"")
    return body


def test_a_whole_request() -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": "YQ=="}
    messages, params = turned(
        {"role": "user", "content": [{"type": "text", "text": "Add"}, {"type": "image", "source": picture}]},
        {
            "role": "assistant",
            "content": [
                thought("hm"),
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "broken", "is_error": True},
                {"type": "text", "text": "Well?"},
            ],
        },
        system=[{"type": "text", "text": "Be kind.", **MARK}],
        tools=[{"name": "add", "description": "Adds.", "input_schema": {"type": "object"}, "strict": True, **MARK}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        temperature=0.5,
        metadata={"user_id": "u1"},
        service_tier="standard_only",
        stream=True,
    )
    call = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}
    assert messages == [
        {"role": "system", "content": [{"type": "text", "text": "Be kind.", **MARK}]},
        {"role": "user", "content": [{"type": "text", "text": "Add"}, image]},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [call],
            "reasoning_content": "hm",
            "thinking_blocks": [thought("hm")],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "broken", "is_error": True},
        {"role": "user", "content": "Well?"},
    ]
    function = {"name": "add", "description": "Adds.", "strict": True, "parameters": {"type": "object"}}
    assert params == {
        "max_tokens": 9,
        "temperature": 0.5,
        "stop": ["END"],
        "user": "u1",
        "service_tier": "default",
        "tools": [{"type": "function", "function": function, **MARK}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }


def test_an_anthropic_conversation_goes_on_at_openai() -> None:
    messages, params = turned(
        HI,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "add", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}, {"type": "text", "text": "Well?"}]},
        tools=[{"name": "add", "input_schema": {"type": "object"}, "type": "custom"}],
        system="Be kind.",
    )
    with FakeOpenAI() as server:
        calls = WireCalls(OpenAIWire(), server.url, server.api_key, model="gpt-4o")
        assert calls.said(messages, **params)["content"] == "[gpt-4o] Well?"


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        (None, {}),
    ],
)
def test_tool_choices(choice: Any, made: dict[str, Any]) -> None:
    assert turned(tool_choice=choice)[1] == {"max_tokens": 9, **made}


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1025}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30000}}, "high"),
        ({"output_config": {"effort": "max"}}, "max"),
        ({"metadata": {}}, None),
    ],
)
def test_thinking_is_an_effort(body: dict[str, Any], effort: str | None) -> None:
    assert turned(**body)[1].get("reasoning_effort") == effort


def test_schemas() -> None:
    schema = {"type": "object", "additionalProperties": False}
    form = turned(output_config={"format": {"type": "json_schema", "schema": schema}})[1]["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}, "title": "A"},
            {"type": "file", "file": {"file_data": "https://h/a.pdf", "filename": "A"}},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,w6k="}},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f1"}, **MARK},
            {"type": "file", "file": {"file_id": "f1"}, **MARK},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
        ),
    ],
)
def test_blocks_there_and_back(block: dict[str, Any], part: dict[str, Any]) -> None:
    messages, params = turned({"role": "user", "content": [block]})
    assert messages == [{"role": "user", "content": [part]}]
    assert asked(messages, params)["messages"] == [{"role": "user", "content": [block]}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"top_k": 3, "container": "c"}, "no container and no top_k"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "type 'web_search_20250305'"),
        ({"messages": [{"role": "user", "content": [{"type": "search_result"}]}]}, "type 'search_result'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
            "type 'image'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "content"}}]}]},
            "type 'document'",
        ),
        ({"messages": None}, "shape that Anthropic's API documents"),
    ],
)
def test_what_openai_has_no_word_for(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        turned(**body)


def test_empty_and_odd_turns() -> None:
    system = {"role": "system", "content": "Now in French."}
    odd = [{"role": "user", "content": []}, {"role": "assistant", "content": ""}, system]
    assert turned(*odd)[0] == [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}, system]


TEXTS = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()) and "\ud800" not in text)
PARTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    st.binary(min_size=1, max_size=6).map(
        lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(data)}"}}
    ),
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    TEXTS.map(lambda text: {"type": "file", "file": {"file_data": f"data:text/plain;base64,{_base64(text.encode())}"}}),
)
INPUTS = st.dictionaries(TEXTS, st.one_of(st.integers(), TEXTS, st.lists(st.booleans(), max_size=2)), max_size=2)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _content(parts: list[dict[str, Any]]) -> Any:
    """A lone text is itself: the form that the way back gives."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What both APIs take: turns that alternate, every call with its result."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(TEXTS)})
    for turn in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": _content(draw(st.lists(PARTS, min_size=1, max_size=3)))})
        messages += _step(draw, turn)
    messages.append({"role": "user", "content": draw(TEXTS)})
    return messages


def _step(draw: st.DrawFn, turn: int) -> list[dict[str, Any]]:
    inputs = draw(st.lists(INPUTS, max_size=3))
    calls = [
        {
            "id": f"call_{turn}_{at}",
            "type": "function",
            "function": {"name": "f", "arguments": json.dumps(one, ensure_ascii=False)},
        }
        for at, one in enumerate(inputs)
    ]
    said: dict[str, Any] = {"role": "assistant", "content": draw(TEXTS if not calls else st.none() | TEXTS)}
    if calls:
        said["tool_calls"] = calls
    if draw(st.booleans()):
        text = draw(TEXTS)
        said |= {"reasoning_content": text, "thinking_blocks": [thought(text)]}
    results: list[dict[str, Any]] = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": draw(TEXTS),
            **draw(st.sampled_from([{}, {"is_error": True}])),
        }
        for call in calls
    ]
    # Between results and the next question somebody speaks, or they would be one turn.
    return [said, *results, *([{"role": "assistant", "content": "So."}] if calls else [])]


@given(conversations(), st.booleans())
def test_there_and_back_nothing_is_lost(messages: list[dict[str, Any]], with_tools: bool) -> None:  # noqa: FBT001
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    params = {"max_tokens": 100, "tools": [tool], "stop": ["x"], "user": "u"} if with_tools else {"max_tokens": 100}
    body = asked(messages, params)
    check_request(body, "2023-06-01")
    back, given_back = to_openai(body)
    assert back == messages
    if with_tools:
        assert given_back == params
    foreign = {"thinking_blocks", "reasoning_content", "is_error"}
    plain = [{key: value for key, value in message.items() if key not in foreign} for message in back]
    check_openai({"model": "gpt-4o", "messages": plain, **given_back})
    assert asked(back, given_back) == body
