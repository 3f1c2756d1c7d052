"""Python source that types an application's prompts, for editors, type checkers and ``Resolver(contracts=...)``."""

import keyword
import re
import unicodedata
from collections.abc import Iterable

from promptwire.lock import Locked
from promptwire.messages import HISTORY_SLOTS

_HEAD = '''"""What each managed prompt needs, as types. Made by promptwire stubs: make it anew, don't edit it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

'''
_RESERVED = ("Any", "CONTRACTS", "Literal", "Mapping", "NotRequired", "PromptId", "Sequence", "TypedDict", "object")
_MESSAGES = "Sequence[Mapping[str, Any]]"


def make_stubs(entries: Iterable[Locked]) -> str:
    """A module of one ``TypedDict`` per prompt id, ``PromptId`` and ``CONTRACTS``.

    Where an id was locked more than once, its class asks for what any of them needs.
    """
    fields: dict[str, dict[str, str]] = {}
    for entry in sorted(entries, key=lambda one: one.ref.id):
        known = fields.setdefault(entry.ref.id, {})
        for name, kind in _fields(entry).items():
            known[name] = min(known.get(name, kind), kind, key=len)  # what is required is shorter
    names = _class_names(fields)
    classes = [_class(names[prompt_id], own) for prompt_id, own in fields.items()]
    ids = ", ".join(map(repr, fields)) or "''"
    contracts = "".join(f"    {prompt_id!r}: {name},\n" for prompt_id, name in names.items())
    return f"{_HEAD}PromptId = Literal[{ids}]\n\n{''.join(classes)}CONTRACTS: dict[str, Any] = {{\n{contracts}}}\n"


def _fields(entry: Locked) -> dict[str, str]:
    """The names that a prompt's caller may give, to their types."""
    prompt = entry.prompt
    optional = dict.fromkeys(prompt.partials, "NotRequired[object]")
    slots = {name: f"NotRequired[{_MESSAGES}]" if name in HISTORY_SLOTS else _MESSAGES for name in prompt.placeholders}
    return {**dict.fromkeys(prompt.variables, "object"), **optional, **slots}


def _class(name: str, fields: dict[str, str]) -> str:
    """The call of ``TypedDict``, since a variable's name may be no identifier."""
    body = "".join(f"        {field!r}: {kind},\n" for field, kind in sorted(fields.items()))
    return f"{name} = TypedDict(\n    {name!r},\n    {{\n{body}    }},\n)\n\n"


def _class_names(prompt_ids: Iterable[str]) -> dict[str, str]:
    """A class name of its own for each id; ids are data, and may hold anything."""
    taken: set[str] = set(_RESERVED)
    names: dict[str, str] = {}
    for prompt_id in prompt_ids:
        wanted = name = _camel(prompt_id)
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}{number}"
        taken.add(name)
        names[prompt_id] = name
    return names


def _camel(prompt_id: str) -> str:
    """``SupportReply`` for ``support/reply``; Python compares identifiers in NFKC, so that is what is made."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", prompt_id))
    name = unicodedata.normalize("NFKC", "".join(word[0].upper() + word[1:] for word in words))
    name = "".join(letter for letter in name if f"x{letter}".isidentifier())
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"Prompt{name}"
