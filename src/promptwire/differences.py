"""What differs between two prompts: by message, word by word, and by setting. Framework- and display-free."""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from promptwire.display import Displayed
from promptwire.frozen import thaw
from promptwire.masking import MASK, masked
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt

if TYPE_CHECKING:
    from promptwire.display.view import View

Change = Literal["same", "removed", "added"]

MAX_WORDS = 2_000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class MessageDifference:
    """A message that isn't the same in both; ``None`` on the side that lacks it. Numbers count from 1."""

    before: str | None
    after: str | None
    before_role: str | None
    after_role: str | None
    before_number: int | None
    after_number: int | None

    @property
    def title(self) -> str:
        """``message 2 (user)``; both numbers where it has moved."""
        old, new = self.before_number, self.after_number
        number = f"{old} → {new}" if old and new and old != new else old or new
        return f"message {number} ({self.before_role or self.after_role})"

    def words(self) -> list[tuple[Change, str]]:
        """Its text in pieces, in order."""
        return word_changes(self.before or "", self.after or "")


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting that isn't the same in both, as JSON, keys masked; ``None`` on the side that lacks it."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Differences(Displayed):
    """False where the two prompts say the same, whatever their ids, versions and labels."""

    messages: tuple[MessageDifference, ...]
    settings: tuple[SettingDifference, ...]

    def __bool__(self) -> bool:
        return bool(self.messages or self.settings)

    def _view(self) -> "View":
        from promptwire.display.differences import differences_view

        return differences_view(self)

    def unified(self, before: str = "before", after: str = "after") -> str:
        """A unified text, with a hunk for the settings and one for each message; empty where nothing differs."""
        return "".join(f"{line}\n" for line in self._lines(before, after)) if self else ""

    def _lines(self, before: str, after: str) -> Iterator[str]:
        yield from (f"--- {before}", f"+++ {after}")
        if self.settings:
            yield "@@ settings @@"
        for setting in self.settings:
            yield from () if setting.before is None else (f"-{setting.name}: {setting.before}",)
            yield from () if setting.after is None else (f"+{setting.name}: {setting.after}",)
        for message in self.messages:
            yield f"@@ {message.title} @@"
            yield from _body(message.before, message.after)


def word_changes(before: str, after: str) -> list[tuple[Change, str]]:
    """Both texts in pieces, in order; texts of more than 2,000 words are compared by line."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > MAX_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces: list[tuple[Change, str]] = []
    for tag, start, end, start2, end2 in difflib.SequenceMatcher(None, old, new).get_opcodes():
        gone, come = "".join(old[start:end]), "".join(new[start2:end2])
        changes: list[tuple[Change, str]] = [("same", gone)] if tag == "equal" else [("removed", gone), ("added", come)]
        pieces += [piece for piece in changes if piece[1]]
    return pieces


def compare(before: Prompt, after: Prompt) -> Differences:
    """What of messages and settings differs. Numbers are compared as JSON's readers do: 1.0 is 1."""
    return Differences(tuple(_messages(before, after)), tuple(_settings(before, after)))


def _messages(before: Prompt, after: Prompt) -> Iterator[MessageDifference]:
    old, new = _told(before), _told(after)
    if old == new:
        return
    shown, shown2 = _told(before, masked), _told(after, masked)
    for at, at2 in _pairs(old, new):
        role, text = (None, None) if at is None else shown[at]
        role2, text2 = (None, None) if at2 is None else shown2[at2]
        numbers = (None if place is None else place + 1 for place in (at, at2))
        yield MessageDifference(text, text2, role, role2, *numbers)


def _pairs(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> Iterator[tuple[int | None, int | None]]:
    """The places of messages that changed: of those between two unchanged ones, equal roles go together."""
    for tag, start, end, start2, end2 in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            continue
        roles, roles2 = ([role for role, _ in part] for part in (old[start:end], new[start2:end2]))
        for kind, low, high, low2, high2 in difflib.SequenceMatcher(None, roles, roles2).get_opcodes():
            if kind == "equal":
                yield from zip(range(start + low, start + high), range(start2 + low2, start2 + high2), strict=True)
            else:
                yield from ((place, None) for place in range(start + low, start + high))
                yield from ((None, place) for place in range(start2 + low2, start2 + high2))


def _told(prompt: Prompt, view: Callable[[Any], Any] = thaw) -> list[tuple[str, str]]:
    """Every message as a role and a text, in the view of it."""
    if prompt.text is not None:
        return [("text", prompt.text)]
    return [_message(item, view) for item in prompt.messages or ()]


def _message(item: Mapping[str, Any] | Placeholder, view: Callable[[Any], Any]) -> tuple[str, str]:
    if isinstance(item, Placeholder):
        return "placeholder", item.name
    if item.keys() <= {"role", "content"} and isinstance(item.get("content"), str):
        return item["role"], item["content"]
    return item["role"], _json(view({key: value for key, value in item.items() if key != "role"}), indent=2)


def _settings(before: Prompt, after: Prompt) -> Iterator[SettingDifference]:
    old, new = _told_settings(before), _told_settings(after)
    for name in dict.fromkeys((*old, *new)):
        sides = [_json(side[name]) if name in side else None for side in (old, new)]
        if sides[0] != sides[1]:
            shown = [_json(masked({name: side[name]})[name]) if name in side else None for side in (old, new)]
            yield SettingDifference(name, *shown)


def _told_settings(prompt: Prompt) -> dict[str, Any]:
    ours = {"template_format": prompt.dialect, **{f"partials.{name}": value for name, value in prompt.partials.items()}}
    config = {f"config.{name}" if name in ours else name: value for name, value in prompt.config.items()}
    first: dict[str, Any] = {name: config[name] for name in ("model", "provider") if name in config}
    return {**ours, **first, **config}


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(_plain(thaw(value)), ensure_ascii=False, sort_keys=True, indent=indent, default=str)


def _plain(value: Any) -> Any:
    """With whole numbers as such: a server may store 1.0 as 1."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _body(before: str | None, after: str | None) -> Iterator[str]:
    """A unified diff's lines without its heads: three unchanged lines around each change."""
    if before == after:  # they differ in a key alone
        yield from (f"-{MASK}", f"+{MASK}")
        return
    old, new = (before or "").splitlines(), (after or "").splitlines()
    if old == new:  # they differ in line ends alone
        old, new = ([json.dumps(text, ensure_ascii=False)] for text in (before, after))
    for number, line in enumerate(difflib.unified_diff(old, new, lineterm="")):
        if number > 2:
            yield "@@ … @@" if line.startswith("@@") else line
