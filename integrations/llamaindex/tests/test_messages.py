"""Messages in both directions: prompts for every LLM, and the callers' for the wire."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

import promptwire
from promptwire import ConfigurationError, Resolver, TemplateError
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":  1, "ü": "\\u00fc"}'}}
USER = {"role": "user", "content": "Q"}

PROMPTS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hello {{name}} \u2028 ünï 🙂\n"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "{{name}}"}]}],
    "images": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
                {"type": "image_url", "image_url": {"url": "https://Example.com/ü?{{name}}", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": PIXEL}},
            ],
        }
    ],
    "audio": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}],
    "file": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}]}],
    "calls": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "{{name}}"},
    ],
    "calls and text": [
        USER,
        {"role": "assistant", "content": "Let me", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": "So?"},
    ],
    "names": [{"role": "system", "name": "boss", "content": "S"}, {"role": "user", "name": "ada", "content": "Q"}],
    "developer": [{"role": "developer", "content": "D {{name}}"}, USER],
    "empty": [{"role": "system", "content": ""}, USER, {"role": "assistant", "content": ""}, USER],
    "refusal": [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}, USER],
}


@pytest.mark.parametrize("name", PROMPTS)
def test_the_same_request_as_completion(
    name: str, library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI
) -> None:
    library.publish(name, PROMPTS[name], config={"temperature": 0.5, "stop": ["x"], "api_base": "http://127.0.0.1:1"})
    common: dict[str, Any] = {"prompt_id": name, "prompt_variables": {"name": "{{A}}{b}"}, "resolver": resolver}
    promptwire.completion(model="gpt-4o-mini", **common)
    list(promptwire.completion(model="gpt-4o-mini", stream=True, **common))
    llm = Promptwire(model="gpt-4o-mini", **common)
    llm.chat([])
    list(llm.stream_complete(""))
    whole, streamed, our_whole, our_streamed = [request.json for request in openai.requests]
    assert (our_whole, our_streamed) == (whole, streamed)
    assert whole["messages"] != []


def test_a_delegate_gets_blocks(library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI) -> None:
    for name in ("text", "images", "calls", "calls and text", "developer"):
        library.publish(name, PROMPTS[name])
        delegate = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url, max_retries=0)
        Promptwire(llm=delegate, prompt_id=name, prompt_variables={"name": "Ada"}, resolver=resolver).chat([])
        Promptwire(model="gpt-4o-mini", prompt_id=name, prompt_variables={"name": "Ada"}, resolver=resolver).chat([])
        theirs, ours = [request.json["messages"] for request in openai.requests[-2:]]
        for message in ours:
            if message["role"] == "tool" and isinstance(message["content"], list):
                message["content"] = message["content"][0]["text"]
        assert theirs == ours


@pytest.mark.parametrize(
    "content",
    [
        PROMPTS["file"][0]["content"],
        [{"type": "image_url", "image_url": {"url": "no url"}}],
        [{"type": "text"}],
    ],
)
def test_what_blocks_cant_hold_is_refused_for_a_delegate(
    content: Any, mock: Callable[..., LLM], library: MemoryBackend, resolver: Resolver
) -> None:
    library.publish("odd", [{"role": "user", "content": content}])
    llm = Promptwire(llm=mock(), prompt_id="odd", resolver=resolver)
    with pytest.raises(TemplateError, match="memory prompt 'odd'"):
        llm.chat([])


def test_roles(mock: Callable[..., LLM], library: MemoryBackend, resolver: Resolver) -> None:
    told = mock(response_generator=lambda messages, **_: ChatMessage(str([m.role.value for m in messages])))
    library.publish("old", [{"role": role, "content": "x"} for role in ("human", "ai", "user")])
    llm = Promptwire(llm=told, prompt_id="old", resolver=resolver)
    assert llm.chat([]).message.content == "['user', 'assistant', 'user']"
    library.publish("odd", [{"role": "narrator", "content": "x"}, {"role": "user", "content": "x"}])
    with pytest.raises(TemplateError, match="role"):
        llm.chat([], prompt_id="odd")


RESULT = ChatMessage("2", role="tool", additional_kwargs={"tool_call_id": "call_1", "name": "add"})
READ = {"a": 1, "ü": "ü"}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (ChatMessage("Hi", additional_kwargs={"name": "ada", "x": 1}),
         {"role": "user", "content": "Hi", "name": "ada"}),
        (ChatMessage(blocks=[
            TextBlock(text="a"), CachePoint(cache_control=CacheControl(type="ephemeral")), TextBlock(text="b")
        ]),
         {"role": "user", "content": "ab"}),
        (ChatMessage(blocks=[TextBlock(text="a"), ImageBlock(url="https://example.com/a.png", detail="high")]),
         {"role": "user", "content": [
             {"type": "text", "text": "a"},
             {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
         ]}),
        (ChatMessage(blocks=[ImageBlock(image=b"\x89PNG\r\n\x1a\n")]),
         {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}),
        (ChatMessage(blocks=[AudioBlock(audio=b"\x00\x00\x00", format="wav")]),
         {"role": "user", "content": PROMPTS["audio"][0]["content"]}),
        (ChatMessage("Hm", role="model"), {"role": "assistant", "content": "Hm"}),
        (ChatMessage(role="chatbot", blocks=[ThinkingBlock(content="?"), TextBlock(text="Hm")]),
         {"role": "assistant", "content": "Hm"}),
        (ChatMessage(blocks=[TextBlock(text="S"), ImageBlock(image=b"x")], role="system"),
         {"role": "system", "content": "S"}),
    ],
)  # fmt: skip
def test_messages_of_the_callers(message: ChatMessage, sent: dict[str, Any], openai: FakeOpenAI) -> None:
    PromptwireGateway(model="gpt-4o").chat([ChatMessage("Q"), message])
    assert openai.requests[-1].json["messages"] == [USER, sent]


@pytest.mark.parametrize(
    "assistant",
    [
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs=READ)]),
        ChatMessage(None, role="assistant", additional_kwargs={"tool_calls": [CALL]}),
        ChatMessage("", role="assistant", additional_kwargs={"tool_calls": [
            ToolSelection(tool_id="call_1", tool_name="add", tool_kwargs=READ)
        ]}),
    ],
)  # fmt: skip
def test_tool_calls_in_all_forms(assistant: ChatMessage, openai: FakeOpenAI) -> None:
    PromptwireGateway(model="gpt-4o").chat([ChatMessage("Q"), assistant, RESULT])
    _, called, result = openai.requests[-1].json["messages"]
    arguments = json.loads(called["tool_calls"][0]["function"].pop("arguments"))
    assert arguments == READ
    assert called == {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add"}}],
    }  # fmt: skip
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "2"}


def test_an_answer_can_be_sent_back(openai: FakeOpenAI) -> None:
    """Those of the official SDK's, kept by LlamaIndex's OpenAI, too."""
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    own, question = PromptwireGateway(model="gpt-4o"), ChatMessage("add")
    other = OpenAI(model="gpt-4o", api_key=openai.api_key, api_base=openai.url, max_retries=0)
    for llm in (own, other):
        for answer in (llm.chat([question], tools=tools), [*llm.stream_chat([question], tools=tools)][-1]):
            [call] = own.get_tool_calls_from_response(answer)
            bare = ChatMessage(role="assistant", additional_kwargs=answer.message.additional_kwargs)
            for message in (answer.message, bare):
                result = ChatMessage("1", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
                assert own.chat([question, message, result]).message.content == "[gpt-4o] 1"


def test_a_block_that_cant_be_sent(openai: FakeOpenAI) -> None:
    for block in (VideoBlock(video=b"x"), ImageBlock()):
        with pytest.raises(ConfigurationError, match="block"):
            PromptwireGateway(model="gpt-4o").chat([ChatMessage(blocks=[block])])
    assert openai.count == 0
