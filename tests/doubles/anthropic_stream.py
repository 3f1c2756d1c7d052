"""A message as the API's server-sent events."""

import json
from collections.abc import Iterator, Mapping

from promptwire.testing.openai_reply import tokens
from promptwire.testing.wire import Json, encode

_PIECE = 8


def event(kind: str, data: Mapping[str, Json]) -> bytes:
    """One event, named in both places."""
    return f"event: {kind}\n".encode() + b"data: " + encode({"type": kind, **data}) + b"\n\n"


def stream(message: Mapping[str, Json]) -> Iterator[bytes]:
    """Every event of the message, a ping among them."""
    told = message["usage"]
    start = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**told, "output_tokens": 1},
    }
    yield event("message_start", {"message": start})
    yield event("ping", {})
    for index, block in enumerate(message["content"]):
        opening, deltas = _pieces(block)
        yield event("content_block_start", {"index": index, "content_block": opening})
        for delta in deltas:
            yield event("content_block_delta", {"index": index, "delta": delta})
        yield event("content_block_stop", {"index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    counts = {key: told[key] for key in ("output_tokens", "output_tokens_details")}
    yield event("message_delta", {"delta": delta, "usage": {**counts, "input_tokens": None}})
    yield event("message_stop", {})


def _pieces(block: Mapping[str, Json]) -> tuple[Mapping[str, Json], list[dict[str, Json]]]:
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": word} for word in tokens(block["text"])]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": word} for word in tokens(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use" | "server_tool_use":
            whole = json.dumps(block["input"]) if block["input"] else ""
            cuts = range(0, max(1, len(whole)), _PIECE)
            pieces = ["", *(whole[at : at + _PIECE] for at in cuts if whole)]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return block, []
