"""The fake's own model: an echo that thinks, calls tools and fills schemas."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptwire.testing.instances import Instances, quoted
from promptwire.testing.openai_echo import mentions
from promptwire.testing.openai_reply import tokens
from promptwire.testing.wire import Json
from tests.doubles.anthropic_turns import blocks_of, joined

Block = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Said:
    """The blocks that the model said, and why it stopped."""

    content: Sequence[Block]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None


def sign(thinking: str) -> str:
    """The signature that the API puts on a thought, and later looks for."""
    return hashlib.sha256(f"the fake's key {thinking}".encode()).hexdigest()


def thought(text: str) -> Block:
    """A thinking block as the API gives it."""
    return {"type": "thinking", "thinking": text, "signature": sign(text)}


def echo(request: Mapping[str, Json]) -> Said:
    """The answer to a valid request, the same each time."""
    text, results = _last(request["messages"])
    thoughts = _thoughts(request, text)
    calls = [] if results and not _forced(request) else _calls(request, text)
    if calls:
        return Said([*thoughts, *calls], "tool_use")
    schema = request.get("output_config", {}).get("format", {}).get("schema")
    said = f"[{request['model']}] {text}" if schema is None else json.dumps(Instances(schema, text).make())
    return _bounded(said, thoughts, request)


def _last(messages: Sequence[Json]) -> tuple[str, bool]:
    """The last user turn's words, and whether they are results of tools."""
    blocks = next(blocks_of(message) for message in reversed(joined(messages)) if message["role"] == "user")
    results = [block for block in blocks if block["type"] == "tool_result"]
    words = [text_of(block.get("content", "")) for block in results] + [text_of(blocks)]
    return " ".join(filter(None, words)), bool(results)


def text_of(content: Json) -> str:
    """The text of a message's or a result's content."""
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def _thoughts(request: Mapping[str, Json], text: str) -> list[Block]:
    thinking = request.get("thinking", {"type": "disabled"})
    if thinking["type"] not in {"enabled", "adaptive"}:
        return []
    shown = thinking.get("display", "summarized" if thinking["type"] == "enabled" else "omitted") == "summarized"
    return [thought(f"They say: {text}" if shown else "")]


def _forced(request: Mapping[str, Json]) -> bool:
    return request.get("tool_choice", {}).get("type") in {"any", "tool"}


def _calls(request: Mapping[str, Json], text: str) -> list[Block]:
    """The tools to call: the forced one, else those that the user names, else the first if one must be."""
    choice = request.get("tool_choice", {"type": "auto"})
    tools = [] if choice["type"] == "none" else request.get("tools", [])
    wanted = [tool for tool in tools if tool["name"] == choice.get("name", "") or mentions(text, tool["name"])]
    if choice["type"] == "tool":
        wanted = [tool for tool in tools if tool["name"] == choice["name"]]
    wanted = wanted or (tools[-1:] if choice["type"] == "any" else [])
    wanted = wanted[:1] if choice.get("disable_parallel_tool_use") else wanted
    turn = len(request["messages"])
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{turn:02}_{at}",
            "name": tool["name"],
            "input": _input(tool["input_schema"], text),
        }
        for at, tool in enumerate(wanted)
    ]


def _input(schema: Mapping[str, Json], text: str) -> Json:
    """What the schema asks for; of one that leaves it open, the keys that the user quotes."""
    return Instances(schema, text).make() or dict.fromkeys(quoted(text), "text")


def _bounded(text: str, thoughts: Sequence[Block], request: Mapping[str, Json]) -> Said:
    """The text up to the first stop sequence, and no longer than the token limit."""
    reason, mark = "end_turn", None
    for stop in request.get("stop_sequences", ()):
        if stop in text:
            text, reason, mark = text.split(stop, maxsplit=1)[0], "stop_sequence", stop
    if len(tokens(text)) > request["max_tokens"]:
        text, reason, mark = "".join(tokens(text)[: request["max_tokens"]]), "max_tokens", None
    return Said([*thoughts, {"type": "text", "text": text}], reason, mark)


def usage(request: Mapping[str, Json], said: Said, cached: set[str]) -> dict[str, Json]:
    """Words stand for tokens; what is marked to be cached counts ten, written once and read ever after."""
    words = sum(len(text_of(message["content"]).split()) + 1 for message in request["messages"])
    thinking = sum(len(tokens(block.get("thinking", ""))) for block in said.content)
    made = thinking + sum(max(1, len(tokens(block.get("text", "")))) for block in said.content)
    prefix = json.dumps([request.get("tools"), request.get("system")])
    marked = 10 * ("cache_control" in json.dumps(request))
    known = prefix in cached
    if marked:
        cached.add(prefix)
    return {
        "input_tokens": words,
        "output_tokens": made,
        "cache_creation_input_tokens": 0 if known else marked,
        "cache_read_input_tokens": marked if known else 0,
        "output_tokens_details": {"thinking_tokens": thinking},
    }
