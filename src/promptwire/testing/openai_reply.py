"""What the fake's model says, in the API's terms."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from promptwire.testing.wire import Json

Scripted = str | Mapping[str, Json] | Sequence[Mapping[str, Json]]
Reply = Callable[[dict[str, Json]], Scripted]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model said: an assistant message without its role, and why it ended."""

    content: str | None
    tool_calls: tuple[dict[str, Json], ...] = ()
    finish_reason: str = "stop"
    extra: Mapping[str, Json] | None = None

    def message(self) -> dict[str, Json]:
        message = {
            "role": "assistant",
            "content": self.content,
            "refusal": None,
            "annotations": [],
            **(self.extra or {}),
        }
        return {**message, "tool_calls": list(self.tool_calls)} if self.tool_calls else message


def spoken(answer: Scripted, request: Mapping[str, Json]) -> Spoken:
    """A scripted answer as the API would send it, cut at ``stop`` and the token limit."""
    if isinstance(answer, str):
        return bounded(answer, request)
    if not isinstance(answer, Mapping):
        return Spoken(None, tuple(tool_call(call, at, request) for at, call in enumerate(answer)), "tool_calls")
    calls = tuple(tool_call(call, at, request) for at, call in enumerate(answer.get("tool_calls") or ()))
    known = {"role", "content", "tool_calls", "finish_reason"}
    extra = {key: value for key, value in answer.items() if key not in known}
    reason = answer.get("finish_reason", "tool_calls" if calls else "stop")
    return Spoken(answer.get("content"), calls, reason, extra)


def tool_call(call: Mapping[str, Json], at: int, request: Mapping[str, Json]) -> dict[str, Json]:
    """A whole tool call from that or from just ``{"name", "arguments"}``."""
    function = call.get("function", call)
    arguments = function.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    named = {"name": function["name"], "arguments": arguments}
    return {"id": call.get("id", f"call_{len(request['messages'])}_{at}"), "type": "function", "function": named}


def bounded(text: str, request: Mapping[str, Json]) -> Spoken:
    """The text up to the first ``stop``, and no longer than the token limit."""
    stop = request.get("stop") or ()
    for mark in [stop] if isinstance(stop, str) else stop:
        text = text.split(mark, maxsplit=1)[0] if mark else text
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    words = tokens(text)
    if limit is not None and len(words) > limit:
        return Spoken("".join(words[:limit]), finish_reason="length")
    return Spoken(text)


def tokens(text: str) -> list[str]:
    """The text in words, each with the space before it."""
    words: list[str] = []
    for part in text.split(" "):
        words.append(f" {part}" if words else part)
    return words if text else []


def text_of(message: Mapping[str, Json]) -> str:
    """The message's text, that of its parts joined."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def usage(request: Mapping[str, Json], choices: Sequence[Spoken]) -> dict[str, Json]:
    """Words stand for tokens."""
    prompt = sum(len(text_of(message).split()) + 1 for message in request["messages"])
    completion = sum(max(1, len(tokens(one.content or ""))) + len(one.tool_calls) for one in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprobs(request: Mapping[str, Json], words: Sequence[str]) -> dict[str, Json] | None:
    """The same probability for every word, where asked for."""
    if not request.get("logprobs"):
        return None

    def entry(word: str) -> dict[str, Json]:
        return {"token": word, "logprob": -0.1, "bytes": list(word.encode())}

    top = min(request.get("top_logprobs") or 0, 1)
    return {"content": [{**entry(word), "top_logprobs": [entry(word)] * top} for word in words], "refusal": None}
