"""One call's search for a prompt that is not fresh in memory: fetch, stale, fallback or error (DESIGN 4.6, 4.7)."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from promptwire import log
from promptwire.cache import Slot
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.fetching import Fetcher, Flight
from promptwire.messages import parse_messages
from promptwire.prompts import Prompt, Source

Fallback: TypeAlias = str | Sequence[Mapping[str, Any]] | Prompt | None
Found: TypeAlias = tuple[Prompt, Source]


class Search:
    """One call's search for a prompt that is not fresh in memory: what both colours do around their wait."""

    def __init__(
        self, fetcher: Fetcher, slot: Slot, freshness: tuple[float, float], fallback: Fallback, seconds: float
    ) -> None:
        self._fetcher = fetcher
        self._slot = slot
        self._ttl, self._max_stale = freshness
        self._fallback = fallback
        self._seconds = seconds
        self._flight: Flight[Prompt] | None = None
        self._found: Found | None = None
        self._now = time.monotonic()
        self.deadline = self._now + self._seconds

    def begin(self) -> Flight[Prompt] | None:
        """Look; the flight to wait for, or ``None`` if the answer is there."""
        slot, now, fetcher = self._slot, self._now, self._fetcher
        slot.used = now
        if self._is_current():
            self._found = slot.prompt, "cached"  # type: ignore[assignment]
            return None
        error, probing = fetcher.verdict(slot, now)
        if error is not None and not probing:
            self._found = self._instead(error)
            return None
        flight = fetcher.start(slot, now, self.deadline)
        if self._may_be_stale():
            self._found = slot.prompt, "stale"  # type: ignore[assignment]
        elif error is not None:
            self._found = self._in_hand(error)
        self._flight = None if self._found else flight
        return self._flight

    def end(self) -> Found:
        """The answer, after the wait."""
        if self._found is not None:
            return self._found
        flight = self._flight
        assert flight is not None  # noqa: S101 - begin() left one or the other
        outcome = flight.outcome
        if outcome is None:
            outcome = self._fetcher.expire(self._slot, flight, self._seconds)
        return (outcome, "fresh") if isinstance(outcome, Prompt) else self._instead(outcome)

    def _is_current(self) -> bool:
        """Fresh, or unchanged where the backend can tell that at no cost (a file's mtime)."""
        slot = self._slot
        if slot.backend.stamp is None:
            return slot.prompt is not None and self._now < slot.fresh_until
        stamp = slot.backend.stamp(slot.ref)
        if stamp != slot.stamp:
            slot.stamp, slot.error = stamp, None
            return False
        return slot.prompt is not None and slot.error is None

    def _may_be_stale(self) -> bool:
        slot = self._slot
        age = self._now - slot.fetched_at
        return slot.prompt is not None and slot.stamp is None and self._ttl > 0 and age < self._max_stale

    def _instead(self, error: PromptwireError) -> Found:
        """What answers when the backend fails: the stale prompt, whatever its age, the fallback, or the error."""
        found = self._in_hand(error)
        if found is None:
            raise error.again() from error.__cause__
        return found

    def _in_hand(self, error: PromptwireError) -> Found | None:
        slot = self._slot
        prompt, source = slot.prompt, "stale"
        if prompt is None and self._fallback is not None:
            prompt, source = _as_prompt(self._fallback, slot), "fallback"
        if prompt is not None and not slot.outage:
            slot.outage = True
            log.logger.warning("answering with a %s prompt: %s", source, error)
        return None if prompt is None else (prompt, source)  # type: ignore[return-value]


def _as_prompt(fallback: Fallback, slot: Slot) -> Prompt:
    if isinstance(fallback, Prompt):
        return fallback
    if isinstance(fallback, str):
        return Prompt(slot.ref.id, text=fallback, backend=slot.backend.name)
    if not isinstance(fallback, list | tuple):
        raise ConfigurationError(f"fallback is a text, a list of messages or a Prompt, not {type(fallback).__name__}")
    return Prompt(slot.ref.id, messages=parse_messages(fallback), backend=slot.backend.name)
