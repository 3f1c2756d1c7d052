"""Prompts as JSON, whole and exact; and sealed, so that a torn, moved or forged record is not taken for one."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from promptwire.errors import PromptwireError, raise_bare
from promptwire.frozen import is_json, thaw
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt
from promptwire.stores import StoreKey

MAX_RECORD = 20_000_000
"""Bytes; a backend's answer ends at 10 MB, and escaping makes it longer."""

_HEADER = b"promptwire 1 "
_FIELDS = ("id", "backend", "version", "text", "messages", "dialect", "partials", "config", "labels", "tags")


class RecordError(Exception):
    """A record that can't be used, or a prompt that can't be recorded. Never leaves the storing code."""


def to_record(prompt: Prompt) -> dict[str, Any]:
    """What makes the prompt, as JSON values; what is not set is left out. ``RecordError`` where JSON can't hold it."""
    record = {name: value for name in _FIELDS if (value := thaw(getattr(prompt, name))) not in (None, [], {})}
    if prompt.messages is not None:
        record["messages"] = [
            {"placeholder": item.name} if isinstance(item, Placeholder) else thaw(item) for item in prompt.messages
        ]
    if not is_json(record):
        raise RecordError("it holds values that JSON has no words for")
    return record


def from_record(record: Any, **more: Any) -> Prompt:
    """The inverse, with ``more`` fields. ``RecordError`` for what is no record of a prompt."""
    if not isinstance(record, Mapping) or not record.keys() <= set(_FIELDS) or not _are_texts(record):
        raise RecordError("it is no record of a prompt")
    fields = {**record, **more}
    if isinstance(fields.get("messages"), list):
        fields["messages"] = [_message(item) for item in fields["messages"]]
    for name in ("labels", "tags"):
        fields[name] = tuple(fields.get(name, ()))
    try:
        return Prompt(**fields)
    except (PromptwireError, TypeError, RecursionError) as error:
        raise_bare(RecordError(f"it is no record of a prompt ({type(error).__name__})"))


def seal(key: StoreKey, prompt: Prompt) -> bytes:
    """A record under its authentication code, which covers its key too."""
    ref = key.ref
    asked = {"backend": key.backend, "id": ref.id, "version": ref.version, "label": ref.label}  # for human readers
    body = json.dumps({"asked": asked, "prompt": to_record(prompt)}, allow_nan=False).encode()
    return _HEADER + _code(key, body) + b"\n" + body


def unseal(key: StoreKey, sealed: bytes, **more: Any) -> Prompt:
    """The prompt; ``RecordError`` where ``seal`` did not make these bytes for this key. Nothing else is parsed."""
    header, _, body = sealed.partition(b"\n")
    if not hmac.compare_digest(header, _HEADER + _code(key, body)):
        raise RecordError("it is torn, or was not written by a holder of the same credentials")
    return from_record(json.loads(body)["prompt"], **more)


def _code(key: StoreKey, body: bytes) -> bytes:
    return hmac.new(key.secret, key.name.encode() + body, hashlib.sha256).hexdigest().encode()


def _are_texts(record: Mapping[str, Any]) -> bool:
    """Whether those fields that ``Prompt`` takes on trust are what they should be."""
    lists = [record.get(name, []) for name in ("labels", "tags")]
    names = [record.get("id"), record.get("backend"), record.get("dialect")]
    version = record.get("version")
    return (
        all(isinstance(name, str) for name in names)
        and all(isinstance(each, list) and all(isinstance(item, str) for item in each) for each in lists)
        and (version is None or (isinstance(version, int | str) and not isinstance(version, bool)))
    )


def _message(item: Any) -> Any:
    if isinstance(item, dict) and item.keys() == {"placeholder"} and isinstance(item["placeholder"], str):
        return Placeholder(item["placeholder"])
    return item
