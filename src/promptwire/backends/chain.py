"""Several backends in order: the first that has a prompt serves it."""

import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from promptwire import log
from promptwire.attempts import attempt, fetch_prompt
from promptwire.backends import Backend, PromptSummary, PromptVersion, check_backend, history_backend, open_backend
from promptwire.backends.http import Http
from promptwire.cache import NEVER, where
from promptwire.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    PromptNotFoundError,
    PromptwireError,
)
from promptwire.fetching import OPEN_SECONDS
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

T = TypeVar("T")

# A prompt that is there but broken ends the search: what another backend holds could be years old.
_GOES_ON = (PromptNotFoundError, BackendError, ConfigurationError)
# Of each backend's part of the time, what is kept back to say that nobody answered.
_MARGIN = 0.1


class Chain:
    """``Chain(["langfuse", FilesBackend("prompts")])``; by default the names in ``PROMPTWIRE_CHAIN``, comma-separated.

    A prompt that a backend doesn't have, an outage and refused credentials lead on to the next; ``prompt.backend``
    says who served, ``prompt.passed_over`` why others didn't. The time of a call is shared out evenly among the
    backends still to be asked, and one that can't be reached is left out for ten seconds. A label or version is
    passed to each; without either each has its own default.
    """

    name = "chain"
    default_label = None
    options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, members: Sequence[str | Backend] | str | None = None) -> None:
        given = os.environ.get("PROMPTWIRE_CHAIN", "") if members is None else members
        if isinstance(given, str):
            given = [name for part in given.split(",") if (name := part.strip())]
        self.members = tuple(_opened(member) for member in given)
        if not self.members:
            raise ConfigurationError("a chain needs backends: Chain(['langfuse', 'files']), or PROMPTWIRE_CHAIN")
        self.identity: Hashable = tuple((member.name, member.identity) for member in self.members)
        # Where one member can't tell at no cost whether its prompt still holds, nor can the chain.
        tells = all(member.stamp is not None for member in self.members)
        self.stamp: Callable[[PromptRef], Hashable] | None = self._stamp if tells else None
        self._down_until: dict[int, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.members,)

    def __deepcopy__(self, _: object) -> "Chain":
        return self

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The prompt of the first member that has it; all failing, one error that names each one's reason."""
        errors: list[PromptwireError] = []
        for place, member in enumerate(self.members):
            own = _own(member, ref)
            part = self._part(place, where(member.name, own), http)
            found = self._ask(place, part, partial(fetch_prompt, member, own))
            if isinstance(found, Prompt):
                http.etags.update(part.etags)
                passed_over = (*map(str, errors), *found.passed_over)
                return replace(found, passed_over=passed_over) if errors else found
            errors.append(found)
        raise _nobody(http.where, errors)

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """What the members that answer have, merged by id."""
        errors: list[PromptwireError] = []
        merged: dict[str, PromptSummary] = {}
        for place, member in enumerate(self.members):
            part = self._part(place, f"{member.name} prompts", http)
            rows = self._ask(place, part, partial(_listed, member))
            if isinstance(rows, PromptwireError):
                errors.append(rows)
                continue
            for row in rows:
                merged[row.id] = row.merged_into(merged.get(row.id))
        if len(errors) == len(self.members):
            raise _nobody(http.where, errors)
        return [merged[prompt_id] for prompt_id in sorted(merged)]

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """That of the first member that has the prompt and keeps one."""
        errors: list[PromptwireError] = []
        for place, member in enumerate(self.members):
            part = self._part(place, where(member.name, PromptRef(prompt_id)), http)
            told = self._ask(place, part, partial(_told, member, prompt_id, limit))
            if not isinstance(told, PromptwireError):
                return told
            errors.append(told)
        raise _nobody(http.where, errors)

    def _part(self, place: int, where: str, http: Http) -> Http:
        """A member's even part of the time that remains.

        Only the first may be told that what is cached still holds: where another served it, why may have changed.
        """
        return http.within(where, 1 / (len(self.members) - place + _MARGIN), conditional=place == 0)

    def _ask(self, place: int, part: Http, ask: Callable[[Http], T]) -> T | PromptwireError:
        """What a member answers, or the error that gives the next one its turn."""
        if time.monotonic() < self._down_until.get(place, NEVER):
            return BackendUnavailableError(f"{part.where}: not asked for, since it failed to answer moments ago")
        try:
            return attempt(ask, part)
        except _GOES_ON as error:
            if isinstance(error, BackendUnavailableError) and error.status_code is None:
                self._down_until[place] = time.monotonic() + OPEN_SECONDS
            if not isinstance(error, PromptNotFoundError):
                log.logger.warning("the next backend of the chain is asked: %s", error)
            return error

    def _stamp(self, ref: PromptRef) -> Hashable:
        return tuple(_stamped(member, _own(member, ref)) for member in self.members)


def _opened(member: str | Backend) -> Backend:
    if member == Chain.name:
        raise ConfigurationError("a chain can't name itself among its backends")
    return open_backend(member) if isinstance(member, str) else check_backend(member)


def _own(member: Backend, ref: PromptRef) -> PromptRef:
    """The reference as a member of its own would be asked for."""
    return replace(ref, label=member.default_label) if ref.version is None and ref.label is None else ref


def _listed(member: Backend, http: Http) -> tuple[PromptSummary, ...]:
    return tuple(member.list(http))


def _told(member: Backend, prompt_id: str, limit: int | None, http: Http) -> tuple[PromptVersion, ...]:
    return tuple(history_backend(member).history(prompt_id, limit, http))


def _stamped(member: Backend, ref: PromptRef) -> Hashable:
    assert member.stamp is not None  # noqa: S101 - else the chain has none
    try:
        return member.stamp(ref)
    except PromptwireError as error:
        return str(error)


def _nobody(where: str, errors: Sequence[PromptwireError]) -> PromptwireError:
    reasons = "; ".join(str(error).rstrip(".") for error in errors)
    if all(isinstance(error, PromptNotFoundError) for error in errors):
        return PromptNotFoundError(f"{where}: no backend has it: {reasons}")
    # With a status it is this prompt's failure alone: others may live in backends that answer.
    return BackendUnavailableError(f"{where}: no backend could serve it: {reasons}", status_code=503)
