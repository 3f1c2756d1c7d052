"""A playground's fields: one for each variable and placeholder, and what is typed into them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from promptwire.errors import ConfigurationError, raise_bare, unfillable
from promptwire.messages import fill_slot
from promptwire.prompts import Prompt
from promptwire.unseen import readable

Kind = Literal["text", "json", "messages", "message"]

MESSAGE = ""
"""The name, which no variable has, of the field for the user's message."""

_HINTS: dict[Kind, str] = {
    "text": "",
    "json": "JSON",
    "messages": "a message, or a JSON list of messages",
    "message": "what the user asks, after the prompt",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A variable's field; ``messages`` is a placeholder's, ``json`` is of a variable that was given as no text."""

    name: str
    kind: Kind

    @property
    def key(self) -> str:
        """Its name in what the browser types: a placeholder's own may be any text."""
        return sendable(self.name)

    def told(self) -> dict[str, str]:
        """For the browser."""
        label = "message" if self.name == MESSAGE else readable(self.name)
        return {"name": self.key, "kind": self.kind, "label": label, "hint": _HINTS[self.kind]}


@dataclass(frozen=True, slots=True)
class Typed:
    """What the fields say: variables, and the user's message, if there is one."""

    variables: dict[str, Any] = field(repr=False)
    message: str = field(repr=False)


def fields_of(prompts: Sequence[Prompt], given: Mapping[str, Any]) -> list[Field]:
    """What the prompts ask for, in their order; the user's message where one of them doesn't end in a question."""
    variables = dict.fromkeys(name for prompt in prompts for name in prompt.variables)
    slots = dict.fromkeys(name for prompt in prompts for name in prompt.placeholders)
    fields = [Field(name, "text" if isinstance(given.get(name, ""), str) else "json") for name in variables]
    fields += [Field(name, "messages") for name in slots if name not in variables]
    return [*fields, Field(MESSAGE, "message")] if any(map(_asks_nothing, prompts)) else fields


def _asks_nothing(prompt: Prompt) -> bool:
    last = prompt.messages[-1] if prompt.messages else None
    return not prompt.placeholders and isinstance(last, Mapping) and last["role"] != "user"


def shown(value: Any, name: str) -> str:
    """A given value as a field shows it. Raises ``ConfigurationError`` for what has no such form."""
    if isinstance(value, str):
        return sendable(value)
    try:
        return sendable(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError, RecursionError):
        raise_bare(ConfigurationError(f"variable {name!r} can't be shown in a field: it is no JSON"))
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable(f"variable {name!r}", error))


def sendable(text: str) -> str:
    """The text as a message can carry it: half a character becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def read(fields: Sequence[Field], texts: Mapping[str, Any], given: Mapping[str, Any]) -> Typed:
    """An empty field gives nothing; one that still shows what was given stands for just that.

    Raises ``ConfigurationError`` that names the field whose text is not JSON.
    """
    variables, message = dict(given), ""
    for one in fields:
        text = str(texts.get(one.key, ""))
        if one.name in given and text == shown(given[one.name], one.name):
            continue
        variables.pop(one.name, None)
        if one.name == MESSAGE:
            message = text
        elif text:
            variables[one.name] = _value(one, text)
    return Typed(variables, message)


def _value(one: Field, text: str) -> Any:
    if one.kind == "text":
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if one.kind == "messages":
            return [{"role": "user", "content": text}]
        raise_bare(ConfigurationError(f"field {one.name!r} takes JSON; put a text in double quotes"))
    if one.kind == "messages" and fill_slot(value) is None:
        return [{"role": "user", "content": text}]
    return value
