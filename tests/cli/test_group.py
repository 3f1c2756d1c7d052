"""The command line as a whole: help, laziness, errors, exit codes."""

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import promptwire
from promptwire.cli import exits, main
from promptwire.cli.group import COMMANDS
from promptwire.errors import GatewayError, PromptwireError

LIGHT = {"click", "promptwire"}
FRAMEWORKS = {"langchain_core", "langchain_promptwire", "llama_index", "openai", "pydantic", "aiohttp", "httpx", "rich"}
LOADED = "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"


def test_help_names_every_command_and_every_exit_code(run: Any) -> None:
    shown = run("--help").stdout
    assert shown == run("-h").stdout == run().stdout
    words = " ".join(shown.split())
    assert all(f"{name} {text}" in words for name, (_, text) in COMMANDS.items())
    assert all(f"{code} {meaning}" in words for code, meaning in exits.MEANINGS.items())
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_group_says(name: str, run: Any) -> None:
    command: click.Command = importlib.import_module(f"promptwire.cli.{COMMANDS[name][0]}").command
    assert command.name == name
    assert str(command.help).splitlines()[0] == COMMANDS[name][1]
    if name != "demo":  # its --help is the demo's own
        shown = run(name, "--help").stdout
        assert max(map(len, shown.splitlines())) <= 80


def test_version(run: Any) -> None:
    assert promptwire.__version__ in run("--version").stdout


def loaded(arguments: str) -> set[str]:
    """The packages that a fresh process has imported after a command."""
    import subprocess

    code = (
        f"import sys; sys.argv = ['promptwire', *{arguments.split()}]\n"
        "from promptwire.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\nprint()" + LOADED
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_click_and_nothing_else() -> None:
    beside = loaded("--help") - LIGHT
    assert not beside & {*FRAMEWORKS, "yaml", "jinja2"}
    assert {name for name in beside if not name.startswith("_")} <= {"sitecustomize", "usercustomize", "site"}


@pytest.mark.parametrize("arguments", ["list", "show support/reply", "check", "diff support/reply@1 support/reply@2"])
def test_reading_files_imports_no_framework_and_no_http_client(arguments: str) -> None:
    assert "yaml" in loaded(arguments)
    assert not loaded(arguments) & FRAMEWORKS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "No such command 'nope'"),
        (["--nope"], "No such option"),
        (["show"], "Missing argument 'PROMPT'. See promptwire show --help"),
        (["show", "a", "--nope"], "See promptwire show --help"),
        (["show", "a@3", "--version", "2"], "leave out --version and --label"),
        (["show", "a@3", "--label", "b"], "leave out --version and --label"),
        (["show", "a", "--version", "2", "--label", "b"], "a version or a label, not both"),
        (["show", "a", "--version", "0"], "versions count from 1"),
        (["show", "../a"], "no part of a prompt's name"),
        (["show", ""], "a text that isn't empty"),
        (["show", "files:a", "--backend", "memory"], "names another backend than --backend memory"),
        (["show", "a", "--backend", "nope"], "there is no backend 'nope'"),
        (["list", "--timeout", "0"], "--timeout"),
        (["show", "support/reply@1", "--history"], "leave the version or label out"),
        (["render", "support/reply", "--var", "x"], "--var takes NAME=VALUE; 'x' has no '='"),
        (["render", "support/reply", "--var", "=x"], "--var takes NAME=VALUE"),
        (["render", "support/reply", "--vars", "nope.yaml"], "--vars nope.yaml can't be read"),
        (["render", "support/reply", "--var", "company=A"], "customer, question. Give them by --var NAME=VALUE"),
        (["--env-file", "nope", "list"], "nope"),
    ],
)  # fmt: skip
def test_a_usage_error_is_one_line_that_says_what_to_do(arguments: list[str], says: str, run: Any) -> None:
    done = run(*arguments, code=exits.USAGE)
    assert says in done.stderr
    assert done.stderr.startswith("promptwire: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_key_is_never_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-visible")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-hidden")
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")
    for arguments in (["list", "-b", "langfuse"], ["doctor"], ["show", "langfuse:x", "--detailed-debug"]):
        done = run(*arguments, code=exits.FINDINGS if arguments[0] == "doctor" else exits.UPSTREAM)
        assert "lf-" not in done.output + done.stderr


def test_not_found(run: Any, project: Any) -> None:
    for reference in ("nope", "support/reply@9", "support/reply@nope", "langfuse:nope", "langfuse:support/reply@9"):
        done = run("show", reference, code=exits.NOT_FOUND)
        assert done.stderr.count("\n") == 1
    assert "promptwire list" in run("show", "nope", code=exits.NOT_FOUND).stderr


def test_refused_credentials_and_no_answer(run: Any, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-wrong")
    assert "refused the credentials" in run("list", "-b", "langfuse", code=exits.AUTH).stderr
    assert "sk-wrong" not in run("show", "langfuse:x", code=exits.AUTH).stderr
    project.stop()
    assert "could not connect" in run("list", "-b", "langfuse", code=exits.UPSTREAM).stderr


def test_a_broken_prompt_is_a_finding(run: Any, folder: Path) -> None:
    (folder / "prompts" / "broken.yaml").write_text("text: '{% if %}'")
    (folder / "prompts" / "odd.yaml").write_text("text: x\nparams: {temperature: hot}")
    assert "line 1" in run("show", "broken", code=exits.FINDINGS).stderr
    assert "'temperature' must be a number" in run("show", "odd", code=exits.FINDINGS).stderr


def test_every_error_has_a_code() -> None:
    kinds = [thing for thing in vars(promptwire.errors).values() if isinstance(thing, type)]
    errors = [kind("x") for kind in kinds if issubclass(kind, PromptwireError)]
    assert {exits.exit_code(error) for error in errors} <= exits.MEANINGS.keys() - {exits.OK}
    assert exits.exit_code(GatewayError("x", status_code=401)) == exits.AUTH
    assert exits.exit_code(GatewayError("x", status_code=500)) == exits.UPSTREAM


def test_an_interrupt_is_no_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("promptwire.resolver.Resolver.list_prompts", interrupted)
    assert run("list", code=exits.INTERRUPTED).stderr.strip().endswith("promptwire: interrupted")


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["promptwire", "--version"])
    with pytest.raises(SystemExit):
        runpy.run_module("promptwire", run_name="__main__")
    assert promptwire.__version__ in capsys.readouterr().out
    assert main.name == "main"


def test_the_demo_passes_its_options_on(run: Any) -> None:
    assert "--prompt-id" in run("demo", "--help").output


def test_a_missing_integration_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_promptwire", None)
    assert "pip install langchain-promptwire" in run("demo", code=exits.USAGE).stderr
