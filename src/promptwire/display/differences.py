"""What differs between two prompts, a prompt's history, and what a push did, as views."""

from promptwire.differences import Differences, MessageDifference, SettingDifference, word_changes
from promptwire.display.prompts import compact
from promptwire.display.view import Block, Kind, Span, Table, View, counted
from promptwire.history import History
from promptwire.publishing import Pushed

_KINDS: dict[str, Kind] = {"same": "text", "added": "added", "removed": "removed"}


def differences_view(differences: Differences) -> View:
    """Settings as a table, messages word by word."""
    marks = [] if differences else ["no difference"]
    settings = Table(("setting", "before", "after"), [_setting(one) for one in differences.settings])
    tables = [settings] if differences.settings else []
    return View("differences", marks, tables=tables, blocks=[_message(one) for one in differences.messages])


def history_view(history: History) -> View:
    """A row for each version, the newest first."""
    rows = [
        [
            "" if one.version is None else str(one.version), ", ".join(one.labels), one.author or "",
            "" if one.created_at is None else f"{one.created_at:%Y-%m-%d %H:%M}", compact(one.message or ""),
        ]
        for one in history
    ]  # fmt: skip
    return View(history.prompt_id, [counted(len(history), "version")], tables=[Table(HISTORY, rows)])


def pushed_view(pushed: Pushed) -> View:
    """Which version holds what was pushed, and the labels that moved to it."""
    version = [] if pushed.version is None else [f"version {pushed.version}"]
    facts = [("labels moved", ", ".join(pushed.labels))] if pushed.labels else []
    return View(pushed.id, [*version, "created" if pushed.created else "there already"], facts)


HISTORY = ("version", "labels", "author", "date", "message")


def changed(before: str, after: str) -> list[Span]:
    """The words that both share, those taken out, and those put in."""
    return [Span(text, _KINDS[change]) for change, text in word_changes(before, after)]


def _setting(one: SettingDifference) -> list[str]:
    return [one.name, compact(one.before or ""), compact(one.after or "")]


def _message(one: MessageDifference) -> Block:
    return Block(one.title, changed(one.before or "", one.after or ""))
