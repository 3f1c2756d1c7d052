"""Copies of another backend's prompts: what is written, moved, relabelled and kept."""

from pathlib import Path
from typing import Any

import pytest

from promptwire import Prompt, PromptConfigError, Resolver
from promptwire.backends.files import FilesBackend
from promptwire.backends.files_copies import place


def version(number: int | str | None, text: str = "", *labels: str, **options: Any) -> Prompt:
    options = {"backend": "langfuse", **options}
    return Prompt("a/b", text=text or f"text {number}", version=number, labels=labels, **options)


def placed(root: Path, *prompts: Prompt, default: Prompt | None = None, force: bool = False) -> dict[str, str]:
    """What became of each file."""
    done = place(FilesBackend(root), "a/b", prompts, default, force=force)
    return {one.path.name: one.state for one in done}


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "a").iterdir())


def test_the_default_is_the_own_file(root: Path) -> None:
    one, two = version(1), version(2, "", "production")
    assert placed(root, one, two, default=two) == {"b@1.yaml": "written", "b.yaml": "written"}
    assert placed(root, one, two, default=two) == {"b@1.yaml": "unchanged", "b.yaml": "unchanged"}
    resolver = Resolver(FilesBackend(root))
    assert resolver.get_prompt("a/b").text == "text 2"
    assert resolver.get_prompt("a/b", version=1).text == "text 1"


def test_a_new_default_makes_the_old_one_a_version_beside_it(root: Path) -> None:
    one = version(1, "", "production")
    placed(root, one, default=one)
    two = version(2, "", "production")
    assert placed(root, two, default=two) == {"b.yaml": "written"}
    assert files(root) == ["b.yaml", "b@1.yaml"]
    resolver = Resolver(FilesBackend(root))
    assert resolver.get_prompt("a/b", label="production").version == 2
    assert resolver.get_prompt("a/b", version=1).labels == ()

    assert placed(root, one, default=one) == {"b.yaml": "written"}  # rolled back
    assert files(root) == ["b.yaml", "b@2.yaml"]
    assert resolver.get_prompt("a/b", label="production").version == 1


def test_without_a_default_the_own_file_stays_where_it_is(root: Path) -> None:
    one, two = version(1), version(2)
    placed(root, one, default=one)
    assert placed(root, version(1, "", "staging"), two) == {"b.yaml": "written", "b@2.yaml": "written"}
    assert Resolver(FilesBackend(root)).get_prompt("a/b", label="staging").version == 1


def test_labels_move_between_copies_and_the_others_stay(root: Path) -> None:
    placed(root, version(1, "", "a", "b"), version(2, "", "c"))
    placed(root, version(2, "", "a", "c"))
    told = {one.version: one.labels for one in Resolver(FilesBackend(root)).history("a/b")}
    assert told == {2: ("a", "c"), 1: ("b",)}


def edit(root: Path, name: str, before: str, after: str) -> str:
    path = root / "a" / name
    text = path.read_text().replace(before, after)
    assert text != path.read_text()
    path.write_text(text)
    return text


@pytest.mark.parametrize(("before", "after"), [("text 1", "mine"), ("note: 1", "note: 2"), ("0.5", "0.7")])
def test_an_edit_is_kept_unless_forced(before: str, after: str, root: Path) -> None:
    one = version(1, config={"note": 1, "temperature": 0.5})
    placed(root, one, default=one)
    edited = edit(root, "b.yaml", before, after)
    assert placed(root, one, default=one) == {"b.yaml": "kept"}
    assert (root / "a" / "b.yaml").read_text() == edited
    assert placed(root, one, default=one, force=True) == {"b.yaml": "written"}
    assert placed(root, one, default=one) == {"b.yaml": "unchanged"}


def test_an_edit_moves_with_its_version(root: Path) -> None:
    one, two = version(1, "", "production"), version(2)
    placed(root, one, default=one)
    edit(root, "b.yaml", "text 1", "mine")
    assert placed(root, two, default=two) == {"b.yaml": "written"}
    assert Resolver(FilesBackend(root)).get_prompt("a/b", version=1).text == "mine"
    assert placed(root, version(1), two, default=two) == {"b@1.yaml": "kept", "b.yaml": "unchanged"}
    edited = Resolver(FilesBackend(root)).get_prompt("a/b", version=1)
    assert (edited.text, edited.labels) == ("mine", ())


def test_a_file_of_ones_own_is_not_overwritten(root: Path, write: Any) -> None:
    write("a/b.yaml", "text: mine")
    one = version(1)
    assert placed(root, one, default=one) == {"b@1.yaml": "written", "b.yaml": "kept"}
    assert Resolver(FilesBackend(root)).get_prompt("a/b").text == "mine"
    assert placed(root, one, default=one, force=True) == {"b.yaml": "written"}
    assert files(root) == ["b.yaml"]
    write("a/b@2.yml", "text: mine too")
    assert placed(root, version(2)) == {"b@2.yaml": "kept"}


def test_a_file_that_says_the_same_is_adopted(root: Path, write: Any) -> None:
    write("a/b.yml", "text: text 1\ntemplate_format: mustache")
    one = version(1)
    assert placed(root, one, default=one) == {"b.yml": "written"}
    assert "langfuse" in (root / "a" / "b.yml").read_text()


def test_a_composed_prompt_may_change_under_its_version(root: Path) -> None:
    one = version(1, "with footer 1")
    placed(root, one, default=one)
    two = version(1, "with footer 2")
    assert placed(root, two, default=two) == {"b.yaml": "written"}


def test_another_backends_copy_is_kept(root: Path) -> None:
    placed(root, version(1))
    assert placed(root, version(1, "other", backend="humanloop")) == {"b@1.yaml": "kept"}


def test_versions_that_are_no_numbers_get_some_and_keep_them(root: Path) -> None:
    old, new = (version(name, backend="humanloop") for name in ("prv_x", "prv_a"))
    assert placed(root, new) == {"b@1.yaml": "written"}
    assert placed(root, old, new, default=old) == {"b.yaml": "written", "b@1.yaml": "unchanged"}
    resolver = Resolver(FilesBackend(root))
    assert [resolver.get_prompt("a/b", version=number).text for number in (1, 2)] == ["text prv_a", "text prv_x"]


def test_a_prompt_without_versions_is_the_own_file(root: Path) -> None:
    placed(root, version(None, "one", backend="humanloop"))
    assert placed(root, version(None, "two", backend="humanloop", config={"a": 1})) == {"b.yaml": "written"}
    edit(root, "b.yaml", "two", "mine")
    assert placed(root, version(None, "three", backend="humanloop")) == {"b.yaml": "kept"}


def test_an_interrupted_copy_is_taken_up_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = version(1), version(2)
    placed(root, one, default=one)
    whole = FilesBackend(root)
    written: list[str] = []
    real = whole.folder.write

    def write(path: Path, text: str) -> None:
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path.name)
        real(path, text)

    monkeypatch.setattr(whole.folder, "write", write)
    with pytest.raises(KeyboardInterrupt):
        place(whole, "a/b", [two], two)
    assert written == ["b@1.yaml"]  # the own file, which other calls read, comes last
    assert Resolver(FilesBackend(root)).get_prompt("a/b").text == "text 1"
    assert placed(root, two, default=two) == {"b.yaml": "written"}
    assert placed(root, one, two, default=two) == {"b@1.yaml": "unchanged", "b.yaml": "unchanged"}


def test_what_lies_there_twice_becomes_one(root: Path) -> None:
    one = version(1)
    placed(root, one)
    placed(root, one, default=one)
    (root / "a" / "b@1.yaml").write_text((root / "a" / "b.yaml").read_text())
    assert placed(root, one, default=one) == {"b.yaml": "unchanged"}
    assert files(root) == ["b.yaml"]


def test_a_file_that_cannot_be_read_is_told(root: Path, write: Any) -> None:
    write("a/b@1.yaml", "text: [")
    with pytest.raises(PromptConfigError, match=r"b@1\.yaml"):
        placed(root, version(1))
    assert files(root) == ["b@1.yaml"]
