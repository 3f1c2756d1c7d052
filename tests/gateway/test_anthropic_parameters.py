"""What Anthropic's wire makes of OpenAI's parameters."""

import json
from typing import Any

import pytest
from anthropic import transform_schema

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.wire import LACKS, AnthropicWire, lacks
from promptwire.gateway.providers import Target
from tests.doubles.anthropic_sent import EARLY, HI, MARK, MODEL, sent

WIRE = AnthropicWire()


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_base_url_may_end_in_the_version(base: str) -> None:
    request = WIRE.request(Target("anthropic", MODEL, None, base), [HI], {}, stream=True)
    assert request.url == "http://h:1/v1/messages"
    assert "x-api-key" not in request.headers
    assert json.loads(request.body or b"")["stream"] is True


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, {}),
        ({"max_tokens": None}, {}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"parallel_tool_calls": True, "stream_options": {"include_usage": True}}, {}),
        ({"response_format": {"type": "text"}, "n": 1, "logprobs": False}, {}),
        ({"container": "c1"}, {"container": "c1"}),
        (
            {"output_config": {"effort": "max"}, "thinking": {"type": "disabled"}},
            {"output_config": {"effort": "max"}, "thinking": {"type": "disabled"}},
        ),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            {"reasoning_effort": "minimal"},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
    ],
)
def test_parameters(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert sent(**given) == {"model": MODEL, "messages": [HI], "max_tokens": 4096, **made}


@pytest.mark.parametrize(
    ("given", "budget", "most"),
    [
        ({"reasoning_effort": "low"}, 1024, 4096),
        ({"reasoning_effort": "medium", "max_tokens": 100}, 2048, 2148),
        ({"reasoning_effort": "high"}, 4096, 8192),
        ({"reasoning_effort": "max", "max_tokens": 20000}, 16384, 20000),
        ({"reasoning_effort": 3000, "max_completion_tokens": 3000, "temperature": 0}, 3000, 6000),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "top_k": 3, "top_p": 0.1}, 5000, 9096),
    ],
)
def test_budgets(given: dict[str, Any], budget: int, most: int) -> None:
    body = sent(model=EARLY, **given)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body == {"model": EARLY, "messages": [HI], "thinking": body["thinking"], "max_tokens": most}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("claude-2.1", "enabled"),
        ("claude-3-7-sonnet-latest", "enabled"),
        ("claude-opus-4-20250514", "enabled"),
        ("claude-sonnet-4@20250514", "enabled"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "enabled"),
        ("claude-sonnet-4-0", "enabled"),
        ("claude-haiku-4-5-20251001", "enabled"),
        ("deepseek-chat", "enabled"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-opus-4-8", "adaptive"),
        ("claude-opus-4-10", "adaptive"),
        ("claude-fable-5-1", "adaptive"),
        ("claude-haiku-5-5", "adaptive"),
    ],
)
def test_how_each_model_thinks(model: str, kind: str) -> None:
    request = WIRE.request(Target("p", model, None, "http://h"), [HI], {"reasoning_effort": "high"}, stream=False)
    assert json.loads(request.body or b"")["thinking"]["type"] == kind


def test_a_forced_tool_is_called_without_thinking() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    thinking = {"type": "enabled", "budget_tokens": 5000}
    body = sent(model=EARLY, tools=[tool], tool_choice="required", thinking=thinking, temperature=0)
    assert (body["temperature"], body["max_tokens"], "thinking" in body) == (0, 4096, False)


def test_sampling_is_the_callers() -> None:
    body = sent(model=EARLY, temperature=0, top_p=0.5, top_k=3)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0, 0.5, 3)


@pytest.mark.parametrize("name", sorted(LACKS))
def test_what_the_api_lacks(name: str) -> None:
    given: dict[str, Any] = {name: 2}
    with pytest.raises(ConfigurationError, match=f"no {name}: leave it out"):
        sent(**given)


def test_what_some_models_lack() -> None:
    assert lacks("claude-opus-5-5") - LACKS == {"temperature", "top_p"}
    assert lacks("claude-sonnet-4-6") == lacks(EARLY) == lacks("kimi-k2") == LACKS


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"response_format": {"type": "grammar"}}, "response_format of type 'grammar'"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "type 'custom'"),
        ({"tool_choice": "f"}, "tool_choice is"),
        ({"tools": [{"type": "function"}]}, "a parameter of the call is not of the shape"),
        ({"reasoning_effort": "much", "model": EARLY}, "a parameter of the call is not of the shape"),
        ({"temperature": float("nan")}, "plain JSON"),
    ],
)
def test_parameters_that_are_none(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sent(**given)


def test_tools() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}
    strict = {"name": "g", "description": "G.", "parameters": schema, "strict": True, **MARK}
    own = {"type": "web_search_20250305", "name": "web_search"}
    body = sent(
        tools=[
            {"type": "function", "function": {"name": "f", "strict": False}, **MARK},
            {"type": "function", "function": strict},
            own,
        ],
        tool_choice={"type": "any"},
    )
    closed = {"type": "integer", "description": "{maximum: 3}"}
    assert body["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}, **MARK},
        {
            "name": "g",
            "input_schema": {"type": "object", "properties": {"a": closed}, "additionalProperties": False},
            "description": "G.",
            "strict": True,
            **MARK,
        },
        own,
    ]
    assert body["tool_choice"] == {"type": "any"}


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string", "format": "date", "title": "A"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string", "format": "regex", "description": "D"}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "additionalProperties": True}}},
    {"oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "number", "minimum": 1}, "minItems": 1}]},
    {"anyOf": [{"const": 1}, {"enum": ["a", None]}], "description": "D"},
    {"allOf": [{"type": "array", "minItems": 2}]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_schemas_are_closed_as_the_official_client_closes_them(schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    made = sent(response_format=form)["output_config"]["format"]["schema"]
    official = transform_schema(schema)
    assert _without_empty(made) == _without_empty(official)


def _without_empty(schema: Any) -> Any:
    """The official client adds properties where there are none."""
    if isinstance(schema, list):
        return [_without_empty(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_empty(one) for key, one in schema.items() if (key, one) != ("properties", {})}


def test_schemas_of_nothing_and_of_anything() -> None:
    def made(schema: dict[str, Any]) -> Any:
        params = {"response_format": {"type": "json_schema", "json_schema": {"name": "s", **schema}}}
        request = WIRE.request(Target("p", MODEL, None, "http://h"), [HI], params, stream=False)
        return json.loads(request.body or b"")["output_config"]["format"]["schema"]

    assert made({}) == {"type": "object", "additionalProperties": False}
    assert made({"schema": {"type": "array", "items": True, "$schema": "x"}}) == {"type": "array", "items": True}
