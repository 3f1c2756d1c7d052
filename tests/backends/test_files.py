"""A folder of YAML prompts: every key, every version, every edit."""

import copy
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptwire import Placeholder, PromptSummary, Resolver
from promptwire.backends.files import FilesBackend
from promptwire.errors import ConfigurationError, PromptNotFoundError

Write = Callable[..., Path]

FULL = """
description: Answers support questions
version: 4
labels: [production, 2026]
tags: [support]
model: gpt-4o
provider: openai
template_format: mustache
partials: {company: ACME}
params: {temperature: 0.3, max_tokens: -1, stop: [END], api_base: http://127.0.0.1:9, headers: {a: b}}
tools: [{name: look, parameters: {type: object}}]
response_format: {type: json_object}
messages:
  - role: system
    content: You work for {{company}}.
  - placeholder: history
  - role: user
    name: Ann
    content:
      - {type: text, text: "{{question}}"}
      - {type: image_url, image_url: {url: "{{picture}}", detail: low}}
  - {role: assistant, content: null, tool_calls: [{id: c1, type: function, function: {name: look, arguments: "{}"}}]}
"""


def test_every_key(resolver: Resolver, write: Write) -> None:
    write("team/full.yaml", FULL)
    prompt = resolver.get_prompt("team/full")
    assert (prompt.id, prompt.backend, prompt.version) == ("team/full", "files", 4)
    assert (prompt.labels, prompt.tags) == (("production", "2026"), ("support",))
    assert (prompt.model, prompt.provider, prompt.dialect) == ("gpt-4o", "openai", "mustache")
    assert prompt.settings() == {
        "temperature": 0.3, "stop": ["END"], "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    }  # fmt: skip
    assert prompt.config["api_base"] == "http://127.0.0.1:9"
    assert (prompt.variables, prompt.placeholders) == (("question", "picture"), ("history",))
    assert prompt.messages is not None
    assert prompt.messages[1] == Placeholder("history")
    messages = resolver.resolve("team/full", variables={"question": "{{x}}", "picture": "https://x/y"}).messages
    assert messages[0]["content"] == "You work for ACME."
    assert messages[1]["content"][1] == {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}}
    assert (messages[1]["content"][0]["text"], messages[1]["name"]) == ("{{x}}", "Ann")
    assert (messages[2]["content"], messages[2]["tool_calls"][0]["id"]) == (None, "c1")


def test_jinja_unless_it_says_mustache(resolver: Resolver, write: Write) -> None:
    write("a.yaml", "text: 'Hi {% if name %}{{ name | upper }}{% endif %}'")
    write("b.yml", "text: 'Hi {{name}} {% if %}'\ntemplate_format: mustache")
    assert resolver.resolve("a", variables={"name": "Ann"}).messages == [{"role": "user", "content": "Hi ANN"}]
    assert resolver.resolve("b", variables={"name": "Ann"}).messages[0]["content"] == "Hi Ann {% if %}"


def test_versions_and_labels(resolver: Resolver, write: Write) -> None:
    write("p.yaml", "text: own\nlabels: [production]")
    write("p@2.yaml", "text: two\nlabels: [staging]")
    write("p@10.yml", "text: ten\nlabels: [staging]")
    write("q@1.yaml", "text: q one")
    write("q@3.yaml", "text: q three\nversion: 3")
    write("p.x@9.yaml", "text: another")
    chosen = {
        ("p", None, None): "own", ("p", 2, None): "two", ("p", "10", None): "ten", ("p", None, "production"): "own",
        ("p", None, "staging"): "ten", ("p", None, "latest"): "ten", ("q", None, None): "q three",
        ("q", None, "latest"): "q three", ("q", 1, None): "q one", ("p.x", None, None): "another",
        ("q@1", None, None): "q one",
    }  # fmt: skip
    for (prompt_id, version, label), text in chosen.items():
        assert resolver.get_prompt(prompt_id, version=version, label=label).text == text
    for missing in ({"version": 3}, {"label": "dev"}):
        with pytest.raises(PromptNotFoundError, match=r"files prompt 'p' \(.* does not exist in .*prompts"):
            resolver.get_prompt("p", **missing)
    with pytest.raises(ConfigurationError, match="files prompt 'p': the versions of files are numbers"):
        resolver.get_prompt("p", version="x/../y")


def test_a_label_of_ones_own_called_latest(resolver: Resolver, write: Write) -> None:
    write("p@1.yaml", "text: one\nlabels: [latest]")
    write("p@2.yaml", "text: two")
    assert resolver.get_prompt("p", label="latest").text == "one"


def test_listing(resolver: Resolver, write: Write, root: Path) -> None:
    assert Resolver(FilesBackend(root / "nowhere")).list_prompts() == []
    write("b.yaml", "text: b\nversion: 3\nlabels: [production]\ntags: [x]")
    write("b@1.yaml", "text: b\nlabels: [old, production]\ntags: [x, y]")
    write("team@2/me@2x.yml", "text: a")
    write("team@2/c@7.yaml", "text: a")
    write("odd/@3.yaml", "text: a")
    write("notes.txt", "no prompt")
    (root / "folder.yaml").mkdir()
    assert resolver.list_prompts() == [
        PromptSummary("b", (1, 3), ("production", "old"), ("x", "y")),
        PromptSummary("odd/@3"),
        PromptSummary("team@2/c", (7,)),
        PromptSummary("team@2/me@2x"),
    ]


def test_edits_are_seen_at_once(resolver: Resolver, write: Write, door: Any) -> None:
    path = write("p.yaml", "text: one")
    assert door.resolve(resolver, "p").messages[0]["content"] == "one"
    assert door.source(resolver, "p") == "cached"
    write("p.yaml", "text: two")
    assert door.source(resolver, "p") == "fresh"
    before = path.stat()
    path.write_text("text: six")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert door.resolve(resolver, "p").messages[0]["content"] == "six"
    write("p@5.yaml", "text: five")
    assert door.find(resolver, "p", version=5)[0].text == "five"
    path.unlink()
    assert door.find(resolver, "p")[0].text == "five"
    write("p@6.yaml", "text: seven")
    assert door.find(resolver, "p")[0].text == "seven"
    for left in path.parent.iterdir():
        left.unlink()
    with pytest.raises(PromptNotFoundError):
        door.find(resolver, "p")
    write("p.yaml", "text: again")
    assert door.find(resolver, "p")[0].text == "again"


def test_a_broken_edit_keeps_what_was_and_heals(
    resolver: Resolver, write: Write, door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write("p.yaml", "text: one")
    door.find(resolver, "p")
    write("p.yaml", "text: [broken")
    for _ in range(3):
        found = door.find(resolver, "p")
        assert (found[0].text, found[1]) == ("one", "stale")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "files prompt 'p', file p.yaml: not plain YAML in line 1" in caplog.text
    write("p.yaml", "text: healed")
    assert door.find(resolver, "p")[0].text == "healed"
    write("p.yaml", "txt: broken again")
    assert door.source(resolver, "p") == "stale"
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "prompt_id",
    [
        "p",
        "no/folder",
        "x" * 300,
        "x" * 300 + "/y",
        "loop/x",
        "dangling",
        "dir",
        "a?b#c",
        "100% sure",
        "a\\b",
        "~",
        "ü",
    ],
)
def test_what_is_not_there(resolver: Resolver, root: Path, prompt_id: str) -> None:
    (root / "loop").symlink_to(root / "loop")
    (root / "dangling.yaml").symlink_to(root / "nowhere")
    (root / "dir.yaml").mkdir()
    (root / "dir@2.yaml").mkdir()
    with pytest.raises(PromptNotFoundError, match="files prompt "):
        resolver.get_prompt(prompt_id)


@pytest.mark.parametrize("prompt_id", ["a?b#c", "100% sure", "a\\b", "~", "ü/日本", "..a", "a@b", " x "])
def test_odd_names(resolver: Resolver, write: Write, prompt_id: str) -> None:
    write(f"{prompt_id}.yaml", "text: odd")
    assert resolver.get_prompt(prompt_id).text == "odd"
    assert [summary.id for summary in resolver.list_prompts()] == [prompt_id]


def test_many_edits_and_many_readers(resolver: Resolver, root: Path, write: Write) -> None:
    write("p.yaml", "text: '0'")
    seen: list[str | None] = []
    failed: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.append(resolver.get_prompt("p").text)
            except Exception as error:  # noqa: BLE001 - shown below
                failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(100):
        write("p.new", f"text: '{number}'").replace(root / "p.yaml")
    done.set()
    for reader in readers:
        reader.join()
    assert failed == []
    assert set(seen) <= set(map(str, range(100)))
    assert resolver.get_prompt("p").text == "99"


def test_where_the_folder_is(root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("p.yaml", "text: Hi")
    monkeypatch.chdir(root.parent)
    assert Resolver().get_prompt("p").text == "Hi"
    monkeypatch.chdir("/")
    with pytest.raises(PromptNotFoundError):
        Resolver().get_prompt("p")
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(root))
    backend = FilesBackend()
    monkeypatch.delenv("PROMPTWIRE_PROMPTS_DIR")
    for twin in (backend, copy.deepcopy(backend), pickle.loads(pickle.dumps(backend))):  # noqa: S301
        assert Resolver(twin).get_prompt("p").text == "Hi"
        assert twin.identity == backend.identity


@pytest.mark.parametrize("named", ["by an argument", "by the environment"])
def test_a_tilde_is_the_users_home(named: str, root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("p.yaml", "text: Hi")
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.chdir("/")
    folder = f"~/{root.name}"
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", folder if named == "by the environment" else "elsewhere")
    backend = FilesBackend(folder if named == "by an argument" else None)
    assert Resolver(backend).get_prompt("p").text == "Hi"
    assert backend.identity == FilesBackend(root).identity


def test_a_broken_file_does_not_hide_the_others(
    resolver: Resolver, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("a.yaml", "text: x\nversion: 1")
    write("b.yaml", "text: '{% if %}'")
    write("c.yaml", "text: [")
    assert [(summary.id, summary.versions) for summary in resolver.list_prompts()] == [
        ("a", (1,)),
        ("b", ()),
        ("c", ()),
    ]
    assert "files prompt 'b', line 1" in caplog.text
    assert "files prompt 'c', file c.yaml" in caplog.text
