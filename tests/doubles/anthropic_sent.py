"""What Anthropic's wire sends, once the strict double took it."""

import json
from typing import Any

import httpx

from promptwire.gateway.anthropic.wire import AnthropicWire
from promptwire.gateway.providers import Target
from tests.doubles.anthropic import FakeAnthropic

HI = {"role": "user", "content": "Hi"}
MODEL = "claude-sonnet-5-5"
EARLY = "claude-haiku-4-5"
MARK = {"cache_control": {"type": "ephemeral"}}


def sent(*messages: Any, model: str = MODEL, **params: Any) -> dict[str, Any]:
    """The request's body."""
    with FakeAnthropic(reply=["Yes"]) as server:
        target = Target("anthropic", model, server.api_key, server.url)
        request = AnthropicWire().request(target, messages or (HI,), params, stream=False)
        answer = httpx.post(request.url, headers=dict(request.headers), content=request.body)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = json.loads(request.body or b"")
    return body


def assistant(*ids: str, **extra: Any) -> dict[str, Any]:
    """An assistant that calls ``f`` once for each of the ids."""
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **extra}


def result(call: str, content: Any = "1", **extra: Any) -> dict[str, Any]:
    """What came of a call."""
    return {"role": "tool", "tool_call_id": call, "content": content, **extra}
