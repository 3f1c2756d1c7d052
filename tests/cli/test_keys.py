"""Whoever edits a prompt may have put a key into it: no command prints one, and ``pull`` loses none."""

import json
from pathlib import Path

import pytest

from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.cli.conftest import Run
from tests.display.leaky import KEY, config, messages

ONE, TWO = "leaky@1", "leaky@2"

# Each with what it says of the prompt, so that a command that says nothing is no pass.
COMMANDS = [
    (("show", ONE), "metadata"),
    (("show", ONE, "--json"), "metadata"),
    (("show", "leaky", "--history"), "2"),
    (("render", ONE, "--var", "name=Ann"), "image_url"),
    (("render", ONE, "--var", "name=Ann", "--json"), "metadata"),
    (("diff", ONE, TWO), "metadata"),
    (("diff", ONE, TWO, "--json"), "image_url"),
    (("run", ONE, "--var", "name=Ann", "--dry-run"), "metadata"),
    (("run", ONE, "--var", "name=Ann", "--dry-run", "--json"), "metadata"),
    (("run", ONE, "--var", "name=Ann", "--json"), "gpt-4o"),
    (("compare", ONE, TWO, "--cases", "cases.jsonl"), ONE),
    (("compare", ONE, TWO, "--cases", "cases.jsonl", "--json"), ONE),
    (("check", "--backend", "files"), ""),
    (("check", "--backend", "files", "--json"), ""),
    (("list", "--backend", "files"), "leaky"),
    (("list", "--backend", "files", "--json"), "leaky"),
    pytest.param(("lock", "leaky"), "leaky", marks=pytest.mark.shows_keys("a lock file is a copy")),
    (("push", "leaky", "--backend", "langfuse", "--dry-run"), "leaky"),
    (("push", "leaky", "--backend", "langfuse"), "leaky"),
]


@pytest.fixture
def leaky(
    project: FakeLangfuse, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts elsewhere than in the test's folder, which is watched for keys."""
    prompts = tmp_path_factory.mktemp("leaky")
    for number in (1, 2):
        stored = {"messages": messages(number), "config": config(number)}
        (prompts / f"leaky@{number}.yaml").write_text(json.dumps(stored))
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(prompts))
    monkeypatch.setenv("PROMPTWIRE_LOG", "debug")
    (folder / "cases.jsonl").write_text(json.dumps({"name": "Ann"}))


@pytest.mark.parametrize(
    ("arguments", "said"), COMMANDS, ids=lambda given: given if isinstance(given, str) else " ".join(given)
)
def test_no_command_prints_a_key(
    arguments: tuple[str, ...], said: str, run: Run, leaky: None, model: FakeOpenAI
) -> None:
    done = run(*arguments, code=None)
    told = done.stdout + done.stderr
    assert said in told
    assert KEY not in told


@pytest.mark.parametrize("command", ["show", "render"])
def test_what_is_not_a_key_is_told_beside_it(command: str, run: Run, leaky: None) -> None:
    values = () if command == "show" else ("--var", "name=Ann")
    told = json.loads(run(command, ONE, *values, "--json").stdout)
    assert told["params"]["metadata"] == {"api_key": "*****", "deep": [{"Authorization": "*****"}]}
    tool = told["params"]["tools"][0]["function"]
    assert (tool["name"], tool["access_token"]) == ("look", "*****")
    assert tool["parameters"]["properties"]["password"] == {"type": "string", "default": "*****"}
    assert told["messages"][1]["tool_calls"][0]["credentials"] == "*****"


@pytest.mark.shows_keys("a copy is the data, as they are")
def test_a_pulled_copy_is_the_prompt_as_it_is(run: Run, project: FakeLangfuse, folder: Path) -> None:
    project.publish("leaky", "Hello", config=config(2))
    run("pull", "leaky", "--backend", "langfuse")
    copied = (folder / "prompts" / "leaky.yaml").read_text()
    assert copied.count(f"{KEY}-2") >= 8
    assert "*****" not in copied
