"""What a resolver tells an application of its prompts, one small record each: ``Resolver(on_event=...)``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptwire import log
from promptwire.cache import Slot
from promptwire.errors import PromptwireError
from promptwire.prompts import Prompt
from promptwire.rendered import Source
from promptwire.telemetry.counts import counts

EventKind = Literal["resolved", "stale", "store", "fallback", "refreshed", "held_back"]


@dataclass(frozen=True, slots=True)
class Event:
    """One answer: ``resolved`` (from the backend or fresh in memory), ``stale``, ``store`` or ``fallback``.

    Or, without a caller: ``refreshed`` (the backend says something else than before) and ``held_back`` (a version that
    can't be used, told of once). ``label`` is the one that was asked for, ``version`` and ``content_hash`` are those of
    the prompt in use, and ``reason`` is the message of the error that led to it. It holds no variable's value.
    """

    kind: EventKind
    backend: str
    prompt_id: str
    label: str | None = None
    version: int | str | None = None
    content_hash: str | None = None
    reason: str | None = None


OnEvent: TypeAlias = Callable[[Event], object]


class Teller:
    """Counts, and calls the hook, on the thread that has something to tell.

    What the hook raises is logged once, and no more.
    """

    def __init__(self, hook: OnEvent | None) -> None:
        self._hook = hook
        self._has_failed = False

    def __bool__(self) -> bool:
        return self._hook is not None or counts() is not None

    def answered(self, slot: Slot, prompt: Prompt, source: Source, reason: PromptwireError | None) -> None:
        """A prompt was found; ``reason`` is why it is not its backend's."""
        if told := counts():
            told.answered(slot.backend.name, source)
        self._tell("resolved" if source in {"fresh", "cached"} else source, slot, prompt, reason)  # type: ignore[arg-type]

    def failed(self, slot: Slot, error: PromptwireError) -> None:
        """There is no prompt; the caller gets the error."""
        if told := counts():
            told.failed(slot.backend.name, error)

    def changed(
        self,
        kind: Literal["refreshed", "held_back"],
        slot: Slot,
        prompt: Prompt | None,
        reason: PromptwireError | None = None,
    ) -> None:
        """What the backend says is another prompt, or one that can't be used."""
        if told := counts():
            told.changed(slot.backend.name, kind)
        self._tell(kind, slot, prompt, reason)

    def _tell(self, kind: EventKind, slot: Slot, prompt: Prompt | None, reason: PromptwireError | None = None) -> None:
        """``prompt`` is the one in use."""
        if self._hook is None:
            return
        version, content = (None, None) if prompt is None else (prompt.version, prompt.content_hash)
        told = None if reason is None else str(reason)
        try:
            self._hook(Event(kind, slot.backend.name, slot.ref.id, slot.ref.label, version, content, told))
        except Exception as error:  # noqa: BLE001 - the application's own code may raise anything
            if not self._has_failed:
                self._has_failed = True
                log.logger.warning("on_event raised %s; more of its errors are not told of", type(error).__name__)
