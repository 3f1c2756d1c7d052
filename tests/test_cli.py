"""The command line."""

import runpy
import sys

import pytest
from click.testing import CliRunner

import promptwire
from promptwire import cli


def test_help_and_version() -> None:
    assert "demo" in CliRunner().invoke(cli.main, ["--help"]).output
    assert promptwire.__version__ in CliRunner().invoke(cli.main, ["--version"]).output


def test_the_demo_passes_its_options_on() -> None:
    done = CliRunner().invoke(cli.main, ["demo", "--help"])
    assert done.exit_code == 0
    assert "--prompt-id" in done.output


def test_a_missing_integration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_promptwire", None)
    done = CliRunner().invoke(cli.main, ["demo"])
    assert done.exit_code == 1
    assert "pip install langchain-promptwire" in done.output


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["promptwire", "--version"])
    with pytest.raises(SystemExit):
        runpy.run_module("promptwire", run_name="__main__")
    assert promptwire.__version__ in capsys.readouterr().out
