"""One call's search for a prompt that is not fresh in memory: fetch, stale, fallback or error (DESIGN 4.6, 4.7)."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

from promptwire import log
from promptwire.backends import Backend
from promptwire.cache import NEVER, Slot
from promptwire.errors import BackendError, ConfigurationError, PromptwireError
from promptwire.fetching import Fetcher
from promptwire.flights import Flight
from promptwire.gateway.answers import describe_found
from promptwire.messages import parse_messages
from promptwire.prompts import Prompt
from promptwire.rendered import Source
from promptwire.rollout import Label
from promptwire.tracing import provenance

Fallback: TypeAlias = str | Sequence[Mapping[str, Any]] | Prompt | None
Found: TypeAlias = tuple[Prompt, Source]


class FindOptions(TypedDict, total=False):
    """Which version of a prompt, from where, and what to do without it."""

    backend: str | Backend | None
    label: Label
    version: int | str | None
    rollout_key: str | int | None
    fallback: Fallback
    timeout: float | None


class ResolveOptions(FindOptions, total=False):
    """``FindOptions``, and how to fill the prompt in."""

    variables: Mapping[str, Any] | None
    missing: str | None
    text_role: str


MAX_TIMEOUT = 86_400.0

_KINDS = {"store": "stored"}


def as_seconds(name: str, value: object, most: float = math.inf) -> float:
    """The value; ``ConfigurationError`` for what is no time span."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigurationError(f"{name} is a number of seconds from 0 to {most:g}, not {value!r}")
    return value


class Search:
    """One call's search for a prompt that is not fresh in memory: what both colours do around their wait."""

    def __init__(
        self, fetcher: Fetcher, slot: Slot, freshness: tuple[float, float], fallback: Fallback, seconds: float
    ) -> None:
        self._fetcher = fetcher
        self._reason: PromptwireError | None = None
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
        if (current := self._current()) is not None:
            self._found = current, "cached"
            return None
        error, probing = fetcher.verdict(slot, now)
        if error is not None and fetcher.keeper.wanted(slot):
            self._flight = fetcher.start(slot, now, self.deadline, error)
            return self._flight
        if error is not None and not probing:
            self._found = self._instead(error)
            return None
        stale = self._young_enough()
        flight = fetcher.start(slot, now, self.deadline, waited_for=stale is None)
        if stale is not None:
            self._found = stale, "stale"
        elif error is not None:
            self._found = self._in_hand(error)
        self._flight = None if self._found else flight
        return self._flight

    def end(self) -> Found:
        """The answer, after the wait."""
        found = self._found or self._landed()
        self._fetcher.teller.answered(self._slot, *found, self._reason)
        return found

    def _landed(self) -> Found:
        flight = self._flight
        assert flight is not None  # noqa: S101 - begin() left one or the other
        outcome = flight.outcome
        if outcome is None:
            outcome = self._fetcher.expire(self._slot, flight, self._seconds)
        if not isinstance(outcome, Prompt):
            return self._instead(outcome)
        return outcome, "store" if self._slot.stored and self._slot.prompt is outcome else "fresh"

    def _current(self) -> Prompt | None:
        """The prompt, if fresh, or unchanged where the backend can tell that at no cost (a file's mtime)."""
        slot = self._slot
        if slot.backend.stamp is None:
            return slot.prompt if self._now < slot.fresh_until else None
        try:
            stamp = slot.backend.stamp(slot.ref)
        except PromptwireError:
            raise
        except Exception as error:  # a third party's backend may raise anything
            raise BackendError(f"{slot.where}: the backend raised {type(error).__name__}") from error
        if stamp != slot.stamp:
            self._fetcher.restamp(slot, stamp)
        return slot.prompt if slot.error is None and slot.fetched_at > NEVER else None

    def _young_enough(self) -> Prompt | None:
        slot = self._slot
        age = self._now - slot.fetched_at
        return slot.prompt if slot.stamp is None and self._ttl > 0 and age < self._max_stale else None

    def _instead(self, error: PromptwireError) -> Found:
        """What answers when the backend fails: the last good prompt, whatever its age, the fallback, or the error."""
        found = self._in_hand(error)
        if found is None:
            self._fetcher.teller.failed(self._slot, error)
            raise error.again() from error.__cause__
        return found

    def _in_hand(self, error: PromptwireError) -> Found | None:
        slot, self._reason = self._slot, error
        prompt, source = slot.prompt, "store" if slot.stored else "stale"
        if prompt is None and self._fallback is not None:
            prompt, source = _as_prompt(self._fallback, slot), "fallback"
        if prompt is not None and not slot.outage:
            slot.outage = True
            level = logging.WARNING if self._fetcher.is_news(slot, error) else logging.DEBUG
            told = provenance(describe_found((prompt, source), slot.ref.label))
            log.logger.log(level, "answering with a %s prompt: %s", _KINDS.get(source, source), error, extra=told)
        return None if prompt is None else (prompt, source)  # type: ignore[return-value]


def _as_prompt(fallback: Fallback, slot: Slot) -> Prompt:
    if isinstance(fallback, Prompt):
        return fallback
    if isinstance(fallback, str):
        return Prompt(slot.ref.id, text=fallback, backend=slot.backend.name)
    if not isinstance(fallback, list | tuple):
        raise ConfigurationError(f"fallback is a text, a list of messages or a Prompt, not {type(fallback).__name__}")
    return Prompt(slot.ref.id, messages=parse_messages(fallback), backend=slot.backend.name)
