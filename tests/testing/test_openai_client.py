"""The fake OpenAI, driven by the official client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, Field

from promptwire.testing import FakeOpenAI
from promptwire.testing.wire import Json

USER: Json = [{"role": "user", "content": "say hello to Ada"}]
STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}}


def tool(name: str, **properties: dict[str, Any]) -> Json:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


ADD = tool("add", a={"type": "integer"}, b={"type": "integer"})
NOW: Json = {"type": "function", "function": {"name": "now"}}


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


def connect(server: FakeOpenAI, **options: Json) -> openai.OpenAI:
    return openai.OpenAI(api_key=server.api_key, base_url=server.url, max_retries=0, **options)


@pytest.fixture
def client(server: FakeOpenAI) -> Iterator[openai.OpenAI]:
    with connect(server) as client:
        yield client


def ask(client: openai.OpenAI, messages: Json = USER, **options: Json) -> Json:
    return client.chat.completions.create(model="gpt-4o", messages=messages, **options)


def said(client: openai.OpenAI, messages: Json = USER, **options: Json) -> Json:
    return ask(client, messages, **options).choices[0].message.content


def called(answer: Json) -> list[tuple[str, Any]]:
    calls = answer.choices[0].message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def scripted(reply: Json, **options: Json) -> list[Any]:
    """Three answers of a fake with that script."""
    with FakeOpenAI(reply=reply) as server, connect(server) as client:
        return [ask(client, **options).choices[0] for _ in range(3)]


def deltas(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_echoes_the_last_user_text(client: openai.OpenAI) -> None:
    messages = [
        *USER,
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": [{"type": "text", "text": "more"}]},
    ]
    answer = ask(client, messages)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("[gpt-4o] more", "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 5
    assert said(client, [{"role": "system", "content": "only me"}]) == "[gpt-4o] only me"


async def test_answers_the_async_client(server: FakeOpenAI) -> None:
    async with openai.AsyncOpenAI(api_key=server.api_key, base_url=server.url, max_retries=0) as client:
        answer = await client.chat.completions.create(model="m", messages=USER)
        assert answer.choices[0].message.content == "[m] say hello to Ada"
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        assert deltas([chunk async for chunk in stream]) == "[m] say hello to Ada"


def test_env_is_a_clients_whole_configuration(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    with openai.OpenAI() as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o", "gpt-4o-mini"]


def test_wants_its_key_and_never_repeats_it(server: FakeOpenAI) -> None:
    with (
        openai.OpenAI(api_key="sk-other", base_url=server.url, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        ask(client)
    assert caught.value.code == "invalid_api_key"
    assert "sk-" not in str(caught.value)
    keyless = httpx.post(f"{server.url}/chat/completions", json={})
    assert (keyless.status_code, keyless.json()["error"]["code"]) == (401, None)


def test_other_addresses_are_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.models.retrieve("gpt-4o")


def test_answers_without_the_version_in_the_path(server: FakeOpenAI) -> None:
    base = server.url.removesuffix("/v1")
    with openai.OpenAI(api_key=server.api_key, base_url=base) as client:
        assert said(client) == "[gpt-4o] say hello to Ada"


def test_n_stop_limits_and_logprobs(client: openai.OpenAI) -> None:
    assert [choice.index for choice in ask(client, n=3).choices] == [0, 1, 2]
    assert said(client, stop="hello") == "[gpt-4o] say "
    assert said(client, stop=["", "Ada", "to"]) == "[gpt-4o] say hello "
    cut = ask(client, max_tokens=2).choices[0]
    assert (cut.message.content, cut.finish_reason) == ("[gpt-4o] say", "length")
    entries = ask(client, logprobs=True, top_logprobs=1).choices[0].logprobs.content
    assert "".join(entry.token for entry in entries) == "[gpt-4o] say hello to Ada"
    assert [len(entry.top_logprobs) for entry in entries] == [1] * 5


def test_streams_by_word(client: openai.OpenAI) -> None:
    chunks = list(ask(client, logprobs=True, **STREAM))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert deltas(chunks) == "[gpt-4o] say hello to Ada"
    assert chunks[1].choices[0].logprobs.content[0].token == "[gpt-4o]"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 5)
    plain = list(ask(client, stream=True))
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in plain)


def test_streams_tool_calls_in_pieces(client: openai.OpenAI) -> None:
    stream = client.chat.completions.stream(model="m", messages=USER, tools=[ADD, NOW], tool_choice="required")
    with stream as events:
        message = events.get_final_completion().choices[0]
    assert message.finish_reason == "tool_calls"
    raw = list(ask(client, tools=[ADD], tool_choice="required", stream=True))
    pieces = [call for chunk in raw for call in chunk.choices[0].delta.tool_calls or []]
    assert (pieces[0].function.name, pieces[0].function.arguments) == ("add", "")
    assert len(pieces) > 2
    assert all(piece.index == 0 and piece.function.name is None for piece in pieces[1:])
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"a": 1, "b": 1}


def test_which_tools_it_calls(client: openai.OpenAI) -> None:
    add_up: Json = [{"role": "user", "content": "add 2 and 40"}]
    assert called(ask(client, add_up, tools=[ADD, NOW])) == [("add", {"a": 2, "b": 40})]
    assert called(ask(client, tools=[ADD, NOW])) == []
    assert called(ask(client, add_up, tools=[ADD], tool_choice="none")) == []
    assert called(ask(client, tools=[ADD, NOW], tool_choice="required")) == [("add", {"a": 1, "b": 1})]
    named = ask(client, tools=[ADD, NOW], tool_choice={"type": "function", "function": {"name": "now"}})
    assert (called(named), named.choices[0].finish_reason) == ([("now", {})], "stop")
    both: Json = [{"role": "user", "content": "add, and tell what is now"}]
    assert [name for name, _ in called(ask(client, both, tools=[ADD, NOW]))] == ["add", "now"]
    assert len(called(ask(client, both, tools=[ADD, NOW], parallel_tool_calls=False))) == 1
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function"}]}}
    assert [name for name, _ in called(ask(client, tools=[NOW], tool_choice=allowed))] == ["now"]


def test_mentions_of_tools(client: openai.OpenAI) -> None:
    tools = [tool("get_weather", city={"type": "string"}), tool("do_it"), tool("Weather")]
    question: Json = [{"role": "user", "content": "Do you like the weather in 'New York'? It's wet."}]
    assert called(ask(client, question, tools=tools)) == [("get_weather", {"city": "New York"})]


def test_after_tool_results_it_speaks(client: openai.OpenAI) -> None:
    request: Json = [{"role": "user", "content": "add 2 and 40"}]
    first = ask(client, request, tools=[ADD]).choices[0].message
    turns = [*request, first.model_dump(exclude_none=True, exclude={"annotations"})]
    turns.append({"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "42"})
    assert said(client, turns, tools=[ADD], tool_choice="required") == "[gpt-4o] 42"


def test_scripts_are_used_in_turn_and_the_last_stays() -> None:
    first, second, third = scripted(["one", [{"name": "f", "arguments": {"x": "é"}}]], stop="n")
    assert (first.message.content, first.finish_reason) == ("o", "stop")
    assert second.finish_reason == third.finish_reason == "tool_calls"
    call = second.message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("f", '{"x": "é"}')
    assert [choice.message.content for choice in scripted("same")] == ["same"] * 3


def test_scripts_may_be_whole_messages_or_callables() -> None:
    whole = {"id": "c9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choice = scripted([{"role": "assistant", "content": "let me see", "tool_calls": [whole]}])[0]
    assert (choice.message.content, choice.message.tool_calls[0].id) == ("let me see", "c9")
    choice = scripted([{"content": "cut", "finish_reason": "length", "reasoning_content": "hm"}])[0]
    assert (choice.finish_reason, choice.message.reasoning_content) == ("length", "hm")
    assert scripted(lambda request: f"{len(request['messages'])} turns")[0].message.content == "1 turns"


class Address(BaseModel):
    city: str
    zip: str | None


class Person(BaseModel):
    name: str = Field(min_length=6)
    age: int = Field(ge=18, lt=100)
    score: float = Field(gt=0.2, lt=0.8)
    homes: list[Address] = Field(min_length=2)
    friend: "Person | None"


def test_fills_the_response_schema(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="m", messages=USER, response_format=Person).choices[0].message.parsed
    assert parsed is not None
    assert len(parsed.homes) == 2
    form = {"type": "json_object"}
    content = said(client, [{"role": "user", "content": "in JSON please"}], response_format=form)
    assert json.loads(content) == {"answer": "[gpt-4o] in JSON please"}
    keyed = said(
        client, [{"role": "user", "content": "JSON with 'a' and \"b\""}], response_format={"type": "json_object"}
    )
    assert json.loads(keyed) == {"a": "text", "b": "text"}


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({}, "text"),
        ({"const": 3}, 3),
        ({"default": "d", "type": "string"}, "d"),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": ["null", "string"]}, None),
        ({"type": "boolean"}, True),
        ({"type": "string", "format": "date"}, "2026-01-02"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "integer", "exclusiveMinimum": 1}, 2),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number"}, 7.5),
        ({"type": "integer", "minimum": 5, "maximum": 2}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"properties": {"x": {"type": "null"}, "y": {}}, "required": ["x"]}, {"x": None}),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, 1),
        (
            {"allOf": [{"type": "object", "required": ["x"], "properties": {"x": {"const": 1}}}, {"title": "T"}]},
            {"x": 1},
        ),
        ({"$defs": {"a/b": {"const": 1}}, "$ref": "#/$defs/a~1b"}, 1),
        (
            {"type": "object", "required": ["next"], "properties": {"next": {"type": "array", "items": {"$ref": "#"}}}},
            {"next": [{"next": [{"next": []}]}]},
        ),
    ],
    ids=str,
)
def test_instances_of_schemas(client: openai.OpenAI, schema: dict[str, Any], instance: Json) -> None:
    hint: Json = [{"role": "user", "content": "7.5 of v1 things"}]
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    assert json.loads(said(client, hint, response_format=form)) == instance


def test_line_separators_stay_raw_within_a_stream() -> None:
    with FakeOpenAI(reply="a\u2028b\nc") as server, connect(server) as client:
        assert deltas(list(ask(client, stream=True))) == "a\u2028b\nc"
        with client.chat.completions.with_streaming_response.create(model="m", messages=USER, stream=True) as raw:
            assert "\u2028".encode() in raw.read()


def test_a_stream_may_break_off(server: FakeOpenAI, client: openai.OpenAI) -> None:
    server.drop(3, times=1)
    stream = ask(client, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(3)] == ["", "[gpt-4o]", " say"]
    with pytest.raises(Exception, match="incomplete chunked read"):
        next(stream)


def test_a_stream_may_end_in_an_error_event(server: FakeOpenAI, client: openai.OpenAI) -> None:
    server.fail_stream("overloaded", after=2, times=2)
    stream = ask(client, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "[gpt-4o]"]
    with pytest.raises(openai.APIError, match="overloaded"):
        next(stream)
    assert said(client) == "[gpt-4o] say hello to Ada"


def test_a_stream_may_pause(server: FakeOpenAI, client: openai.OpenAI) -> None:
    gate = server.gate(2, match="completions")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: deltas(list(ask(client, stream=True))))
        assert gate.wait_for()
        assert not reading.done()
        gate.release()
        assert reading.result(timeout=10) == "[gpt-4o] say hello to Ada"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, openai.AuthenticationError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
def test_failures_are_the_clients_errors(
    server: FakeOpenAI, client: openai.OpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    server.fail(status, times=1)
    with pytest.raises(error, match=f"Fake failure {status}"):
        ask(client)
