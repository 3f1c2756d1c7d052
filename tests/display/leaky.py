"""A prompt with keys wherever an editor can put one."""

from typing import Any

KEY = "sk-canary"


def config(number: int) -> dict[str, Any]:
    """Settings of which nearly all hold a key, each with a value of its own."""
    key = f"{KEY}-{number}"
    schema = {"type": "object", "properties": {"password": {"type": "string", "default": key}, "n": {"token": key}}}
    return {
        "model": "gpt-4o",
        "api_key": key,
        "metadata": {"api_key": key, "deep": [{"Authorization": f"Bearer {key}"}]},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": schema, "access_token": key}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}, "secret": key},
        "vendor": {"headers": {"x-api-key": key}},
    }


def messages(number: int) -> list[dict[str, Any]]:
    """Messages that hold more than a role and a text."""
    key = f"{KEY}-{number}"
    parts = [
        {"type": "text", "text": "Look, {{name}}"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "headers": {"cookie": key}}},
        {"type": "file", "file": {"file_id": "f1", "access_token": key}},
    ]
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "credentials": key}
    return [{"role": "user", "content": parts}, {"role": "assistant", "content": "Yes?", "tool_calls": [call]}]
