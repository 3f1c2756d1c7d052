"""OpenAI's messages as Anthropic's system text and alternating turns."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.answer import is_thinking
from promptwire.gateway.anthropic.content import Block, compact, shaped, to_blocks, with_cache

_OUTSIDE_IDS = re.compile(r"[^a-zA-Z0-9_-]")
# The API wants a user's turn first. Where the assistant speaks first, this stands for it: it says nothing.
_OPENING = "."


class Conversation:
    """What Anthropic's API takes of a list of OpenAI's messages: ``system``, and turns that alternate.

    System messages alone, which OpenAI's models answer, become the user's turn.
    """

    def __init__(self, messages: Sequence[object]) -> None:
        self._system: list[str | list[Block]] = []
        self._turns: list[dict[str, Any]] = []
        self._ids: dict[str, list[str]] = {}  # of the calls so far, as given and as sent
        self._taken: set[str] = set()
        for at, message in enumerate(messages):
            with shaped(f"messages[{at}]"):
                self._add(message)
        if not self._turns:
            self._say("user", self._instructions())
            self._system = []
        if not self._turns:
            raise ConfigurationError("there is nothing to send: every message is empty")
        self._finish()

    @property
    def system(self) -> str | list[Block]:
        """The system texts in their order; blocks, if one was given in parts."""
        texts = [text for text in self._system if isinstance(text, str)]
        if len(texts) == len(self._system):
            return "\n\n".join(texts)
        return self._instructions()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [{"role": turn["role"], "content": compact(turn["content"])} for turn in self._turns]

    @property
    def tools_called(self) -> list[str]:
        """The names of the tools that the conversation calls."""
        blocks = [block for turn in self._turns for block in turn["content"]]
        return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use"))

    @property
    def goes_on_without_thinking(self) -> bool:
        """Whether it ends amid a tool step that a model began without thinking, or whose thinking is lost."""
        if all(block["type"] != "tool_result" for block in self._turns[-1]["content"]):
            return False
        said = next((turn["content"][0] for turn in reversed(self._turns) if turn["role"] == "assistant"), None)
        return said is None or not is_thinking(said)

    def _instructions(self) -> list[Block]:
        return [block for content in self._system for block in to_blocks(content)]

    def _add(self, message: Any) -> None:
        match message["role"]:
            case "system" | "developer":
                blocks = _cached(to_blocks(message["content"]), message)
                self._system += [compact(blocks) if isinstance(message["content"], str) else blocks] if blocks else []
            case "user":
                self._say("user", _cached(to_blocks(message.get("content")), message))
            case "assistant":
                self._say("assistant", _cached(self._spoken(message), message))
            case "tool":
                self._say("user", _cached([self._result(message)], message))
            case role:
                raise ConfigurationError(f"Anthropic's wire has no messages of role {role!r}")

    def _say(self, role: str, blocks: list[Block]) -> None:
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        elif blocks:
            self._turns.append({"role": role, "content": blocks})

    def _spoken(self, message: Mapping[str, Any]) -> list[Block]:
        """Thinking first, if it is signed; alone it is no turn."""
        thought = [dict(block) for block in message.get("thinking_blocks") or () if _is_signed(block)]
        said = to_blocks(message.get("content") or message.get("refusal"))
        calls = message.get("tool_calls") or ()
        for call in calls:
            self._ids.pop(call["id"], None)
        called = [self._call(call) for call in calls]
        return [*thought, *said, *called] if said or called else []

    def _call(self, call: Mapping[str, Any]) -> Block:
        function = call["function"]
        made = {"type": "tool_use", "id": self._new_id(call["id"]), "name": function["name"]}
        return {**made, "input": _arguments(function.get("arguments"))}

    def _new_id(self, given: str) -> str:
        """An id in the API's letters, and another than the calls before have.

        Some hosts count anew in each turn, or give all calls of a turn one id: their results are in the calls' order.
        """
        base = sent = _OUTSIDE_IDS.sub("_", given) or "call"
        number = 1
        while sent in self._taken:
            number += 1
            sent = f"{base}_{number}"
        self._taken.add(sent)
        self._ids.setdefault(given, []).append(sent)
        return sent

    def _result(self, message: Mapping[str, Any]) -> Block:
        given = message["tool_call_id"]
        known = self._ids.get(given) or [_OUTSIDE_IDS.sub("_", given)]
        known.append(known.pop(0))
        made: Block = {"type": "tool_result", "tool_use_id": known[-1]}
        blocks = to_blocks(message.get("content"))
        if blocks:
            made["content"] = compact(blocks)
        if message.get("is_error") or message.get("status") == "error":
            made["is_error"] = True
        return made

    def _finish(self) -> None:
        if self._turns[0]["role"] != "user":
            self._turns.insert(0, {"role": "user", "content": to_blocks(_OPENING)})
        for turn in self._turns:
            if turn["role"] == "user":
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        last = self._turns[-1]["content"][-1]
        if self._turns[-1]["role"] == "assistant" and last["type"] == "text":
            last["text"] = last["text"].rstrip()


def _is_signed(block: Mapping[str, Any]) -> bool:
    return is_thinking(block) and bool(block.get("signature") or block.get("data"))


def _cached(blocks: list[Block], message: Mapping[str, Any]) -> list[Block]:
    """A message's ``cache_control`` is its last block's."""
    return [*blocks[:-1], with_cache(blocks[-1], message)] if blocks else blocks


def _arguments(given: Any) -> dict[str, Any]:
    """The arguments as the object that the API wants; what a model wrote wrongly, in the words its maker advises."""
    try:
        made = json.loads(given or "{}") if isinstance(given, str | None) else given
    except (ValueError, RecursionError):
        made = None
    return dict(made) if isinstance(made, Mapping) else {"INVALID_JSON": given}
