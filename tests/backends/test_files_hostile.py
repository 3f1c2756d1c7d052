"""A folder of YAML prompts: broken files, and paths that lead out."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from promptwire import Resolver
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, PromptwireError, TemplateError

Write = Callable[..., Path]

BOMB = "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\ntext: x"
BROKEN: list[tuple[str | bytes, type[PromptwireError], str]] = [
    ("", PromptConfigError, "a prompt file is a mapping with 'text' or 'messages'"),
    ("# nothing", PromptConfigError, "a prompt file is a mapping"),
    ("just a text", PromptConfigError, "a prompt file is a mapping"),
    ("[text, x]", PromptConfigError, "a prompt file is a mapping"),
    ("model: gpt-4o", TemplateError, "either a text or a list of messages"),
    ("text: a\nmessages: []", TemplateError, "either a text or a list of messages"),
    ("txet: a", PromptConfigError, r"it has no key 'txet' \(did you mean 'text'\?\)"),
    ("text: a\ntemperature: 1", PromptConfigError, "it has no key 'temperature' under 'params'"),
    ("text: a\n5: b", PromptConfigError, "it has no key 5$"),
    ("text: 5", PromptConfigError, "'text' must be a text, not int"),
    ("messages: hi", PromptConfigError, "'messages' must be a list, not str"),
    ("messages: [hi]", TemplateError, "message 1: a message has a role and a content"),
    ("messages: [{placeholder: 5}]", TemplateError, "message 1: a message has a role"),
    ("messages: [{role: user, content: hi, on: 2026-01-02}]", TemplateError, "message 1: a message holds plain JSON"),
    ("text: a\nparams: [a]", PromptConfigError, "'params' must be a mapping, not list"),
    ("text: a\nparams: {stop: 5}", PromptConfigError, "config key 'stop' must be a text or a list of texts, not int"),
    (
        "text: a\nparams: {metadata: {day: 2026-01-02}}",
        PromptConfigError,
        "config key 'metadata' must be a JSON object",
    ),
    ("text: a\nparams: {5: a}", PromptConfigError, "its config must be a mapping with texts as keys"),
    ("text: a\nmodel: [a]", PromptConfigError, "config key 'model' must be a text, not"),
    ("text: a\ntools: {name: x}", PromptConfigError, "config key 'tools' must be a list of JSON objects"),
    ("text: a\nlabels: production", PromptConfigError, "'labels' must be a list, not str"),
    ("text: a\ntags: 5", PromptConfigError, "'tags' must be a list"),
    ("text: a\npartials: [a]", PromptConfigError, "'partials' must be a mapping"),
    ("text: a\npartials: {1: a, b: c}", PromptConfigError, "its partials must be a mapping with texts"),
    ("text: a\ntemplate_format: 5", PromptConfigError, "'template_format' must be a text"),
    ("text: '{{a}}'\ntemplate_format: erb", PromptConfigError, "unknown template dialect 'erb'"),
    ("text: '{% if %}'", TemplateError, "files prompt 'p'"),
    ("text: a\nversion: new", PromptConfigError, "'version' must be a whole number, not str"),
    ("text: a\nversion: 0", PromptConfigError, "'version' counts from 1 to 2147483647"),
    ("text: a\nversion: true", PromptConfigError, "'version' counts from 1"),
    ("text: a: b", PromptConfigError, "not plain YAML in line 1: mapping values are not allowed here"),
    ("text: a\n--- \ntext: b", PromptConfigError, "not plain YAML in line 2: but found another document"),
    ("text: \x07", PromptConfigError, "not plain YAML: unreadable"),
    ("text: =", PromptConfigError, "not plain YAML in line 1"),
    ("text: 2026-13-99", PromptConfigError, "an impossible value"),
    ("text: " + "9" * 5000, PromptConfigError, "an impossible value"),
    ("text: a\nconfig: {a: 1" + ":59" * 500 + "}", PromptConfigError, "an impossible value"),
    ("text: a\nmodel: b\ntext: c", PromptConfigError, "not plain YAML in line 1: a key stands twice in it"),
    ("text: a\nparams:\n  n: 1\n  'n': 2", PromptConfigError, "not plain YAML in line 3: a key stands twice in it"),
    ("text: " + "[" * 500 + "]" * 500, PromptConfigError, "nested too deeply"),
    (BOMB, PromptConfigError, "YAML tags and aliases are not read"),
    ("text: !!python/object/apply:os.system [true]", PromptConfigError, "YAML tags and aliases are not read"),
    ("text: !!int ''", PromptConfigError, "YAML tags"),
    ("text: !!bool x", PromptConfigError, "YAML tags"),
    ("text: !own {a: b}", PromptConfigError, "YAML tags"),
    ("text: " + "[" * 50_000 + "]" * 50_000, PromptConfigError, "nested too deeply"),
    ("text: Grüße".encode("latin-1"), PromptConfigError, "file p.yaml can't be read as UTF-8 text"),
    (b"\xff\xfet\x00e\x00", PromptConfigError, "can't be read as UTF-8 text"),
    (b"text: " + b"x" * 10_000_000, PromptConfigError, "file p.yaml is larger than 10 MB"),
]


@pytest.mark.parametrize(("content", "error", "words"), BROKEN, ids=range(len(BROKEN)))
def test_broken_files(
    resolver: Resolver, write: Write, content: str | bytes, error: type[PromptwireError], words: str
) -> None:
    write("p.yaml", content)
    with pytest.raises(error, match=words) as caught:
        resolver.get_prompt("p")
    assert "files prompt 'p'" in str(caught.value)


@pytest.mark.parametrize("value", ["1", "[]", "{}"])
def test_a_file_of_too_many_values(
    value: str, resolver: Resolver, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys count too, and lists and mappings, be they empty: seven are around these."""
    monkeypatch.setattr("promptwire.backends.folder.MAX_VALUES", 50)
    write("p.yaml", "text: a\nconfig: {a: [" + f"{value}," * 43 + "]}")
    assert len(resolver.get_prompt("p").config["a"]) == 43
    write("q.yaml", "text: a\nconfig: {a: [" + f"{value}," * 44 + "]}")
    with pytest.raises(PromptConfigError, match="more than 50 keys and values"):
        resolver.get_prompt("q")


def test_a_name_and_a_version_that_disagree(resolver: Resolver, write: Write) -> None:
    write("p@3.yaml", "text: a\nversion: 4")
    with pytest.raises(PromptConfigError, match=r"p@3\.yaml: 'version' says 4, the file's name 3"):
        resolver.get_prompt("p")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbftext: Hi", b"text: Hi\r\n", b"%YAML 1.1\n---\ntext: Hi\n"])
def test_what_editors_leave(resolver: Resolver, write: Write, content: bytes) -> None:
    write("p.yaml", content)
    assert resolver.get_prompt("p").text == "Hi"


@pytest.mark.parametrize("prompt_id", ["../secret", "..", "a/../../secret", "..\\secret", "/", "a\0b"])
def test_ids_that_lead_out(resolver: Resolver, root: Path, prompt_id: str) -> None:
    (root.parent / "secret.yaml").write_text("text: canary")
    with pytest.raises(ConfigurationError):
        resolver.get_prompt(prompt_id)
    with pytest.raises(ConfigurationError, match="leads out of the prompts folder"):
        resolver.get_prompt(str(root.parent / "secret"))


def test_links_that_lead_out(resolver: Resolver, root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_text("text: canary")
    (root / "folder").symlink_to(outside)
    (root / "file.yaml").symlink_to(outside / "secret.yaml")
    (root / "v@1.yaml").symlink_to(outside / "secret.yaml")
    for prompt_id in ("folder/secret", "file", "v"):
        with pytest.raises(ConfigurationError, match=f"files prompt '{prompt_id}'.* leads? out of the prompts folder"):
            resolver.get_prompt(prompt_id)


ODD = [b"..yaml", b"...yaml", b" .yaml", b"a\nb.yaml", b"a\x1b[2J.yaml", b"\xff.yaml", b"a\\..\\b.yaml", b"@3.yaml"]


def test_an_odd_file_does_not_hide_the_others(
    resolver: Resolver, root: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("good.yaml", "text: x\nversion: 1")
    (root.parent / "secret.yaml").write_text("text: canary")
    (root / "link.yaml").symlink_to(root.parent / "secret.yaml")
    for name in ODD:
        Path(os.fsdecode(bytes(root) + b"/" + name)).write_text("text: x")
    assert [(one.id, one.versions) for one in resolver.list_prompts()] == [("@3", ()), ("good", (1,))]
    assert len(caplog.records) == len(ODD)
    assert "its file is a link that leads out" in caplog.text


def test_links_that_stay_inside(resolver: Resolver, root: Path, write: Write) -> None:
    write("real/p.yaml", "text: inside")
    (root / "folder").symlink_to(root / "real")
    (root / "file.yaml").symlink_to(root / "real" / "p.yaml")
    for prompt_id in ("folder/p", "file"):
        assert resolver.get_prompt(prompt_id).text == "inside"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(resolver: Resolver, write: Write) -> None:
    write("p.yaml", "text: x").chmod(0)
    with pytest.raises(PromptConfigError, match="can't be read"):
        resolver.get_prompt("p")


def test_a_file_that_vanishes_while_it_is_read(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    with pytest.raises(PromptNotFoundError):
        resolver.get_prompt("p")
