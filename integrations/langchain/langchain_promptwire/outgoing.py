"""LangChain's messages as OpenAI's dicts, which all of Promptwire's wires read."""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolMessage,
    convert_to_openai_messages,
)

from langchain_promptwire.thinking import thinking_of
from promptwire.errors import ConfigurationError, raise_bare
from promptwire.gateway.anthropic.content import to_parts, with_cache

# Where a message made of a dict keeps it, if making a dict of the message again would not give the same.
ORIGINAL = "openai_message"
TOOL_BLOCKS = ("tool_use", "function_call", "tool_call")
_CALLS = ("tool_use", "function_call")
# What the message's other fields say again, what is told in `thinking_blocks`, and what becomes a message of its own.
_TOLD_ELSEWHERE = frozenset(
    {
        "function_call", "input_json_delta", "invalid_tool_call", "non_standard", "reasoning", "redacted_thinking",
        "thinking", "tool_call", "tool_call_chunk", "tool_result", "tool_use",
    }
)  # fmt: skip
_OPENAIS = ("image_url", "input_audio", "refusal")


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """What goes over the wire; raises ``ConfigurationError`` for content that OpenAI's has no shape for."""
    sent: list[dict[str, Any]] = []
    for message in messages:
        original = message.additional_kwargs.get(ORIGINAL)
        sent.extend(_dicts(message) if original is None else [original])
    return sent


def to_show(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages for a log, which must not fail the call that it shows."""
    shown: list[dict[str, Any]] = []
    for message in messages:
        try:
            shown += to_openai([message])
        except ConfigurationError:
            shown.append({"role": message.type, "content": str(message.content)})
    return shown


def _dicts(message: BaseMessage) -> list[dict[str, Any]]:
    try:
        if isinstance(message.content, str):
            return [_finished(convert_to_openai_messages([message])[0], message)]
        blocks = [{"type": "text", "text": block} if isinstance(block, str) else block for block in message.content]
        results = [made for block in blocks if block.get("type") == "tool_result" for made in _result(block)]
        calls = [block for block in blocks if block.get("type") in _CALLS]
        (made,) = convert_to_openai_messages([message.model_copy(update={"content": calls})])
        made["content"] = _parts(blocks, message) or ""
        return [*results, *([] if results and not made["content"] else [_finished(made, message)])]
    except (ValueError, TypeError, LookupError, AttributeError):
        raise_bare(ConfigurationError(f"a {message.type} message holds content that OpenAI's wire can't carry"))


def _finished(made: dict[str, Any], message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        made.pop("name", None)
        return {**made, "is_error": True} if message.status == "error" else made
    if "name" in made:
        made["name"] = re.sub(r"[\s<|\\/>]+", "_", made["name"])
    if isinstance(message, AIMessage) and made["role"] == "assistant":
        _finish_assistant(made, message)
    return made


def _finish_assistant(made: dict[str, Any], message: AIMessage) -> None:
    """Calls that were not valid stay, since their results follow; thinking goes back where it was signed."""
    calls = [*made.get("tool_calls", ()), *map(_invalid, message.invalid_tool_calls)]
    if calls:
        made["tool_calls"] = calls
    made["content"] = made["content"] or (None if calls else "")
    if thought := thinking_of(message):
        made["thinking_blocks"] = thought


def _invalid(call: InvalidToolCall) -> dict[str, Any]:
    function = {"name": call["name"] or "", "arguments": call["args"] or ""}
    return {"type": "function", "id": call["id"], "function": function}


def _result(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Anthropic's block for a tool's result, which stands in a user's message, as a message of its own."""
    status = "error" if block.get("is_error") else "success"
    return _dicts(ToolMessage(block.get("content") or "", tool_call_id=block["tool_use_id"], status=status))


def _parts(blocks: Sequence[dict[str, Any]], message: BaseMessage) -> list[dict[str, Any]]:
    parts = [part for block in blocks if block.get("type") not in _TOLD_ELSEWHERE for part in _part(block)]
    if isinstance(message, AIMessage):  # of what it shows, OpenAI's wire takes nothing back
        return [part for part in parts if part["type"] in {"text", "refusal"}]
    return parts


def _part(block: dict[str, Any]) -> list[dict[str, Any]]:
    """A content block of any maker's, or of LangChain's own, as OpenAI's part; what is to be cached stays marked."""
    kind = block.get("type")
    if kind == "text":
        parts = [{"type": "text", "text": block["text"]}]
    elif kind in _OPENAIS or (kind == "file" and isinstance(block.get("file"), dict)):
        parts = [{"type": kind, kind: block[kind]}]
    elif kind == "file" and ("url" in block or "base64" in block or "data" in block):
        parts = [{"type": "file", "file": _file(block)}]
    elif kind in {"document", "image"} and isinstance(block.get("source"), dict):
        parts = to_parts([block])
    else:
        (made,) = convert_to_openai_messages([HumanMessage([block])], text_format="block")
        parts = made["content"]
    marked = block if block.get("cache_control") else block.get("extras") or {}
    return [with_cache(part, marked) for part in parts]


def _file(block: Mapping[str, Any]) -> dict[str, str]:
    """A file of LangChain's: OpenAI's API wants a name for it, and takes no address."""
    kind = block.get("mime_type") or "application/pdf"
    told = {**(block.get("metadata") or {}), **(block.get("extras") or {}), **block}
    named = told.get("filename") or f"file{mimetypes.guess_extension(kind) or ''}"
    data = block.get("base64") or block.get("data")
    return {"file_data": f"data:{kind};base64,{data}" if data else block["url"], "filename": named}
