"""``render`` and ``run``: what a prompt comes to, and what a model answers."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from promptwire.cli import exits
from promptwire.testing import FakeLangfuse, FakeOpenAI

SUPPORT = ["--var", "company=ACME", "--var", "customer=Ann", "--var", "question=Why?"]


def test_render_needs_no_model_and_no_key(run: Any) -> None:
    assert run("render", "support/reply", *SUPPORT).stdout == (
        "[system]\nYou answer the customers of ACME. Be brief.\n\n[user]\nAnn asks: Why?\n"
    )
    told = json.loads(run("render", "support/reply@2", *SUPPORT, "--json").stdout)
    assert told["messages"][1] == {"role": "user", "content": "Ann asks: Why?"}
    assert (told["model"], told["params"]) == ("gpt-4o", {"temperature": 0.2})


def test_a_single_text_is_printed_alone(run: Any, project: FakeLangfuse) -> None:
    project.publish("text", "Hello {{name}}")
    assert run("render", "langfuse:text", "--var", "name=A=B").stdout == "Hello A=B\n"
    assert run("render", "langfuse:text", "--missing", "keep").stdout == "Hello {{name}}\n"
    told = json.loads(run("render", "langfuse:text", "--var", "name=x", "--text-role", "system", "--json").stdout)
    assert told["messages"] == [{"role": "system", "content": "Hello x"}]


FILES = {
    "v.yaml": "company: ACME\ncustomer: Ann\nquestion: Why?\n",
    "v.json": '{"company": "ACME",\n\t"customer": "Ann", "question": "Why?"}',
}


@pytest.mark.parametrize("name", FILES)
def test_variables_come_from_a_file_and_from_stdin(name: str, run: Any, folder: Path) -> None:
    (folder / name).write_text(FILES[name])
    expected = run("render", "support/reply", *SUPPORT).stdout
    assert run("render", "support/reply", "--vars", name).stdout == expected
    assert run("render", "support/reply", "--vars", "-", input=FILES[name]).stdout == expected
    assert "Bob asks" in run("render", "support/reply", "--var", "customer=Bob", "--vars", name).stdout


def test_a_slot_takes_messages_from_a_file(run: Any, project: FakeLangfuse, folder: Path) -> None:
    (folder / "v.yaml").write_text("name: Ann\nhistory:\n- {role: user, content: Hi}\n")
    assert run("render", "langfuse:persona@staging", "--vars", "v.yaml").stdout.endswith("\n[user]\nHi\n")
    kept = run("render", "langfuse:persona@staging", "--missing", "keep").stdout
    assert "[history: messages go here]" in kept


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "is a mapping of variables' names"),
        ("1: a\n", "is a mapping of variables' names"),
        ("a: *x\n", "aliases are not read"),
        ("a: [", "not plain YAML in line 1"),
        ("\udcff", "can't be read as UTF-8"),
    ],
)
def test_a_file_that_holds_no_variables(text: str, says: str, run: Any, folder: Path) -> None:
    (folder / "v.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert says in run("render", "support/reply", "--vars", "v.yaml", code=exits.USAGE).stderr


def test_run_prints_the_text_alone(run: Any, model: FakeOpenAI) -> None:
    done = run("run", "support/reply", *SUPPORT)
    assert done.stdout == "[gpt-4o-mini] Ann asks: Why?\n"
    assert done.stderr == ""
    assert run("run", "support/reply", *SUPPORT, "--stream").stdout == done.stdout
    answer = json.loads(run("run", "support/reply", *SUPPORT, "--json").stdout)
    assert answer["choices"][0]["message"]["content"] + "\n" == done.stdout


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["whole", "stream"])
def test_metrics_are_one_line_of_json_on_stderr(stream: list[str], run: Any, model: FakeOpenAI) -> None:
    done = run("run", "support/reply@2", *SUPPORT, "--metrics", *stream)
    assert done.stdout == "[gpt-4o] Ann asks: Why?\n"
    told = json.loads(done.stderr)
    assert done.stderr.count("\n") == 1
    assert (told["prompt_id"], told["prompt_version"], told["prompt_backend"]) == ("support/reply", 2, "files")
    assert (told["model"], told["finish_reason"], told["prompt_source"]) == ("gpt-4o", "stop", "fresh")
    assert told["prompt_tokens"] > 0
    assert told["completion_tokens"] > 0
    assert (told["first_token_ms"] is not None) is bool(stream)
    assert told["total_ms"] >= (told["first_token_ms"] or 0)


def test_the_callers_model_message_and_parameters(run: Any, project: FakeLangfuse, model: FakeOpenAI) -> None:
    done = run(
        "run", "langfuse:persona@staging", "--var", "name=Bo", "--message", "Hi", "--model", "openai/gpt-4o",
        "--param", "temperature=0", "--param", "stop=[a, b]",
    )  # fmt: skip
    assert done.stdout == "[gpt-4o] Hi\n"
    sent = model.requests[-1].json
    assert (sent["temperature"], sent["stop"], len(sent["messages"])) == (0, ["a", "b"], 2)


def test_a_backend_may_be_the_models_first_part(run: Any, project: FakeLangfuse, model: FakeOpenAI) -> None:
    given = ["--var", "company=A", "--var", "question=Q"]
    assert run("run", "support/reply@1", *given, "--model", "langfuse/gpt-4o").stdout == "[gpt-4o-mini] Q\n"
    assert run("run", "support/reply@1", *given, "--model", "langfuse", "-b", "langfuse").stdout == "[gpt-4o-mini] Q\n"
    refused = run("run", "files:support/reply", *given, "--model", "langfuse/gpt-4o", code=exits.USAGE)
    assert "names another backend than the prompt's" in refused.stderr


@pytest.mark.parametrize(
    ("model", "header"), [("gpt-4o", "authorization"), ("anthropic/claude-sonnet-4-5", "x-api-key")]
)
def test_a_dry_run_needs_no_key_of_the_models(
    model: str, header: str, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (folder / "prompts" / "hi.yaml").write_text("text: Hi")
    shown = run("run", "hi", "--model", model, "--dry-run").stdout
    assert f"-H '{header}: *****'" in shown
    refused = run("run", "hi", "--model", model, code=exits.USAGE)
    assert "needs a key" in refused.stderr
    assert "needs a base URL" in run("run", "hi", "--model", "azure/mine", "--dry-run", code=exits.USAGE).stderr


def test_a_dry_run_sends_nothing_and_shows_no_key(run: Any, model: FakeOpenAI) -> None:
    for extra in ([], ["--json"], ["--stream"]):
        done = run("run", "support/reply", *SUPPORT, "--dry-run", *extra)
        assert "Ann asks: Why?" in done.stdout
        assert "*****" in done.stdout
        assert model.api_key not in done.stdout
    assert (
        json.loads(run("run", "support/reply", *SUPPORT, "--dry-run", "--json").stdout)["body"]["model"]
        == "gpt-4o-mini"
    )
    assert run("run", "support/reply", *SUPPORT, "--dry-run").stdout.startswith(f"curl -X POST {model.url}/")
    assert model.count == 0


def test_the_debug_log_goes_to_stderr_keys_masked(run: Any, start: Any, model: FakeOpenAI) -> None:
    for flag, environment in (
        ("--detailed-debug", {}),
        ("--detailed_debug", {}),
        ("--metrics", {"PROMPTWIRE_LOG": "debug"}),
    ):
        done = start("run", "support/reply", *SUPPORT, flag, env=environment)
        assert done.stdout == "[gpt-4o-mini] Ann asks: Why?\n"
        assert "POST Request Sent from Promptwire:" in done.stderr
        assert model.api_key not in done.stderr


def test_tools_that_a_model_asks_for_are_named(run: Any, model: FakeOpenAI, folder: Path) -> None:
    (folder / "prompts" / "tool.yaml").write_text(
        "text: Go\nmodel: gpt-4o\ntools: [{name: search, parameters: {type: object, properties: {}}}]\n"
        "params: {tool_choice: required}\n"
    )
    done = run("run", "tool")
    assert "the model asks for tools: search" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--param", "x"], "--param takes NAME=VALUE"),
        (["--param", "temprature=1"], "did you mean 'temperature'?"),
        (["--param", "api_key=sk"], "not a parameter of a model"),
        (["--param", "stop=["], "--param stop: not plain YAML"),
        (["--model", "nope/x"], "there is no provider 'nope'"),
    ],
)
def test_arguments_that_no_call_comes_of(
    arguments: list[str], says: str, run: Any, model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")  # with one, any name may be a model's
    assert says in run("run", "support/reply", *SUPPORT, *arguments, code=exits.USAGE).stderr
    assert model.count == 0


def test_a_model_that_refuses_the_key_or_fails(run: Any, model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key")
    assert "sk-wrong-key" not in run("run", "support/reply", *SUPPORT, code=exits.AUTH).stderr
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "set OPENAI_API_KEY" in run("run", "support/reply", *SUPPORT, code=exits.USAGE).stderr
    monkeypatch.setenv("OPENAI_API_KEY", model.api_key)
    model.stop()
    assert run("run", "support/reply", *SUPPORT, code=exits.UPSTREAM).stdout == ""


def test_a_reader_that_leaves_early_is_no_traceback(model: FakeOpenAI) -> None:
    command = [sys.executable, "-m", "promptwire", "run", "support/reply", *SUPPORT, "--stream"]
    pipeline = ["/bin/sh", "-c", f"{shlex.join(command)} | head -c 4"]
    piped = subprocess.run(pipeline, capture_output=True, text=True, check=False)
    assert piped.stdout == "[gpt"
    assert "Traceback" not in piped.stderr
