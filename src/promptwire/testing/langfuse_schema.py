"""What the Langfuse API calls invalid request data, in the shape of its answers."""

import re
from collections.abc import Callable, Mapping

from promptwire.testing.langfuse_composition import refuse
from promptwire.testing.wire import Answer, Json, RefusedError

Issue = dict[str, Json]
Check = Callable[[Json], str | None]

_LABEL = re.compile(r"^[a-z0-9_\-.]+$")
_PLACEHOLDER = re.compile(r"^[a-zA-Z][a-zA-Z0-9_]*$")
_VARIABLE = re.compile(r"\{\{([^\W\d_]\w*)\}\}")
_DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$")
_NAME_FORMATS = (
    (r"^[^/]", "Name cannot start with a slash"),
    (r"^.*[^/]$", "Name cannot end with a slash"),
    (r"^(?!.*//)", "Name cannot contain consecutive slashes"),
    (r"^[^|]*$", "Prompt name cannot contain '|' character"),
)


def invalid(*issues: Issue) -> RefusedError:
    """The 400 of a failed validation."""
    return RefusedError(Answer.of_json(400, {"message": "Invalid request data", "error": list(issues)}))


def issue(code: str, message: str, *path: str | int, **details: object) -> Issue:
    """One entry of its ``error`` list."""
    return {"code": code, **details, "path": list(path), "message": message}


def _wrong_type(expected: str, value: object, *path: str | int) -> Issue:
    message = f"Invalid input: expected {expected}, received {_kind(value)}"
    return issue("invalid_type", message, *path, expected=expected)


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        type(None): "null",
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
    }
    return "undefined" if value is ... else kinds.get(type(value), "object")


def check_create(body: Json) -> dict[str, Json]:
    """A create request as it would be stored, or the refusal that the server would send."""
    wrong = _text_or_chat(body)
    if wrong:
        raise invalid(issue("invalid_union", "Invalid input", errors=[wrong]))
    issues = [*_name_issues(body["name"]), *_label_issues(body.get("labels", []))]
    if len(body.get("commitMessage") or "") > 500:
        message = "Too big: expected string to have <=500 characters"
        issues.append(issue("too_big", message, "commitMessage", origin="string", maximum=500, inclusive=True))
    if body.get("type") == "chat":
        issues += _placeholder_issues(body["prompt"])
    if issues:
        raise invalid(*issues)
    _check_slots(body)
    prompt = body["prompt"] if isinstance(body["prompt"], str) else [_stored(message) for message in body["prompt"]]
    return {**body, "name": body["name"].strip(), "prompt": prompt}


def _stored(message: Mapping[str, Json]) -> dict[str, Json]:
    """What the server keeps of a message or placeholder."""
    return {key: message[key] for key in (("type", "name") if _is_placeholder(message) else ("role", "content"))}


def _is_placeholder(message: Mapping[str, Json]) -> bool:
    return message.get("type") == "placeholder"


def _text_or_chat(body: Json) -> list[Issue]:
    if not isinstance(body, dict):
        return [_wrong_type("object", body)]
    fields: Mapping[str, Json] = body
    chat = fields.get("type") == "chat"
    issues = [] if isinstance(fields.get("name"), str) else [_wrong_type("string", fields.get("name", ...), "name")]
    if not chat and fields.get("type", "text") != "text":
        issues.append(issue("invalid_value", 'Invalid input: expected "text"', "type", values=["text"]))
    prompt = fields.get("prompt", ...)
    if not isinstance(prompt, list if chat else str):
        issues.append(_wrong_type("array" if chat else "string", prompt, "prompt"))
    elif chat:
        issues += [_wrong_type("string", message, "prompt", at) for at, message in enumerate(prompt) if _odd(message)]
    for key in ("labels", "tags"):
        issues += _string_list_issues(fields.get(key, []), key, nullable=key == "tags")
    if not isinstance(fields.get("commitMessage"), str | None):
        issues.append(_wrong_type("string", fields["commitMessage"], "commitMessage"))
    return issues


def _odd(message: Json) -> bool:
    """Whether it is neither a message with text nor a placeholder."""
    if not isinstance(message, dict):
        return True
    fields: Mapping[str, Json] = message
    if _is_placeholder(fields):
        return not isinstance(fields.get("name"), str)
    return not (isinstance(fields.get("role"), str) and isinstance(fields.get("content"), str))


def _string_list_issues(value: Json, key: str, *, nullable: bool) -> list[Issue]:
    if value is None and nullable:
        return []
    if not isinstance(value, list):
        return [_wrong_type("array", value, key)]
    items: list[Json] = value
    return [_wrong_type("string", item, key, at) for at, item in enumerate(items) if not isinstance(item, str)]


def _name_issues(name: str) -> list[Issue]:
    issues = [] if name else [issue("too_small", "Text cannot be empty", "name", origin="string", minimum=1)]
    for pattern, message in _NAME_FORMATS:
        if not re.search(pattern, name, re.DOTALL):
            issues.append(issue("invalid_format", message, "name", origin="string", format="regex"))
    if name and not name.strip():
        issues.append(issue("custom", "Name cannot be empty", "name"))
    if re.search(r"<[^>]*>", name):
        issues.append(issue("custom", "Text cannot contain HTML tags", "name"))
    if name.strip() in {"new", "metrics", "prompt-detail"}:
        issues.append(issue("custom", f"Prompt name cannot be '{name.strip()}'", "name"))
    return issues


def _label_issues(labels: list[str]) -> list[Issue]:
    issues: list[Issue] = []
    for at, label in enumerate(labels):
        if not label:
            message = "Too small: expected string to have >=1 characters"
            issues.append(issue("too_small", message, "labels", at, origin="string", minimum=1, inclusive=True))
        if len(label) > 36:
            message = "Too big: expected string to have <=36 characters"
            issues.append(issue("too_big", message, "labels", at, origin="string", maximum=36, inclusive=True))
        if not _LABEL.match(label):
            message = "Label must be lowercase alphanumeric with optional underscores, hyphens, or periods"
            issues.append(issue("invalid_format", message, "labels", at, origin="string", format="regex"))
    return issues


def _placeholder_issues(messages: list[dict[str, Json]]) -> list[Issue]:
    message = "Placeholder name must start with a letter and contain only alphanumeric characters and underscores"
    return [
        issue("invalid_format", message, "prompt", at, "name", origin="string", format="regex")
        for at, item in enumerate(messages)
        if _is_placeholder(item) and not _PLACEHOLDER.match(item["name"])
    ]


def _check_slots(body: Mapping[str, Json]) -> None:
    messages: list[dict[str, Json]] = [] if isinstance(body["prompt"], str) else body["prompt"]
    slots = [item["name"] for item in messages if _is_placeholder(item)]
    variables = {name for item in messages for name in _VARIABLE.findall(item.get("content", ""))}
    clashing = ", ".join(name for name in slots if name in variables)
    if clashing:
        message = f"Cannot create prompt, variables and placeholders must be unique, the following are not: {clashing}"
        raise refuse(400, "InvalidRequestError", message)


def check_labels(body: Json) -> list[str]:
    """The labels of an update request."""
    labels: Json = body.get("newLabels", ...) if isinstance(body, dict) else ...
    issues = _string_list_issues(labels, "newLabels", nullable=False)
    if not issues and "latest" in labels:
        message = "Label 'latest' is always assigned to the latest prompt version"
        issues.append(issue("custom", message, "newLabels"))
    if issues:
        raise invalid(*issues)
    return list(labels)


class Query:
    """The query of a request, read as the server reads it."""

    def __init__(self, query: Mapping[str, list[str]]) -> None:
        self._query = query

    def text(self, key: str) -> str | None:
        values = self._query.get(key, [])
        if len(values) > 1:
            raise invalid(_wrong_type("string", values, key))
        return values[0] or None if values else None

    def number(self, key: str, default: int | None = None, *, low: int | None = None, high: int | None = None) -> int:
        """A whole number; 0 where there is none and no default."""
        values = self._query.get(key)
        if values is None:
            return default or 0
        if len(values) > 1 or not re.fullmatch(r"-?\d*", values[0]):
            message = "Invalid input: expected number, received NaN"
            raise invalid(issue("invalid_type", message, key, expected="number", received="NaN"))
        value = int(values[0] or 0)
        if low is not None and value < low:
            message = f"Too small: expected number to be >={low}"
            raise invalid(issue("too_small", message, key, origin="number", minimum=low, inclusive=True))
        if high is not None and value > high:
            message = f"Too big: expected number to be <={high}"
            raise invalid(issue("too_big", message, key, origin="number", maximum=high, inclusive=True))
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.text(key)
        if value not in {None, "true", "false"}:
            message = 'Invalid option: expected one of "true"|"false"'
            raise invalid(issue("invalid_value", message, key, values=["true", "false"]))
        return default if value is None else value == "true"

    def date(self, key: str) -> str | None:
        value = self.text(key)
        if value is not None and not _DATE.match(value):
            raise invalid(issue("invalid_format", "Invalid ISO datetime", key, origin="string", format="datetime"))
        return value
