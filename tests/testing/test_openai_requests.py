"""What the fake OpenAI accepts and refuses, held against the official SDK's own types."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from promptwire.testing import FakeOpenAI

USER = {"role": "user", "content": "hi, say it in JSON"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CUSTOM = {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
TEXT = {"type": "text", "text": "hi"}
GRAMMAR = {"type": "grammar", "grammar": {"definition": "start: WORD", "syntax": "lark"}}
PERSON = {"name": "person", "schema": {"type": "object", "properties": {}}, "strict": True}


def turns(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def parts(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return turns({"role": role, "content": list(content)})


GOOD: list[dict[str, Any]] = [
    {},
    {"temperature": 0, "top_p": 1.0, "n": 2, "seed": 1, "user": "u", "presence_penalty": -2, "frequency_penalty": 2.0},
    {"temperature": None, "stop": None, "max_tokens": None, "n": None, "stream": None, "logit_bias": None},
    {"stop": "x"},
    {"stop": ["x", "y"], "logit_bias": {"50256": -100}, "metadata": {"k": "v"}, "store": False},
    {"logprobs": True, "top_logprobs": 2},
    {"stream": True, "stream_options": {"include_usage": True}},
    {
        "stream": False,
        "max_completion_tokens": 5,
        "reasoning_effort": "low",
        "verbosity": "high",
        "service_tier": "auto",
    },
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": PERSON}},
    {"tools": [F], "tool_choice": "auto", "parallel_tool_calls": True},
    {"tools": [F, CUSTOM], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": [CUSTOM], "tool_choice": {"type": "custom", "custom": {"name": "g"}}},
    {"tools": [{"type": "custom", "custom": {"name": "g", "format": GRAMMAR}}]},
    {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F]}}},
    {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
    {"prediction": {"type": "content", "content": "x"}, "prompt_cache_key": "k", "safety_identifier": "s"},
    {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
    {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}},
    {"moderation": {"model": "m", "policy": {"input": {"mode": "block"}, "output": None}}},
    {"web_search_options": {"user_location": {"type": "approximate", "approximate": {"country": "US"}}}},
    turns({"role": "system", "content": "s"}, {"role": "developer", "content": "d", "name": "n"}, USER),
    turns(USER, CALLING, RESULT),
    turns(USER, {**CALLING, "content": "let me look"}, {**RESULT, "content": [TEXT]}, USER),
    turns(USER, {"role": "assistant", "content": None, "refusal": "no"}, USER),
    turns(USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, USER),
    turns(USER, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}),
    turns({"role": "function", "name": "f", "content": None}),
    turns(
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "g", "input": ""}}]},
        RESULT,
    ),
    parts("user", TEXT, IMAGE, {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
    parts("user", {"type": "file", "file": {"file_id": "f1"}}),
    parts("system", TEXT),
    turns({"role": "user", "content": ""}),
]

BAD: list[tuple[dict[str, Any], str | None]] = [
    ({"prompt_id": "p"}, "prompt_id"),
    ({"top_k": 5}, "top_k"),
    ({"model": ...}, "model"),
    ({"model": ""}, "model"),
    ({"model": 5}, "model"),
    ({"messages": ...}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "0"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1"),
    ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort"),
    ({"reasoning_effort": 3}, "reasoning_effort"),
    ({"tools": []}, "tools"),
    ({"tools": [F["function"]]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f" * 65}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "schema": {}}}]}, "tools[0].function.schema"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
        "tools[0].function.parameters",
    ),
    ({"tools": [F, F]}, "tools[1].function.name"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls"),
    ({"tools": [F], "tool_choice": "any"}, "tool_choice"),
    ({"tools": [F], "tool_choice": {"type": "function", "name": "f"}}, "tool_choice.function"),
    ({"tools": [F], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": "json_object"}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "response_format.json_schema.name"),
    ({"response_format": {"type": "json_object"}, **turns({"role": "user", "content": "hi"})}, "messages"),
    (turns({"content": "hi"}), "messages[0].role"),
    (turns({"role": "human", "content": "hi"}), "messages[0].role"),
    (turns({"role": "user"}), "messages[0].content"),
    (turns({"role": "user", "content": None}), "messages[0].content"),
    (turns({"role": "user", "content": []}), "messages[0].content"),
    (turns({"role": "user", "content": "hi", "extra": 1}), "messages[0].extra"),
    (turns({"role": "user", "content": "hi", "name": "two words"}), "messages[0].name"),
    (turns({"role": "user", "content": "hi", "tool_calls": [CALL]}), "messages[0].tool_calls"),
    (parts("system", IMAGE), "messages[0].content[0].type"),
    (parts("assistant", IMAGE), "messages[0].content[0].type"),
    (parts("user", {"type": "refusal", "refusal": "no"}), "messages[0].content[0].type"),
    (parts("user", {"type": "image", "base64": "AA"}), "messages[0].content[0].type"),
    (parts("user", {"type": "text"}), "messages[0].content[0].text"),
    (parts("user", {"type": "image_url", "image_url": "https://x/y.png"}), "messages[0].content[0].image_url"),
    (parts("user", {"type": "image_url", "image_url": {"url": "AA=="}}), "messages[0].content[0].image_url.url"),
    (turns({"role": "assistant"}), "messages.[0].content"),
    (turns({"role": "assistant", "content": None}), "messages.[0].content"),
    (turns({"role": "assistant", "content": "", "tool_calls": []}), "messages[0].tool_calls"),
    (turns(USER, {**CALLING, "tool_calls": [{"id": "c", "name": "f", "args": {}}]}), "messages[1].tool_calls[0].type"),
    (turns(USER, RESULT), "messages.[1].role"),
    (turns(USER, CALLING), "messages.[2].role"),
    (turns(USER, CALLING, USER, RESULT), "messages.[2].role"),
    (turns(USER, CALLING, {**RESULT, "tool_call_id": "c2"}), "messages.[2].tool_call_id"),
    (turns(USER, CALLING, RESULT, RESULT), "messages.[3].tool_call_id"),
    (turns(USER, {**CALLING, "tool_calls": [CALL, CALL]}, RESULT), "messages.[1].tool_calls"),
    (turns(USER, CALLING, {"role": "tool", "content": "ok"}), "messages[2].tool_call_id"),
    (turns(USER, CALLING, {**RESULT, "name": "f"}), "messages[2].name"),
]


def request(changes: dict[str, Any]) -> dict[str, Any]:
    """A small request with these changes; ``...`` takes a key away."""
    body = {"model": "gpt-4o", "messages": [USER], **copy.deepcopy(changes)}
    return {key: value for key, value in body.items() if value is not ...}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with FakeOpenAI() as server:
        headers = {"Authorization": f"Bearer {server.api_key}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=10) as client:
            yield client


def exhaust(value: object) -> object:
    """The value with pydantic's lazy iterators run, so that their errors come out."""
    if isinstance(value, dict):
        return {key: exhaust(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [exhaust(item) for item in value]
    return value


@pytest.mark.parametrize("changes", GOOD, ids=str)
def test_what_it_accepts_the_sdks_types_accept(client: httpx.Client, changes: dict[str, Any]) -> None:
    body = request(changes)
    response = client.post("/chat/completions", json=body)
    assert response.status_code == 200, response.text
    typed = CompletionCreateParamsStreaming if body.get("stream") else CompletionCreateParamsNonStreaming
    assert exhaust(TypeAdapter(typed).validate_python(body)) == body  # nothing dropped as unknown


@pytest.mark.parametrize(("changes", "param"), BAD, ids=str)
def test_refuses_with_the_param(client: httpx.Client, changes: dict[str, Any], param: str | None) -> None:
    response = client.post("/chat/completions", json=request(changes))
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}


def test_knows_every_parameter_of_the_sdk(client: httpx.Client) -> None:
    for name in CompletionCreateParamsBase.__annotations__:
        response = client.post("/chat/completions", json=request({name: "odd"}))
        assert "Unknown parameter" not in response.text


def test_refuses_what_is_no_json(client: httpx.Client) -> None:
    for content in (b"{nope", b"[]"):
        assert client.post("/chat/completions", content=content).status_code == 400
