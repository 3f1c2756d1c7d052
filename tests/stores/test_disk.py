"""The folder of last good prompts: whole, bounded, private, and trusted only as far as it can be (DESIGN 4.9)."""

from __future__ import annotations

import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import BackendUnavailableError, ConfigurationError, Prompt, PromptRef, Resolver
from promptwire.stores import StoreKey
from promptwire.stores.disk import DiskStore
from promptwire.stores.records import RecordError, from_record, seal, to_record, unseal
from promptwire.testing import FakeLangfuse
from tests.doubles.stored import PROMPTS
from tests.doubles.worker import Worker

if TYPE_CHECKING:
    from tests.conftest import Door

Until = Callable[..., None]
Warm = Callable[..., Path]
Later = Callable[..., str]

KEY = StoreKey("langfuse", ("https://127.0.0.1", "digest"), PromptRef("support/reply", label="production"))
PROMPT = Prompt("support/reply", text="Hello {{name}}", backend="langfuse", version=3)

REFS = st.tuples(
    st.text(min_size=1), st.none() | st.integers(1, 9) | st.text(min_size=1), st.none() | st.text(min_size=1)
)


@given(PROMPTS)
def test_a_prompt_comes_back_from_its_record_as_it_was(prompt: Prompt) -> None:
    back = from_record(json.loads(json.dumps(to_record(prompt))))
    assert back == prompt
    assert (back.content_hash, back.labels, back.where) == (prompt.content_hash, prompt.labels, prompt.where)
    assert unseal(KEY, seal(KEY, prompt)) == prompt


@given(REFS, REFS)
def test_each_reference_has_a_file_name_of_its_own_made_of_safe_letters(one: Any, other: Any) -> None:
    refs = []
    for prompt_id, version, label in (one, other):
        try:
            refs.append(PromptRef(prompt_id, version, None if version is not None else label))
        except ConfigurationError:
            return
    names = [StoreKey("langfuse", "x", ref).name for ref in refs]
    assert (names[0] == names[1]) is (refs[0] == refs[1])
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Readme", "readme"),
        ("con", "CON"),
        ("a/b", "a\\b"),
        ("e\u0301", "\u00e9"),
        ("x.", "x"),
        ("a:b", "a_b"),
        ("x", "x "),
    ],
)
def test_ids_that_a_file_system_confuses_are_kept_apart(one: str, other: str, folder: Path) -> None:
    store = DiskStore(folder)
    keys = [StoreKey("files", "x", PromptRef(prompt_id)) for prompt_id in (one, other)]
    for key in keys:
        store.put(key, Prompt(key.ref.id, text=f"This is {key.ref.id!a}"), 60, 0)
    found = [store.get(key, 0) for key in keys]
    assert [stored and stored.prompt.id for stored in found] == [one, other]


def test_the_folder_and_its_files_are_this_users_alone_and_hold_no_secret(warm: Warm, langfuse: FakeLangfuse) -> None:
    path = warm()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    held = b"".join(file.name.encode() + file.read_bytes() for file in path.parent.iterdir())
    identity = Resolver("langfuse").open_backend().identity
    for secret in (langfuse.secret_key, langfuse.public_key, str(identity[1])):  # type: ignore[index]
        assert secret.encode() not in held


def test_a_prompt_that_says_nothing_new_is_not_written_again(folder: Path) -> None:
    store, path = DiskStore(folder), folder / f"{KEY.name}.prompt"
    store.put(KEY, PROMPT, 60, 0)
    os.utime(path, (1, 1))
    inode = path.stat().st_ino
    store.put(KEY, PROMPT, 60, 0)
    assert path.stat().st_ino == inode
    assert path.stat().st_mtime > 1
    os.utime(path, (5, 5))
    stored = store.get(KEY, 0)
    assert stored is not None
    assert stored.prompt.fetched_at == 5, "its age is what its readers are shown"
    store.put(KEY, Prompt(PROMPT.id, text="Bye"), 60, 0)
    assert path.stat().st_ino != inode


def key(number: int) -> StoreKey:
    return StoreKey("langfuse", "x", PromptRef(f"p{number}"))


def filled(store: DiskStore, numbers: Iterator[int] | range, size: int = 1) -> None:
    for number in numbers:
        store.put(key(number), Prompt(f"p{number}", text="x" * size), 60, 0)
        os.utime(store.folder / f"{key(number).name}.prompt", (number, number))


def held(store: DiskStore, numbers: range) -> list[int]:
    return [number for number in numbers if store.get(key(number), 0)]


def test_past_its_number_of_files_those_confirmed_longest_ago_go(folder: Path) -> None:
    store = DiskStore(folder, max_files=5)
    filled(store, range(1, 6))
    store.put(key(1), Prompt("p1", text="x"), 60, 0)  # confirmed
    filled(store, range(6, 9))
    assert held(store, range(1, 9)) == [1, 5, 6, 7, 8]


def test_past_its_number_of_bytes_those_confirmed_longest_ago_go(folder: Path) -> None:
    store = DiskStore(folder, max_bytes=10_000)
    filled(store, range(1, 30), 1000)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_500
    kept = held(store, range(1, 30))
    assert kept == list(range(kept[0], 30))
    assert len(kept) >= 5


def test_two_processes_with_one_folder_stay_within_its_bounds(folder: Path) -> None:
    script = """
import sys
from promptwire import Prompt, PromptRef
from promptwire.stores import StoreKey
from promptwire.stores.disk import DiskStore
store = DiskStore(sys.argv[1], max_files=40)
for number in [*range(50)] * 8:
    ref = PromptRef(f"p{number}")
    store.put(StoreKey("langfuse", "x", ref), Prompt(ref.id, text="x"), 60, 0)
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, folder], stderr=subprocess.PIPE) for _ in range(2)]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b"", b""]
    assert len(list(folder.iterdir())) <= 46, "each is up to three files late"


def test_what_another_process_removed_while_it_was_to_be_confirmed_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, utime = DiskStore(folder), os.utime
    store.put(KEY, PROMPT, 60, 0)

    def too_late(path: Path) -> None:
        DiskStore(folder).drop(KEY, 0)
        utime(path)

    monkeypatch.setattr("promptwire.stores.disk.os.utime", too_late)
    store.put(KEY, PROMPT, 60, 0)
    assert store.get(KEY, 0) is not None


def test_what_a_crash_left_unfinished_is_removed_after_an_hour_and_nothing_else_is(folder: Path) -> None:
    folder.mkdir()
    names = ("old.tmp", "new.tmp", "notes.txt")
    for name in names:
        (folder / name).write_text("x")
        os.utime(folder / name, (1, 1) if name != "new.tmp" else None)
    (folder / "sub.prompt").mkdir()
    DiskStore(folder).put(KEY, PROMPT, 60, 0)
    left = {path.name for path in folder.iterdir()}
    assert left == {"new.tmp", "notes.txt", "sub.prompt", f"{KEY.name}.prompt"}


def test_what_is_too_large_or_no_json_is_not_written(folder: Path) -> None:
    store = DiskStore(folder)
    for config in ({"x": object()}, {"x": float("inf")}, {"x": "é" * 4_000_000}):
        with pytest.raises(RecordError):
            store.put(KEY, Prompt("p", text="x", config=config), 60, 0)
    assert not folder.exists()


def test_a_store_pickles_with_its_bounds(folder: Path) -> None:
    twin = pickle.loads(pickle.dumps(DiskStore(folder, max_files=2)))  # noqa: S301 - our own
    filled(twin, range(1, 5))
    assert held(twin, range(1, 5)) == [3, 4]


def test_a_relative_folder_is_that_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = DiskStore("here")
    monkeypatch.chdir("/")
    store.put(KEY, PROMPT, 60, 0)
    assert (tmp_path / "here").is_dir()


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _is_private(path: Path, size: int) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    told = path.stat()
    return told.st_size == size and stat.S_IMODE(told.st_mode) == 0o600


def _in_place(path: Path, make: Callable[[Path], object]) -> None:
    aside = path.with_name("aside")
    path.rename(aside)
    make(path)


def _renamed(path: Path) -> None:
    other = next(file for file in path.parent.glob("*.prompt") if file != path)
    path.write_bytes(other.read_bytes())


def _resealed(path: Path) -> None:
    """By somebody who knows the code, the prompt and the host, but not the keys."""
    path.write_bytes(seal(StoreKey("langfuse", "guess", PromptRef("greeting", label="production")), PROMPT))


ATTACKS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "torn in its header": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "torn in its body": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "a bit of its code": lambda path: _flip(path, 20),
    "a bit of its text": lambda path: _flip(path, -10),
    "a header alone": lambda path: path.write_bytes(b"promptwire 1 " + b"0" * 64 + b"\n"),
    "another prompt's, renamed": _renamed,
    "sealed with other keys": _resealed,
    "bare JSON": lambda path: path.write_text(json.dumps({"prompt": to_record(PROMPT)})),
    "deep JSON": lambda path: path.write_bytes(b"[" * 1_000_000),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(PROMPT)),
    "a link to its content": lambda path: _in_place(path, lambda path: path.symlink_to(path.with_name("aside"))),
    "a link to nowhere": lambda path: _in_place(path, lambda path: path.symlink_to(path.with_name("gone"))),
    "a folder": lambda path: _in_place(path, Path.mkdir),
    "a pipe": lambda path: _in_place(path, os.mkfifo),
    "a huge file": lambda path: os.truncate(path, 10**12),
    "writable by others": lambda path: path.chmod(0o622),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_was_tampered_with_is_ignored_reported_once_and_replaced(
    attack: str, warm: Warm, folder: Path, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    warm("farewell")
    path = warm("greeting")
    ATTACKS[attack](path)
    langfuse.stop()
    resolver = Resolver("langfuse", store=folder, timeout=0.2)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(BackendUnavailableError):
                resolver.find("greeting")
    (record,) = caplog.records
    assert "langfuse prompt 'greeting': ignoring" in record.getMessage()
    assert str(path) in record.getMessage()
    assert resolver.find("farewell")[1] == "store"


def test_a_bad_file_is_reported_once_for_all_who_share_the_store(
    warm: Warm, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    path = warm()
    path.write_bytes(b"")
    langfuse.stop()
    store = DiskStore(path.parent)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(BackendUnavailableError):
                Resolver("langfuse", store=store, timeout=0.2).find("greeting")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "a folder"])
def test_the_next_good_answer_takes_the_place_of_what_was_tampered_with(
    attack: str, warm: Warm, later: Later, folder: Path, *, langfuse: FakeLangfuse, until: Until
) -> None:
    warm("farewell")
    path = warm("greeting")
    good = path.read_bytes()
    ATTACKS[attack](path)
    aside = path.with_name("aside").read_bytes() if path.with_name("aside").exists() else None
    Resolver("langfuse", store=folder).get_prompt("greeting")
    until(lambda: _is_private(path, len(good)) and path.read_bytes() == good)
    assert aside in {None, good}, "what a link points to is not written through"
    langfuse.stop()
    assert later() == "store"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a file away")
def test_another_users_file_is_ignored(warm: Warm, folder: Path, langfuse: FakeLangfuse) -> None:
    os.chown(warm(), 12345, 12345)
    langfuse.stop()
    with pytest.raises(BackendUnavailableError):
        Resolver("langfuse", store=folder, timeout=0.2).find("greeting")


BAD_RECORDS: dict[str, Any] = {
    "no object": [], "nothing": {}, "a text": "x",
    "no id": {"backend": "x", "dialect": "mustache", "text": "x"},
    "an unknown field": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "content_hash": "0"},
    "labels of numbers": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "labels": [1]},
    "a version of another kind": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "version": True},
    "an unknown dialect": {"id": "x", "backend": "x", "dialect": "eval", "text": "x"},
    "a broken template": {"id": "x", "backend": "x", "dialect": "jinja", "text": "{% if %}"},
    "messages of texts": {"id": "x", "backend": "x", "dialect": "mustache", "messages": ["x"]},
    "messages that are none": {"id": "x", "backend": "x", "dialect": "mustache", "messages": 5},
    "an odd placeholder": {"id": "x", "backend": "x", "dialect": "mustache", "messages": [{"placeholder": 1}]},
    "text and messages": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "messages": []},
    "a config of another kind": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "config": [1]},
    "a stop of another kind": {"id": "x", "backend": "x", "dialect": "mustache", "text": "x", "config": {"stop": 5}},
}  # fmt: skip


@pytest.mark.parametrize("record", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_record_that_is_none_is_refused_by_one_error(record: Any) -> None:
    with pytest.raises(RecordError):
        from_record(record)


def test_writers_that_are_killed_leave_every_file_whole(folder: Path, langfuse: FakeLangfuse, door: Door) -> None:
    """Readers and writers of two processes at once; each writer is killed amid its work."""
    script = """
import sys
from promptwire import Prompt, PromptRef
from promptwire.stores import StoreKey
from promptwire.stores.disk import DiskStore
store, turn = DiskStore(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    for number in range(5):
        ref = PromptRef(f"p{number}")
        store.put(StoreKey("langfuse", "x", ref), Prompt(ref.id, text=sys.argv[2] * 20_000 + str(turn)), 60, 0)
"""
    store = DiskStore(folder)
    seen: set[str] = set()
    for _ in range(3):
        writers = [
            subprocess.Popen([sys.executable, "-c", script, folder, letter], stdout=subprocess.PIPE) for letter in "ab"
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            for number in range(5):
                stored = store.get(StoreKey("langfuse", "x", PromptRef(f"p{number}")), 0)
                if stored is not None and stored.prompt.text:
                    assert len(set(stored.prompt.text[:20_000])) == 1
                    seen.add(stored.prompt.text[0])
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert seen == {"a", "b"}
    assert not store._reported  # noqa: SLF001 - none was torn


def test_an_application_that_is_killed_amid_its_writes_leaves_the_next_one_what_it_last_had(
    folder: Path, files: Callable[[], list[Path]], langfuse: FakeLangfuse, until: Until
) -> None:
    """Two of them with one folder; the backend is down when the next one starts."""
    texts = {1: "Hello {{name}}"}
    for _ in range(2):
        workers = [Worker(str(folder), cache_ttl=0) for _ in range(2)]
        for worker in workers:
            worker.hear()
            assert worker.do("find", "greeting")[1] == "fresh"
        until(files)
        for _ in range(5):
            text = f"Version {len(texts) + 1}: " + "x" * 100_000
            texts[langfuse.publish("greeting", text)] = text
            for worker in workers:
                worker.tell("find", "greeting")
        for worker in workers:
            worker.kill()
            worker.process.communicate()
        langfuse.stop()
        found, source = Resolver("langfuse", store=folder, timeout=0.3).find("greeting")
        assert (found.text, source) == (texts[int(found.version or 0)], "store")
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert len(files()) == 1
        langfuse.start()
