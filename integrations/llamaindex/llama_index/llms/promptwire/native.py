"""A managed prompt as text of LlamaIndex's own templates, ``{name}`` for each variable."""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from promptwire.compose import text_of
from promptwire.errors import TemplateError
from promptwire.frozen import thaw
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt

SHIELD = {"promptwire_open_brace": "{"}
"""What templates with ``shielded`` texts are to be given: LlamaIndex has no escape for a brace."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOKS_LIKE_A_TAG = re.compile(r"\{(?=[A-Za-z_][A-Za-z0-9_.]*\})")

Escape = Callable[[str], str]


def as_it_is(text: str) -> str:
    """Braces stay: LlamaIndex replaces only names that it is given."""
    return text


def shielded(text: str) -> str:
    """What only looks like a variable stays text in a template that is given ``SHIELD``."""
    return _LOOKS_LIKE_A_TAG.sub("{promptwire_open_brace}", text)


def doubled(text: str) -> str:
    """For ``str.format``."""
    return text.replace("{", "{{").replace("}", "}}")


def native_messages(
    prompt: Prompt, values: Mapping[str, Any], names: Mapping[str, str], escape: Escape, text_role: str
) -> list[dict[str, Any]]:
    """The prompt's messages with ``values`` filled in and ``{name}`` for what isn't given, renamed by ``names``.

    Raises ``TemplateError`` where one text can't stand for the prompt: a placeholder, or a variable that
    decides something instead of being shown.
    """
    mark = chr(0xF0000 + secrets.randbelow(0xFFFE))  # no prompt's: private use, and anew each time
    open_names = [name for name in prompt.variables if name not in values]
    marks = {name: f"{mark}{at}{mark}" for at, name in enumerate(open_names)}
    rendered = prompt.render({**values, **marks}, text_role=text_role)
    if any(isinstance(item, Placeholder) for item in rendered.items):
        raise _impossible(prompt, "a placeholder")
    seen: set[str] = set()

    def native(text: str) -> str:
        pieces = re.split(f"{mark}(\\d+){mark}", text)
        shown = [open_names[int(at)] for at in pieces[1::2]]
        seen.update(shown)
        pieces[::2] = map(escape, pieces[::2])
        pieces[1::2] = [_tag(prompt, names.get(name, name)) for name in shown]
        return "".join(pieces)

    messages = [_with_texts(item, native) for item in rendered.messages]
    if hidden := [name for name in open_names if name not in seen]:
        raise _impossible(prompt, f"variables that it doesn't simply show ({', '.join(hidden)})")
    if mark in json.dumps(messages, ensure_ascii=False, default=lambda odd: type(odd).__name__):
        raise _impossible(prompt, "variables outside its texts, or that it takes apart")
    return messages


def _tag(prompt: Prompt, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _impossible(prompt, f"a variable named {name!r}")
    return f"{{{name}}}"


def _with_texts(message: Mapping[str, Any], native: Callable[[str], str]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": native(content)}
    if isinstance(content, list):
        parts = [{**one, "text": native(one["text"])} if _is_text(one) else one for one in content]
        return {**message, "content": parts}
    return dict(message)


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "text" and isinstance(part.get("text"), str)


def source_of(prompt: Prompt) -> str:
    """The prompt as its editors see it."""
    if prompt.text is not None:
        return prompt.text
    return "\n".join(
        f"{{{item.name}}}" if isinstance(item, Placeholder) else f"{item['role']}: {text_of(thaw(item.get('content')))}"
        for item in prompt.messages or ()
    )


def _impossible(prompt: Prompt, what: str) -> TemplateError:
    return TemplateError(
        f"{prompt.where} has {what}, for which LlamaIndex's own templates have no form: "
        "use the ManagedPromptTemplate itself, or give the value to partial_format()"
    )
