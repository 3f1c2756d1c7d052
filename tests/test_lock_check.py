"""What ``check_lock`` finds: every change that an application would see, told so that a reviewer understands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from promptwire import BackendUnavailableError, ConfigurationError, Prompt, PromptRef, Resolver
from promptwire.lock import Locked, read_lock, take_lock, write_lock
from promptwire.lock_check import Finding, check_lock, compare
from promptwire.testing import FakeLangfuse

PARENT = "Start. @@@langfusePrompt:name=child|label=production@@@ End of {{topic}}."


@pytest.fixture
def locked(langfuse: FakeLangfuse, tmp_path: Path) -> tuple[Locked, ...]:
    langfuse.publish("child", "Be brief.")
    langfuse.publish("parent", PARENT)
    path = tmp_path / "prompts.lock"
    refs = [PromptRef(prompt_id) for prompt_id in ("greeting", "farewell", "parent")]
    write_lock(path, take_lock(Resolver("langfuse"), [*refs, PromptRef("greeting", version=1)]))
    return read_lock(path)


def test_nothing_that_changed_is_nothing_found(locked: tuple[Locked, ...], langfuse: FakeLangfuse) -> None:
    assert check_lock(locked) == ()
    langfuse.publish("greeting", "A draft {{x}}", labels=["staging"])
    assert check_lock(locked) == ()


Change = Callable[[FakeLangfuse], object]

CHANGES: dict[str, tuple[Change, tuple[str, ...], str, tuple[str, ...]]] = {
    "the label moved": (
        lambda lf: lf.publish("greeting", "Hello {{name}}", config={"model": "gpt-4o-mini", "stop": ["END"]}),
        ("moved",), "version 1 → 2", (),
    ),
    "its text changed": (
        lambda lf: lf.publish("greeting", "Hi {{name}}", config={"model": "gpt-4o-mini", "stop": ["END"]}),
        ("moved", "text"), "version 1 → 2; its text changed", ("-Hello {{name}}", "+Hi {{name}}"),
    ),
    "its variables changed": (
        lambda lf: lf.publish("greeting", "Hello {{who}}", config={"model": "gpt-4o-mini", "stop": ["END"]}),
        ("moved", "variables", "text"), "variables +who, -name", ("-Hello {{name}}", "+Hello {{who}}"),
    ),
    "its config changed": (
        lambda lf: lf.publish("greeting", "Hello {{name}}", config={"model": "gpt-4o", "stop": ["END"]}),
        ("moved", "config"), "its config changed", ('-model: "gpt-4o-mini"', '+model: "gpt-4o"'),
    ),
    "a child changed": (
        lambda lf: lf.publish("child", "Be long in {{place}}."),
        ("variables", "child"),
        "variables +place; its text changed under version 1: so did a prompt it is composed of",
        ("-Start. Be brief. End of {{topic}}.", "+Start. Be long in {{place}}. End of {{topic}}."),
    ),
    "it is gone": (lambda lf: lf.fail(404, match="farewell"), ("gone",), "does not exist there", ()),
    "it could not be asked": (lambda lf: lf.fail(401, match="farewell"), ("unknown",), "refused the credentials", ()),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_found_and_shown(
    change: tuple[Change, tuple[str, ...], str, tuple[str, ...]], locked: tuple[Locked, ...], langfuse: FakeLangfuse
) -> None:
    make, kinds, message, lines = change
    make(langfuse)
    (finding,) = check_lock(locked)
    assert finding.kinds == kinds
    assert finding.message.startswith(f"{finding.locked}: ")
    assert message in finding.message
    assert set(lines) <= set(finding.diff.splitlines())
    assert bool(finding.diff) is bool(lines)


def test_a_key_that_an_editor_put_into_the_config_is_masked(locked: tuple[Locked, ...], langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hello {{name}}", config={"model": "gpt-4o-mini", "api_key": "sk-canary\u202e"})
    (finding,) = check_lock(locked)
    assert "+api_key" in finding.diff
    assert "canary" not in finding.diff


def test_an_outage_is_told_of_each_prompt_and_taken_for_no_change(
    locked: tuple[Locked, ...], langfuse: FakeLangfuse
) -> None:
    langfuse.stop()
    findings = check_lock(locked)
    assert [finding.kinds for finding in findings] == [("unknown",)] * 4


def test_a_check_asks_the_backend_whatever_the_environment_stores(
    locked: tuple[Locked, ...], langfuse: FakeLangfuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTWIRE_STORE", str(tmp_path / "prompts.lock"))
    langfuse.stop()
    assert {finding.kinds for finding in check_lock(locked)} == {("unknown",)}
    stored = Resolver("langfuse", store=tmp_path / "prompts.lock")
    assert {finding.kinds for finding in check_lock(locked, stored)} == {("unknown",)}


def test_a_backend_that_cannot_be_opened_is_an_error(
    locked: tuple[Locked, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    with pytest.raises(ConfigurationError, match="LANGFUSE_SECRET_KEY"):
        check_lock(locked)


def _compared(before: Prompt, after: Prompt) -> Finding | None:
    return compare(Locked("files", PromptRef("p"), before), after)


def test_a_file_without_versions_has_a_text_that_changed() -> None:
    finding = _compared(Prompt("p", text="a"), Prompt("p", text="b"))
    assert finding is not None
    assert finding.kinds == ("text",)


def test_labels_and_tags_are_no_change_and_partials_are() -> None:
    before = Prompt("p", text="{{a}}", labels=("x",), tags=("y",))
    assert _compared(before, Prompt("p", text="{{a}}", labels=("z",))) is None
    finding = _compared(before, Prompt("p", text="{{a}}", partials={"a": "1"}))
    assert finding is not None
    assert finding.kinds == ("variables", "config")


def test_a_diff_cannot_drive_a_terminal() -> None:
    finding = _compared(Prompt("p", text="{{a}}"), Prompt("p", text="\x1b[2J{{\x1b[31mb}}"))
    assert finding is not None
    assert "\x1b" not in finding.diff + finding.message
    assert r"\u001b[2J" in finding.diff


def test_taking_a_lock_in_an_outage_is_an_error(langfuse: FakeLangfuse) -> None:
    langfuse.stop()
    with pytest.raises(BackendUnavailableError):
        take_lock(Resolver("langfuse"), [PromptRef("greeting")])
