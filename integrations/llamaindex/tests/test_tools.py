"""Calls with tools through ``Promptwire`` over its gateway."""

import json
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.promptwire import Promptwire

from promptwire import ConfigurationError, GatewayError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

SYSTEM = {"role": "system", "content": "You are Ada."}


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def shout(text: str) -> str:
    """Shouts."""
    return text.upper()


ADD, SHOUT = FunctionTool.from_defaults(add), FunctionTool.from_defaults(shout)
CALL_ADD = [{"name": "add", "arguments": {"a": 2, "b": 3}}]


def scripted(monkeypatch: pytest.MonkeyPatch, *replies: Any) -> FakeOpenAI:
    """A provider of its own that answers so, in turn."""
    server = FakeOpenAI(reply=list(replies)).start()
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


def test_chat_with_tools(persona: Promptwire, openai: FakeOpenAI) -> None:
    answer = persona.chat_with_tools([ADD, SHOUT], "Please add", tool_required=True)
    sent = openai.requests[-1].json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["add", "shout"]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
    assert sent["messages"] == [SYSTEM, {"role": "user", "content": "Please add"}]
    assert [call.tool_name for call in persona.get_tool_calls_from_response(answer)] == ["add"]
    assert answer.additional_kwargs["prompt_id"] == "persona"
    assert "prompt_id" not in answer.message.additional_kwargs
    assert answer.message.content is None


@pytest.mark.parametrize(
    ("given", "sent"),
    [("shout", {"type": "function", "function": {"name": "shout"}}), ("none", "none"), ("required", "required")],
)
def test_tool_choice(given: str, sent: object, persona: Promptwire, openai: FakeOpenAI) -> None:
    persona.chat_with_tools([ADD, SHOUT], "Hi", tool_choice=given, allow_parallel_tool_calls=True, temperature=0)
    body = openai.requests[-1].json
    assert (body["tool_choice"], body["temperature"]) == (sent, 0)
    assert "parallel_tool_calls" not in body


async def test_all_four_with_tools(persona: Promptwire, openai: FakeOpenAI) -> None:
    history = [ChatMessage("Hi"), ChatMessage("Hello", role="assistant")]
    answers = [
        persona.chat_with_tools([ADD], "add", history),
        [*persona.stream_chat_with_tools([ADD], "add", history)][-1],
        await persona.achat_with_tools([ADD], "add", history),
        [one async for one in await persona.astream_chat_with_tools([ADD], "add", history)][-1],
    ]
    for answer in answers:
        [call] = persona.get_tool_calls_from_response(answer)
        assert (call.tool_name, sorted(call.tool_kwargs)) == ("add", ["a", "b"])
    assert len({json.dumps(request.json["messages"]) for request in openai.requests}) == 1


def test_an_agents_tools_replace_the_prompts(library: MemoryBackend, persona: Promptwire, openai: FakeOpenAI) -> None:
    own = {"type": "function", "function": {"name": "own", "parameters": {"type": "object", "properties": {}}}}
    library.publish("armed", "Hi", config={"tools": [own], "tool_choice": "required", "parallel_tool_calls": False})
    llm = persona.bind(prompt_id="armed")
    llm.chat_with_tools([ADD], "Hi", allow_parallel_tool_calls=True)
    sent = openai.requests[-1].json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["add"]
    assert not {"tool_choice", "parallel_tool_calls"} & sent.keys()
    answer = llm.chat_with_tools([], "Hi")
    assert openai.requests[-1].json["tools"] == [own]
    assert [call.tool_name for call in llm.get_tool_calls_from_response(answer)] == ["own"]


async def test_predict_and_call(persona: Promptwire, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, CALL_ADD, CALL_ADD, "No.") as server:
        assert persona.predict_and_call([ADD], "Add 2 and 3").response == "5"
        assert (await persona.apredict_and_call([ADD], "Add 2 and 3")).response == "5"
        with pytest.raises(GatewayError, match="without a call"):
            persona.predict_and_call([ADD], "Add")
    assert server.count == 3


def test_a_host_that_answers_more_calls_than_asked_for(persona: Promptwire, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, CALL_ADD * 2):
        one = persona.chat_with_tools([ADD], "Add")
        both = persona.chat_with_tools([ADD], "Add", allow_parallel_tool_calls=True)
    assert [len(persona.get_tool_calls_from_response(answer)) for answer in (one, both)] == [1, 2]
    assert [len(answer.message.additional_kwargs["tool_calls"]) for answer in (one, both)] == [1, 2]


def test_messages_that_are_none(persona: Promptwire, resolver: Resolver, openai: FakeOpenAI) -> None:
    for llm in (persona, Promptwire(model="gpt-4o", resolver=resolver)):
        with pytest.raises(ConfigurationError, match="ChatMessage, not of str"):
            llm.chat("Hi")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="messages is a list"):
            llm.chat(None)  # type: ignore[arg-type]
