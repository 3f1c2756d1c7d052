"""A prompt's messages: placeholders, and contents compiled once and filled in on every call."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptwire.errors import ConfigurationError, MissingVariablesError, TemplateError
from promptwire.frozen import FrozenDict, is_json, thaw
from promptwire.masking import masked
from promptwire.templates import Segment, Template, compile_template

HISTORY_SLOTS = ("messages", "history", "chat_history")
"""Placeholders that mean the conversation so far: left empty where nobody fills them."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A slot in a chat prompt that messages go into."""

    name: str


def close_slots(items: Sequence[dict[str, Any] | Placeholder], where: str, *, keep: bool) -> list[dict[str, Any]]:
    """Drop open placeholders; under ``keep`` they stay as the vendor's ``{"type": "placeholder"}``."""
    slots = [item.name for item in items if isinstance(item, Placeholder)]
    wanting = [name for name in slots if name not in HISTORY_SLOTS]
    if wanting and not keep:
        raise MissingVariablesError(
            f"{where} has placeholders that no messages were given for: {', '.join(wanting)}. "
            "Pass a list of messages under that name in prompt_variables.",
            wanting,
        )
    if not slots:
        return list(items)  # type: ignore[arg-type]
    kept = [{"type": "placeholder", "name": i.name} if isinstance(i, Placeholder) else i for i in items]
    return kept if keep else [item for item in items if not isinstance(item, Placeholder)]


def parse_messages(messages: Sequence[Any]) -> tuple[Any, ...]:
    """Messages as Langfuse stores them: ``{"type": "placeholder", "name": …}`` becomes a ``Placeholder``."""
    return tuple(
        Placeholder(message["name"])
        if isinstance(message, Mapping)
        and message.get("type") == "placeholder"
        and isinstance(message.get("name"), str)
        else message
        for message in messages
    )


def stored_messages(messages: Sequence[Any]) -> list[Any]:
    """The inverse of ``parse_messages``: dicts and lists that the caller owns."""
    return [
        {"type": "placeholder", "name": item.name} if isinstance(item, Placeholder) else thaw(item) for item in messages
    ]


class PlainStep:
    """A message that is a role and a text, as nearly all are."""

    __slots__ = ("content", "role")

    def __init__(self, role: str, content: Template) -> None:
        self.role = role
        self.content = content

    @property
    def variables(self) -> tuple[str, ...]:
        return self.content.variables

    @property
    def templates(self) -> tuple[Template, ...]:
        return (self.content,)

    @property
    def message(self) -> FrozenDict:
        return FrozenDict(role=self.role, content=self.content.source)

    def segments(self, values: Mapping[str, Any]) -> list[Segment]:
        return self.content.segments(values)


class Step:
    """Any other message of a prompt, its content compiled."""

    __slots__ = ("content", "message", "variables")

    def __init__(self, message: FrozenDict, dialect: str, where: str) -> None:
        self.message = message
        self.content: Template | tuple[Any, ...] | None = _compile_content(message.get("content"), dialect, where)
        self.variables = tuple(name for template in self.templates for name in template.variables)

    @property
    def templates(self) -> tuple[Template, ...]:
        if isinstance(self.content, tuple):
            return tuple(part.template for part in self.content if isinstance(part, _Part))
        return () if self.content is None else (self.content,)

    def render(self, values: Mapping[str, Any], gaps: list[str] | None) -> dict[str, Any]:
        content: Any = self.content
        if content.__class__ is tuple:
            content = [part.render(values, gaps) if part.__class__ is _Part else thaw(part) for part in content]
        elif content is not None:
            content = content.render(values, gaps)
        message: dict[str, Any] = thaw(self.message)
        if "content" in message:
            message["content"] = content
        return message

    def segments(self, values: Mapping[str, Any]) -> list[Segment]:
        """The pieces of its texts, for those who show them; what is no text is JSON in brackets, keys masked."""
        parts = self.content if isinstance(self.content, tuple) else () if self.content is None else (self.content,)
        each = [
            [Segment(f"[{json.dumps(masked(part))}]")] if isinstance(part, FrozenDict) else part.segments(values)
            for part in parts
        ]
        return [segment for segments in each for segment in segments]


class _Part:
    """A content part that holds a template: a text, or an image's URL."""

    __slots__ = ("part", "template")

    def __init__(self, part: FrozenDict, text: str, dialect: str, where: str) -> None:
        self.part = part
        self.template = compile_template(text, dialect, where)

    def segments(self, values: Mapping[str, Any]) -> list[Segment]:
        inside = self.template.segments(values)
        return inside if self.part.get("type") == "text" else [Segment("[image_url: "), *inside, Segment("]")]

    def render(self, values: Mapping[str, Any], gaps: list[str] | None) -> dict[str, Any]:
        filled: dict[str, Any] = thaw(self.part)
        text = self.template.render(values, gaps)
        if filled.get("type") == "text":
            filled["text"] = text
        elif isinstance(filled["image_url"], str):
            filled["image_url"] = text
        else:
            filled["image_url"]["url"] = text
        return filled


def compile_message(item: object, dialect: str, where: str) -> PlainStep | Step | Placeholder:
    """Raises ``TemplateError`` for what is no message; ``where`` opens its text."""
    if isinstance(item, Placeholder):
        return item
    if not isinstance(item, FrozenDict) or not isinstance(item.get("role"), str) or not item["role"]:
        raise TemplateError(f"{where}: a message has a role and a content")
    if item.get("content") is None and item["role"] in {"system", "developer", "user"}:
        raise TemplateError(f"{where}: a {item['role']} message has a content")
    if not is_json(item):
        raise TemplateError(f"{where}: a message holds plain JSON values only")
    content = item.get("content")
    if isinstance(content, str) and item.keys() == {"role", "content"}:
        return PlainStep(item["role"], compile_template(content, dialect, where))
    return Step(item, dialect, where)


def _compile_content(content: object, dialect: str, where: str) -> Template | tuple[Any, ...] | None:
    if isinstance(content, str):
        return compile_template(content, dialect, where)
    if content is None:
        return None
    if not isinstance(content, tuple) or not all(isinstance(part, FrozenDict) for part in content):
        raise TemplateError(f"{where}: content is a text, a list of parts or null, not {type(content).__name__}")
    return tuple(_compile_part(part, dialect, where) for part in content)


def _compile_part(part: FrozenDict, dialect: str, where: str) -> _Part | FrozenDict:
    text = part.get("text") if part.get("type") == "text" else part.get("image_url")
    if isinstance(text, FrozenDict):
        text = text.get("url")
    return _Part(part, text, dialect, where) if isinstance(text, str) else part


def fill_slot(given: Any) -> list[dict[str, Any]] | None:
    """The messages given for a placeholder, copied, never templated; ``None`` for what are no messages."""
    if not isinstance(given, (list, tuple)):
        return None
    if not given:  # a conversation's first turn
        return []
    if not all(map(_is_message, given)):
        return None
    return [_copied(message) for message in given]


def slot_error(name: str, given: object, where: str) -> ConfigurationError:
    """What ``fill_slot`` couldn't use."""
    return ConfigurationError(
        f"{where}: placeholder {name!r} takes a list of message dicts with a role each, not {_kind(given)}"
    )


def _is_message(given: object) -> bool:
    return isinstance(given, (dict, Mapping)) and isinstance(given.get("role"), str)


def _copied(message: Mapping[str, Any]) -> dict[str, Any]:
    twin = {key: value if type(value) is str else thaw(value) for key, value in message.items()}
    if "content" not in twin and not twin.get("tool_calls"):
        twin["content"] = ""
    return twin


def _kind(given: object) -> str:
    """What was given in place of messages, by the name of its type."""
    if not isinstance(given, list | tuple):
        return type(given).__name__
    kinds = dict.fromkeys(type(item).__name__ for item in given if not isinstance(item, Mapping))
    return f"a list of {', '.join(kinds)}" if kinds else "one without"
