"""What a resolver does with a backend's prompts as a whole: list, history, push. Nothing of it is cached."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

from promptwire.backends import Backend, PromptSummary, backend_prefix, history_backend
from promptwire.backends.http import Http
from promptwire.cache import where
from promptwire.errors import BackendUnavailableError, ConfigurationError, PromptwireError
from promptwire.fetching import Fetcher
from promptwire.flights import Flight
from promptwire.history import History
from promptwire.prompts import Prompt
from promptwire.publishing import Pushed, check_labels, push
from promptwire.refs import PromptRef

T = TypeVar("T")


class HistoryOptions(TypedDict, total=False):
    """Whose history, and how much of it."""

    backend: str | Backend | None
    limit: int | None
    timeout: float | None


class PushOptions(TypedDict, total=False):
    """Where to, the labels to move, and what is new, for the history; ``dry_run`` writes nothing."""

    backend: str | Backend | None
    labels: Sequence[str]
    message: str | None
    dry_run: bool
    timeout: float | None


class Catalog:
    """The part of ``Resolver`` that deals with prompts by the dozen, and with writing them."""

    _fetcher: Fetcher

    if TYPE_CHECKING:

        def invalidate(self, prompt_id: str | None = None, *, backend: str | Backend | None = None) -> int: ...
        def open_backend(self, backend: str | Backend | None = None, **options: object) -> Backend: ...
        def _seconds(self, timeout: float | None) -> float: ...

    def list_prompts(
        self, *, backend: str | Backend | None = None, timeout: float | None = None
    ) -> list[PromptSummary]:
        """What prompts there are, ordered by id; asks the backend each time. Raises the errors of ``get_prompt``."""
        return _wait(self._listing(backend, timeout))

    async def alist_prompts(
        self, *, backend: str | Backend | None = None, timeout: float | None = None
    ) -> list[PromptSummary]:
        """``list_prompts`` without blocking the loop."""
        return await _await(self._listing(backend, timeout))

    def history(self, prompt_id: str, **options: Unpack[HistoryOptions]) -> History:
        """A prompt's newest ``limit`` versions, or all, the newest first; asks the ``backend`` each time.

        ``timeout`` is in seconds, by default the resolver's.
        Raises the errors of ``get_prompt``, and ``ConfigurationError`` for a backend that keeps no history.
        """
        return _wait(self._history(prompt_id, **options))

    async def ahistory(self, prompt_id: str, **options: Unpack[HistoryOptions]) -> History:
        """``history`` without blocking the loop."""
        return await _await(self._history(prompt_id, **options))

    def push(self, prompt: Prompt, **options: Unpack[PushOptions]) -> Pushed:
        """Put a prompt into a ``backend``: a new version, unless its content is there; no label moves but ``labels``.

        ``message`` says what is new, for the history; ``dry_run`` writes nothing. ``timeout`` is in seconds.
        Content is there if the newest version has it, or the version that the prompt's own number names.
        Raises the errors of ``get_prompt``, and ``ConfigurationError`` for what the backend can't hold.
        """
        return _wait(self._push(prompt, **options))

    async def apush(self, prompt: Prompt, **options: Unpack[PushOptions]) -> Pushed:
        """``push`` without blocking the loop."""
        return await _await(self._push(prompt, **options))

    def _listing(self, backend: str | Backend | None, timeout: float | None) -> "_Work[list[PromptSummary]]":
        opened = self.open_backend(backend)
        return self._begin(opened, f"{opened.name} prompts", timeout, lambda http: list(opened.list(http)))

    def _history(
        self,
        prompt_id: str,
        *,
        backend: str | Backend | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> "_Work[History]":
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ConfigurationError(f"limit is a whole number of at least 1, not {limit!r}")
        if isinstance(prompt_id, str) and (prefix := backend_prefix(prompt_id)):
            backend, prompt_id = prefix, prompt_id[len(prefix) + 1 :]
        opened = history_backend(self.open_backend(backend))
        place = where(opened.name, PromptRef(prompt_id))
        return self._begin(
            opened, place, timeout, lambda http: History(prompt_id, opened.history(prompt_id, limit, http))
        )

    def _push(
        self,
        prompt: Prompt,
        *,
        backend: str | Backend | None = None,
        labels: Sequence[str] = (),
        message: str | None = None,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> "_Work[Pushed]":
        opened = self.open_backend(backend)
        moved = check_labels(labels, opened.name)

        def work(http: Http) -> Pushed:
            done = push(opened, prompt, moved, message, http, dry_run=dry_run)
            self.invalidate(prompt.id, backend=opened)
            return done

        return self._begin(opened, where(opened.name, PromptRef(prompt.id)), timeout, work)

    def _begin(self, backend: Backend, place: str, timeout: float | None, work: Callable[[Http], T]) -> "_Work[T]":
        deadline = time.monotonic() + self._seconds(timeout)
        return self._fetcher.run(backend, place, deadline, work), place, deadline


_Work = tuple[Flight[T], str, float]


def _wait(work: _Work[T]) -> T:
    flight, place, deadline = work
    flight.wait(deadline)
    return _landed(flight.outcome, place)


async def _await(work: _Work[T]) -> T:
    flight, place, deadline = work
    await flight.await_(deadline)
    return _landed(flight.outcome, place)


def _landed(outcome: T | PromptwireError | None, place: str) -> T:
    if outcome is None:
        raise BackendUnavailableError(f"{place}: no answer in time; give a longer timeout", retryable=True)
    if isinstance(outcome, PromptwireError):
        raise outcome.again()
    return outcome
