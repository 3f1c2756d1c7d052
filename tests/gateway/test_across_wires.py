"""The same conversations over both wires, through the public door; one begun on one wire goes on on the other."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import promptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.anthropic_model import Said, thought

MODELS = {"openai": "openai/gpt-4o", "anthropic": "anthropic/claude-sonnet-4-5"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABc3UBGAAAAABJRU5ErkJggg=="
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeOpenAI, FakeAnthropic]]:
    with FakeOpenAI() as openai, FakeAnthropic() as anthropic:
        for name, value in {**anthropic.env, "OPENAI_API_KEY": openai.api_key, "OPENAI_BASE_URL": openai.url}.items():
            monkeypatch.setenv(name, value)
        yield openai, anthropic


def ask(wire: str, messages: Sequence[Any], way: str = "whole", **params: Any) -> Any:
    """One call; a streamed answer is put together again."""
    options: dict[str, Any] = {"model": MODELS[wire], "messages": messages, **params}
    if way == "whole":
        return promptwire.completion(**options).choices[0].message.model_dump()
    if way == "async":
        return asyncio.run(promptwire.acompletion(**options)).choices[0].message.model_dump()
    return joined([chunk.choices[0].delta for chunk in promptwire.completion(**options, stream=True) if chunk.choices])


def joined(deltas: Sequence[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(delta.content or "" for delta in deltas)}
    calls: dict[int, dict[str, Any]] = {}
    for piece in (piece for delta in deltas for piece in delta.tool_calls or ()):
        call = calls.setdefault(piece["index"], {"type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        for key, text in piece["function"].items():
            call["function"][key] += text or ""
    return {**message, "tool_calls": list(calls.values())} if calls else message


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


WAYS = ("whole", "async", "streamed")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wire", MODELS)
def test_text_images_and_schemas(wire: str, way: str) -> None:
    said = ask(wire, [{"role": "system", "content": "Be kind."}, user("Hello Ada")], way)
    assert said["content"].endswith("Hello Ada")
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    assert ask(wire, [user([{"type": "text", "text": "What is this?"}, picture])], way)["content"]
    answer = ask(wire, [user("Who is Ada?")], way, response_format=SCHEMA)
    assert set(json.loads(answer["content"])) == {"name"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("second", MODELS)
@pytest.mark.parametrize("first", MODELS)
def test_a_tool_step_goes_on_elsewhere(first: str, second: str, way: str) -> None:
    messages = [user("Use get_weather for 'Ulm'")]
    called = ask(first, messages, way, tools=[TOOL], tool_choice="required")
    [call] = called["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) == {"city"}
    messages += [called, {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
    said = ask(second, messages, way, tools=[TOOL])
    assert said["content"]
    messages += [said, user("Thank you")]
    assert ask(first, messages, way, tools=[TOOL])["content"].endswith("Thank you")


def test_thoughts_travel_with_their_signatures(servers: tuple[FakeOpenAI, FakeAnthropic]) -> None:
    openai, _ = servers
    with FakeAnthropic(reply=[Said([thought("Hm."), {"type": "text", "text": "Yes."}]), "Good."]) as thinker:
        at = {"api_base": thinker.url, "api_key": thinker.api_key}
        said = ask("anthropic", [user("Sure?")], reasoning_effort="low", max_tokens=2048, **at)
        assert said["reasoning_content"] == "Hm."
        assert said["thinking_blocks"][0]["signature"]
        messages = [user("Sure?"), said, user("Really?")]
        assert ask("openai", messages)["content"].endswith("Really?")
        sent = openai.requests[-1].json["messages"][1]
        assert {key for key, value in sent.items() if value is not None} == {"role", "content"}
        ask("anthropic", messages, reasoning_effort="low", max_tokens=2048, **at)
        assert thinker.requests[-1].json["messages"][1]["content"][0] == said["thinking_blocks"][0]


def test_cache_marks_stay_off_openais_wire(servers: tuple[FakeOpenAI, FakeAnthropic]) -> None:
    openai, _ = servers
    mark = {"cache_control": {"type": "ephemeral"}}
    ask("openai", [{**user([{"type": "text", "text": "Hi", **mark}]), **mark}], tools=[{**TOOL, **mark}])
    sent = openai.requests[-1].json
    assert sent["messages"] == [user([{"type": "text", "text": "Hi"}])]
    assert sent["tools"] == [TOOL]


def test_a_prompt_moves_its_callers_to_another_wire(servers: tuple[FakeOpenAI, FakeAnthropic]) -> None:
    _, anthropic = servers
    backend = MemoryBackend()
    resolver = promptwire.Resolver(backend)
    for config in ({"model": "gpt-4o", "seed": 1}, {"model": "claude-sonnet-4-5", "seed": 1, "temperature": 0.5}):
        backend.publish("p", [{"role": "system", "content": "Be kind."}, user("{{q}}")], config=config)
        answer = promptwire.completion(
            model="gpt-4o-mini", prompt_id="p", prompt_variables={"q": "Hello"}, resolver=resolver
        )
        assert answer.choices[0].message.content == f"[{config['model']}] Hello"
        assert answer.usage.total_tokens
    sent = anthropic.requests[-1].json
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 4096)
    assert "seed" not in sent
