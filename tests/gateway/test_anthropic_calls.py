"""Model calls over Anthropic's wire, whole and streamed, in both colours, judged by the strict double."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from promptwire.gateway.anthropic.wire import AnthropicWire
from promptwire.gateway.openai import OpenAIWire
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic, Scripted
from tests.doubles.anthropic_model import Said, thought
from tests.doubles.wire_calls import WAYS, WireCalls

MODEL = "claude-sonnet-5-5"
EARLY = "claude-haiku-4-5"
PIXEL = "data:image/png;base64," + base64.b64encode(b"pixel").decode()


def tool(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


ADD = tool("add", a={"type": "integer"}, b={"type": "integer"})
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def result(call: dict[str, Any], content: Any, **extra: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call["id"], "content": content, **extra}


def called(message: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(one["function"]["name"], json.loads(one["function"]["arguments"])) for one in message["tool_calls"]]


@pytest.fixture
def server() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def over(server: FakeAnthropic, way: str = "sync", **options: Any) -> WireCalls:
    return WireCalls(AnthropicWire(), server.url, server.api_key, way, **options)


@pytest.fixture
def calls(server: FakeAnthropic, way: str) -> WireCalls:
    return over(server, way)


@pytest.fixture
def scripted(way: str) -> Iterator[Callable[..., Any]]:
    """The completion of a model that says that."""
    servers: list[FakeAnthropic] = []

    def ask(*replies: Scripted, **params: Any) -> Any:
        server = FakeAnthropic(reply=replies).start()
        servers.append(server)
        return over(server, way)([user("Go on")], **params)

    yield ask
    for server in servers:
        server.stop()


def test_a_plain_call(calls: WireCalls, server: FakeAnthropic) -> None:
    system = {"role": "system", "content": "Be kind."}
    answer = calls([system, user("Hello Ada")], max_tokens=50, stop="END", user="u1", stream_options={})
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": f"[{MODEL}] Hello Ada", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert (answer["id"], answer["object"], answer["model"]) == ("msg_0001", "chat.completion", MODEL)
    assert isinstance(answer["created"], int)
    assert answer["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 3,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_creation_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    sent = server.requests[0]
    assert (sent.path, sent.headers["x-api-key"]) == ("/v1/messages", server.api_key)
    assert sent.headers["anthropic-version"] == "2023-06-01"
    body = {key: value for key, value in sent.json.items() if key != "stream"}
    assert body == {
        "model": MODEL,
        "system": "Be kind.",
        "messages": [user("Hello Ada")],
        "max_tokens": 50,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }


def test_chunks_are_openais(server: FakeAnthropic) -> None:
    chunks = over(server).chunks([user("Hello")])
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": f"[{MODEL}]"},
        {"content": " Hello"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 2)
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_two_turns_with_parallel_tools(calls: WireCalls, server: FakeAnthropic) -> None:
    turns = [user("add 2 and 40, and tell what is now")]
    first = calls(turns, tools=[ADD, NOW])
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    said = first["choices"][0]["message"]
    assert (said["content"], called(said)) == (None, [("add", {"a": 2, "b": 40}), ("now", {})])
    add, now = said["tool_calls"]
    turns += [said, result(add, "42"), result(now, [{"type": "text", "text": "noon"}], status="error"), user("So?")]
    assert calls.said(turns, tools=[ADD, NOW])["content"] == f"[{MODEL}] 42 noon So?"
    assert server.requests[1].json["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": add["id"], "name": "add", "input": {"a": 2, "b": 40}},
                {"type": "tool_use", "id": now["id"], "name": "now", "input": {}},
            ],
        },
        user(
            [
                {"type": "tool_result", "tool_use_id": add["id"], "content": "42"},
                {"type": "tool_result", "tool_use_id": now["id"], "content": "noon", "is_error": True},
                {"type": "text", "text": "So?"},
            ]
        ),
    ]


def test_which_tool_is_chosen(calls: WireCalls) -> None:
    def chosen(text: str, **params: Any) -> list[str]:
        message = calls.said([user(text)], tools=[ADD, NOW], **params)
        return [name for name, _ in called(message)] if "tool_calls" in message else []

    assert chosen("hello", tool_choice="auto") == []
    assert chosen("hello", tool_choice="required") == ["now"]
    assert chosen("now", tool_choice={"type": "function", "function": {"name": "add"}}) == ["add"]
    assert chosen("add 1 now", tool_choice="none", parallel_tool_calls=False) == []
    assert chosen("add 1 now", parallel_tool_calls=False) == ["add"]
    assert chosen("add 1 now", parallel_tool_calls=True) == ["add", "now"]


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 3}, "who": {"$ref": "#/$defs/who"}},
    "required": ["n", "who"],
    "$defs": {"who": {"type": "string", "maxLength": 9}},
}


def test_answers_of_a_schema(calls: WireCalls) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    said = calls.said([user("7 for 'Ada'")], response_format=form)
    assert json.loads(said["content"]) == {"n": 7, "who": "Ada"}


def test_any_json_is_the_input_of_a_tool(scripted: Callable[..., Any]) -> None:
    said = {"type": "tool_use", "id": "t1", "name": "json_answer", "input": {"n": [1, "é"]}}
    choice = scripted([said], response_format={"type": "json_object"})["choices"][0]
    assert (json.loads(choice["message"]["content"]), choice["finish_reason"]) == ({"n": [1, "é"]}, "stop")
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize(
    ("params", "names", "choice"),
    [
        ({}, ["json_answer"], {"type": "tool", "name": "json_answer"}),
        ({"tools": [NOW]}, ["now", "json_answer"], {"type": "any"}),
        (
            {"tools": [NOW], "parallel_tool_calls": False},
            ["now", "json_answer"],
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tools": [NOW], "tool_choice": "none"}, ["now", "json_answer"], {"type": "tool", "name": "json_answer"}),
        (
            {"tools": [NOW], "tool_choice": {"type": "function", "function": {"name": "now"}}},
            ["now"],
            {"type": "tool", "name": "now"},
        ),
        ({"reasoning_effort": "low"}, ["json_answer"], {"type": "auto"}),
    ],
)
def test_how_json_is_asked_for(
    server: FakeAnthropic, params: dict[str, Any], names: list[str], choice: dict[str, Any]
) -> None:
    over(server)([user("JSON")], response_format={"type": "json_object"}, **params)
    body = server.requests[0].json
    assert ([one["name"] for one in body["tools"]], body["tool_choice"]) == (names, choice)


def test_images_and_documents(calls: WireCalls, server: FakeAnthropic) -> None:
    text = "data:text/plain;base64," + base64.b64encode("Ümlaut".encode()).decode()
    pdf = "data:application/pdf;base64," + base64.b64encode(b"%PDF").decode()
    parts = [
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": pdf, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": text}},
        {"type": "text", "text": "What is it?"},
    ]
    assert calls.said([user(parts)])["content"] == f"[{MODEL}] What is it?"
    blocks = server.requests[0].json["messages"][0]["content"]
    assert [block.get("source") for block in blocks] == [
        {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"pixel").decode()},
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF").decode()},
        {"type": "text", "media_type": "text/plain", "data": "Ümlaut"},
        None,
    ]
    assert blocks[2]["title"] == "a.pdf"


@pytest.mark.parametrize("model", [MODEL, "claude-opus-4-6", EARLY])
def test_thinking_is_kept_over_two_turns(calls: WireCalls, server: FakeAnthropic, model: str) -> None:
    turns = [user("add 2 and 40")]
    params: dict[str, Any] = {"model": model, "tools": [ADD], "reasoning_effort": "medium", "top_p": 0.9}
    first = calls(turns, **params)
    said = first["choices"][0]["message"]
    assert said["reasoning_content"] == "They say: add 2 and 40"
    assert said["thinking_blocks"] == [thought("They say: add 2 and 40")]
    assert first["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6
    second = calls.said([*turns, said, result(said["tool_calls"][0], "42")], temperature=0.1, **params)
    assert (second["content"], second["reasoning_content"]) == (f"[{model}] 42", "They say: 42")
    sent = server.requests[1].json
    assert sent["messages"][1]["content"][0] == thought("They say: add 2 and 40")
    assert sent["thinking"]["type"] == ("enabled" if model == EARLY else "adaptive")
    assert not {"temperature", "top_p"} & sent.keys()


def test_a_step_begun_without_thinking_ends_without(server: FakeAnthropic) -> None:
    calls = over(server, model=EARLY)
    turns = [user("add 2 and 40")]
    said = calls.said(turns, tools=[ADD])
    turns += [said, result(said["tool_calls"][0], "42")]
    assert calls.said(turns, tools=[ADD], reasoning_effort=2000)["content"] == f"[{EARLY}] 42"
    turns += [{"role": "assistant", "content": "It is 42."}, user("Sure?")]
    assert "thinking_blocks" in calls.said(turns, tools=[ADD], reasoning_effort=2000)
    assert called(calls.said(turns, tools=[ADD], reasoning_effort=2000, tool_choice="required"))


def test_what_can_not_be_read_is_sent_back(scripted: Callable[..., Any]) -> None:
    hidden = {"type": "redacted_thinking", "data": "0a1b"}
    said = scripted([hidden, {"type": "text", "text": "So."}])["choices"][0]["message"]
    assert said == {"role": "assistant", "content": "So.", "thinking_blocks": [hidden], "refusal": None}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("not known yet", "stop"),
    ],
)
def test_why_it_stopped(scripted: Callable[..., Any], reason: str, finish: str) -> None:
    choice = scripted(Said([], reason))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == (finish, "")


def test_the_servers_own_tools_are_not_the_callers(scripted: Callable[..., Any]) -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    message = scripted(Said([search, found, {"type": "text", "text": "Sunny."}]))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Sunny.", "refusal": None}


def test_cached_tokens_are_the_prompts(calls: WireCalls) -> None:
    marked = [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]
    counts = [calls([{"role": "system", "content": marked}, user("Hi")])["usage"] for _ in range(2)]
    assert [count["prompt_tokens"] for count in counts] == [12, 12]
    assert [count["prompt_tokens_details"]["cached_tokens"] for count in counts] == [0, 10]
    assert [count["prompt_tokens_details"]["cache_creation_tokens"] for count in counts] == [10, 0]


@pytest.mark.parametrize("first", ["openai", "anthropic"])
def test_a_conversation_goes_on_on_the_other_wire(server: FakeAnthropic, way: str, first: str) -> None:
    with FakeOpenAI() as other:
        wires: Sequence[WireCalls] = (
            WireCalls(OpenAIWire(), other.url, other.api_key, way, "gpt-4o"),
            over(server, way),
        )
        begins, goes_on = wires if first == "openai" else wires[::-1]
        parts = [{"type": "text", "text": "add 2 and 40"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
        turns = [{"role": "system", "content": "Be kind."}, user(parts)]
        said = begins.said(turns, tools=[ADD])
        said.pop("annotations", None)  # OpenAI's answers have them, and its requests must not
        turns += [said, result(said["tool_calls"][0], "42")]
        answer = goes_on.said(turns, tools=[ADD])
        assert answer["content"] == f"[{goes_on.model}] 42"
        answer.pop("annotations", None)
        assert begins.said([*turns, answer, user("Thanks")])["content"] == f"[{begins.model}] Thanks"
