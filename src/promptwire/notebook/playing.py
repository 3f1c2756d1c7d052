"""A model call of a playground: what it has said so far, told as often as an eye can follow."""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Literal

from promptwire import log
from promptwire.display.answers import answer_view
from promptwire.display.errors import error_view
from promptwire.display.view import View
from promptwire.errors import PromptwireError
from promptwire.gateway.answers import Answer, PromptInfo, answer
from promptwire.gateway.ask import Plan
from promptwire.gateway.driver import astream
from promptwire.gateway.speech import Speech
from promptwire.notebook.drawing import drawn

State = Literal["waiting", "streaming", "done", "failed", "stopped"]

PAUSE = 1 / 30
"""Seconds between two tellings."""
BYTES_A_SECOND = 1_000_000
"""What a long answer, told anew each time, may take."""

_FACTS: dict[str, type] = {"model": str, "usage": Mapping}


class Call:
    """One call, and what is heard of it; ``tell`` is called on the loop that runs it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._due: asyncio.TimerHandle | None = None
        self._choices: dict[int, Speech] = {}
        self._reasons: dict[int, str] = {}
        self._facts: dict[str, Any] = {}
        self._info: PromptInfo | None = None
        self._latency: float | None = None
        self._phase: State = "waiting"
        self._stopped = False
        self.error: PromptwireError | None = None

    @property
    def state(self) -> State:
        """How far it is."""
        return "stopped" if self._stopped else self._phase

    @property
    def is_running(self) -> bool:
        """Whether more is to come."""
        return self.state in {"waiting", "streaming"}

    def stop(self) -> None:
        """Take it for over; whoever runs it is to cancel it."""
        self._stopped = self._stopped or self.is_running

    async def run(self, plan: Callable[[], Plan]) -> None:
        """Make the call, and listen to its end. Raises nothing but a cancellation."""
        try:
            await self._listen(plan())
            self._phase = "done"
        except PromptwireError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, a playground must not go on waiting
            log.show_foreign("a playground's call", error)
            self._fail(PromptwireError(f"the call raised {type(error).__name__}; the kernel's log has its traceback"))
        self._now()

    def answer(self) -> Answer | None:
        """What was said so far; ``None`` before the first word."""
        if not self._choices:
            return None
        choices = [
            {"message": self._choices[index].message, "finish_reason": self._reasons.get(index)}
            for index in sorted(self._choices)
        ]
        return answer({**self._facts, "choices": choices}, self._info, self._latency)

    def view(self) -> View | None:
        """The answer as a display; the error's, where there is one and nothing was said."""
        said = self.answer()
        if said is not None:
            return answer_view(said)
        return None if self.error is None else error_view(self.error)

    def told(self) -> dict[str, Any]:
        """For the browser."""
        said = self.answer()
        return {
            "state": self.state,
            "answer": None if said is None else drawn(answer_view(said)),
            "error": None if self.error is None else drawn(error_view(self.error)),
        }

    async def _listen(self, plan: Plan) -> None:
        self._info, started = plan.info, perf_counter()
        async for chunk in astream(plan.call):
            self._facts |= {name: chunk[name] for name, kind in _FACTS.items() if isinstance(chunk.get(name), kind)}
            for choice in chunk.get("choices") or ():
                self._hear(int(choice.get("index") or 0), choice)
            self._phase = "streaming"
            self._soon()
        self._latency = perf_counter() - started

    def _hear(self, index: int, choice: Mapping[str, Any]) -> None:
        self._choices.setdefault(index, Speech()).hear(choice.get("delta"))
        if choice.get("finish_reason"):
            self._reasons[index] = str(choice["finish_reason"])

    def _fail(self, error: PromptwireError) -> None:
        self._phase, self.error = "failed", error

    def _soon(self) -> None:
        """Tell within the pause; what is heard until then is told with it."""
        if self._due is None:
            size = sum(choice.size for choice in self._choices.values())
            pause = max(PAUSE, size / BYTES_A_SECOND)
            self._due = asyncio.get_running_loop().call_later(pause, self._now)

    def _now(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._tell()
