"""``--env-file``: read when asked for, and only then."""

import os
from pathlib import Path
from typing import Any

import pytest

from promptwire.cli import exits
from promptwire.cli.dotenv import load
from promptwire.testing import FakeLangfuse


def test_keys_come_from_a_file_only_when_asked(run: Any, folder: Path) -> None:
    with FakeLangfuse() as server:
        server.publish("greeting", "Hello")
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in server.env.items()))
        assert "LANGFUSE_PUBLIC_KEY" in run("list", "-b", "langfuse", code=exits.USAGE).stderr
        assert run("list", "-b", "langfuse", "--env-file", ".env").stdout.startswith("greeting\t")
        assert run("--env-file", ".env", "list", "-b", "langfuse").stdout.startswith("greeting\t")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X_1=plain", "plain"), ("export X_1 = a b ", "a b"), ("X_1=", ""), ("X_1='a #b'", "a #b"),
        ('X_1="a\\n\\"b\\" \\\\"', 'a\n"b" \\'), ("X_1=a # said", "a"), ("X_1=a#b", "a#b"), ('X_1="a" # x', "a"),
        ("# X\n\nX_1=1\n", "1"), ("X_1=a=b", "a=b"),
    ],
)  # fmt: skip
def test_lines(line: str, value: str, folder: Path) -> None:
    (folder / "env").write_text(line)
    load("env")
    assert os.environ["X_1"] == value


def test_what_is_set_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_1", "mine")
    (folder / "env").write_text("X_1=theirs\nX_2=new")
    load("env")
    assert (os.environ["X_1"], os.environ["X_2"]) == ("mine", "new")


@pytest.mark.parametrize("line", ["secret words", "1X=secret", "X='secret", 'X="secret" more', "=secret", "X=se\0cret"])
def test_a_line_that_is_no_assignment_is_named_and_not_quoted(line: str, run: Any, folder: Path) -> None:
    (folder / "env").write_text(f"A=1\n{line}\n")
    error = run("--env-file", "env", "list", code=exits.USAGE).stderr
    assert "line 2 is not NAME=VALUE" in error
    assert "secret" not in error


def test_a_file_that_is_no_text(run: Any, folder: Path) -> None:
    (folder / "env").write_bytes(b"\xff\xfe")
    assert "can't be read as UTF-8" in run("--env-file", "env", "list", code=exits.USAGE).stderr
