"""Fixtures of the command line's tests: a folder, fake servers, and the commands in this process or in their own."""

import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from promptwire.cli import main
from promptwire.log import set_verbose
from promptwire.testing import FakeLangfuse, FakeOpenAI

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with ``prompts/support/reply``; nothing of a command's outlives the test."""
    shutil.copytree(ROOT / "examples" / "prompts", tmp_path / "prompts")
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)
    set_verbose(False)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    """Langfuse with two versions of ``support/reply``, the second in production, and a persona without one."""
    with FakeLangfuse() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        chat = [
            {"role": "system", "content": "You answer for {{company}}."},
            {"role": "user", "content": "{{question}}"},
        ]
        server.publish("support/reply", chat, config={"model": "gpt-4o-mini"}, commit_message="first words")
        chat[0]["content"] = "You answer for {{company}}, warmly."
        server.publish("support/reply", chat, config={"model": "gpt-4o", "temperature": 0.2}, tags=["support"])
        persona = [{"role": "system", "content": "You are {{name}}."}, {"type": "placeholder", "name": "history"}]
        server.publish("persona", persona, labels=["staging"])
        yield server


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture
def run() -> Run:
    """A command in this process."""
    separate = "mix_stderr" in inspect.signature(CliRunner).parameters  # before click 8.2
    options: dict[str, Any] = {"mix_stderr": False} if separate else {}
    runner = CliRunner(**options)

    def run(*arguments: str, code: int | None = 0, **options: Any) -> Result:
        """``code`` is the exit code to come; ``None`` is any, but no traceback."""
        done = runner.invoke(main, list(arguments), prog_name="promptwire", **options)
        assert isinstance(done.exception, SystemExit | None), done.exc_info
        assert code in {None, done.exit_code}, (done.output, done.stderr)
        return done

    return run


@pytest.fixture
def start() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """A command as a shell starts it; ``COV_`` stays out, for the child isn't measured."""

    def start(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
        environment |= options.pop("env", {})
        command = [sys.executable, "-m", "promptwire", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **options)

    return start
