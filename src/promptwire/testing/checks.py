"""Checks of JSON values that refuse as the OpenAI API does; a schema is a table of them."""

import re
from collections.abc import Callable, Mapping

from promptwire.testing.wire import Answer, Json, RefusedError

Check = Callable[[Json, str], None]

_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def bad_request(message: str, param: str | None, code: str | None = None) -> RefusedError:
    """A 400; ``param`` is the path of what is wrong."""
    return error(400, message, param=param, code=code)


def error(status: int, message: str, *, kind: str = "invalid_request_error", **fields: str | None) -> RefusedError:
    """An error in the API's shape, with its ``param`` and ``code``."""
    body = {"message": message, "type": kind, "param": fields.get("param"), "code": fields.get("code")}
    return RefusedError(Answer.of_json(status, {"error": body}))


def wrong_type(path: str, expected: str, value: object) -> RefusedError:
    """A 400 that names the type but not the value."""
    got = _NAMES.get(type(value), "null")
    return bad_request(f"Invalid type for '{path}': expected {expected}, but got {got} instead.", path, "invalid_type")


def wrong_value(path: str, value: object, supported: tuple[str, ...]) -> RefusedError:
    """A 400 that lists what would have done."""
    listed = ", ".join(f"'{one}'" for one in supported)
    return bad_request(f"Invalid value: '{value}'. Supported values are: {listed}.", path, "invalid_value")


def missing(path: str) -> RefusedError:
    """A 400 for a key that must be there."""
    return bad_request(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def boolean(value: object, path: str) -> None:
    """JSON's ``true`` or ``false``."""
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)


def anything(_value: object, _path: str) -> None:
    """For what the API looks at no further."""


def number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> Check:
    """A number within bounds; JSON's ``true`` is none."""
    kind, expected = ("integer", "an integer") if whole else ("decimal", "a decimal")

    def check(value: Json, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise wrong_type(path, expected, value)
        for bound, beyond, side, sign in (
            (low, low is not None and value < low, "below_min", ">="),
            (high, high is not None and value > high, "above_max", "<="),
        ):
            if beyond:
                words = side.replace("_min", " minimum").replace("_max", " maximum")
                message = (
                    f"Invalid '{path}': {kind} {words} value. Expected a value {sign} {bound}, but got {value} instead."
                )
                raise bad_request(message, path, f"{kind}_{side}_value")

    return check


def string(pattern: str | None = None, *, longest: int | None = None, shortest: int = 0) -> Check:
    """A text that matches the whole ``pattern``."""

    def check(value: Json, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if len(value) < shortest:
            message = f"Invalid '{path}': empty string. Expected a string with minimum length {shortest}."
            raise bad_request(message, path, "empty_string")
        if longest is not None and len(value) > longest:
            message = f"Invalid '{path}': string too long. Expected a string with maximum length {longest}."
            raise bad_request(message, path, "string_above_max_length")
        if pattern is not None and not re.fullmatch(pattern, value):
            message = f"Invalid '{path}': string does not match pattern. Expected the pattern '{pattern}'."
            raise bad_request(message, path, "invalid_value")

    return check


def one_of(*supported: str) -> Check:
    """One of these texts."""

    def check(value: Json, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if value not in supported:
            raise wrong_value(path, value, supported)

    return check


def nullable(check: Check) -> Check:
    """``null``, or what passes the check."""
    return lambda value, path: None if value is None else check(value, path)


def array(item: Check, *, shortest: int = 0, longest: int | None = None) -> Check:
    """A list whose every item passes the check."""

    def check(value: Json, path: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        items: list[Json] = value
        if len(items) < shortest:
            message = f"Invalid '{path}': empty array. Expected an array with minimum length {shortest}."
            raise bad_request(message, path, "empty_array")
        if longest is not None and len(items) > longest:
            message = f"Invalid '{path}': array too long. Expected an array with maximum length {longest}."
            raise bad_request(message, path, "array_above_max_length")
        for at, one in enumerate(items):
            item(one, f"{path}[{at}]")

    return check


def mapping(item: Check, *, longest: int | None = None) -> Check:
    """An object of any keys."""

    def check(value: Json, path: str) -> None:
        fields = as_object(value, path)
        if longest is not None and len(fields) > longest:
            message = f"Invalid '{path}': too many properties. Expected at most {longest}."
            raise bad_request(message, path, "object_above_max_properties")
        for key, one in fields.items():
            item(one, f"{path}.{key}")

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object of these keys and no others."""
    checks = {**required, **(optional or {})}

    def check(value: Json, path: str) -> None:
        fields = as_object(value, path)
        for key in required:
            if key not in fields:
                raise missing(_join(path, key))
        for key, one in fields.items():
            if key not in checks:
                where = _join(path, key)
                raise bad_request(f"Unknown parameter: '{where}'.", where, "unknown_parameter")
            checks[key](one, _join(path, key))

    return check


def tagged(key: str, records: Mapping[str, Check]) -> Check:
    """An object whose ``key`` says which of the records it is."""
    known = one_of(*records)

    def check(value: Json, path: str) -> None:
        fields = as_object(value, path)
        if key not in fields:
            raise missing(_join(path, key))
        known(fields[key], _join(path, key))
        records[fields[key]](fields, path)

    return check


def either(kind: type, check: Check, otherwise: Check) -> Check:
    """``check`` for values of that type, else ``otherwise``."""
    return lambda value, path: (check if isinstance(value, kind) else otherwise)(value, path)


def as_object(value: Json, path: str) -> dict[str, Json]:
    """The value, once it is known to be an object."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    fields: dict[str, Json] = value
    return fields


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
