"""The same prompt and variables make the same request, equal as JSON, through all three front doors."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.llms.promptwire import Promptwire

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI, LoopbackServer
from tests.doubles.anthropic import FakeAnthropic

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

TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "The app's own."},
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "Where?"},
    {"role": "user", "content": [
        {"type": "text", "text": "Here:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
]  # fmt: skip
PROMPTS: dict[str, Content] = {
    "a persona": [{"role": "system", "content": "Be {{how}}."}],
    "a text": "Be {{how}}.",
    "a few-shot prompt": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "{{how}}"}],
    "a slot and a question": [
        {"role": "system", "content": "S"}, {"type": "placeholder", "name": "history"},
        {"role": "user", "content": "{{how}}?"},
    ],
}  # fmt: skip

Door = Callable[..., object]


def openai_shaped(
    resolver: promptwire.Resolver, variables: dict[str, Any], turns: Sequence[dict[str, Any]] = (), **more: Any
) -> object:
    given = {"model": MODEL, "prompt_id": "case", "prompt_variables": variables, "resolver": resolver, **more}
    return promptwire.completion(messages=[*turns], **given)


def langchain(
    resolver: promptwire.Resolver, variables: dict[str, Any], turns: Sequence[dict[str, Any]] = (), **more: Any
) -> object:
    llm = ChatPromptwire(**{"model": MODEL, "prompt_id": "case", "resolver": resolver, **more})
    return llm.invoke([*turns], prompt_variables=variables)


def llamaindex(
    resolver: promptwire.Resolver, variables: dict[str, Any], turns: Sequence[dict[str, Any]] = (), **more: Any
) -> object:
    llm = Promptwire(**{"model": MODEL, "prompt_id": "case", "resolver": resolver, **more})
    return llm.chat([_chat_message(turn) for turn in turns], prompt_variables=variables)


def _chat_message(turn: dict[str, Any]) -> ChatMessage:
    """As a LlamaIndex user writes it."""
    content = turn["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    blocks = [
        TextBlock(text=part["text"]) if part["type"] == "text" else ImageBlock(url=part["image_url"]["url"])
        for part in parts
    ]
    calls = [
        ToolCallBlock(tool_call_id=call["id"], tool_name=call["function"]["name"], tool_kwargs={"city": "Ulm"})
        for call in turn.get("tool_calls", ())
    ]
    beside = {"tool_call_id": turn["tool_call_id"]} if "tool_call_id" in turn else {}
    return ChatMessage(role=turn["role"], blocks=[*blocks, *calls], additional_kwargs=beside)


@pytest.fixture(scope="module")
def model() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.fixture(scope="module")
def claude() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture(autouse=True)
def _environment(model: FakeOpenAI, claude: FakeAnthropic, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**model.env, **claude.env}.items():
        monkeypatch.setenv(name, value)


def resolver_of(content: Content, config: dict[str, Any]) -> promptwire.Resolver:
    backend = MemoryBackend()
    backend.publish("case", content, config=config)
    return promptwire.Resolver(backend)


def outcome(door: Door, server: LoopbackServer, *args: Any, **more: Any) -> tuple[str, Any]:
    """What came over the wire, or the kind of the error that kept it back."""
    before = server.count
    try:
        door(*args, **more)
    except promptwire.PromptwireError as error:
        if server.count == before:
            return "refused", type(error)
    return "sent", server.requests[-1].json


@pytest.mark.parametrize("door", [langchain, llamaindex])
@pytest.mark.parametrize("name", CASES)
def test_both_adapters_send_what_completion_sends(name: str, door: Door, model: FakeOpenAI) -> None:
    content, variables, config = CASES[name]
    resolver = resolver_of(content, config)
    openai_shaped(resolver, variables)
    expected = model.requests[-1].json
    door(resolver, variables)
    assert model.requests[-1].json == expected


@pytest.mark.parametrize("door", [langchain, llamaindex])
@pytest.mark.parametrize("name", CASES)
def test_on_anthropics_wire_too(name: str, door: Door, claude: FakeAnthropic) -> None:
    content, variables, config = CASES[name]
    resolver = resolver_of(content, {key: value for key, value in config.items() if key != "model"})
    given = {"model": "anthropic/claude-sonnet-4-5"}
    expected = outcome(openai_shaped, claude, resolver, variables, **given)
    assert outcome(door, claude, resolver, variables, **given) == expected


@pytest.mark.parametrize("door", [langchain, llamaindex])
@pytest.mark.parametrize("mode", ["auto", "prepend", "replace"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("turns", [2, 4, 6])
def test_with_the_callers_turns(
    *, turns: int, prompt: str, mode: str, door: Door, model: FakeOpenAI, claude: FakeAnthropic
) -> None:
    """A question, one with a history, and amid a tool step."""
    resolver = resolver_of(PROMPTS[prompt], {"tools": [WEATHER], "temperature": 0.5})
    for server, name in ((model, MODEL), (claude, "anthropic/claude-sonnet-4-5")):
        given: dict[str, Any] = {"model": name, "message_mode": mode}
        expected = outcome(openai_shaped, server, resolver, {"how": "kind"}, TALK[:turns], **given)
        assert outcome(door, server, resolver, {"how": "kind"}, TALK[:turns], **given) == expected
        assert expected[0] == "sent"
