"""What the Messages API refuses: by the SDK's types, and what is wrong although every value is well formed."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from anthropic.types import ContentBlockParam, MessageCreateParams
from pydantic import ConfigDict, TypeAdapter, ValidationError

from promptwire.testing.wire import Answer, Json, RefusedError
from tests.doubles.anthropic_thinking import check_sampling, check_thinking
from tests.doubles.anthropic_turns import blocks_of, check_turns

VERSIONS = ("2023-06-01", "2026-10-21")

_TYPES: TypeAdapter[Any] = TypeAdapter(MessageCreateParams, config=ConfigDict(extra="forbid"))
_BLOCK: TypeAdapter[Any] = TypeAdapter(ContentBlockParam, config=ConfigDict(extra="forbid"))
_SAMPLING = ("temperature", "top_k", "top_p")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SCHEMA_KEYS = frozenset(
    {
        "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "definitions", "description",
        "enum", "format", "items", "minItems", "properties", "required", "title", "type",
    }
)  # fmt: skip


def refused(message: str, status: int = 400, kind: str = "invalid_request_error") -> RefusedError:
    """An error in the API's shape."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_refused"}
    return RefusedError(Answer.of_json(status, body))


def check_request(body: Json, version: str, signatures: Collection[str] = ()) -> dict[str, Json]:
    """The body, if the API would run it; else raises the 400 that it would answer."""
    if not isinstance(body, dict):
        raise refused("Input should be a valid dictionary")
    for problem in _problems(body, version, signatures):
        raise refused(problem)
    return body


def _problems(body: dict[str, Json], version: str, signatures: Collection[str]) -> Iterator[str]:
    """What is wrong, from the coarse to the fine: each check relies on those before it."""
    # The older version's sampling parameters are not in the SDK's types any more.
    typed = {key: value for key, value in body.items() if version != VERSIONS[0] or key not in _SAMPLING}
    yield from _type_errors(typed)
    yield from _tool_errors(body)
    yield from check_turns(body)
    yield from check_sampling(body)
    yield from check_thinking(body, signatures)
    output = body.get("output_config", {}).get("format")
    yield from _schema_errors(output["schema"], "output_config.format.schema") if output else ()


def _type_errors(body: dict[str, Json]) -> Iterator[str]:
    whole = _spelt_out(body)
    yield from _judged(_TYPES, whole)
    # A request may also hold blocks of answers, whose types take any key more: each has to be a request's own.
    for at, message in enumerate(whole["messages"]):
        for number, block in enumerate(message["content"]):
            for problem in _judged(_BLOCK, block):
                yield f"messages.{at}.content.{number}: {problem}"


def _judged(types: TypeAdapter[Any], value: Json) -> Iterator[str]:
    try:
        _exhaust(types.validate_json(json.dumps(value), strict=True))
    except ValidationError as problem:
        # A union tells what is wrong for each of its members.
        yield "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())


def _exhaust(value: object) -> None:
    """Lists are validated as they are read."""
    if isinstance(value, Mapping):
        value = value.values()
    if not isinstance(value, str | bytes | int | float | None):
        for item in value:  # type: ignore[attr-defined]
            _exhaust(item)


def _spelt_out(value: Json) -> Json:
    """A text as content is short for a list of one text block, and only the list has types that judge it."""
    if isinstance(value, list):
        return [_spelt_out(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: [{"type": "text", "text": item}]
        if key in {"content", "system"} and isinstance(item, str)
        else item
        if key in {"input", "input_schema", "schema"}
        else _spelt_out(item)
        for key, item in value.items()
    }


def _tool_errors(body: Mapping[str, Json]) -> Iterator[str]:
    tools, choice = body.get("tools", []), body.get("tool_choice")
    names = [tool["name"] for tool in tools]
    for at, tool in enumerate(tools):
        if not _NAME.fullmatch(tool["name"]):
            yield f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if "input_schema" in tool and tool["input_schema"].get("type") != "object":
            yield f"tools.{at}.custom.input_schema.type: Input should be 'object'"
        if tool.get("strict"):
            yield from _schema_errors(tool["input_schema"], f"tools.{at}.custom.input_schema")
    if len(names) != len(set(names)):
        yield "tools: Tool names must be unique."
    if choice and not tools:
        yield "tool_choice may only be specified while providing tools."
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        yield f"Tool '{choice['name']}' not found in provided tools"
    used = {block["type"] for message in body["messages"] for block in blocks_of(message)}
    if not tools and used & {"tool_use", "tool_result"}:
        yield "Requests which have `tool_use` or `tool_result` blocks in the conversation must define tools."


def _schema_errors(schema: Json, path: str) -> Iterator[str]:
    """Structured outputs take a part of JSON Schema, and closed objects only."""
    for key in schema.keys() - _SCHEMA_KEYS:
        yield f"{path}: For '{schema.get('type')}' type, property '{key}' is not supported"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    for key in ("$defs", "definitions", "properties"):
        for name, one in schema.get(key, {}).items():
            yield from _schema_errors(one, f"{path}.{name}")
    for key in ("allOf", "anyOf"):
        for one in schema.get(key, ()):
            yield from _schema_errors(one, path)
    if "items" in schema:
        yield from _schema_errors(schema["items"], f"{path}.items")
