"""The API's rules of turns: who speaks, what may be empty, and which call each result is of."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from promptwire.testing.wire import Json

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PREFILLED = ("claude-3", "claude-opus-4-1", "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")


def blocks_of(message: Mapping[str, Json]) -> list[Json]:
    """The message's content, spelt out."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def joined(messages: Sequence[Json]) -> list[Json]:
    """The turns as the model sees them: the API makes one of neighbours of the same role."""
    turns: list[Json] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": [*blocks_of(turns[-1]), *blocks_of(message)]}
        else:
            turns.append(message)
    return turns


def check_turns(body: Mapping[str, Json]) -> Iterator[str]:
    """Every rule of the messages by themselves."""
    messages = joined(body["messages"])
    if not messages:
        yield "messages: at least one message is required"
        return
    if messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    system = body.get("system", "-")
    yield from _contents([*messages, {"role": "user", "content": system}])
    yield from _ending(messages[-1], body["model"])
    yield from _tools(messages)


def _contents(messages: Sequence[Json]) -> Iterator[str]:
    for at, message in enumerate(messages):
        if message["role"] not in {"user", "assistant"}:
            yield f"messages.{at}.role: Unexpected role {message['role']!r}. Use the top-level `system` parameter."
        blocks = blocks_of(message)
        if not blocks:
            yield f"messages.{at}: all messages must have non-empty content"
        inner = [one for block in blocks for one in blocks_of({"content": block.get("content", [])})]
        for block in [*blocks, *inner]:
            if block["type"] == "text" and not block["text"].strip():
                yield "messages: text content blocks must contain non-whitespace text"
            source = block.get("source", {})
            if isinstance(source, dict):
                yield from _source(source, f"messages.{at}")


def _source(source: Mapping[str, Json], path: str) -> Iterator[str]:
    if source.get("type") == "url" and not re.match(r"https?://", source["url"]):
        yield f"{path}: Only HTTP(S) URLs are supported."
    if source.get("type") == "base64":
        try:
            b64decode(source["data"], validate=True)
        except binascii.Error:
            yield f"{path}: invalid base64 data"


def _ending(message: Mapping[str, Json], model: str) -> Iterator[str]:
    if message["role"] != "assistant":
        return
    last = blocks_of(message)[-1]
    if not model.startswith(_PREFILLED):
        yield "This model does not support assistant message prefill. The conversation must end with a user message."
    if last["type"] == "text" and last["text"] != last["text"].rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"
    if last["type"] in {"thinking", "redacted_thinking"}:
        yield "messages: The final block in an assistant message cannot be `thinking`."


def _tools(messages: Sequence[Json]) -> Iterator[str]:
    """Each call has its result in the next message, before anything else there, and no result is without a call."""
    seen: set[str] = set()
    for at, (message, after) in enumerate(pairwise([{"role": "", "content": []}, *messages, {"content": []}])):
        calls = [block["id"] for block in blocks_of(message) if block["type"] == "tool_use"]
        kinds = [block["type"] == "tool_result" for block in blocks_of(after)]
        results = [block["tool_use_id"] for block in blocks_of(after) if block["type"] == "tool_result"]
        if seen & set(calls) or len(calls) != len(set(calls)):
            yield f"messages.{at}: `tool_use` ids must be unique"
        seen |= set(calls)
        if any(not _ID.fullmatch(call) for call in calls):
            yield f"messages.{at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if set(calls) - set(results) or not all(kinds[: len(calls)]):
            yield f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after"
        if set(results) - set(calls) or len(results) != len(set(results)):
            yield f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks"
