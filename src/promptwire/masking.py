"""Secrets in settings: whoever stores a prompt may have stored a key with it, and none is ever shown."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "*****"

_SECRET = re.compile(
    r"(?i)secret|passw|credential|authorization|bearer|cookie|(^|\.)key$|token(?![a-z])|"
    r"(api|access|private|public|master|auth|account|subscription)[ _-]?key(?![a-z])"
)

_DESCRIBES = {"type", "title", "description", "format"}


def is_secret(name: str) -> bool:
    """Whether a setting of that name holds a key; ``max_tokens`` doesn't."""
    return _SECRET.search(name) is not None


def masked(value: Any) -> Any:
    """A copy of a JSON value with the secrets in its objects masked, deeply; what is no JSON stays as it is."""
    if isinstance(value, Mapping):
        return {key: _item(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        copied = map(masked, value)
        return tuple(copied) if isinstance(value, tuple) else list(copied)
    return value


def _item(name: str, item: Any) -> Any:
    if is_secret(name) and item is not None:
        return MASK
    if name == "properties" and isinstance(item, Mapping):
        return {key: _property(str(key), described) for key, described in item.items()}
    return masked(item)


def _property(name: str, described: Any) -> Any:
    """Of a tool's argument that is a secret its JSON schema may say what it is, but no value."""
    if is_secret(name) and isinstance(described, Mapping):
        return {key: item if key in _DESCRIBES and isinstance(item, str) else MASK for key, item in described.items()}
    return _item(name, described)
