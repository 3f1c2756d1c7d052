"""The same prompt and variables make the same request, equal as JSON, through all three front doors."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.llms.promptwire import Promptwire

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

MODEL = "openai/gpt-4o-mini"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABc3UBGAAAAABJRU5ErkJggg=="
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Ulm"}'}}

Content = str | list[dict[str, Any]]
Case = tuple[Content, dict[str, Any], dict[str, Any]]

CASES: dict[str, Case] = {
    "a text": ("Summarise {{text}}", {"text": "a long story"}, {}),
    "a text with a model and parameters": (
        "Hello {{name}}",
        {"name": "Ann"},
        {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 64, "stop": ["END"], "seed": 7},
    ),
    "system and user": (
        [{"role": "system", "content": "You help {{company}}."}, {"role": "user", "content": "{{question}}"}],
        {"company": "ACME", "question": "Where is it?"},
        {"top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": -0.1},
    ),
    "few shots": (
        [
            {"role": "system", "content": "Answer in one word."},
            {"role": "user", "content": "Capital of France?"},
            {"role": "assistant", "content": "Paris"},
            {"role": "user", "content": "Capital of {{country}}?"},
        ],
        {"country": "Peru"},
        {},
    ),
    "the developer role": (
        [{"role": "developer", "content": "Be exact."}, {"role": "user", "content": "{{q}}"}],
        {"q": "1 + 1?"},
        {"model": "o3", "reasoning_effort": "low", "max_completion_tokens": 100},
    ),
    "braces and JSON in text and values": (
        'Return {"a": {"b": {{value}}}} and {{{literal}}} or {% if %}',
        {"value": '{"x": "{{value}}"}'},
        {},
    ),
    "unicode and line ends": ("Grüße, {{名前}} \u2028 \r\n\t✓", {"名前": "Ünï😀"}, {}),
    "an image": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is on {{what}}?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                ],
            }
        ],
        {"what": "this picture"},
        {},
    ),
    "an image by a variable": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://127.0.0.1/{{name}}.png"}}]}],
        {"name": "cat"},
        {},
    ),
    "tools": (
        "Weather in {{city}}?",
        {"city": "Ulm"},
        {"tools": [WEATHER], "tool_choice": "auto", "parallel_tool_calls": False},
    ),
    "a finished tool call, null content": (
        [
            {"role": "user", "content": "Weather in Ulm?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "user", "content": "And {{when}}?"},
        ],
        {"when": "tomorrow"},
        {"tools": [WEATHER]},
    ),
    "names": (
        [
            {"role": "system", "name": "policy", "content": "Be kind."},
            {"role": "user", "name": "ann", "content": "{{q}}"},
        ],
        {"q": "Hi"},
        {},
    ),
    "a JSON schema": (
        "Extract from {{text}}",
        {"text": "Ann, 7"},
        {
            "response_format": {
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
        },
    ),
    "JSON mode": ("Answer in JSON: {{q}}", {"q": "?"}, {"response_format": {"type": "json_object"}}),
    "a placeholder": (
        [
            {"role": "system", "content": "Go on."},
            {"type": "placeholder", "name": "examples"},
            {"role": "user", "content": "{{q}}"},
        ],
        {"q": "Next?", "examples": [{"role": "user", "content": "{{q}}"}, {"role": "assistant", "content": "One."}]},
        {},
    ),
    "an empty history": (
        [
            {"role": "system", "content": "S"},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "content": "Q"},
        ],
        {},
        {},
    ),
    "what may not be sent": (
        "Hi",
        {},
        {"api_base": "http://127.0.0.1:9", "api_key": "sk-theirs", "max_tokens": -1, "tools": [], "note": "x"},
    ),
}  # fmt: skip

Door = Callable[[promptwire.Resolver, dict[str, Any]], object]


def openai_shaped(resolver: promptwire.Resolver, variables: dict[str, Any]) -> object:
    return promptwire.completion(model=MODEL, prompt_id="case", prompt_variables=variables, resolver=resolver)


def langchain(resolver: promptwire.Resolver, variables: dict[str, Any]) -> object:
    return ChatPromptwire(model=MODEL, prompt_id="case", resolver=resolver).invoke([], prompt_variables=variables)


def llamaindex(resolver: promptwire.Resolver, variables: dict[str, Any]) -> object:
    return Promptwire(model=MODEL, prompt_id="case", resolver=resolver).chat([], prompt_variables=variables)


@pytest.fixture(scope="module")
def model() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(autouse=True)
def _environment(model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", model.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", model.url)


@pytest.mark.parametrize("door", [langchain, llamaindex])
@pytest.mark.parametrize("name", CASES)
def test_both_adapters_send_what_completion_sends(name: str, door: Door, model: FakeOpenAI) -> None:
    content, variables, config = CASES[name]
    backend = MemoryBackend()
    backend.publish("case", content, config=config)
    resolver = promptwire.Resolver(backend)
    openai_shaped(resolver, variables)
    expected = model.requests[-1].json
    door(resolver, variables)
    assert model.requests[-1].json == expected
