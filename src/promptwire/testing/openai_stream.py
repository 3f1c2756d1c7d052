"""Chat Completions as server-sent events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptwire.testing.openai_reply import Spoken, logprobs, tokens, usage
from promptwire.testing.wire import encode

_ARGUMENT_PIECE = 8


def event(data: object) -> bytes:
    """One event; JSON escapes the line ends that would break it."""
    return b"data: " + encode(data) + b"\n\n"


def stream(request: Mapping[str, Any], choices: Sequence[Spoken], base: Mapping[str, Any]) -> Iterator[bytes]:
    """Every event up to ``[DONE]``; ``base`` holds what all chunks share."""
    with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    shared = {**base, "object": "chat.completion.chunk"}
    empty_usage = {"usage": None} if with_usage else {}
    for index, choice in enumerate(choices):
        for delta, reason in _deltas(choice):
            probabilities = logprobs(request, [delta["content"]]) if delta.get("content") else None
            part = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": reason}
            yield event({**shared, "choices": [part], **empty_usage})
    if with_usage:
        yield event({**shared, "choices": [], "usage": usage(request, choices)})
    yield b"data: [DONE]\n\n"


def _deltas(choice: Spoken) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": None if choice.content is None else "", "refusal": None}, None
    for word in tokens(choice.content or ""):
        yield {"content": word}, None
    for index, call in enumerate(choice.tool_calls):
        function = call["function"]
        opening = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": opening}]}, None
        for at in range(0, len(function["arguments"]), _ARGUMENT_PIECE):
            piece = function["arguments"][at : at + _ARGUMENT_PIECE]
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None
    yield {}, choice.finish_reason
