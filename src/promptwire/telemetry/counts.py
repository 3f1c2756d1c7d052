"""Counts of what a resolver answers, and of what changes behind it; which prompt it is, is an event's to tell."""

from functools import lru_cache
from typing import Any

from promptwire.errors import PromptwireError
from promptwire.telemetry.switch import QUIETLY, provider


class Counts:
    """The counters of one provider of meters. No attribute holds what a client or a prompt's editor can choose."""

    def __init__(self, meters: Any) -> None:
        make = meters.get_meter("promptwire").create_counter
        self._resolutions = make(
            "promptwire.prompt.resolutions", "{resolution}", "Prompts asked for, by where their answers came from."
        )
        self._refreshes = make("promptwire.prompt.refreshes", "{refresh}", "Prompts whose content became another.")
        self._held_back = make("promptwire.prompt.held_back", "{version}", "Versions that can't be used.")

    def answered(self, backend: str, source: str) -> None:
        """A prompt was found: ``fresh``, ``cached``, ``stale``, ``store`` or ``fallback``."""
        with QUIETLY:
            self._resolutions.add(1, {"promptwire.prompt.backend": backend, "promptwire.prompt.source": source})

    def failed(self, backend: str, error: PromptwireError) -> None:
        """A prompt was not found, and nothing stands for it."""
        with QUIETLY:
            self._resolutions.add(1, {"promptwire.prompt.backend": backend, "error.type": type(error).__name__})

    def changed(self, backend: str, kind: str) -> None:
        """A prompt was ``refreshed``, or a version of it ``held_back``."""
        with QUIETLY:
            counter = self._refreshes if kind == "refreshed" else self._held_back
            counter.add(1, {"promptwire.prompt.backend": backend})


def counts() -> Counts | None:
    """Those of the program's provider, if it has set one up."""
    with QUIETLY:
        found = provider("metrics")
        return None if found is None else _counts_of(found)
    return None


@lru_cache(maxsize=4)
def _counts_of(meters: Any) -> Counts:
    return Counts(meters)
