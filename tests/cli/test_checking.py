"""``check``, ``doctor``, ``serve`` and completion."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from promptwire.cli import exits
from promptwire.testing import FakeLangfuse, FakeOpenAI


def rows(done: Any) -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_a_clean_folder_has_no_findings(run: Any) -> None:
    done = run("check")
    assert done.stdout == ""
    assert "2 checked, 0 findings" in done.stderr


BROKEN = """\
model: nope/gpt
provder: x
version: 0
params:
  temprature: 1
  top_p: hot
template_format: jinja
messages:
- role: system
  content: |
    Hello
    {{ name }
- role: user
  content: '{{ customer }}'
- {role: user}
- nonsense
"""


def test_every_finding_has_its_line(run: Any, folder: Path) -> None:
    path = folder / "prompts" / "broken.yaml"
    path.write_text(BROKEN)
    found = rows(run("check", "prompts/broken.yaml", code=exits.FINDINGS))
    assert [(row[1], row[2]) for row in found] == [
        ("2", "file"), ("3", "setting"), ("5", "setting"), ("6", "setting"),
        ("12", "template"), ("15", "template"), ("16", "template"), ("1", "model"),
    ]  # fmt: skip
    assert {row[0] for row in found} == {"prompts/broken.yaml"}
    assert "did you mean 'provider'?" in found[0][3]
    assert "did you mean 'temperature'?" in found[2][3]
    assert "'top_p' must be a number" in found[3][3]


@pytest.mark.parametrize(
    ("text", "line", "rule", "says"),
    [
        ("- a", "1", "file", "a prompt file is a mapping"),
        ("", "1", "file", "a prompt file is a mapping"),
        ("text: x\nmore: [", "2", "file", "not plain YAML"),
        ("text: *a", "", "file", "aliases are not read"),
        ("model: gpt-4o", "1", "template", "either a text or a list"),
        ("text: x\nmessages: []", "1", "template", "either a text or a list"),
        ("messages: 5", "1", "template", "'messages' must be a list"),
        ("text: 5", "1", "template", "'text' must be a text"),
        ("text: x\nparams: 5", "2", "setting", "'params' must be a mapping"),
        ("text: x\ntemplate_format: nope", "2", "setting", "unknown template dialect"),
        ("text: x\nlabels: prod", "2", "setting", "'labels' must be a list"),
        ("text: x\nmodel: nope/x", "2", "model", "there is no provider 'nope'"),
        ("text: x\nmodel: antropic/x", "2", "model", "did you mean 'anthropic'?"),
        ("text: x\nmodel: x\nprovider: opnai", "3", "model", "did you mean 'openai'?"),
        ("text: |\n  a\n\n  {% nope %}\n", "4", "template", "unknown tag 'nope'"),
        ("text: '{% nope %}'", "1", "template", "unknown tag 'nope'"),
        ("text: x\n1: y", "2", "file", "it has no key 1"),
        ("text: x\n~: y", "1", "file", "it has no key None"),
    ],
)
def test_findings(text: str, line: str, rule: str, says: str, run: Any) -> None:
    Path("one.yaml").write_text(text)
    found = rows(run("check", "one.yaml", code=exits.FINDINGS))
    assert found[0][:3] == ["one.yaml", line, rule]
    assert says in found[0][3]
    assert len(found) == 1


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4o", "bedrock/anthropic.claude", "azure/mine"])
def test_models_of_known_providers(model: str, run: Any, folder: Path) -> None:
    (folder / "one.yaml").write_text(f"text: x\nmodel: {model}")
    run("check", "one.yaml")
    (folder / "one.yaml").write_text("text: x\nprovider: groq\nmodel: openai/gpt-oss-120b")
    run("check", "one.yaml")


def test_variables_that_nobody_gives_and_that_nobody_asks_for(run: Any, folder: Path) -> None:
    (folder / "two.yaml").write_text(
        "template_format: mustache\npartials: {sign: Bye}\nmessages:\n"
        "- {role: system, content: '{{company}} {{sign}}'}\n"
        "- placeholder: history\n- placeholder: examples\n- role: user\n  content: |\n    Dear\n    {{customer}}\n"
    )
    (folder / "v.yaml").write_text("company: ACME\nunused: 1\nsign: x\n")
    found = rows(run("check", "two.yaml", "--vars", "v.yaml", code=exits.FINDINGS))
    assert [row[:3] for row in found] == [
        ["two.yaml", "10", "variable"], ["two.yaml", "6", "variable"], ["--vars", "", "variable"],
    ]  # fmt: skip
    assert [row[3].split("'")[1] for row in found] == ["customer", "examples", "unused"]
    run("check", "two.yaml")
    (folder / "odd.yaml").write_text('template_format: mustache\ntext: "{{\\u0061b}}"')
    assert rows(run("check", "odd.yaml", "--var", "x=1", code=1))[0][1] == "2"
    run("check", "two.yaml", "--var", "company=a", "--var", "customer=b", "--var", "examples=c")


def test_the_prompts_of_a_backend(run: Any, project: FakeLangfuse) -> None:
    run("check", "-b", "langfuse")
    project.publish("hot", "{{x}}", config={"temperature": "hot"})
    project.publish("ours", "{{y}}", config={"model": "nope/x"})
    found = json.loads(run("check", "-b", "langfuse", "--var", "company=a", "--json", code=exits.FINDINGS).stdout)
    assert [(row["file"], row["line"], row["rule"]) for row in found] == [
        ("langfuse:hot", None, "setting"), ("langfuse:ours", None, "model"), ("langfuse:ours", None, "variable"),
        ("langfuse:support/reply", None, "variable"),
    ]  # fmt: skip
    assert "either PATHS or --backend" in run("check", "prompts", "-b", "langfuse", code=exits.USAGE).stderr


def test_paths_that_are_not_there(run: Any, folder: Path) -> None:
    assert "does not exist" in run("check", "nope", code=exits.USAGE).stderr
    done = run("check", code=exits.USAGE, env={"PROMPTWIRE_PROMPTS_DIR": "nowhere"})
    assert "set PROMPTWIRE_PROMPTS_DIR" in done.stderr
    (folder / "link.yaml").symlink_to("/dev/null")
    assert "leads out of the prompts folder" in run("check", "link.yaml", code=exits.FINDINGS).stdout


def test_doctor(run: Any, project: FakeLangfuse, model: FakeOpenAI) -> None:
    done = run("doctor")
    told = {(row[0], row[1]): (row[2], row[3]) for row in rows(done)}
    assert told["backend", "files"] == ("ok", "1 prompts, meant by default")
    assert told["backend", "langfuse"] == ("ok", "2 prompts")
    assert told["backend", "humanloop"][0] == "not set up"
    assert told["key", "OPENAI_API_KEY"] == ("set", "for openai")
    assert told["package", "rich"][0] == "ok"
    assert model.api_key not in done.output
    assert project.secret_key not in done.output
    assert json.loads(run("doctor", "--json").stdout)[0]["name"] == "promptwire"


def test_doctor_finds_what_is_set_up_and_fails(
    run: Any, project: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    from importlib.metadata import PackageNotFoundError

    project.stop()
    assert ["backend", "langfuse", "failed"] in [row[:3] for row in rows(run("doctor", code=exits.FINDINGS))]
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    told = [row[:3] for row in rows(run("doctor"))]
    assert ["backend", "langfuse", "not set up"] in told
    assert ["key", "OPENAI_API_KEY", "not set"] in told
    assert ["backend", "langfuse", "failed"] in [row[:3] for row in rows(run("doctor", "-b", "langfuse", code=1))]
    monkeypatch.setattr("promptwire.cli.doctor.PACKAGES", {"no-such-package": "pip install it"})
    assert ["package", "no-such-package", "not there", "pip install it"] in rows(run("doctor"))


def test_serve_hands_its_options_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    proxy = ModuleType("promptwire.proxy")
    proxy.serve = lambda config, **options: given.update(options, config=config) or 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "promptwire.proxy", proxy)
    run("serve", "--config", "c.yaml", "--port", "0", "--check", code=3)
    assert given == {
        "config": "c.yaml", "host": "127.0.0.1", "port": 0, "check": True, "model": None, "prompt_id": None,
        "detailed_debug": False,
    }  # fmt: skip
    for flag in ("--detailed-debug", "--detailed_debug"):
        run("serve", "--model", "langfuse/gpt-4o", "--prompt-id", "x", "--host", "::1", flag, code=3)
        assert given["detailed_debug"] is True
        assert (given["model"], given["prompt_id"], given["host"], given["port"]) == (
            "langfuse/gpt-4o",
            "x",
            "::1",
            4000,
        )
    monkeypatch.setitem(sys.modules, "promptwire.proxy", None)
    assert "pip install 'promptwire[proxy]'" in run("serve", "--model", "x", code=exits.USAGE).stderr


def completed(run: Any, *words: str) -> list[str]:
    """What bash is told for the last word."""
    environment = {
        "_PROMPTWIRE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("promptwire", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return [line.partition(",")[2] for line in run(env=environment).stdout.splitlines() if line]


def test_completion(run: Any, project: FakeLangfuse) -> None:
    assert "bash_complete" in run(env={"_PROMPTWIRE_COMPLETE": "bash_source"}).stdout
    assert completed(run, "re") == ["render"]
    assert completed(run, "show", "supp") == ["support/reply"]
    assert completed(run, "show", "support/reply@") == ["support/reply@1", "support/reply@2", "support/reply@candidate"]
    assert completed(run, "show", "support/reply@c") == ["support/reply@candidate"]
    assert completed(run, "show", "langfuse:") == ["langfuse:persona", "langfuse:support/reply"]
    assert completed(run, "show", "langfuse:persona@s") == ["langfuse:persona@staging"]
    assert completed(run, "show", "-b", "langfuse", "per") == ["persona"]
    assert completed(run, "diff", "support/reply@1", "supp") == ["support/reply"]
    assert completed(run, "list", "-b", "lang") == ["langfuse"]
    project.stop()
    assert completed(run, "show", "langfuse:") == []


@pytest.mark.parametrize("hidden", ["agent$(touch${IFS}x)", "agent`x`", "agent;x", "agent x", "agent\\x", "-x"])
def test_completion_offers_nothing_that_a_shell_would_run(hidden: str, run: Any, project: FakeLangfuse) -> None:
    project.publish(hidden, "hi")
    project.publish("agent.ä+1-x", "hi")
    assert completed(run, "show", "-b", "langfuse", "ag") == ["agent.ä+1-x"]
    assert completed(run, "show", "-b", "langfuse", "agent.ä+1-x@p") == ["agent.ä+1-x@production"]
    assert hidden not in completed(run, "show", "-b", "langfuse", "")


CONTRACTS = """
from typing import TypedDict
class Reply(TypedDict):
    company: object
    question: object
CONTRACTS = {"support/reply": Reply, "files:ours": ("name", "turns"), "langfuse:ours": (), "hot": ("x",)}
WRONG = {"support/reply": "company"}
"""


@pytest.fixture
def contracts(folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A module of the current folder, under a name that no other test has imported."""
    name = f"contracts_{abs(hash(request.node.nodeid))}"
    (folder / f"{name}.py").write_text(CONTRACTS)
    (folder / f"{name}_broken.py").write_text("1 / 0")
    path = list(sys.path)
    yield name
    sys.path[:] = path


def test_what_a_contract_would_hold_back_is_found_before_it_is_published(
    run: Any, folder: Path, contracts: str
) -> None:
    """By the ids of the folder of prompts, however the files are named to the command."""
    (folder / "prompts" / "ours.yaml").write_text(
        "template_format: mustache\nmessages:\n- {role: user, content: '{{name}}'}\n- placeholder: turns\n"
        "- placeholder: history\n- placeholder: examples\n- role: user\n  content: |\n    {{city}}\n"
    )
    contract = ("--contract", f"{contracts}:CONTRACTS")
    found = rows(run("check", *contract, code=exits.FINDINGS))
    assert [(row[0], row[3].split("'")[1]) for row in found] == [
        ("prompts/ours.yaml", "city"), ("prompts/ours.yaml", "examples"),
        ("prompts/support/reply.yaml", "customer"), ("prompts/support/reply@2.yaml", "customer"),
    ]  # fmt: skip
    assert [row[1] for row in found[:2]] == ["9", "6"]
    assert {row[2] for row in found} == {"contract"}
    assert "not in its contract: it would be held back" in found[0][3]
    one = rows(run("check", "prompts/support/reply@2.yaml", *contract, code=exits.FINDINGS))
    assert one == [found[3]]
    assert rows(run("check", "prompts/support", *contract, code=exits.FINDINGS)) == found[2:]
    roundabout = rows(run("check", "prompts/../prompts/support", *contract, code=exits.FINDINGS))
    assert [row[2:] for row in roundabout] == [row[2:] for row in found[2:]]
    run("check", "prompts/support")
    (folder / "elsewhere.yaml").write_text("template_format: mustache\ntext: '{{anything}}'")
    run("check", "elsewhere.yaml", *contract)


def test_what_a_contract_would_hold_back_of_a_backends_label(run: Any, project: FakeLangfuse, contracts: str) -> None:
    project.publish("ours", "Hi")
    project.publish("ours", "Hi {{name}}", labels=["candidate"])
    project.publish("hot", "{{x}}", labels=["candidate"], config={"temperature": "hot"})
    contract = ("--contract", f"{contracts}:CONTRACTS", "-b", "langfuse")
    run("check", "--contract", f"{contracts}:CONTRACTS", "-b", "langfuse", "--label", "unheard-of")
    done = run("check", *contract, "--label", "candidate", code=exits.FINDINGS)
    found = sorted(rows(done))
    assert [(row[0], row[2]) for row in found] == [("langfuse:hot", "setting"), ("langfuse:ours", "contract")]
    assert "'temperature' must be a number" in found[0][3]
    assert "'name' is not in its contract" in found[1][3]
    assert "2 checked, 2 findings" in done.stderr
    run("check", *contract)  # in production is what it always was


def test_completion_runs_nothing_of_the_applications(run: Any, contracts: str) -> None:
    path = list(sys.path)
    assert completed(run, "check", "--contract", f"{contracts}:CONTRACTS", "--lab") == ["--label"]
    assert contracts not in sys.modules
    assert sys.path == path


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{}", "takes MODULE:NAME"),
        (":CONTRACTS", "takes MODULE:NAME"),
        ("{}_gone:CONTRACTS", "ModuleNotFoundError"),
        ("{}_broken:CONTRACTS", "ZeroDivisionError"),
        ("{}:GONE", "AttributeError"),
        ("{}:Reply", "contracts is a mapping"),
        ("{}:WRONG", "a contract is a tuple of names"),
    ],
)
def test_a_contract_that_is_none(spec: str, says: str, run: Any, contracts: str) -> None:
    assert says in run("check", "--contract", spec.format(contracts), code=exits.USAGE).stderr


def test_a_label_without_a_backend(run: Any) -> None:
    assert "--label is for --backend" in run("check", "--label", "candidate", code=exits.USAGE).stderr
