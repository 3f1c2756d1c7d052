"""An application that asks for the one prompt, and a clock for how late this machine is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptwire import PromptwireError, Resolver
from tests.faults.hosts import ID

if TYPE_CHECKING:
    from pathlib import Path

    from promptwire.backends import Backend
    from promptwire.search import Found
    from tests.conftest import Clock, Door


class Lateness:
    """How much later than asked for a wait of so many seconds ends on this machine, now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._worst = 0.0
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _wait(self) -> None:
        began = time.perf_counter()
        threading.Event().wait(self._seconds)
        self._worst = time.perf_counter() - began - self._seconds

    def end(self) -> float:
        self._thread.join()
        return self._worst


@dataclass
class Asker:
    """An application's process, asking for the one prompt."""

    door: Door
    clock: Clock
    backend: Backend
    seconds: float
    fallback: str | None
    folder: Path | None
    took: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.resolver = Resolver(self.backend, timeout=self.seconds, store=self.folder or False)

    def ask(self, seconds: float | None = None) -> Found | PromptwireError:
        began = self.clock.monotonic()
        try:
            return self.door.find(self.resolver, ID, fallback=self.fallback, timeout=seconds)
        except PromptwireError as error:
            return error
        finally:
            self.took = self.clock.monotonic() - began
