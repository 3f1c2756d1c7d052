"""JSON schemas in the subset that Anthropic's structured outputs take."""

from collections.abc import Mapping
from typing import Any

_KEPT = frozenset({"$ref", "const", "default", "description", "enum", "required", "title", "type"})
_SCHEMAS = frozenset({"$defs", "definitions", "properties"})
_LISTS = frozenset({"allOf", "anyOf"})
_FORMATS = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)  # fmt: skip


def closed(schema: Any) -> Any:
    """The schema with every object closed, as the API demands; rules that it refuses are left to the description."""
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMAS:
            made[key] = {name: closed(one) for name, one in value.items()}
        elif key in _LISTS or key == "oneOf":
            made["anyOf" if key == "oneOf" else key] = [closed(one) for one in value]
        elif key == "items":
            made[key] = closed(value)
        elif key in _KEPT or (key == "format" and value in _FORMATS) or (key == "minItems" and value in {0, 1}):
            made[key] = value
        elif key != "additionalProperties" and not key.startswith("$"):
            refused[key] = value
    if made.get("type") == "object" or "properties" in made:
        made["additionalProperties"] = False
    if refused:
        rules = ", ".join(f"{key}: {value}" for key, value in refused.items())
        made["description"] = "\n\n".join(filter(None, (made.get("description"), f"{{{rules}}}")))
    return made
