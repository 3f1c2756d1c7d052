"""Every fault of a prompt server, in every state that a resolver can be in (DESIGN 4.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from promptwire import BackendError, PromptNotFoundError, PromptwireError, Resolver
from tests.faults.asking import Asker, Lateness
from tests.faults.hosts import ID, VENDORS, Host
from tests.faults.table import FAULTS, Fault

if TYPE_CHECKING:
    from pathlib import Path

    from promptwire import Prompt
    from promptwire.backends import Backend
    from promptwire.search import Found
    from tests.conftest import Clock, Door

    Until = Callable[..., None]

PATIENCE, HURRY = 5.0, 0.3
OVER = 1.1
STALE = 61  # seconds, by which what was fresh is not any more


@dataclass(frozen=True)
class Situation:
    """Where the answer comes from while the host fails (``None``: from nowhere), and what went before."""

    source: str | None
    before: str = "nothing"
    ahead: float = 0.0
    fallback: str | None = None


SITUATIONS = {
    "cold": Situation(None),
    "fresh": Situation("cached", "resolved"),
    "stale": Situation("stale", "resolved", ahead=10_000),
    "store": Situation("store", "stored"),
    "fallback": Situation("fallback", fallback="A spare"),
}


@pytest.fixture(params=VENDORS)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with Host(VENDORS[request.param], tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Fault:
    return FAULTS[request.param]


@pytest.fixture
def backend(fault: Fault, host: Host, request: pytest.FixtureRequest) -> Backend:
    return fault.reach(host, lambda: request.getfixturevalue("trusted"))


def prepare(asker: Asker, situation: Situation, until: Until) -> Prompt | None:
    """Bring about what went before; answers the prompt that is known from then."""
    if situation.before == "nothing":
        return None
    good = asker.resolver.get_prompt(ID, timeout=30)
    if situation.before == "stored":
        assert asker.folder is not None
        until(lambda: list(asker.folder.glob("*.prompt")))
        asker.restart()
    asker.clock.ahead += situation.ahead
    return good


def check(outcome: Found | PromptwireError, fault: Fault, situation: Situation, good: Prompt | None) -> None:
    gone = fault.error is PromptNotFoundError and situation.source in {"stale", "store"}
    if situation.source is None or gone:
        assert type(outcome) is fault.error
        assert ID in str(outcome)
        if isinstance(outcome, BackendError):
            assert (outcome.status_code, outcome.retryable) == (fault.status, fault.retryable)
        return
    assert isinstance(outcome, tuple), outcome
    prompt, source = outcome
    assert source == situation.source
    assert prompt == good if good else prompt.text == situation.fallback


def recovers(asker: Asker, *, right: Prompt, known: Prompt | None, until: Until) -> None:
    """The next call has the right prompt; where another is in hand, that may answer while the host is tried again."""
    assert right.text == "The second"

    def is_right() -> bool:
        outcome = asker.ask(PATIENCE)
        assert isinstance(outcome, tuple), outcome
        prompt, source = outcome
        if prompt == right:
            return source in {"fresh", "cached"}
        assert prompt == known or prompt.text == asker.fallback
        return False

    assert is_right() or known or asker.fallback
    until(is_right)


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_fault_in_each_situation_has_the_promised_answer_in_time_and_leaves_nothing_wrong_behind(
    name: str, fault: Fault, door: Door, host: Host, *, backend: Backend, clock: Clock, until: Until, tmp_path: Path
) -> None:
    situation = SITUATIONS[name]
    folder = tmp_path / "store" if situation.before == "stored" else None
    asker = Asker(door, clock, backend, HURRY if fault.slow else PATIENCE, situation.fallback, folder)
    good = prepare(asker, situation, until)
    host.publish("The second")
    fault.strike(host)
    asked, late = host.server.count, Lateness(asker.seconds) if fault.slow else None
    for _ in range(2):
        check(asker.ask(), fault, situation, good)
        assert asker.took <= OVER * asker.seconds + (late.end() if late else 0)
    assert host.server.count == asked or situation.source != "cached"
    host.heal()
    clock.ahead += STALE if situation.source == "cached" else fault.believed
    recovers(asker, right=Resolver(backend).get_prompt(ID), known=good, until=until)
    assert host.other.count == 0, "the keys are for the host that was named"


def test_a_refresh_that_fails_keeps_nobody_waiting(
    fault: Fault, door: Door, host: Host, *, backend: Backend, clock: Clock, until: Until
) -> None:
    asker = Asker(door, clock, backend, HURRY if fault.slow else PATIENCE, None, None)
    good = asker.resolver.get_prompt(ID, timeout=30)
    clock.ahead += STALE
    host.publish("The second")
    fault.strike(host)
    for attempt in range(3):
        outcome = asker.ask()
        assert outcome == (good, "stale") or (attempt and type(outcome) is fault.error is PromptNotFoundError)
        assert asker.took < HURRY or not fault.slow
    (slot,) = asker.resolver._cache.select()  # noqa: SLF001 - nothing else tells that the refresh is over
    until(lambda: slot.flight is None or not slot.flight.under_way)
    host.heal()
    clock.ahead += fault.believed
    recovers(asker, right=Resolver(backend).get_prompt(ID), known=good, until=until)
    assert host.other.count == 0
