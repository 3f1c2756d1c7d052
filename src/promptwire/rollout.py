"""Gradual rollout: which of several labels a call gets, by their weights.

A key (a user's id) always gets the same label, in every process. The choice is a race: of each label of weight w > 0,

    h = sha256(prompt_id + NUL + label + NUL + key), UTF-8, its first 8 bytes as a big-endian integer
    time = -ln((h + 1) / (2**64 + 1)) / w

and the label with the least time is chosen; of equal times the label that sorts first. So each label gets its share
w / sum of all, in whatever order they are written, and only the ratios of weights count. Raising one label's weight
alone, or relative to all others, only moves keys to that label, never away from it.
"""

import hashlib
import math
import random
from collections.abc import Mapping
from typing import TypeAlias

from promptwire.backends import backend_prefix
from promptwire.errors import ConfigurationError
from promptwire.refs import check_label

Label: TypeAlias = str | Mapping[str, float] | None
"""One label, or several with their weights."""


def choose_label(prompt_id: object, label: Label, key: object = None) -> str | None:
    """The label for this key; without one a random choice by weight. One label is itself.

    Raises ``ConfigurationError`` for weights that are none.
    """
    if key is not None and (isinstance(key, bool) or not isinstance(key, str | int)):
        raise ConfigurationError(f"rollout_key is a text or a whole number, not {type(key).__name__}")
    if not isinstance(label, Mapping):
        return label
    weights = _checked(prompt_id, label)
    runner = str(random.getrandbits(128) if key is None else key)
    literal = _without_prefix(str(prompt_id))
    return min(weights, key=lambda name: (_time(f"{literal}\0{name}\0{runner}", weights[name]), name))


def _time(entry: str, weight: float) -> float:
    drawn = int.from_bytes(hashlib.sha256(entry.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return -math.log((drawn + 1) / (2**64 + 1)) / weight


def _checked(prompt_id: object, given: Mapping[str, float]) -> dict[str, float]:
    for name, weight in given.items():
        check_label(name, prompt_id)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e9:
            raise ConfigurationError(
                f"prompt {prompt_id!r:.100}: the weight of label {name!r} is a number from 0 to 1e9, not {weight!r:.30}"
            )
    weights = {name: float(weight) for name, weight in given.items() if weight > 0}
    if not weights:
        raise ConfigurationError(f"prompt {prompt_id!r:.100}: at least one label has a weight above 0")
    return weights


def _without_prefix(prompt_id: str) -> str:
    """The id as the backend knows it, so that ``langfuse:welcome`` and ``welcome`` choose alike."""
    prefix = backend_prefix(prompt_id)
    return prompt_id[len(prefix) + 1 :] if prefix else prompt_id
