"""Immutable JSON: what is cached is shared between callers, and none may change it for the others."""

import math
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from promptwire.errors import ConfigurationError


class FrozenDict(dict[str, Any]):
    """A dict that can't be changed, so that cached prompts can be shared between callers."""

    __slots__ = ()

    def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
        raise ConfigurationError("a cached prompt can't be changed; take a copy of it with dict(...)")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


def is_object(value: object) -> bool:
    """Whether it is a mapping with texts as keys."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def is_json(value: object) -> bool:
    """Whether JSON can hold it, deeply; infinities and not-a-number it can't."""
    if isinstance(value, Mapping):
        return is_object(value) and all(map(is_json, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_json, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


_EMPTY = FrozenDict()
_SHORT = 40


def freeze(value: Any) -> Any:
    """Mappings to ``FrozenDict`` and lists to tuples, deeply; of short texts, which recur, one copy each is kept."""
    if value.__class__ is str:
        return sys.intern(value) if len(value) <= _SHORT else value
    if isinstance(value, FrozenDict):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({freeze(key): freeze(item) for key, item in value.items()}) if value else _EMPTY
    return tuple(map(freeze, value)) if isinstance(value, list | tuple) else value


def thaw(value: Any) -> Any:
    """The inverse of ``freeze``: fresh dicts and lists that the caller owns."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, tuple | list) else value
