"""What one choice of a stream says, put together from its deltas."""

from collections.abc import Mapping
from typing import Any

MAX_CALLS = 128
"""Tool calls that are kept: OpenAI's own limit."""


class Speech:
    """One choice, as it is heard; a provider may say anything, and what is amiss is left out."""

    def __init__(self) -> None:
        self.size = 0  # in characters
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._calls: dict[int, _Call] = {}

    def hear(self, delta: object) -> None:
        """One more delta."""
        if isinstance(delta, Mapping):
            self._add(self._texts, delta)
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                self._hear_call(call)

    @property
    def message(self) -> dict[str, Any]:
        """It as a message of OpenAI's."""
        texts = {name: "".join(pieces) or None for name, pieces in self._texts.items()}
        calls = [self._calls[index].told() for index in sorted(self._calls)]
        return {"role": "assistant", **texts, "tool_calls": calls or None}

    def _hear_call(self, delta: object) -> None:
        """Its name and arguments come in pieces, under its index; its id comes whole, and from some every time."""
        if not isinstance(delta, Mapping):
            return
        index = delta.get("index")
        key = index if isinstance(index, int) else 0
        if key not in self._calls and len(self._calls) >= MAX_CALLS:
            return
        call = self._calls.setdefault(key, _Call())
        if not call.id and isinstance(name := delta.get("id"), str):
            call.id = name
        if isinstance(function := delta.get("function"), Mapping):
            self._add(call.texts, function)

    def _add(self, texts: Mapping[str, list[str]], said: Mapping[str, Any]) -> None:
        for name, pieces in texts.items():
            if isinstance(piece := said.get(name), str):
                pieces.append(piece)
                self.size += len(piece)


class _Call:
    def __init__(self) -> None:
        self.id = ""
        self.texts: dict[str, list[str]] = {"name": [], "arguments": []}

    def told(self) -> dict[str, Any]:
        function = {name: "".join(pieces) for name, pieces in self.texts.items()}
        return {"id": self.id, "type": "function", "function": function}
