"""What is written as YAML reads back equal."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import ConfigurationError, Placeholder, Prompt, Resolver
from promptwire.backends.files import FilesBackend, parse_prompt
from promptwire.backends.files_format import body_of, dump
from promptwire.backends.folder import Folder, read_yaml
from promptwire.frozen import thaw

TEXTS = st.text(alphabet=st.characters(codec="utf-8"))
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.builds(Placeholder, st.text("abc", min_size=1))
    | st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}),
    max_size=4,
)
CONFIGS = st.dictionaries(TEXTS.filter(lambda key: key not in {"model", "provider"}), VALUES, max_size=4)


def reread(prompt: Prompt) -> Prompt:
    body = read_yaml(dump(body_of(prompt, prompt.version, prompt.labels)).encode().decode(), "x")  # type: ignore[arg-type]
    return parse_prompt(body, prompt.id, Path("p.yaml"), "x")


@given(MESSAGES, CONFIGS, st.lists(st.text("abc\n#", min_size=1), max_size=3), st.integers(1, 2**31 - 1))
def test_a_chat_reads_back(messages: list[Any], config: dict[str, Any], labels: list[str], version: int) -> None:
    try:
        prompt = Prompt("p", messages=messages, config=config, labels=tuple(labels), version=version, backend="files")
    except Exception:  # noqa: BLE001 - a config that makes no prompt
        return
    assert reread(prompt) == prompt


@given(st.text(alphabet=" \n\t\r#:|>-'\"{}a\x85\u2028\ufeff\x00\x1b😀"))
def test_a_text_reads_back(text: str) -> None:
    prompt = Prompt("p", text=text, backend="files", dialect="humanloop", config={"model": "m", "stop": text or None})
    assert reread(prompt) == prompt


def test_what_people_read_is_laid_out_for_them() -> None:
    prompt = Prompt(
        "p", messages=[{"role": "system", "content": "One\nTwo: {{a}}"}, Placeholder("h")], dialect="jinja",
        config={"model": "gpt-4o", "temperature": 0.5, "tools": [{"name": "f"}], "note": "mine"}, partials={"a": 1},
        tags=("t",),
    )  # fmt: skip
    assert dump(body_of(prompt, 3, ["production"], message="why")) == (
        "version: 3\nlabels:\n- production\ntags:\n- t\nmessage: why\nparams:\n  temperature: 0.5\n"
        "config:\n  note: mine\n"
        "partials:\n  a: 1\nmodel: gpt-4o\ntools:\n- name: f\ntemplate_format: jinja\nmessages:\n- role: system\n"
        "  content: |-\n    One\n    Two: {{a}}\n- placeholder: h\n"
    )


def test_config_is_read_and_not_sent(root: Path, resolver: Resolver, write: Any) -> None:
    write(
        "a.yaml", "text: x\nconfig: {note: 1, temperature: 0.1}\nparams: {temperature: 0.9}\nmessage: m\nsource: {a: b}"
    )
    prompt = resolver.get_prompt("a")
    assert thaw(prompt.config) == {"note": 1, "temperature": 0.9}
    assert prompt.settings() == {"temperature": 0.9}
    assert resolver.history("a")[0].message == "m"


def test_files_are_put_in_place_whole(root: Path) -> None:
    folder = Folder(root, "files")
    folder.write(root / "a" / "b.yaml", "é\n")
    assert (root / "a" / "b.yaml").read_bytes() == "é\n".encode()
    assert [path.name for path in (root / "a").iterdir()] == ["b.yaml"]
    with pytest.raises(ConfigurationError, match="can't be written"):
        folder.write(root / "a" / "b.yaml" / "c.yaml", "x")
    with pytest.raises(ConfigurationError, match="can't be written"):
        folder.write(root / "s.yaml", "\ud800")
    with pytest.raises(ConfigurationError, match="outside the prompts folder"):
        folder.write(root.parent / "x.yaml", "x")
    with pytest.raises(ConfigurationError, match="outside the prompts folder"):
        folder.remove(root.parent / "x.yaml")
    (root / "link.yaml").symlink_to(root.parent / "target")
    folder.write(root / "link.yaml", "x")
    assert not (root.parent / "target").exists()
    assert sorted(path.name for path in root.iterdir()) == ["a", "link.yaml"]


def test_a_new_version_and_its_labels(root: Path, write: Any) -> None:
    write("a.yaml", "text: own\nlabels: [production]\n")
    backend = FilesBackend(root)
    resolver = Resolver(backend)
    assert resolver.push(Prompt("a", text="new", dialect="jinja"), labels=["staging"]).version == 1
    assert (root / "a@1.yaml").exists()
    assert resolver.push(Prompt("a", text="newer", dialect="jinja"), labels=["production"]).version == 2
    assert resolver.get_prompt("a", label="production").text == "newer"
    assert resolver.get_prompt("a").text == "own"  # the own file answers where nothing is named
    assert resolver.get_prompt("a").labels == ()
    assert [version.version for version in resolver.history("a")] == [2, 1, None]


@pytest.mark.parametrize("name", ["a@3", "a//b", "b/", "/etc/x", "../x"])
def test_ids_that_are_no_files_name(name: str, root: Path) -> None:
    with pytest.raises(ConfigurationError):
        Resolver(FilesBackend(root)).push(Prompt(name, text="x"))
    assert list(root.iterdir()) == []
