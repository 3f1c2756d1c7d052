"""What a model's answer tells of itself: read whole, or chunk by chunk."""

import time
from collections.abc import Mapping
from typing import Any

from promptwire.gateway.speech import Speech
from promptwire.telemetry.attributes import Attributes, response_attributes
from promptwire.telemetry.content import told_answer


class Heard:
    """One answer as it is read, of OpenAI's shape; a provider may say anything, and what is amiss is left out."""

    def __init__(self, *, keeps_content: bool) -> None:
        self.first: float | None = None
        self._keeps_content = keeps_content
        self._said: dict[str, Any] = {}
        self._reasons: dict[int, str] = {}
        self._messages: dict[int, Mapping[str, Any]] = {}
        self._speech: dict[int, Speech] = {}

    def hear(self, body: Mapping[str, Any]) -> None:
        """An answer, or the next chunk of one."""
        if self.first is None:
            self.first = time.perf_counter()
        self._said |= {name: body[name] for name in ("id", "model", "usage") if body.get(name)}
        for place, choice in enumerate(body.get("choices") or ()):
            index = found if type(found := choice.get("index")) is int else place
            if isinstance(reason := choice.get("finish_reason"), str):
                self._reasons[index] = reason
            if self._keeps_content:
                self._keep(index, choice)

    def _keep(self, index: int, choice: Mapping[str, Any]) -> None:
        if isinstance(message := choice.get("message"), Mapping):
            self._messages[index] = message
        else:
            self._speech.setdefault(index, Speech()).hear(choice.get("delta"))

    def attributes(self) -> Attributes:
        """All that was heard."""
        told = response_attributes(self._said)
        if self._reasons:
            told["gen_ai.response.finish_reasons"] = [self._reasons[index] for index in sorted(self._reasons)]
        messages = {**self._messages, **{index: speech.message for index, speech in self._speech.items()}}
        if messages:
            ordered = [(messages[index], self._reasons.get(index)) for index in sorted(messages)]
            told["gen_ai.output.messages"] = told_answer(ordered)
        return told
