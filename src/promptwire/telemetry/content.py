"""What was said, in the JSON of OpenTelemetry's GenAI conventions; only for who has asked for content."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def told_messages(messages: Iterable[object]) -> str:
    """OpenAI's messages, each as a role and its parts."""
    return as_json([told_message(message) for message in messages if isinstance(message, Mapping)])


def told_message(message: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One message; images and other media are named, not copied."""
    told = {"role": str(message.get("role") or "assistant"), "parts": list(_parts(message))}
    return told if finish_reason is None else {**told, "finish_reason": finish_reason}


def _parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        if isinstance(part, Mapping):
            text = {"content": part.get("text")} if part.get("type") == "text" else {}
            yield {"type": part.get("type"), **text}
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        told = {"id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
        yield {"type": "tool_call", **told}


def as_json(value: object) -> str:
    """JSON of whatever it is; what JSON can't hold is its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def told_answer(messages: Sequence[tuple[Mapping[str, Any], str | None]]) -> str:
    """An answer's choices, each a message and why it ended."""
    return as_json([told_message(message, reason or "error") for message, reason in messages])
