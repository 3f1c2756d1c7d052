"""``promptwire compare``."""

import json
from pathlib import Path

import pytest

from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.cli.conftest import Run

BOTH = ("langfuse:support/reply@1", "langfuse:support/reply@2")


@pytest.fixture(autouse=True)
def cases(folder: Path) -> Path:
    path = folder / "cases.jsonl"
    rows = [{"company": "ACME", "question": question, "expected": "gpt-4o]"} for question in ("Why?", "How?")]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_versions_side_by_side(run: Run, project: FakeLangfuse, model: FakeOpenAI) -> None:
    rows = [row.split("\t") for row in run("compare", *BOTH, "--cases", "cases.jsonl").stdout.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("1", BOTH[0], "[gpt-4o-mini] Why?"),
        ("1", BOTH[1], "[gpt-4o] Why?"),
        ("2", BOTH[0], "[gpt-4o-mini] How?"),
        ("2", BOTH[1], "[gpt-4o] How?"),
    ]


def test_models_scores_and_costs_as_json(run: Run, project: FakeLangfuse, model: FakeOpenAI) -> None:
    options = ("--model", "gpt-4o", "--model", "gpt-4o-mini", "--scorer", "regex", "--price", "gpt-4o=2,10", "--json")
    rows = json.loads(run("compare", "support/reply", "-b", "langfuse", "--cases", "cases.jsonl", *options).stdout)
    assert [(row["column"], row["score"]) for row in rows[:2]] == [
        ("langfuse:support/reply on gpt-4o", 1.0),
        ("langfuse:support/reply on gpt-4o-mini", 0.0),
    ]
    assert rows[0]["cost"] > 0
    assert rows[1]["cost"] is None


def test_on_a_terminal(run: Run, project: FakeLangfuse, model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.cli.compare.on_terminal", lambda: True)
    printed = run("compare", *BOTH, "--cases", "cases.jsonl").stdout
    assert BOTH[0] in printed
    assert "[gpt-4o] How?" in printed


def test_a_schema_from_a_file(run: Run, folder: Path, project: FakeLangfuse, model: FakeOpenAI) -> None:
    (folder / "schema.json").write_text(json.dumps({"type": "object"}))
    printed = run("compare", BOTH[0], "--cases", "cases.jsonl", "--schema", "schema.json", "--json").stdout
    assert [row["score"] for row in json.loads(printed)] == [0.0, 0.0]


def test_failed_calls_are_findings(run: Run, project: FakeLangfuse, model: FakeOpenAI) -> None:
    model.fail(400, times=1)
    done = run("compare", BOTH[0], "--cases", "cases.jsonl", code=1)
    assert "1 of 2 calls failed" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--price", "gpt-4o=2"), "write MODEL=IN,OUT"),
        (("--scorer", "exact", "--schema", "cases.jsonl"), "not both"),
        (("--schema", "cases.jsonl"), "can't be read as a JSON schema"),
        (("--schema", "list.json"), "is no JSON schema"),
        (("--cases", "nowhere"), "does not exist"),
    ],
)
def test_wrong_options_are_usage_errors(run: Run, folder: Path, options: tuple[str, ...], said: str) -> None:
    (folder / "list.json").write_text("[]")
    done = run("compare", BOTH[0], *(("--cases", "cases.jsonl") if "--cases" not in options else ()), *options, code=2)
    assert said in done.stderr


def test_an_interruption_has_its_own_code(
    run: Run, project: FakeLangfuse, model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("promptwire.jobs.Job.result", interrupted)
    run("compare", BOTH[0], "--cases", "cases.jsonl", code=130)
