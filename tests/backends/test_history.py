"""A prompt's history, and prompts put into a backend: what each backend adds to its contract."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from promptwire import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    Prompt,
    PromptNotFoundError,
    PromptVersion,
    Resolver,
)
from promptwire.backends.chain import Chain
from promptwire.backends.files import FilesBackend
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.backends.times import read_time
from promptwire.testing import Answer, FakeHumanloop, FakeLangfuse, Received


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-01-02T03:04:05.678Z", datetime(2025, 1, 2, 3, 4, 5, 678000, UTC)),
        ("2025-01-02T03:04:05", datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", None), (5, None), (None, None),
    ],
)  # fmt: skip
def test_times(value: object, expected: datetime | None) -> None:
    assert read_time(value) == expected


def test_langfuse_tells_author_date_and_message(langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hi", labels=[], commit_message="shorter")
    newest, oldest = Resolver("langfuse").history("greeting")
    assert (newest.version, newest.labels, newest.author, newest.message) == (2, ("latest",), "API", "shorter")
    assert (oldest.labels, oldest.message) == (("production",), None)
    assert newest.created_at is not None
    assert Resolver().history("langfuse:greeting", limit=1) == [newest]


@pytest.mark.parametrize("body", [[], {"version": "1"}, {}])
def test_a_history_of_another_shape(body: object, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(FakeLangfuse):
        def answer(self, request: Received) -> Answer:
            if request.path.endswith("/prompts"):
                row = {"name": "a", "versions": [1], "labels": [], "tags": []}
                return Answer.of_json(200, {"data": [row], "meta": {"totalPages": 1}})
            return Answer.of_json(200, body)

    with Odd() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BackendError, match="not of a prompt's shape"):
            Resolver("langfuse").history("a")


def test_memory_remembers_when_and_why() -> None:
    backend = MemoryBackend({"a": "one"})
    backend.publish("a", "two", message="better", labels=["x"])
    newest, oldest = Resolver(backend).history("a")
    assert (newest.message, newest.labels, oldest.message) == ("better", ("x",), None)
    assert newest.created_at is not None
    assert Resolver(backend).push(Prompt("a", text="one", version=1), labels=["x"]).version == 1
    assert Resolver(backend).get_prompt("a", label="x").text == "one"
    told = backend.__reduce__()
    assert told[0](*told[1]).history("a", None, None)[0].created_at is None


def test_humanloops_server_and_export(tmp_path: Path) -> None:
    with FakeHumanloop() as server:
        server.publish("a", "one", created_by={"email_address": "ann@example.com"}, prompt_id="pr_a")
        server.publish("a", "two", environments=["production"], commit_message="shorter", created_by="API")
        resolver = Resolver(HumanloopBackend(server.api_key, server.url))
        newest, oldest = resolver.history("a")
        assert (newest.labels, newest.message, newest.author) == (("production",), "shorter", "API")
        assert oldest.author == "ann@example.com"
        assert resolver.history("pr_a") == [newest, oldest]

    directory = tmp_path / "files" / "pr_a"
    (directory / "versions").mkdir(parents=True)
    (directory / "file.json").write_text(json.dumps({"path": "a", "type": "prompt"}))
    rows = [{"version_id": "prv_1", "environment_name": "production", "environment_tag": "default"}]
    (directory / "deployments.json").write_text(json.dumps(rows))
    for name, day in (("prv_1", 1), ("prv_2", 2)):
        record = {"template": name, "model": "m", "created_at": f"2025-01-0{day}T00:00:00", "version_name": f"v{day}"}
        (directory / "versions" / name).write_text(json.dumps(record))
    told = Resolver(HumanloopBackend(root=tmp_path)).history("a")
    assert told == [
        PromptVersion("prv_2", (), None, datetime(2025, 1, 2, tzinfo=UTC), "v2"),
        PromptVersion("prv_1", ("production",), None, datetime(2025, 1, 1, tzinfo=UTC), "v1"),
    ]


def test_a_pulled_file_of_humanloops_has_no_history(tmp_path: Path) -> None:
    (tmp_path / "a.prompt").write_text("---\nmodel: m\nendpoint: chat\n---\n<user>\n  Hi\n</user>\n")
    resolver = Resolver(HumanloopBackend(root=tmp_path))
    with pytest.raises(ConfigurationError, match="no history"):
        resolver.history("a")
    with pytest.raises(PromptNotFoundError):
        resolver.history("b")


def test_a_chain_tells_the_history_of_who_has_it(stub: Any, langfuse: FakeLangfuse) -> None:
    chain = Resolver(Chain([stub(), MemoryBackend({"mine": "x"}), "langfuse"]))
    assert [version.version for version in chain.history("greeting")] == [1]
    assert [version.version for version in chain.history("mine")] == [1]
    with pytest.raises(BackendUnavailableError, match=r"no backend could serve it: stub: .*can't tell"):
        chain.history("nope")
    with pytest.raises(ConfigurationError, match="chain: prompts can't be put into this backend"):
        chain.push(Prompt("a", text="x"))


def test_a_backend_without_the_optional_methods(stub: Any) -> None:
    with pytest.raises(ConfigurationError, match="stub: this backend can't tell a prompt's history"):
        Resolver(stub()).history("a")
    with pytest.raises(ConfigurationError, match="stub: prompts can't be put into this backend"):
        asyncio.run(Resolver(stub()).apush(Prompt("a", text="x")))


@pytest.mark.parametrize("limit", [0, -1, "2", 1.5])
def test_a_limit_is_a_count(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit is a whole number"):
        Resolver(MemoryBackend()).history("a", limit=limit)


@pytest.mark.parametrize("labels", ["production", ["latest"], [""], [5]])
def test_labels_that_cannot_move(labels: Any) -> None:
    with pytest.raises(ConfigurationError):
        Resolver(MemoryBackend()).push(Prompt("a", text="x"), labels=labels)


def test_no_answer_in_time(stub: Any) -> None:
    class Slow(stub):  # type: ignore[misc]
        def history(self, *_: object) -> list[PromptVersion]:
            import time

            time.sleep(0.3)
            return []

    with pytest.raises(BackendUnavailableError, match="no answer in time"):
        Resolver(Slow()).history("a", timeout=0.01)


def test_a_pushed_version_is_seen_at_once(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    assert resolver.get_prompt("greeting").version == 1
    changed = Prompt("greeting", text="Bye {{name}}", config={"model": "gpt-4o"}, tags=("t",))
    assert resolver.push(changed, labels=["production", "production"], message="m").labels == ("production",)
    prompt = resolver.get_prompt("greeting")
    assert (prompt.version, prompt.text, prompt.tags) == (2, "Bye {{name}}", ("t",))


def test_a_broken_version_is_mended_by_a_new_one(langfuse: FakeLangfuse) -> None:
    langfuse.publish("odd", "x", config={"temperature": "hot"})
    assert Resolver("langfuse").push(Prompt("odd", text="x")).version == 2


def test_a_prompt_moves_from_one_backend_to_another(langfuse: FakeLangfuse) -> None:
    with FakeHumanloop() as server:
        server.publish("a/b", [{"role": "system", "content": "Be {{ mood }}."}], model="gpt-4o", temperature=0.5)
        theirs = Resolver(HumanloopBackend(server.api_key, server.url)).get_prompt("a/b")
    resolver = Resolver("langfuse")
    assert resolver.push(theirs, labels=["production"]).version == 1
    ours = resolver.get_prompt("a/b")
    assert (ours.messages, ours.model, ours.dialect) == (theirs.messages, "gpt-4o", "mustache")
    assert ours.settings() == theirs.settings()
    assert resolver.push(theirs).created is False


class Counting(FakeLangfuse):
    """Carries a write out, and then answers as told."""

    status = 502
    wrote = 0

    def answer(self, request: Received) -> Answer:
        done = super().answer(request)
        if request.method == "GET":
            return done
        self.wrote += 1
        return Answer.of_json(self.status, {}) if self.status else done


@pytest.mark.parametrize(
    ("status", "error", "wrote"),
    [
        (502, BackendUnavailableError, 1), (500, BackendUnavailableError, 1), (401, BackendAuthError, 1),
        (409, BackendError, 1), (204, BackendError, 1),
    ],
)  # fmt: skip
def test_a_write_that_may_have_been_carried_out_is_not_repeated(
    status: int, error: type[Exception], wrote: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Counting() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.status = status
        resolver = Resolver("langfuse")
        with pytest.raises(error):
            resolver.push(Prompt("a", text="x"))
        assert server.wrote == wrote
        server.status = 0
        assert resolver.push(Prompt("a", text="x")).version == 1  # it is found, not made twice


def test_a_write_that_was_not_let_in_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(FakeLangfuse):
        refused = 0

        def answer(self, request: Received) -> Answer:
            if request.method == "POST" and not self.refused:
                self.refused += 1
                return Answer(429, b"{}", {"Retry-After": "0"})
            return super().answer(request)

    with Busy() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        assert Resolver("langfuse").push(Prompt("a", text="x")).version == 1
        assert server.refused == 1


def test_a_folder_that_lacks_the_version_to_label(tmp_path: Path) -> None:
    backend = FilesBackend(tmp_path)
    from promptwire.backends.http import Http
    from promptwire.refs import PromptRef

    with pytest.raises(PromptNotFoundError):
        backend.move_labels(PromptRef("a", version=1), ["x"], Http("files prompt 'a'", lambda: 0))
