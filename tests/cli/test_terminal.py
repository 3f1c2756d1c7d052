"""On a terminal: tables, colours, progress, and nothing that a prompt's editor could steer it with."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from promptwire.cli import output
from promptwire.testing import FakeLangfuse
from tests.doubles.canaries import CANARIES

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(*arguments: str, columns: int = 80, **environment: str) -> tuple[int, str]:
    """What a command prints on a terminal of its own, and its exit code."""
    parent, child = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "promptwire", *arguments], stdin=child, stdout=child, stderr=child,
        env={**inherited, "COLUMNS": str(columns), "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(child)
    printed = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(parent, 65536)
            except OSError:  # Linux' way to say that the other side has closed
                return
            if not data:
                return
            printed.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(60)
    reader.join(60)
    os.close(parent)
    CANARIES.look("terminal", bytes(printed))
    return code, printed.decode().replace("\r\n", "\n")


def test_a_list_is_a_table_that_fits(project: FakeLangfuse) -> None:
    for number in range(3):
        project.publish(
            "team/a prompt with a very long name indeed/" + "x" * 40, f"v{number}", labels=[f"label-{number}"]
        )
    code, shown = on_a_terminal("list", "-b", "langfuse")
    plain = ESCAPE.sub("", shown)
    assert code == 0
    assert plain.splitlines()[0].split() == ["ID", "VERSIONS", "LABELS", "TAGS"]
    assert max(map(len, plain.splitlines())) <= 80
    assert "\t" not in plain
    assert "x" * 40 not in plain  # it is folded, not cut
    assert re.sub(r"\s", "", plain).count("x") >= 40


def test_colours_and_no_color() -> None:
    shown = on_a_terminal("diff", "support/reply@1", "support/reply@2")[1]
    assert "\x1b[31m-" in shown
    for arguments in (("diff", "support/reply@1", "support/reply@2"), ("list",)):
        assert not ESCAPE.search(re.sub(r"\x1b\[1m|\x1b\[0m", "", on_a_terminal(*arguments, NO_COLOR="1")[1]))
    assert "\x1b" not in on_a_terminal("diff", "support/reply@1", "support/reply@2", NO_COLOR="1")[1]


def test_a_prompt_does_not_steer_the_terminal(project: FakeLangfuse) -> None:
    hostile = "a\x1b]0;owned\x07b\x9b31m\u202ec\rd\x7f\ufe00\U000e0100"
    project.publish("hostile", hostile, labels=["production"], tags=["\x1b[2J"])
    project.publish("hostile", hostile + "!")
    for arguments in (
        ("show", "langfuse:hostile"), ("render", "langfuse:hostile"), ("list", "-b", "langfuse"),
        ("diff", "langfuse:hostile@1", "langfuse:hostile@2"), ("show", "langfuse:hostile\x1b[2J"),
    ):  # fmt: skip
        shown = ESCAPE.sub("", on_a_terminal(*arguments, NO_COLOR="1")[1]).replace("\x1b(B", "")
        assert not set("\x1b\x07\x9b\u202e\x7f\r\ufe00\U000e0100") & set(shown), arguments


def test_a_pipe_gets_the_text_as_it_is(run: Any, project: FakeLangfuse) -> None:
    project.publish("escape", "a\x1b[1mb")
    assert run("render", "langfuse:escape").stdout == "a\x1b[1mb\n"
    assert json.loads(run("render", "langfuse:escape", "--json").stdout)["messages"][0]["content"] == "a\x1b[1mb"
    project.publish("odd", "a\ud800b\x9b")
    assert run("render", "langfuse:odd").stdout == "a\\ud800b\x9b\n"
    assert "\x9b" not in run("render", "langfuse:odd", "--json").stdout


def test_pull_shows_its_progress_on_stderr(project: FakeLangfuse, start: Any) -> None:
    assert "100%" not in on_a_terminal("pull", "-b", "langfuse", "--dir", "few")[1]
    for number in range(20):
        project.publish(f"p{number}", "x")
    shown = ESCAPE.sub("", on_a_terminal("pull", "-b", "langfuse", "--dir", "copy")[1])
    assert "100%" in shown
    assert start("pull", "-b", "langfuse", "--dir", "other").stderr == ""


def test_findings_are_told_as_compilers_do(folder: Path) -> None:
    (folder / "prompts" / "bad.yaml").write_text("text: '{% x'\n")
    code, shown = on_a_terminal("check", NO_COLOR="1")
    assert code == 1
    assert "prompts/bad.yaml:1: template: " in shown


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who reads stdout, in this process."""
    for module in ("output", "diff", "check"):
        monkeypatch.setattr(f"promptwire.cli.{module}.on_terminal", lambda: True)


@pytest.mark.usefixtures("person")
def test_tables_without_rich(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    shown = run("list").stdout
    assert shown == "ID             VERSIONS  LABELS     TAGS\nsupport/reply  1,2       candidate\n"
    assert run("list", "--label", "nope").stdout == ""


@pytest.mark.usefixtures("person")
def test_the_same_in_this_process(run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("list", env={"COLUMNS": "80"}).stdout.split()[:2] == ["ID", "VERSIONS"]
    assert (
        "@@ settings @@"
        in run("diff", "support/reply@1", "support/reply@2", "--exit-zero", env={"NO_COLOR": "1"}).stdout
    )
    (folder / "prompts" / "bad.yaml").write_text("text: 1\x07\n")
    assert ": file: " in run("check", code=1).stdout
    (folder / "prompts" / "bad.yaml").write_text("text: 1\n")
    assert "prompts/bad.yaml:1: template: 'text' must be a text" in run("check", code=1).stdout


def test_the_bar_in_this_process(run: Any, project: FakeLangfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptwire.cli import pull

    class Terminal:
        def __init__(self) -> None:
            self.written: list[str] = []

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.written.append(text)
            return len(text)

        def flush(self) -> None: ...

    terminal = Terminal()
    monkeypatch.setattr("promptwire.cli.pull.sys.stderr", terminal)
    assert list(pull._with_progress([1, 2], 20)) == [1, 2]  # type: ignore[list-item,comparison-overlap]  # noqa: SLF001
    assert any("pull" in text for text in terminal.written)


def test_control_characters_become_visible(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    output.say("a\x1b\x00\n\t\x85é\u202e")
    assert capsys.readouterr().out == "a[U+001B][U+0000]\n\t[U+0085]é[U+202E]\n"
