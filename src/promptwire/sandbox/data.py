"""What a template computes with: JSON-like copies of the caller's values."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from jinja2 import Undefined
from jinja2.runtime import LoopContext
from jinja2.utils import Namespace

from promptwire.errors import TemplateError

# jinja2 types all of it so; the tuples and lists of this package say what it can be.
Data: TypeAlias = Any

MAX_DEPTH = 80
MAX_BITS = 4096

SCALARS = frozenset({str, int, float, bool, type(None)})
SEQUENCES = (str, list, tuple)
CONTAINERS = (list, tuple, dict)
ITERABLES = (str, *CONTAINERS)


def words(text: str) -> frozenset[str]:
    """The names of a list."""
    return frozenset(text.split())


_LOOP_ITEMS = words("index index0 revindex revindex0 first last length depth depth0 previtem nextitem")


def check_bits(bits: int) -> None:
    """Refuse a number of so many bits."""
    if bits > MAX_BITS:
        raise TemplateError(f"a number has more than {MAX_BITS:,} bits")


def plain(value: Data, depth: int = 0) -> Data:
    """A JSON-like copy; of any other object only its text."""
    if type(value) in SCALARS or not isinstance(value, Mapping | list | tuple):
        return _scalar(value)
    if depth == MAX_DEPTH:
        raise TemplateError(f"a variable is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return {_scalar(key): plain(item, depth + 1) for key, item in value.items()}
    items = [plain(item, depth + 1) for item in value]
    return items if isinstance(value, list) else tuple(items)


def _scalar(value: Data) -> Data:
    if isinstance(value, int):
        check_bits(value.bit_length())
    if type(value) in SCALARS:
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    return str.__str__(value if isinstance(value, str) else str(value))


def keys_of(table: Data) -> Data:
    """The keys of a mapping, or of what one can be made of: pairs, each a list, a text or a mapping itself."""
    return table if isinstance(table, dict) else [next(iter(pair), None) for pair in table]


def lookup(value: Data, key: Data, path: str) -> Data:
    """An item of the data, never an attribute of an object."""
    if isinstance(value, Undefined):
        return value
    if isinstance(value, dict) and type(key) in SCALARS and key in value:
        return value[key]
    if isinstance(value, SEQUENCES) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    if isinstance(key, str):
        if key.startswith("__"):
            raise TemplateError("attributes of Python objects can't be read")
        fields = _LOOP_ITEMS if isinstance(value, LoopContext) else getattr(type(value), "_fields", ())
        if key in fields or (isinstance(value, Namespace) and key[:1] != "_"):
            found = getattr(value, key, Undefined())
            return Undefined(name=path) if isinstance(found, Undefined) else found
    return Undefined(name=path)
