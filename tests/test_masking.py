"""Which settings hold a key, and what is shown of them."""

import pytest

from promptwire.masking import is_secret, masked


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "API-KEY", "x-api-key", "OPENAI_API_KEY_2", "secret", "client_secret", "password",
        "passwd",        "Authorization", "bearer", "access_token", "github_token", "token", "key", "private_key",
        "Cookie", "credentials",
    ],
)  # fmt: skip
def test_what_holds_a_key(name: str) -> None:
    assert is_secret(name)
    assert masked({"a": [{name: "sk-1"}]}) == {"a": [{name: "*****"}]}
    assert masked({name: None}) == {name: None}


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "max_completion_tokens", "model", "keywords", "monkey", "author", "tokenizer", "api_base", "n"],
)
def test_what_does_not(name: str) -> None:
    assert not is_secret(name)
    assert masked({name: (1, ["x"])}) == {name: (1, ["x"])}


def test_of_a_tool_s_argument_that_is_a_secret_its_schema_is_told_and_no_value() -> None:
    schema = {
        "type": "object",
        "properties": {
            "password": {"type": "string", "description": "of the customer", "default": "sk-1", "enum": ["sk-2"]},
            "token": "sk-3",
            "city": {"type": "string", "default": "Oslo"},
        },
        "required": ["password"],
    }
    told = masked(schema)
    assert told["properties"] == {
        "password": {"type": "string", "description": "of the customer", "default": "*****", "enum": "*****"},
        "token": "*****",
        "city": {"type": "string", "default": "Oslo"},
    }
    assert told["required"] == ["password"]


def test_what_is_no_json_stays_as_it_is() -> None:
    thing = object()
    assert masked({1: thing, "partials.key": "sk-1"}) == {1: thing, "partials.key": "*****"}
