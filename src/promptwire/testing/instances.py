"""Small values that satisfy a JSON schema, the same ones each time."""

import math
import re
from collections.abc import Mapping

from promptwire.testing.wire import Json

_MAX_DEPTH = 6
_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class Instances:
    """Makes instances of one schema; numbers and quoted words are taken from ``hint``, a text, while they fit."""

    def __init__(self, schema: Mapping[str, Json], hint: str = "") -> None:
        self._root = schema
        self._numbers = [float(found) for found in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)", hint)]
        self._quoted = quoted(hint)

    def make(self) -> Json:
        return self._of(self._root, 0)

    def _of(self, schema: Mapping[str, Json], depth: int) -> Json:
        if "$ref" in schema:
            schema = {**self._resolve(schema["$ref"]), **{key: schema[key] for key in schema if key != "$ref"}}
            return self._of(schema, depth + 1)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "enum" in schema:
            return schema["enum"][0]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._of(_simplest(schema[key], depth), depth + 1)
        if "allOf" in schema:
            return self._of(_merged(schema), depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Json], depth: int) -> Json:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                properties = schema.get("properties", {})
                return {name: self._of(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}
            case "array":
                length = schema.get("minItems", 0 if depth > _MAX_DEPTH else 1)
                return [self._of(schema.get("items", {}), depth + 1) for _ in range(length)]
            case "number" | "integer" as number:
                return self._number(schema, whole=number == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _number(self, schema: Mapping[str, Json], *, whole: bool) -> float:
        fitting = [value for value in self._numbers if _fits(value, schema, whole=whole)]
        if fitting:
            self._numbers.remove(fitting[0])
        else:
            fitting = [value for value in _round_numbers(schema) if _fits(value, schema, whole=whole)]
        value = fitting[0] if fitting else 1
        return int(value) if value == int(value) else value

    def _text(self, schema: Mapping[str, Json]) -> str:
        text = _FORMATS.get(schema.get("format", "")) or (self._quoted.pop(0) if self._quoted else "text")
        return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]

    def _resolve(self, reference: str) -> dict[str, Json]:
        target: Json = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            target = target[part.replace("~1", "/").replace("~0", "~")]
        return dict(target)


def quoted(text: str) -> list[str]:
    """What stands in quotation marks; apostrophes are none."""
    return [found[1] for found in re.finditer(r"(?<!\w)['\"](.+?)['\"](?!\w)", text)]


def _simplest(choices: list[dict[str, Json]], depth: int) -> dict[str, Json]:
    """The first choice, or deep in a recursive schema the one that ends it."""
    ends = [choice for choice in choices if choice.get("type") == "null"]
    return ends[0] if depth > _MAX_DEPTH and ends else choices[0]


def _merged(schema: Mapping[str, Json]) -> dict[str, Json]:
    merged: dict[str, Json] = {key: schema[key] for key in schema if key != "allOf"}
    for part in schema["allOf"]:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged |= part
        merged |= {"properties": properties, "required": required} if properties else {}
    return merged


def _fits(value: float, schema: Mapping[str, Json], *, whole: bool) -> bool:
    return (
        schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        and ("multipleOf" not in schema or value % schema["multipleOf"] == 0)
        and (not whole or value == int(value))
    )


def _round_numbers(schema: Mapping[str, Json]) -> list[float]:
    """One, numbers near the bounds, and the middle between them."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0))
    near, far = low // step * step, high // step * step
    return [1, near, near + step, far, far - step, (low + high) / 2]
