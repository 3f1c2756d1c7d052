"""What server and clients of a load test agree on: which version of which prompt is right at which time."""

import time
from dataclasses import asdict, dataclass
from typing import Any

PROMPTS = 500
MAX_STALE, TIMEOUT = 12.0, 5.0
STRICT = 50
"""Of so many prompts one is never to be stale but for a failure, which shows in a short run as well."""
PERIOD = 2.0
"""Seconds between two versions of a prompt; each has a phase of its own."""


@dataclass(frozen=True)
class Plan:
    """``start`` is monotonic, which all processes of a machine share; ``failing`` is a share of the requests."""

    start: float
    failing: float = 0.2

    def version(self, number: int) -> int:
        """That of a prompt, now."""
        return 1 + int((time.monotonic() - self._begin(number)) / PERIOD)

    def overdue(self, number: int, version: int) -> float:
        """For how many seconds there has been a newer version; negative while there is none."""
        return time.monotonic() - self._begin(number) - version * PERIOD

    def _begin(self, number: int) -> float:
        return self.start - PERIOD + PERIOD * number / PROMPTS

    def told(self) -> dict[str, Any]:
        return asdict(self)


def max_stale(number: int) -> float:
    """That which the prompt is asked for with."""
    return MAX_STALE if number % STRICT else 0.0


def prompt_row(name: str, version: int) -> dict[str, Any]:
    """A version as Langfuse answers it: each part of it says which it is of."""
    mark = f"{name}:{version}"
    return {
        "name": name,
        "type": "chat",
        "version": version,
        "labels": ["production"],
        "prompt": [
            {"role": "system", "content": f"{mark} for {{{{who}}}}"},
            {"role": "user", "content": f"{mark} {'padding ' * 50} {{{{who}}}} {mark}"},
        ],
        "config": {"model": mark, "metadata": {"mark": mark}},
    }
