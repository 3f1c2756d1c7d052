"""What a prompt may set, and who wins where both the prompt and the caller do."""

from decimal import Decimal
from typing import Any

import pytest

from promptwire import Prompt
from promptwire.errors import PromptConfigError
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.params import PROMPT_PARAMS, merge_params, merge_variables, nearest, read_config

SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

NUMBER = ([0, 0.7, 10**400], ["0.7", True, [1], float("nan"), float("inf")])
WHOLE = ([1, 2.0, 10**400], [1.5, "1", True, {}.keys()])
TEXT = (["x"], [5, True, ["x"]])
FLAG = ([True, False], [0, "true", [True]])
OBJECT = (
    [{"a": {"b": [1, None, "x"]}}],
    ["x", [1], {5: "x"}, {"a": {5: "x"}}, {"a": Decimal(1)}, {"a": float("nan")}],
)
TYPES: dict[str, tuple[list[Any], list[Any]]] = {
    "temperature": NUMBER, "top_p": NUMBER, "presence_penalty": NUMBER, "frequency_penalty": NUMBER,
    "max_tokens": WHOLE, "max_completion_tokens": WHOLE, "seed": WHOLE, "top_logprobs": WHOLE, "n": WHOLE,
    "user": TEXT, "verbosity": TEXT, "service_tier": TEXT,
    "parallel_tool_calls": FLAG, "logprobs": FLAG,
    "logit_bias": OBJECT, "metadata": OBJECT, "response_format": ([SCHEMA], OBJECT[1]),
    "stop": (["x", ["x", "y"]], [5, [5], {"a": "x"}]),
    "tools": ([[TOOL]], [TOOL, ["look"], [{"parameters": {}}], [{**TOOL, "x": {1, 2}}]]),
    "tool_choice": (["auto", TOOL], [5, ["auto"]]),
    "reasoning_effort": (["low", 1000], [1.5, True, ["low"]]),
}  # fmt: skip


def settings(**config: Any) -> dict[str, Any]:
    return Prompt("p", text="hi", backend="langfuse", version=2, config=config).settings()


def test_every_parameter_is_here() -> None:
    assert set(TYPES) == set(PROMPT_PARAMS)
    assert set(PROMPT_PARAMS) <= OPENAI_PARAMS


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (good, _) in TYPES.items() for value in good])
def test_a_value_of_the_right_type_is_sent(key: str, value: Any) -> None:
    assert settings(**{key: value}) == {key: value}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, bad) in TYPES.items() for value in bad])
def test_a_value_of_the_wrong_type_is_named_but_not_shown(key: str, value: Any) -> None:
    with pytest.raises(PromptConfigError, match=rf"^langfuse prompt 'p' \(version 2\): config key '{key}' ") as caught:
        settings(**{key: value})
    assert repr(value) not in str(caught.value)


def test_whole_numbers_are_sent_as_such() -> None:
    assert [type(value) for value in settings(max_tokens=50.0, n=1).values()] == [int, int]


@pytest.mark.parametrize("key", TYPES)
@pytest.mark.parametrize("blank", [None, "", [], (), {}])
def test_blanks_are_not_set(key: str, blank: object) -> None:
    assert settings(**{key: blank}) == {}


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
def test_minus_one_token_is_a_blank(key: str) -> None:
    assert settings(**{key: -1}) == settings(**{key: -1.0}) == {}


def test_zero_and_false_are_values() -> None:
    config = {"temperature": 0, "seed": 0, "logprobs": False, "seed2": -1}
    assert settings(**config) == {"temperature": 0, "seed": 0, "logprobs": False}
    assert settings(seed=-1) == {"seed": -1}


def test_bare_functions_are_wrapped() -> None:
    bare = {"name": "look", "parameters": {"type": "object"}}
    assert settings(tools=[bare, TOOL])["tools"] == [TOOL, TOOL]
    with pytest.raises(PromptConfigError, match="'tools' holds a tool without a name"):
        settings(tools=[{"description": "x"}])


@pytest.mark.parametrize(
    "key",
    [
        "api_key", "api_base", "base_url", "headers", "extra_headers", "extra_body", "extra_query", "organization",
        "project", "proxies", "mock_response", "api_version", "timeout", "max_retries", "stream", "stream_options",
        "messages", "model_list", "fallbacks", "store", "Temperature", "functions", "audio", "web_search_options",
    ],
)  # fmt: skip
def test_everything_else_is_read_but_never_sent(key: str) -> None:
    prompt = Prompt("x", text="hi", config={key: "x", "temperature": 1})
    assert prompt.settings() == {"temperature": 1}
    assert prompt.config[key] == "x"


@pytest.mark.parametrize("key", ["model", "provider"])
def test_model_and_provider_are_texts(key: str) -> None:
    assert getattr(read_config({key: " gpt-4o "}, "here"), key) == "gpt-4o"
    assert getattr(read_config({key: "  "}, "here"), key) is None
    assert getattr(read_config({}, "here"), key) is None
    with pytest.raises(PromptConfigError, match=f"^here: config key '{key}' must be a text, not dict$"):
        read_config({key: {"name": "gpt-4o"}}, "here")


@pytest.mark.parametrize(
    ("layers", "merged"),
    [
        ([{"a": 1, "b": 1}, {"b": 2}, {"c": 3}], {"a": 1, "b": 2, "c": 3}),
        ([{"a": 1}, {"a": None}], {"a": 1}),
        ([{"max_tokens": 1}, {"max_completion_tokens": 2}], {"max_completion_tokens": 2}),
        ([{"max_completion_tokens": 1}, {"max_tokens": 2}], {"max_tokens": 2}),
        ([{"max_tokens": 1}, {"max_completion_tokens": None}], {"max_tokens": 1}),
        ([{}, {"max_tokens": 1, "max_completion_tokens": 2}], {"max_tokens": 1, "max_completion_tokens": 2}),
        ([{"tools": [1], "tool_choice": "x", "parallel_tool_calls": False}, {"tools": [2]}], {"tools": [2]}),
        ([{"tools": [1]}, {"tool_choice": "x"}], {"tools": [1], "tool_choice": "x"}),
        ([{"tool_choice": "x"}, {"tool_choice": "y", "tools": [2]}], {"tools": [2], "tool_choice": "y"}),
        ([{"stop": "a"}, {"stop": []}], {"stop": []}),
        ([], {}),
    ],
)
def test_the_later_layer_wins(layers: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    assert merge_params(*layers) == merged


def test_variables_merge_key_by_key() -> None:
    assert merge_variables({"a": 1, "b": 1}, None, {}, {"b": None}) == {"a": 1, "b": None}


def test_nearest() -> None:
    assert nearest("temprature", tuple(PROMPT_PARAMS)) == " (did you mean 'temperature'?)"
    assert nearest("zzz", tuple(PROMPT_PARAMS)) == ""
