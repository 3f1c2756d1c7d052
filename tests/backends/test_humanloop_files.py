"""Humanloop in a folder: an export as its script writes it, and pulled ``.prompt`` files."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptwire import PromptSummary, Resolver
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError
from promptwire.testing import FakeHumanloop
from promptwire.testing.contract import SEEDS, BackendContract

Write = Callable[..., Path]


@pytest.fixture
def resolver(root: Path) -> Resolver:
    return Resolver(HumanloopBackend(root=root))


class Export:
    """Writes what Humanloop's export script does, from the records that its API would have answered."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._server = FakeHumanloop()

    def publish(self, path: str, template: Any, **options: Any) -> str:
        version = self._server.publish(path, template, **options)
        for versions in self._server._prompts[self._server.api_key].values():  # noqa: SLF001 - to write them down
            self._file(versions)
        return version

    def _file(self, versions: list[dict[str, Any]]) -> None:
        folder = f"files/{versions[0]['id']}"
        deployments = [
            {
                "version_id": version["version_id"],
                "environment_id": environment["id"],
                "environment_name": environment["name"],
                "environment_tag": environment["tag"],
            }
            for version in versions
            for environment in version["environments"]
        ]
        self._write(f"{folder}/file.json", json.dumps({**versions[-1], "template": None}))
        self._write(f"{folder}/deployments.json", json.dumps(deployments))
        self._write(f"{folder}/.done", "Export completed successfully.\n")
        self._write(f"{folder}/logs/1.jsonl", '{"id": "data_1"}\n')
        for version in versions:
            self._write(f"{folder}/versions/{version['version_id']}", json.dumps(version))


@pytest.fixture
def export(write: Write) -> Export:
    return Export(write)


def plain_seed(content: Any) -> Any:
    """Humanloop has no placeholders."""
    return content if isinstance(content, str) else [one for one in content if one.get("type") != "placeholder"]


class TestExportContract(BackendContract):
    has_placeholders = False

    @pytest.fixture(autouse=True)
    def _folder(self, root: Path, write: Write) -> None:
        self.root = root
        export = Export(write)
        for seed in SEEDS:
            export.publish(seed.id, plain_seed(seed.content), environments=seed.labels, **seed.config)

    def named(self, version: int) -> str:
        return f"prv_{version}"

    def open(self) -> HumanloopBackend:
        return HumanloopBackend(root=self.root)


class TestPulledContract(BackendContract):
    has_versions = has_labels = has_placeholders = False

    @pytest.fixture(autouse=True)
    def _folder(self, root: Path, write: Write) -> None:
        self.root = root
        for seed in SEEDS:  # the file holds the newest
            header = {"endpoint": "complete" if isinstance(seed.content, str) else "chat", "model": None, **seed.config}
            body = seed.content if isinstance(seed.content, str) else "".join(map(self._tag, plain_seed(seed.content)))
            write(f"{seed.id}.prompt", f"---\n{json.dumps(header)}\n---\n\n{body}\n")

    def _tag(self, message: dict[str, str]) -> str:
        return f"<{message['role']}>\n  {message['content']}\n</{message['role']}>\n\n"

    def named(self, version: int) -> Any:
        return None

    def open(self) -> HumanloopBackend:
        return HumanloopBackend(root=self.root)


def test_by_id_path_and_name(resolver: Resolver, export: Export) -> None:
    first = export.publish("Dir/Sub/Hello", "one", environments=["staging"], prompt_id="pr_x")
    export.publish("Dir/Sub/Hello", "two", environments=["production", "eu"])
    export.publish("Dir/Sub/Hello", "three")
    for prompt_id in ("pr_x", "Dir/Sub/Hello", "Hello"):
        prompt = resolver.get_prompt(prompt_id)
        assert (prompt.id, prompt.text, prompt.version) == (prompt_id, "two", "prv_2")
        assert prompt.labels == ("production", "eu")
        assert resolver.get_prompt(prompt_id, version=first).text == "one"
        assert resolver.get_prompt(prompt_id, label="staging").text == "one"
        for chosen in ({"version": "prv_9"}, {"label": "nobody"}, {"version": 3}):
            with pytest.raises(PromptNotFoundError, match=r"holds no such version"):
                resolver.get_prompt(prompt_id, **chosen)


def test_without_a_default_environment_the_newest_is_meant(resolver: Resolver, export: Export, root: Path) -> None:
    export.publish("p", "one", prompt_id="pr_1", created_at="2025-03-01T00:00:00")
    export.publish("p", "two", created_at="2025-02-01T00:00:00", environments=["staging"])
    assert resolver.get_prompt("p").text == "one"
    (root / "files/pr_1/deployments.json").unlink()
    assert resolver.get_prompt("p").labels == ()
    assert resolver.get_prompt("p", version="prv_2").labels == ("staging",)


def test_names_that_several_have(resolver: Resolver, export: Export) -> None:
    export.publish("a/p", "of a")
    export.publish("b/p", "of b")
    export.publish("q", "by path")
    export.publish("c/q", "by name")
    with pytest.raises(ConfigurationError, match=r"'p': several have that name; give a path: a/p, b/p"):
        resolver.get_prompt("p")
    assert resolver.get_prompt("b/p").text == "of b"
    assert resolver.get_prompt("q").text == "by path"


def test_what_is_no_prompt(resolver: Resolver, export: Export, write: Write) -> None:
    export.publish("p", "the prompt")
    for kind in ("agent", "dataset"):
        write(f"files/{kind}_1/file.json", json.dumps({"id": f"{kind}_1", "path": kind, "type": kind}))
        with pytest.raises(PromptConfigError, match=f"'{kind}' it is a Humanloop {kind}|it is a Humanloop {kind};"):
            resolver.get_prompt(kind)
    write("files/zz/file.json", json.dumps({"id": "zz", "path": "p", "type": "agent"}))
    assert resolver.get_prompt("p").text == "the prompt"
    assert [summary.id for summary in resolver.list_prompts()] == ["p"]
    write("bot.agent", "---\nmodel: gpt-4o\n---\n")
    with pytest.raises(PromptConfigError, match=r"bot\.agent is an agent's file; only prompts are read"):
        resolver.get_prompt("bot")


def test_an_edit_is_seen(resolver: Resolver, export: Export, write: Write) -> None:
    export.publish("p", "one")
    assert resolver.get_prompt("p").text == "one"
    assert resolver.find("p")[1] == "cached"
    export.publish("p", "two")
    assert resolver.get_prompt("p").text == "two"
    export.publish("new", "new")
    assert resolver.get_prompt("new").text == "new"
    write("q.prompt", "---\nmodel: m\n---\n<user>one</user>")
    assert resolver.resolve("q").messages[0]["content"] == "one"
    assert resolver.find("q")[1] == "cached"
    write("q.prompt", "---\nmodel: m\n---\n<user>two</user>")
    assert resolver.resolve("q").messages[0]["content"] == "two"


def test_an_export_with_nothing_but_its_files(resolver: Resolver, write: Write) -> None:
    write("files/pr_1/file.json", "{}")
    write("files/pr_1/logs/1.jsonl", "{}")
    with pytest.raises(PromptNotFoundError, match="holds no version of it"):
        resolver.get_prompt("pr_1")
    write("files/pr_2/file.json", '{"path": "bare", "type": 5}')
    write("files/pr_2/versions/prv_1", '{"template": "Hi", "model": "gpt-4o"}')
    prompt = resolver.get_prompt("bare")
    assert (prompt.text, prompt.version, prompt.labels) == ("Hi", "prv_1", ())


@pytest.mark.parametrize("record", ["{}", '{"path": ""}', '{"path": 5}', "[]"])
def test_a_file_without_a_path_goes_by_its_id(resolver: Resolver, write: Write, record: str) -> None:
    write("files/pr_1/file.json", record)
    write("files/pr_1/versions/prv_1", '{"template": "Hi", "model": "gpt-4o"}')
    assert resolver.get_prompt("pr_1").text == "Hi"
    assert resolver.list_prompts() == [PromptSummary("pr_1", ("prv_1",))]


def test_a_prompt_and_an_agent_of_one_name(resolver: Resolver, write: Write) -> None:
    write("p.agent", "")
    write("p.prompt", "---\nmodel: m\n---\n<user>Hi</user>")
    assert resolver.resolve("p").messages == [{"role": "user", "content": "Hi"}]


def test_listing(resolver: Resolver, export: Export, write: Write) -> None:
    export.publish("b", "one", environments=["staging"])
    export.publish("b", "two", environments=["production"], tags=["t"])
    write("a/c.prompt", "---\nmodel: m\n---\n")
    write("a/c.agent", "")
    assert resolver.list_prompts() == [
        PromptSummary("a/c"),
        PromptSummary("b", ("prv_1", "prv_2"), ("staging", "production"), ("t",)),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        ("versions/prv_1", "{", "its file prv_1 is not JSON"),
        ("versions/prv_1", "[" * 100_000, "its file prv_1 is not JSON"),
        ("versions/prv_1", "[]", "its file prv_1 is not of a prompt's shape"),
        ("versions/prv_1", '{"inputs": []}', "its file prv_1 is not of a prompt's shape"),
        ("versions/prv_1", b"\xff", "can't be read as UTF-8 text"),
        ("deployments.json", "{}", "its file deployments.json is not a list of deployments"),
        ("deployments.json", "[5]", "its file deployments.json is not a list of deployments"),
        ("deployments.json", '[{"environment_tag": "default", "version_id": "x"}]', "holds no such version"),
    ],
    ids=range(8),
)
def test_broken_exports(resolver: Resolver, export: Export, write: Write, broken: tuple[str, str | bytes, str]) -> None:
    name, text, words = broken
    export.publish("p", "Hi", prompt_id="pr_1")
    write(f"files/pr_1/{name}", text)
    with pytest.raises((PromptConfigError, PromptNotFoundError), match=words) as caught:
        resolver.get_prompt("p")
    assert "humanloop prompt 'p'" in str(caught.value)


def test_a_file_that_cant_be_read_hides_no_other(
    resolver: Resolver, export: Export, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    export.publish("p", "Hi")
    write("files/pr_9/file.json", "{")
    with caplog.at_level(logging.WARNING, "promptwire"):
        assert resolver.get_prompt("p").text == "Hi"
    assert "not read: humanloop export 'pr_9': its file file.json is not JSON" in caplog.text


def test_deployments_that_cant_be_read_hide_no_prompt(
    resolver: Resolver, export: Export, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    export.publish("a", "Hi", prompt_id="pr_9")
    export.publish("b", "Hi", environments=["production"])
    write("files/pr_9/deployments.json", "{}")
    with caplog.at_level(logging.WARNING, "promptwire"):
        listed = resolver.list_prompts()
    assert [(summary.id, summary.labels) for summary in listed] == [("a", ()), ("b", ("production",))]
    assert "not read: humanloop export 'pr_9': its file deployments.json is not a list" in caplog.text


def test_deployments_without_a_version_are_none(resolver: Resolver, export: Export, write: Write) -> None:
    export.publish("p", "Hi", prompt_id="pr_1", environments=["production"])
    write("files/pr_1/deployments.json", '[{"environment_name": "eu"}, {"version_id": "prv_1", "environment_name": 5}]')
    assert resolver.get_prompt("p").labels == ()
    assert resolver.list_prompts()[0].labels == ()


def test_links_that_lead_out(resolver: Resolver, export: Export, root: Path) -> None:
    outside = root.parent / "outside"
    (outside / "versions").mkdir(parents=True)
    (outside / "file.json").write_text('{"path": "secret", "type": "prompt"}')
    (outside / "prv_2").write_text('{"template": "canary", "model": "m"}')
    (outside / "secret.prompt").write_text("---\nmodel: m\n---\n<user>canary</user>")
    export.publish("p", "Hi", prompt_id="pr_1")
    (root / "files/pr_1/versions/prv_2").symlink_to(outside / "prv_2")
    (root / "file.prompt").symlink_to(outside / "secret.prompt")
    (root / "folder").symlink_to(outside)
    (root / "files/out").symlink_to(outside)
    for prompt_id in ("p", "file", "folder/secret", str(outside / "secret")):
        with pytest.raises(ConfigurationError, match="out of the prompts folder"):
            resolver.get_prompt(prompt_id)
    with pytest.raises(PromptNotFoundError):
        resolver.get_prompt("out")
    assert resolver.get_prompt("p", version="prv_1").text == "Hi"


def test_pulled_files_have_neither_versions_nor_environments(resolver: Resolver, write: Write) -> None:
    write("p.prompt", "---\nmodel: m\n---\n<user>Hi</user>")
    chosen: list[Any] = [{"version": "prv_1"}, {"label": "production"}]
    for options in chosen:
        with pytest.raises(PromptNotFoundError, match=r"p\.prompt has neither versions nor environments"):
            resolver.get_prompt("p", **options)


def test_a_folder_that_isnt_there(root: Path) -> None:
    resolver = Resolver(HumanloopBackend(root=root / "none"))
    assert resolver.list_prompts() == []
    with pytest.raises(PromptNotFoundError, match=r"neither in an export nor a \.prompt file in .*none"):
        resolver.get_prompt("p")


def test_copies_and_pickles(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    backend = HumanloopBackend(root=root.name)
    assert copy.deepcopy(backend) is backend
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(backend)).identity == HumanloopBackend(root=root).identity  # noqa: S301 - ours
