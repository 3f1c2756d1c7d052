"""One dialect's prompt in another: only where every text means the same in both."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt
from promptwire.templates import compile_template

_NAMED = re.compile(r"{{\s*([A-Za-z_]\w*)\s*}}", re.ASCII)


def in_dialect(prompt: Prompt, dialect: str, target: str) -> Prompt:
    """The prompt under another dialect; ``ConfigurationError``, which names ``target``, where it would change."""
    if prompt.dialect == dialect:
        return prompt
    for text in _texts(prompt):
        if not _means_the_same(text, prompt.dialect, dialect):
            raise ConfigurationError(
                f"{prompt.where}: {target} fills in {dialect} templates, and this prompt uses what only "
                f"{prompt.dialect} has; keep to plain {{{{name}}}} tags"
            )
    return replace(prompt, dialect=dialect)


def _texts(prompt: Prompt) -> Iterator[str]:
    if prompt.text is not None:
        yield prompt.text
    for message in prompt.messages or ():
        if not isinstance(message, Placeholder):
            yield from _of_content(message.get("content"))


def _of_content(content: Any) -> Iterator[str]:
    """Every text of a content, also those that no dialect looks at."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _of_content(value)
    elif isinstance(content, tuple):
        for part in content:
            yield from _of_content(part)


def _means_the_same(text: str, one: str, other: str) -> bool:
    """Whether all its braces are plain tags, which both dialects take for the same variables."""
    rest = _NAMED.sub("", text)
    if "{{" in rest or "{%" in rest or "{#" in rest or ("jinja" in {one, other} and "\r" in text):
        return False
    names = _NAMED.findall(text)
    return all(_tags(text, dialect) == (names, tuple(dict.fromkeys(names))) for dialect in (one, other))


def _tags(text: str, dialect: str) -> tuple[list[str], tuple[str, ...]]:
    """What a dialect takes for tags, each time that one stands there, and for variables."""
    template = compile_template(text, dialect)
    return [tag.variable.strip() for tag in template.segments({}) if tag.variable is not None], template.variables
