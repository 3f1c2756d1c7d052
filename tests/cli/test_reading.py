"""``list``, ``show`` and ``diff``: what is there."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from promptwire.cli import exits
from promptwire.testing import FakeHumanloop, FakeLangfuse


def rows(done: Any) -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_list_is_rows_with_tabs(run: Any, project: FakeLangfuse) -> None:
    assert rows(run("list")) == [["support/reply", "1,2", "candidate", ""]]
    assert rows(run("list", "--backend", "langfuse")) == [
        ["persona", "1", "latest,staging", ""],
        ["support/reply", "1,2", "latest,production", "support"],
    ]
    assert rows(run("list", "-b", "langfuse", "--label", "staging")) == [["persona", "1", "latest,staging", ""]]
    assert [row[0] for row in rows(run("list", "-b", "langfuse", "--tag", "support"))] == ["support/reply"]


def test_list_as_json(run: Any) -> None:
    assert json.loads(run("list", "--json").stdout) == [
        {"id": "support/reply", "versions": [1, 2], "labels": ["candidate"], "tags": []}
    ]


def test_the_environment_chooses_the_backend(run: Any, project: FakeLangfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTWIRE_BACKEND", "langfuse")
    assert len(rows(run("list"))) == 2
    assert rows(run("list", "-b", "files")) == [["support/reply", "1,2", "candidate", ""]]


def test_an_empty_folder_is_told(run: Any, folder: Path) -> None:
    done = run("list", env={"PROMPTWIRE_PROMPTS_DIR": str(folder / "nothing")})
    assert done.stdout == ""
    assert "files holds no prompts" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        (["langfuse:support/reply"], 2),
        (["langfuse:support/reply@1"], 1),
        (["langfuse:support/reply", "--version", "1"], 1),
        (["support/reply@production", "--backend", "langfuse"], 2),
        (["support/reply", "--backend", "langfuse", "--label", "latest"], 2),
        (["support/reply@candidate"], 2),
        (["files:support/reply"], 1),
    ],
)
def test_every_way_to_name_a_prompt(arguments: list[str], version: int, run: Any, project: FakeLangfuse) -> None:
    assert json.loads(run("show", *arguments, "--json").stdout)["version"] == version


def test_show_tells_all_there_is(run: Any, project: FakeLangfuse) -> None:
    shown = run("show", "langfuse:support/reply").stdout
    assert shown == (
        "langfuse:support/reply\n"
        "  version    2\n"
        "  labels     production, latest\n"
        "  tags       support\n"
        "  model      gpt-4o\n"
        "  settings   temperature=0.2\n"
        "  variables  company, question\n"
        "  template   mustache\n"
        "\n[system]\nYou answer for {{company}}, warmly.\n"
        "\n[user]\n{{question}}\n"
    )
    told = json.loads(run("show", "langfuse:support/reply", "--json").stdout)
    assert told["messages"][1] == {"role": "user", "content": "{{question}}"}
    assert (told["variables"], told["source"], len(told["content_hash"])) == (["company", "question"], "fresh", 64)


def test_a_text_a_slot_and_parts(run: Any, project: FakeLangfuse, folder: Path) -> None:
    project.publish("text", "Hello\n{{name}}")
    assert run("show", "langfuse:text").stdout.endswith("\n[text]\nHello\n{{name}}\n")
    assert json.loads(run("show", "langfuse:text", "--json").stdout)["text"] == "Hello\n{{name}}"
    assert "\n[history: messages go here]\n" in run("show", "langfuse:persona@staging").stdout
    (folder / "prompts" / "image.yaml").write_text(
        "messages:\n- role: user\n  content: [{type: text, text: Look}]\n"
        "- {role: assistant, content: null, tool_calls: [{id: a}]}\nprovider: azure\nmodel: mine\n"
    )
    shown = run("show", "image").stdout
    assert '"type": "text"' in shown
    assert '"tool_calls"' in shown
    assert "azure/mine" in shown


def test_keys_in_a_prompts_config_are_masked(run: Any, project: FakeLangfuse) -> None:
    config = {
        "api_key": "sk-1",
        "nested": [{"Authorization": "Bearer x", "max_tokens": 3}],
        "note": "mine",
        "token": None,
    }
    project.publish("leaky", "x", config=config)
    for done in (run("show", "langfuse:leaky"), run("show", "langfuse:leaky", "--json")):
        assert "sk-1" not in done.stdout
        assert "Bearer" not in done.stdout
        assert "mine" in done.stdout
        assert '"max_tokens": 3' in done.stdout


def test_history(run: Any, project: FakeLangfuse) -> None:
    second, first = rows(run("show", "langfuse:support/reply", "--history"))
    assert (second[0], second[1], second[2]) == ("2", "production,latest", "API")
    assert (first[0], first[1], first[4]) == ("1", "", "first words")
    told = json.loads(run("show", "langfuse:support/reply", "--history", "--limit", "1", "--json").stdout)
    assert [row["version"] for row in told] == [2]
    assert datetime.fromisoformat(told[0]["date"]).tzinfo is not None
    assert [row[0] for row in rows(run("show", "support/reply", "--history"))] == ["2", "1"]


def test_history_of_humanloop(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHumanloop() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.publish("a/b", "One", created_by={"full_name": "Ann", "email_address": "ann@example.com"})
        server.publish("a/b", "Two", environments=["production"], version_description="shorter")
        newest, oldest = rows(run("show", "humanloop:a/b", "--history"))
        assert (newest[1], newest[4]) == ("production", "shorter")
        assert oldest[2] == "Ann"


DIFFERENT = """\
--- files:support/reply@1
+++ files:support/reply@2
@@ settings @@
-model: "gpt-4o-mini"
+model: "gpt-4o"
-temperature: 0.7
+temperature: 0.2
@@ message 1 (system) @@
-You answer the customers of {{company}}. Be brief.
+You answer the customers of {{company}}. Be brief, warm and exact.
"""


def test_diff_is_by_setting_and_by_message(run: Any) -> None:
    assert run("diff", "support/reply@1", "support/reply@2", code=exits.FINDINGS).stdout == DIFFERENT
    assert run("diff", "support/reply@1", "support/reply@2", "--exit-zero").stdout == DIFFERENT
    assert run("diff", "support/reply@1", "support/reply@1").stdout == ""


def test_diff_as_json(run: Any) -> None:
    told = json.loads(run("diff", "support/reply@1", "support/reply@2", "--json", code=exits.FINDINGS).stdout)
    assert told["settings"][1] == {"name": "temperature", "before": "0.7", "after": "0.2"}
    assert told["messages"][0]["before_number"] == 1
    same = json.loads(run("diff", "support/reply@1", "support/reply@1", "--json").stdout)
    assert (same["messages"], same["settings"]) == ([], [])


def test_diff_crosses_backends(run: Any, project: FakeLangfuse) -> None:
    shown = run("diff", "files:support/reply@1", "langfuse:support/reply@1", code=exits.FINDINGS).stdout
    assert "+++ langfuse:support/reply@1" in shown
    assert run("diff", "langfuse:nope", "support/reply", code=exits.NOT_FOUND).stdout == ""


def test_a_key_that_differs_is_told_without_its_value(run: Any, project: FakeLangfuse) -> None:
    project.publish("leaky", "x", config={"api_key": "sk-1"})
    project.publish("leaky", "x", config={"api_key": "sk-2"})
    shown = run("diff", "langfuse:leaky@1", "langfuse:leaky@2", code=exits.FINDINGS).stdout
    assert '-api_key: "*****"\n+api_key: "*****"\n' in shown


def test_a_version_of_humanloops_is_named_as_any_other(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``list`` and the shell's completion show can be typed back."""
    with FakeHumanloop() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.publish("team/hi", "One")
        server.publish("team/hi", "Two")
        for way in (["humanloop:team/hi@prv_1"], ["team/hi", "-b", "humanloop", "--version", "prv_1"]):
            told = json.loads(run("show", *way, "--json").stdout)
            assert (told["version"], told["labels"]) == ("prv_1", [])
            assert run("render", *way).stdout == "One\n"
        assert "prv_1" in run("list", "-b", "humanloop").stdout
        assert "-One" in run("diff", "humanloop:team/hi@prv_1", "humanloop:team/hi", code=exits.FINDINGS).stdout
        refused = run("show", "humanloop:team/hi@prv_9", code=exits.NOT_FOUND).stderr
        assert "(version prv_9)" in refused
