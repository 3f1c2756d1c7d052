"""``pull`` and ``push``: between a backend and a folder."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from promptwire import Prompt, PromptRef, PromptSummary, Resolver
from promptwire.backends import BUILT_IN, known_backends
from promptwire.backends.files import FilesBackend
from promptwire.backends.http import Http
from promptwire.backends.memory import MemoryBackend
from promptwire.cli import exits
from promptwire.lock import read_lock
from promptwire.testing import Answer, FakeHumanloop, FakeLangfuse

LANGFUSE = ("--backend", "langfuse", "--dir", "copy")


def rows(done: Any) -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_pull_copies_what_is_meant_by_default(run: Any, project: FakeLangfuse, folder: Path) -> None:
    assert rows(run("pull", *LANGFUSE)) == [
        ["support/reply", "2", "production,latest", "written", "support/reply.yaml"]
    ]
    assert rows(run("pull", *LANGFUSE)) == [
        ["support/reply", "2", "production,latest", "unchanged", "support/reply.yaml"]
    ]
    assert names(folder / "copy") == ["support/reply.yaml"]


def test_pull_of_all_versions_reads_back_as_the_backend_would_answer(
    run: Any, project: FakeLangfuse, folder: Path
) -> None:
    states = [(row[0], row[1], row[3]) for row in rows(run("pull", "--all", *LANGFUSE))]
    assert states == [("persona", "1", "written"), ("support/reply", "1", "written"), ("support/reply", "2", "written")]
    assert names(folder / "copy") == ["persona@1.yaml", "support/reply.yaml", "support/reply@1.yaml"]
    there, here = Resolver("langfuse"), Resolver(FilesBackend(folder / "copy"))
    for prompt_id, which in (
        ("support/reply", {}), ("support/reply", {"version": 1}), ("support/reply", {"label": "production"}),
        ("support/reply", {"label": "latest"}), ("persona", {"label": "staging"}),
    ):  # fmt: skip
        one, other = there.get_prompt(prompt_id, **which), here.get_prompt(prompt_id, **which)
        assert (one.content_hash, one.config, one.messages) == (other.content_hash, other.config, other.messages)
        assert (one.version, one.labels, one.tags, one.dialect) == (
            other.version,
            other.labels,
            other.tags,
            other.dialect,
        )
        assert one.placeholders == other.placeholders


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["support/reply@1"], ["support/reply@1.yaml"]),
        (["support/reply", "--label", "latest"], ["support/reply@2.yaml"]),
        (["supp*", "--all"], ["support/reply.yaml", "support/reply@1.yaml"]),
        (["supp*@1", "per*@staging"], ["persona@1.yaml", "support/reply@1.yaml"]),
        (["--label", "staging"], ["persona@1.yaml"]),
        (["langfuse:persona@staging", "support/reply"], ["persona@1.yaml", "support/reply.yaml"]),
    ],
)
def test_which_are_copied(
    arguments: list[str], expected: list[str], run: Any, project: FakeLangfuse, folder: Path
) -> None:
    run("pull", *arguments, *LANGFUSE)
    assert names(folder / "copy") == expected


def test_a_default_that_moves_moves_here_too(run: Any, project: FakeLangfuse, folder: Path) -> None:
    run("pull", "--all", *LANGFUSE)
    project.publish("support/reply", [{"role": "user", "content": "new"}])
    moved = rows(run("pull", "support/reply", *LANGFUSE))
    assert moved == [["support/reply", "3", "production,latest", "written", "support/reply.yaml"]]
    here = Resolver(FilesBackend(folder / "copy"))
    assert [(version.version, version.labels) for version in here.history("support/reply")] == [
        (3, ("production", "latest")), (2, ()), (1, ()),
    ]  # fmt: skip
    assert here.get_prompt("support/reply").version == 3


def test_what_was_edited_is_kept(run: Any, project: FakeLangfuse, folder: Path) -> None:
    run("pull", *LANGFUSE)
    path = folder / "copy" / "support" / "reply.yaml"
    edited = path.read_text().replace("warmly", "coldly")
    path.write_text(edited)
    done = run("pull", *LANGFUSE, code=exits.FINDINGS)
    assert rows(done)[0][3] == "kept"
    assert "--force" in done.stderr
    assert path.read_text() == edited
    assert rows(run("pull", "--force", *LANGFUSE))[0][3] == "written"
    assert "warmly" in path.read_text()


def test_pull_needs_another_backend_than_the_folder(run: Any, project: FakeLangfuse) -> None:
    assert "name the backend to copy from" in run("pull", code=exits.USAGE).stderr
    assert "one backend at a time" in run("pull", "langfuse:a", "files:b", code=exits.USAGE).stderr
    assert "name the backend to push to" in run("push", code=exits.USAGE).stderr
    assert "push names prompts of the folder" in run("push", "langfuse:a", *LANGFUSE, code=exits.USAGE).stderr
    run("pull", "--backend", "files", "--dir", "copy", "--all")


def test_a_named_prompt_that_is_not_there(run: Any, project: FakeLangfuse) -> None:
    done = run("pull", "nope", "support/reply", *LANGFUSE, code=exits.NOT_FOUND)
    assert "'nope'" in done.stderr
    assert rows(done)[0][0] == "support/reply"
    assert run("pull", "persona", *LANGFUSE, code=exits.NOT_FOUND).stdout == ""
    assert rows(run("pull", "persona", "--label", "staging", "--label", "nope", *LANGFUSE))[0][0] == "persona"


def test_one_failure_does_not_stop_the_rest(run: Any, project: FakeLangfuse, folder: Path) -> None:
    project.publish("a broken one", "{{x}}", config={"temperature": "hot"})
    (folder / "copy").mkdir()
    (folder / "copy" / "persona@1.yaml").write_text("nonsense: [")
    done = run("pull", "--label", "staging", "--label", "production", *LANGFUSE, code=exits.FINDINGS)
    assert "'temperature' must be a number" in done.stderr
    assert "persona@1.yaml" in done.stderr
    assert done.stderr.count("\n") == 2
    assert rows(done)[0][0] == "support/reply"


@pytest.mark.parametrize("name", ["..", "a/../../x", "a\0b", "a\nb"])
def test_a_name_that_cannot_be_asked_for_does_not_stop_the_rest(
    name: str, run: Any, project: FakeLangfuse, folder: Path
) -> None:
    project.publish(name, "x")
    for command in (["pull", *LANGFUSE], ["lock", "-b", "langfuse"], ["check", "-b", "langfuse"]):
        done = run(*command, code=exits.FINDINGS)
        assert f"promptwire: left out: prompt id {name!r}: " in done.stderr, command
    assert names(folder / "copy") == ["support/reply.yaml"]
    assert [str(entry.ref) for entry in read_lock("prompts.lock")] == ["support/reply@production"]


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "a/link/x", "name@3", "a//b", "b/", "x" * 300, "link", "CON\\..\\x", "~/x", "a\x7fb", "é/ü 名"],
)
def test_no_id_leads_out_of_the_folder(name: str, run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server lists whatever it likes."""
    outside = folder / "outside"
    outside.mkdir()
    (folder / "copy" / "a").mkdir(parents=True)
    (folder / "copy" / "a" / "link").symlink_to(outside)
    (folder / "copy" / "link.yaml").symlink_to(outside / "target.yaml")

    class Hostile(FakeLangfuse):
        def answer(self, request: Any) -> Answer:
            if request.path.endswith("/prompts"):
                row = {"name": name, "versions": [1], "labels": ["production"], "tags": []}
                return Answer.of_json(200, {"data": [row], "meta": {"totalPages": 1}})
            return Answer.of_json(200, {"prompt": "x", "version": 1, "labels": [], "config": {}})

    with Hostile() as server:
        for key, value in server.env.items():
            monkeypatch.setenv(key, value)
        before = {one for one in names(folder) if not one.startswith("copy/")}
        done = run("pull", *LANGFUSE, code=None)
        assert done.exit_code in {exits.OK, exits.FINDINGS, exits.USAGE, exits.NOT_FOUND}
        assert list(outside.iterdir()) == []
        assert {one for one in names(folder) if not one.startswith("copy/")} == before
        assert not [one for one in names(folder) if one.endswith(".tmp")]


def test_humanloops_versions_get_numbers_that_stay(run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHumanloop() as server:
        for key, value in server.env.items():
            monkeypatch.setenv(key, value)
        for text in ("One {{a}}", "Two {{a}}", "Three {{a}}"):
            server.publish("team/a", text, environments=["production"] if text.startswith("Two") else [])
        pull = ("pull", "--backend", "humanloop", "--dir", "copy")
        assert names_of(run(*pull)) == ["team/a.yaml"]
        assert names_of(run(*pull, "--all")) == ["team/a@2.yaml", "team/a.yaml", "team/a@3.yaml"]
        here = Resolver(FilesBackend(folder / "copy"))
        assert here.get_prompt("team/a").text == "Two {{a}}"
        assert here.get_prompt("team/a").dialect == "humanloop"
        assert [here.get_prompt("team/a", version=number).text for number in (1, 2, 3)] == [
            "Two {{a}}", "One {{a}}", "Three {{a}}",
        ]  # fmt: skip
        assert {row[3] for row in rows(run(*pull, "--all"))} == {"unchanged"}


def names_of(done: Any) -> list[str]:
    return [row[4] for row in rows(done)]


def test_push_creates_where_content_differs_and_moves_no_label(run: Any, project: FakeLangfuse, folder: Path) -> None:
    run("pull", "--all", *LANGFUSE)
    unchanged = [["persona", "1", "", "unchanged"], ["support/reply", "2", "", "unchanged"]]
    assert rows(run("push", *LANGFUSE)) == unchanged
    path = folder / "copy" / "support" / "reply.yaml"
    path.write_text(path.read_text().replace("warmly", "coldly"))
    created = ["support/reply", "3", "", "created"]
    assert rows(run("push", "--dry-run", *LANGFUSE))[1] == ["support/reply", "", "", "would be created"]
    assert rows(run("push", "--message", "colder", *LANGFUSE)) == [unchanged[0], created]
    assert rows(run("push", *LANGFUSE))[1] == ["support/reply", "3", "", "unchanged"]
    assert "warmly" in run("show", "langfuse:support/reply").stdout
    assert "colder" in run("show", "langfuse:support/reply", "--history").stdout


def test_push_moves_a_label_when_told(run: Any, project: FakeLangfuse) -> None:
    push = ("push", "support/reply@1", "--backend", "langfuse", "--label", "production")
    assert rows(run(*push, "--dry-run")) == [["support/reply", "", "production", "would be created"]]
    assert rows(run(*push)) == [["support/reply", "3", "production", "created"]]
    assert rows(run(*push)) == [["support/reply", "3", "", "unchanged"]]
    staging = ("push", "support/reply@1", "-b", "langfuse", "--label", "staging")
    assert rows(run(*staging, "--dry-run")) == [["support/reply", "3", "staging", "would be labelled"]]
    run("show", "langfuse:support/reply@staging", code=exits.NOT_FOUND)
    staged = rows(run(*staging))
    assert staged == [["support/reply", "3", "staging", "labelled"]]
    assert json.loads(run("show", "langfuse:support/reply@production", "--json").stdout)["version"] == 3


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("text: '{% if a %}x{% endif %}'", "what only jinja has"),
        ("text: '{{ a }} {{ b }}'\npartials: {b: 1}", "langfuse has no partials"),
        ("messages: [{role: user, content: [{type: text, text: x}]}]", "its role and a text, nothing else"),
        ("messages: [{role: user, content: x, name: ann}]", "its role and a text, nothing else"),
        ("messages: [{placeholder: 1st}]", "placeholders are named by letters"),
        ("messages: [{placeholder: a}, {role: user, content: '{{ a }}'}]", "no placeholder of a variable's name"),
    ],
)
def test_what_langfuse_would_lose_is_refused(
    body: str, says: str, run: Any, project: FakeLangfuse, folder: Path
) -> None:
    (folder / "prompts" / "mine.yaml").write_text(body)
    for flags in ([], ["--dry-run"]):
        assert says in run("push", "mine", "-b", "langfuse", *flags, code=exits.USAGE).stderr


def test_what_langfuse_refuses(run: Any, project: FakeLangfuse, folder: Path) -> None:
    project.publish("mine", [{"role": "user", "content": "chat"}])
    (folder / "prompts" / "mine.yaml").write_text("text: now a text")
    assert "text or chat" in run("push", "mine", "-b", "langfuse", code=exits.UPSTREAM).stderr
    refused = run("push", "support/reply", "-b", "langfuse", "--label", "No Label", code=exits.UPSTREAM)
    assert "labels are of a-z" in refused.stderr
    assert "'latest' is always" in run("push", "-b", "langfuse", "--label", "latest", code=exits.USAGE).stderr


def test_backends_that_take_no_prompts(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHumanloop() as server:
        for key, value in server.env.items():
            monkeypatch.setenv(key, value)
        assert "langfuse, files and memory take them" in run("push", "-b", "humanloop", code=exits.USAGE).stderr


def test_a_plain_jinja_file_becomes_mustache(run: Any, project: FakeLangfuse, folder: Path) -> None:
    (folder / "prompts" / "mine.yaml").write_text("text: Hello {{ name }}\nmodel: gpt-4o\nparams: {temperature: 1.0}")
    push = ("push", "mine", "-b", "langfuse", "--label", "production")
    assert rows(run(*push))[0][3] == "created"
    assert rows(run(*push))[0][3] == "unchanged"
    assert run("render", "langfuse:mine", "--var", "name=Ann").stdout == "Hello Ann\n"


def test_versions_without_numbers_and_without_a_history(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third party's backend, which has but what every backend has."""

    class Theirs(MemoryBackend):
        name = "theirs"
        history = property()

        def fetch(self, ref: PromptRef, http: Http) -> Prompt:
            return Prompt(ref.id, text=f"text {ref.version}", version=ref.version or "b", backend="theirs")

        def list(self, http: Http) -> list[PromptSummary]:
            return [PromptSummary("x", ("b", "a"))]

    monkeypatch.setitem(BUILT_IN, "theirs", f"{__name__}:Theirs")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(Theirs=Theirs))
    known_backends.cache_clear()
    try:
        assert names_of(run("pull", "-b", "theirs", "--dir", "copy", "--all")) == ["x.yaml", "x@2.yaml"]
    finally:
        known_backends.cache_clear()


def test_a_history_that_fails_is_an_error(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHumanloop() as server:
        for key, value in server.env.items():
            monkeypatch.setenv(key, value)
        server.publish("a", "one")
        server.publish("a", "two", environments=["production"])
        pull = ("pull", "-b", "humanloop", "--dir", "copy", "a", "--version", "prv_1", "--label", "production")
        assert names_of(run(*pull)) == ["a@1.yaml", "a@2.yaml"]
        server.fail(403, match="/versions")
        assert "refused the credentials" in run(*pull, code=exits.AUTH).stderr


def test_an_interrupt_waits_for_no_server(project: FakeLangfuse) -> None:
    command = [sys.executable, "-m", "promptwire", "pull", "persona@staging", *LANGFUSE, "--timeout", "600"]
    with project.hang() as gate, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert gate.wait_for(timeout=60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == exits.INTERRUPTED
    assert told.decode().strip() == "promptwire: interrupted"
