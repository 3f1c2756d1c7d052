"""All faults at once, in real time: whoever waits is answered by the deadline, whatever the others go through."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from promptwire import Resolver
from tests.faults.asking import Lateness
from tests.faults.hosts import ID, VENDORS, Host
from tests.faults.table import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from promptwire.backends import Backend
    from tests.doubles.tls import Certificate

SECONDS = 1.0


def took(backend: Backend, *, is_async: bool) -> float:
    resolver, began = Resolver(backend, timeout=SECONDS), time.perf_counter()
    found = asyncio.run(resolver.afind(ID, fallback="Hi")) if is_async else resolver.find(ID, fallback="Hi")
    assert found[1] == "fallback"
    return time.perf_counter() - began


@pytest.mark.parametrize("vendor", VENDORS)
def test_nobody_waits_for_longer_than_the_deadline_and_a_tenth(
    vendor: str, trusted: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(2 * len(FAULTS)) as pool:
        backends = {}
        for name, fault in FAULTS.items():
            host = stack.enter_context(Host(VENDORS[vendor], tmp_path, monkeypatch))
            backends[name] = fault.reach(host, lambda: trusted)
            fault.strike(host)
        late = Lateness(SECONDS)
        waits = {
            name: [pool.submit(took, backend, is_async=is_async) for is_async in (False, True)]
            for name, backend in backends.items()
        }
        seconds = {name: max(wait.result(30) for wait in waiting) for name, waiting in waits.items()}
        allowed = SECONDS * 1.1 + late.end()
    assert {name: spent for name, spent in seconds.items() if spent > allowed} == {}
    assert min(seconds["hang"], seconds["drip"]) >= SECONDS, "these do take all of it"
