"""Anthropic's message as OpenAI's completion."""

import json
import time
from collections.abc import Mapping
from typing import Any

from promptwire.errors import GatewayError
from promptwire.gateway.anthropic.tools import JSON_TOOL

# Others, and those yet to come, are "stop".
_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
}
STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip


def to_completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ``LookupError``, ``TypeError`` or ``AttributeError`` where ``body`` is no message."""
    if body["type"] == "error":
        raise refusal(body, json.dumps(body))
    message = _message(body["content"])
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(body["stop_reason"], called="tool_calls" in message),
    }
    head = {"id": body["id"], "object": "chat.completion", "created": int(time.time()), "model": body["model"]}
    return {**head, "choices": [choice], "usage": usage(body["usage"])}


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    said = [block["text"] for block in blocks if block["type"] == "text"]
    said += [arguments(block) for block in blocks if is_json_answer(block)]
    thought = [block for block in blocks if is_thinking(block)]
    calls = [to_call(block) for block in blocks if is_call(block)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said) if said or not calls else None}
    if calls:
        message["tool_calls"] = calls
    return {**message, **thinking_keys(thought), "refusal": None}


def thinking_keys(thought: list[dict[str, Any]]) -> dict[str, Any]:
    """A message's keys for the blocks it was thought in, of which some or all may be unreadable."""
    text = "".join(block.get("thinking", "") for block in thought)
    readable = {"reasoning_content": text} if text else {}
    return {**readable, "thinking_blocks": thought} if thought else {}


def is_thinking(block: Mapping[str, Any]) -> bool:
    """Whether a block is to be sent back unchanged, before what was said."""
    return block["type"] in {"thinking", "redacted_thinking"}


def is_json_answer(block: Mapping[str, Any]) -> bool:
    """Whether a block is an answer in JSON, asked for as a tool's input."""
    return (block["type"], block.get("name")) == ("tool_use", JSON_TOOL)


def is_call(block: Mapping[str, Any]) -> bool:
    """Whether a block calls a tool of the caller's."""
    return block["type"] == "tool_use" and not is_json_answer(block)


def to_call(block: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's tool call for a block of Anthropic's."""
    function = {"name": block["name"], "arguments": arguments(block)}
    return {"id": block["id"], "type": "function", "function": function}


def arguments(block: Mapping[str, Any]) -> str:
    """A tool's input as JSON."""
    return json.dumps(block["input"], ensure_ascii=False)


def finish_reason(stop_reason: str | None, *, called: bool) -> str:
    """OpenAI's word for why the model stopped; an answer in JSON is no tool call."""
    return "stop" if stop_reason == "tool_use" and not called else _FINISH.get(stop_reason or "", "stop")


def usage(told: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI counts cached tokens among the prompt's, Anthropic beside them."""
    read, written = told.get("cache_read_input_tokens") or 0, told.get("cache_creation_input_tokens") or 0
    prompt, made = (told.get("input_tokens") or 0) + read + written, told.get("output_tokens") or 0
    thought = (told.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def refusal(body: Mapping[str, Any], text: str) -> GatewayError:
    """An error that came as an answer with status 200 or amid a stream, with the status it has elsewhere."""
    kind = body["error"]["type"]
    named = f" ({kind})" if kind in STATUS else ""
    message = f"the provider answered with an error{named}; .body has its words"
    return GatewayError(message, status_code=STATUS.get(kind), body=text)
