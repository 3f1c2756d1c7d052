"""Secrets in settings: whoever stores a prompt may have stored a key with it, and none is ever shown."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "*****"

_SECRET = re.compile(
    r"(?i)secret|passw|credential|authorization|bearer|cookie|^key$|token(?![a-z])|"
    r"(api|access|private|public|master|auth|account|subscription)[ _-]?key(?![a-z])"
)


def is_secret(name: str) -> bool:
    """Whether a setting of that name holds a key; ``max_tokens`` doesn't."""
    return _SECRET.search(name) is not None


def masked(value: Any) -> Any:
    """A copy of a JSON value with the secrets in its objects masked, deeply."""
    if isinstance(value, Mapping):
        return {key: MASK if is_secret(key) and item is not None else masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value
