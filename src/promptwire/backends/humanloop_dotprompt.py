"""Humanloop's ``.prompt`` files: a YAML header, and a body of tags that is read strictly.

Its tags are ``<system>``, ``<developer>``, ``<user>``, ``<assistant>`` and ``<tool>``; in a user message ``<text>`` and
``<image url="…"/>``, in an assistant's ``<tool name="…" id="…">``. Other tags are text. What is ambiguous is refused:
the body decides who says what, and a guess could put the user's words into the system's mouth.
"""

import json
import re
from html.entities import html5
from typing import Any, NoReturn

from promptwire.backends.folder import read_yaml
from promptwire.errors import PromptConfigError, TemplateError

_HEADER = re.compile(r"\A\ufeff?\s*---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"<(/?)(system|developer|user|assistant|tool|text|image)(?![\w.:-])([^<>]*)(>?)")
_ATTRIBUTE = re.compile(r"""\s+([a-z]+)=(?:"([^"]*)"|'([^']*)')""")
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_LITERAL = ("text", "image")
"""Tags that are plain text but in a user message."""
_PARTS = {"user": _LITERAL, "assistant": ("tool",)}
# Google's dotprompt and LiteLLM's use the same suffix.
_FOREIGN_KEYS = ("config", "input", "output", "ext")
_FOREIGN_HELPER = re.compile(r"\{\{~?(?:[#/>]|\s*(?:role|media|history)\s)")
_FOREIGN = "it is a .prompt file of another dialect; only Humanloop's are read"


def read_dotprompt(text: str, where: str) -> dict[str, Any]:
    """The header's settings, with the body as ``template``, as Humanloop's API would answer them."""
    split = _HEADER.match(text)
    settings = read_yaml(split[1], where) if split else None
    if split is None or not isinstance(settings, dict):
        raise PromptConfigError(f"{where}: {_FOREIGN}: it has no YAML header between lines of ---")
    if key := next((key for key in _FOREIGN_KEYS if key in settings), None):
        raise PromptConfigError(f"{where}: {_FOREIGN}: its header has the key {key!r}")
    if "model" not in settings:
        raise PromptConfigError(f"{where}: {_FOREIGN}: its header has no 'model'")
    endpoint = settings.get("endpoint", "chat")
    if endpoint not in ("chat", "complete"):
        raise PromptConfigError(f"{where}: endpoint is 'chat' or 'complete', not {endpoint!r:.40}")
    if endpoint == "complete":
        return {**settings, "template": text[split.end() :].strip("\n")}
    return {**settings, "template": _Body(text, split.end(), where).messages()}


class _Body:
    """Reads the tags of a body, which begins at ``at``, from first to last."""

    def __init__(self, text: str, at: int, where: str) -> None:
        self._text = text
        self._at = at
        self._where = where
        self._tags = _TAG.finditer(text, at)

    def messages(self) -> list[dict[str, Any]]:
        """The messages, in order."""
        found: list[dict[str, Any]] = []
        while (tag := self._next()) is not None:
            self._nothing_before(tag.start())
            if tag[1] or tag[2] in _LITERAL:
                self._refuse(tag.start(), f"{tag[0]} doesn't begin a message")
            found.append(self._message(tag))
        self._nothing_before(len(self._text))
        return found

    def _message(self, tag: re.Match[str]) -> dict[str, Any]:
        role = tag[2]
        given = self._attributes(tag, *(("name", "id") if role == "tool" else ()))
        gaps: list[str] = []
        parts: list[dict[str, Any]] = []
        self._at = tag.end()
        while (inner := self._next()) is not None:
            ends = inner[2] == role and bool(inner[1])
            if ends or self._is_part(inner, role):
                gaps.append(self._text[self._at : inner.start()])
                self._at = inner.end()
                if ends:
                    break
                parts.append(self._part(inner))
        else:
            self._refuse(tag.start(), f"<{role}> is never closed")
        message = self._filled(role, gaps, parts)
        return {**message, "tool_call_id": given["id"]} if role == "tool" else message

    def _filled(self, role: str, gaps: list[str], parts: list[dict[str, Any]]) -> dict[str, Any]:
        """A message of its parts, or of the text that stands in their place; an assistant may speak, then call."""
        if not parts:
            return {"role": role, "content": self._content(gaps[0], 1)}
        said, stray = (gaps[0], gaps[1:]) if role == "assistant" else ("", gaps)
        if "".join(stray).strip():
            self._refuse(self._at, f"<{role}> has text beside its tags, or after its calls")
        if role == "user":
            return {"role": role, "content": parts}
        return {"role": role, "content": self._content(said, 1).rstrip() or None, "tool_calls": parts}

    def _is_part(self, tag: re.Match[str], role: str) -> bool:
        known = tag[2] in _PARTS.get(role, ())
        if tag[1] if known else tag[2] not in _LITERAL:
            self._refuse(tag.start(), f"{tag[0]} stands inside <{role}>")
        return known

    def _part(self, tag: re.Match[str]) -> dict[str, Any]:
        if tag[2] == "image":
            url = self._attributes(tag, "url", alone=True)["url"]
            return {"type": "image_url", "image_url": {"url": url}}
        given = self._attributes(tag, *(("name", "id") if tag[2] == "tool" else ()))
        end = self._next()
        if end is None or not end[1] or end[2] != tag[2]:
            self._refuse(tag.start(), f"<{tag[2]}> is not closed before the next tag")
        self._at = end.end()
        text = self._content(self._text[tag.end() : end.start()], 2)
        if tag[2] == "text":
            return {"type": "text", "text": text}
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            self._refuse(tag.start(), "the arguments in <tool> are not JSON")
        return {"id": given["id"], "type": "function", "function": {"name": given["name"], "arguments": text.strip()}}

    def _next(self) -> re.Match[str] | None:
        tag = next(self._tags, None)
        if tag is not None and tag[2] not in _LITERAL and (not tag[4] or (tag[1] and tag[3].strip())):
            self._refuse(tag.start(), f"<{tag[1]}{tag[2]} is not closed by '>'")
        return tag

    def _attributes(self, tag: re.Match[str], *names: str, alone: bool = False) -> dict[str, str]:
        """What a tag says, if it is exactly that; ``alone`` is one that has no content."""
        pairs = [(found[1], found[2] or found[3] or "") for found in _ATTRIBUTE.finditer(tag[3])]
        rest = _ATTRIBUTE.sub("", tag[3]).strip()
        if not tag[4] or rest != ("/" if alone else "") or sorted(name for name, _ in pairs) != sorted(names):
            wanted = "".join(f' {name}="…"' for name in names)
            self._refuse(tag.start(), f"the tag must be <{tag[2]}{wanted}{'/' if alone else ''}>")
        return {name: self._spelt_out(value) for name, value in pairs}

    def _content(self, inner: str, depth: int) -> str:
        """What stands between tags on lines of their own, without the indentation of that depth."""
        lines = self._spelt_out(inner).split("\n")
        if len(lines) == 1:
            return inner
        lines = lines[not lines[0].strip() : len(lines) - (not lines[-1].strip())]
        margin = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
        return "\n".join(line[min(margin, 2 * depth) :] for line in lines)

    def _spelt_out(self, text: str) -> str:
        for entity in _ENTITY.finditer(text):
            if entity[1][0] == "#" or f"{entity[1]};" in html5:
                self._refuse(self._at, f"{entity[0]} could mean itself or the character; write the character")
        return text

    def _nothing_before(self, end: int) -> None:
        stray = self._text[self._at : end]
        if stray.strip() and _FOREIGN_HELPER.search(self._text, self._at):
            raise PromptConfigError(f"{self._where}: {_FOREIGN}: its body has helpers like {{{{role}}}}")
        if stray.strip():
            at = self._at + len(stray) - len(stray.lstrip())
            self._refuse(at, "text outside of <system>, <developer>, <user>, <assistant> and <tool>")

    def _refuse(self, at: int, why: str) -> NoReturn:
        line = self._text.count("\n", 0, at) + 1
        raise TemplateError(f"{self._where}, line {line}: {why}")
