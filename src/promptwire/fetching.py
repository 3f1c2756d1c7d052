"""Fetching: single flight per prompt, one total deadline, retries, and a circuit per host and per prompt."""

import threading
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import TypeVar, cast

from promptwire.attempts import attempt, fetch_prompt, without_locals
from promptwire.backends import Backend
from promptwire.backends.http import Http, NotModifiedError
from promptwire.cache import NEVER, Slot
from promptwire.contracts import Contracts
from promptwire.errors import (
    BackendUnavailableError,
    ContractError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.events import Teller
from promptwire.flights import Flight
from promptwire.prompts import Prompt
from promptwire.stores import Stored
from promptwire.stores.keeper import Keeper
from promptwire.workers import Workers, rebuild_after_fork

T = TypeVar("T")

OPEN_SECONDS = 10.0
NEGATIVE_SECONDS = 5.0
MAX_CIRCUITS = 1000

HELD_BACK = (PromptConfigError, TemplateError)
"""The backend is well, but this version of the prompt can't be used."""


class Fetcher:
    """Runs backends' fetches on daemon threads, and remembers what failed and until when that is believed."""

    def __init__(
        self, keeper: Keeper, contracts: Contracts, teller: Teller, *, cache_ttl: float, timeout: float
    ) -> None:
        self._ttl = cache_ttl
        self._timeout = timeout
        self.keeper = keeper
        self.teller = teller
        self._contracts = contracts
        self._workers = Workers()
        self._circuits: dict[Hashable, tuple[float, PromptwireError]] = {}
        self._outages: set[Hashable] = set()  # the sources of which is said that they fail
        self.reset()
        rebuild_after_fork(self)

    def reset(self) -> None:
        """A lock of our own, whatever state a forked parent's was in."""
        self._lock = threading.Lock()

    def start(
        self,
        slot: Slot,
        now: float,
        deadline: float,
        instead: PromptwireError | None = None,
        *,
        waited_for: bool = True,
    ) -> Flight[Prompt]:
        """The flight for a slot: the one under way, or a new one. With ``instead`` it asks the store alone."""
        with self._lock:
            flight = slot.flight
            if flight is not None and flight.under_way:
                flight.join(deadline - now)
                if waited_for and flight.patient is not None:
                    flight.soonest = min(flight.soonest, deadline)
                    self._workers.hurry(flight.patient)
                    flight.patient = None
                return flight
            made: Flight[Prompt] = Flight(max(deadline, now + self._timeout))
            slot.flight = made
            made.soonest = deadline  # a store must not cost this caller the answer
        job = partial(self._run, slot, made, instead)
        self._workers.submit(slot.source, job, waited_for=waited_for)
        made.patient = None if waited_for else job
        return made

    def verdict(self, slot: Slot, now: float) -> tuple[PromptwireError | None, bool]:
        """The error that stands for a slot, if any, and whether this caller is the one to probe.

        An open circuit answers ``(error, False)``; once its time is up the first caller gets ``(error, True)``.
        """
        flight, error = slot.flight, slot.error
        if flight is not None and flight.under_way and now >= flight.deadline and not flight.queued:
            return self.expire(slot, flight, self._timeout), False
        if error is not None and now < slot.retry_at:
            return error, False
        with self._lock:
            until, cause = self._circuits.get(slot.source, (NEVER, None))
            if cause is None:
                return error, error is not None
            if probing := now >= until:
                self._circuits[slot.source] = (now + self._timeout, cause)
        return _unasked(slot, cause), probing

    def is_news(self, slot: Slot, error: PromptwireError) -> bool:
        """Whether an error says more than that of another prompt did: once in an outage of their source."""
        if isinstance(error, (*HELD_BACK, PromptNotFoundError)):
            return True  # the source is well
        with self._lock:
            if len(self._outages) >= MAX_CIRCUITS:
                self._outages.clear()
            is_first = slot.source not in self._outages
            self._outages.add(slot.source)
        return is_first

    def restamp(self, slot: Slot, stamp: Hashable) -> None:
        """What was fetched, failed or is being fetched under another stamp no longer holds."""
        with self._lock:
            if stamp != slot.stamp:  # pragma: no branch - unless another caller was first
                slot.expire()
                slot.stamp = stamp

    def expire(self, slot: Slot, flight: Flight[Prompt], seconds: float) -> PromptwireError:
        """What a waiter is told whose time is up; a flight at its own deadline has failed for everybody."""
        error = BackendUnavailableError(
            f"{slot.where}: no answer within {seconds:.3g} s. Check that the server is up, or give a longer timeout.",
            retryable=True,
        )
        if time.monotonic() >= flight.deadline and not flight.queued:
            self._failed(slot, flight, error)
        return error

    def run(self, backend: Backend, where: str, deadline: float, work: Callable[[Http], T]) -> Flight[T]:
        """A flight for anything else that a backend is asked; its outcome is not cached."""
        flight: Flight[T] = Flight(deadline)
        job = partial(_settle, flight, work, Http(where, flight.ends))
        self._workers.submit((backend.name, backend.identity), job)
        return flight

    def later(self, job: Callable[[], object]) -> None:
        """Have a thread do something of the store's, which must not raise."""
        self._workers.submit("store", lambda: cast("None", job()))

    def _run(self, slot: Slot, flight: Flight[Prompt], instead: PromptwireError | None) -> None:
        """In a worker thread; must not raise."""
        flight.take_off(self._timeout)
        try:
            stored = self._stored(slot, flight.soonest, fetching=instead is None)
            ttl = min(stored.fresh_for, self._ttl - stored.age) if stored else 0.0
            if stored is not None and ttl > 0:
                self._keep(slot, flight, stored.prompt, {}, ttl=ttl, age=stored.age, stored=True)
            elif instead is not None:
                flight.settle(instead)
            else:
                self._ask(slot, flight)
        except ContractError as refusal:
            self._failed(slot, flight, without_locals(refusal))
        finally:
            self.keeper.release(slot)
            del slot, flight  # as in _settle

    def _stored(self, slot: Slot, deadline: float, *, fetching: bool) -> Stored | None:
        """What the store has; where memory has nothing, it is what answers if the backend fails."""
        found = self.keeper.look(slot, deadline, fetching=fetching)
        refusal = found and self._contracts.refusal(slot.backend.name, slot.ref.id, found.prompt)
        if refusal:
            found = None
        with self._lock:
            if slot.prompt is None:
                slot.prompt, slot.stored = (found.prompt, True) if found else (None, False)
        if refusal and self.keeper.frozen:  # nobody is asked for another version
            raise refusal
        return found

    def _ask(self, slot: Slot, flight: Flight[Prompt]) -> None:
        known = None if slot.stored else slot.prompt
        http = Http(slot.where, flight.ends, slot.etags if known else None)
        try:
            prompt = attempt(partial(fetch_prompt, slot.backend, slot.ref), http)
            if refusal := self._contracts.refusal(slot.backend.name, slot.ref.id, prompt):
                raise refusal
        except NotModifiedError:
            self._landed(slot, flight, known, slot.etags)  # type: ignore[arg-type]
        except PromptwireError as error:
            self._failed(slot, flight, without_locals(error))
        else:
            self._landed(slot, flight, prompt, http.etags)
        finally:
            del slot, flight, http  # as in _settle

    def _landed(self, slot: Slot, flight: Flight[Prompt], prompt: Prompt, etags: dict[str, str]) -> None:
        with self._lock:
            self._circuits.pop(slot.source, None)
            self._outages.discard(slot.source)
        self._keep(slot, flight, prompt, etags, ttl=self._ttl)
        if slot.prompt is prompt:
            self.keeper.keep(slot, prompt, self._ttl, time.monotonic() + self._timeout)

    def _keep(
        self,
        slot: Slot,
        flight: Flight[Prompt],
        prompt: Prompt,
        etags: dict[str, str],
        *,
        ttl: float,
        age: float = 0.0,
        stored: bool = False,
    ) -> None:
        then = time.monotonic() - age
        with self._lock:
            before = slot.prompt
            if slot.flight is flight:  # else the slot was invalidated: this answer may be older than that
                slot.keep(prompt, etags, then, ttl + age if slot.backend.stamp is None else 0)
                slot.stored = stored
                if slot.flight is not flight:  # it has been invalidated this moment: that takes no lock
                    slot.expire()
                slot.flight = None
        flight.settle(prompt)
        if before is not None and before != prompt and slot.prompt is prompt:
            self.teller.changed("refreshed", slot, prompt)

    def _failed(self, slot: Slot, flight: Flight[Prompt], error: PromptwireError) -> None:
        now = time.monotonic()
        with self._lock:
            counts = slot.flight is flight and flight.under_way
            known = slot.held_back
            if counts:
                self._remember(slot, error, now)
        flight.settle(error)
        if slot.held_back != known:
            self.teller.changed("held_back", slot, slot.prompt, error)
        if counts and isinstance(error, PromptNotFoundError):
            self.keeper.drop(slot, now + self._timeout)

    def _remember(self, slot: Slot, error: PromptwireError, now: float) -> None:
        """A host that can't be reached is cut off whole; any other failure is its prompt's alone.

        What has a stamp is no host: there one file that is slow to read says nothing of the others.
        """
        unreached = isinstance(error, BackendUnavailableError) and error.status_code is None
        if unreached and slot.backend.stamp is None:
            if len(self._circuits) >= MAX_CIRCUITS:
                self._circuits.clear()
            self._circuits[slot.source] = (now + OPEN_SECONDS, error)
            return
        self._circuits.pop(slot.source, None)
        if isinstance(error, PromptNotFoundError):
            slot.prompt = None
        believed = min(NEGATIVE_SECONDS, self._ttl)
        if isinstance(error, HELD_BACK):
            slot.outage = slot.outage and slot.held_back == str(error)  # each version held back is told of
            slot.held_back = str(error)
            if slot.prompt is not None:
                believed = self._ttl  # the backend answered: the next version is due when any other would be
        if isinstance(error, BackendUnavailableError):
            believed = OPEN_SECONDS if error.retry_after is None else error.retry_after
        slot.error, slot.retry_at = (error, now + believed) if believed > 0 else (None, now)


def _settle(flight: Flight[T], work: Callable[[Http], T], http: Http) -> None:
    """In a worker thread: what comes of the work."""
    try:
        flight.settle(attempt(work, http))
    except PromptwireError as error:
        flight.settle(without_locals(error))
    finally:
        del flight, http  # the error keeps this frame, which would keep the flight, which keeps the error


def _unasked(slot: Slot, cause: PromptwireError) -> PromptwireError:
    error = BackendUnavailableError(
        f"{slot.where}: not asked for, since its server failed to answer moments ago; it is tried again shortly",
        retryable=True,
    )
    error.__cause__ = cause
    return error
