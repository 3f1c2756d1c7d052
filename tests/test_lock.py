"""``prompts.lock``: one form for one content, refused where it was tampered with, the only source when frozen."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import (
    BackendAuthError,
    BackendUnavailableError,
    ConfigurationError,
    ContractError,
    Event,
    Placeholder,
    Prompt,
    PromptNotFoundError,
    PromptRef,
    Resolver,
)
from promptwire.backends.chain import Chain
from promptwire.backends.memory import MemoryBackend
from promptwire.lock import Locked, dump_lock, parse_lock, read_lock, take_lock, write_lock
from promptwire.testing import FakeLangfuse
from promptwire.unseen import readable

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

Until = Callable[..., None]

REFS = [PromptRef("greeting"), PromptRef("farewell"), PromptRef("greeting", version=1)]
PROMPT = Prompt(
    "support/reply",
    messages=[
        {"role": "system", "content": "You help.\nBe kind.\n"},
        Placeholder("history"),
        {"role": "user", "content": [{"type": "text", "text": "{{question}}\nnow"}]},
    ],
    backend="langfuse",
    version=3,
    labels=("production", "latest"),
    tags=("support",),
    config={"model": "gpt-4o", "temperature": 0.2, "owner": "team é"},
)
ENTRY = Locked("langfuse", PromptRef("support/reply", label="production"), PROMPT)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.fixture
def path(tmp_path: Path, langfuse: FakeLangfuse) -> Path:
    """The lock of a project's two prompts."""
    path = tmp_path / "prompts.lock"
    write_lock(path, take_lock(Resolver("langfuse"), REFS))
    return path


def test_the_file_is_as_documented() -> None:
    expected = """{
"promptwire_lock": 1,
"prompts": [
{
  "asked": {
    "id": "support/reply",
    "backend": "langfuse",
    "label": "production"
  },
  "version": 3,
  "model": "gpt-4o",
  "variables": [
    "question"
  ],
  "placeholders": [
    "history"
  ],
  "content_hash": "HASH",
  "prompt": {
    "id": "support/reply",
    "backend": "langfuse",
    "version": 3,
    "messages": [
      {
        "role": "system",
        "content": [
          "You help.\\n",
          "Be kind.\\n"
        ]
      },
      {
        "placeholder": "history"
      },
      {
        "role": "user",
        "content": [
          {
            "type": "text",
            "text": "{{question}}\\nnow"
          }
        ]
      }
    ],
    "dialect": "mustache",
    "config": {
      "model": "gpt-4o",
      "temperature": 0.2,
      "owner": "team é"
    },
    "tags": [
      "support"
    ]
  }
}
]
}
"""
    text = dump_lock([ENTRY])
    assert text == expected.replace("HASH", PROMPT.content_hash)
    assert parse_lock(text) == (Locked("langfuse", ENTRY.ref, dataclasses.replace(PROMPT, labels=())),)


def _locked(prompt_id: str, version: int, text: str, note: str) -> Locked:
    messages = [{"role": "user", "content": content} for content in (text, f"{text}\n{note}")]
    prompt = Prompt(prompt_id, version=version, config={"note": note}, messages=messages)
    return Locked("langfuse", PromptRef(prompt_id, version), prompt)


KEYS = st.tuples(st.sampled_from("abc"), st.integers(1, 3))


@given(st.dictionaries(KEYS, st.tuples(TEXTS, TEXTS), max_size=6))
def test_what_is_read_is_what_was_written_in_one_order(entries: dict[tuple[str, int], tuple[str, str]]) -> None:
    locked = [_locked(*key, *texts) for key, texts in entries.items()]
    text = dump_lock(locked)
    assert dump_lock(reversed(locked)) == text
    assert set(parse_lock(text)) == set(locked)
    assert dump_lock(parse_lock(text)) == text
    text.encode()
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in text)
    assert readable(text) == text


def test_what_could_mislead_a_reviewer_is_escaped() -> None:
    hidden = "a\u202eb\u200b\x1b[31m\u2066\ufeff\u00a0\U000e0041"
    text = dump_lock([Locked("x", PromptRef("p"), Prompt("p", text=hidden))])
    assert r'"a\u202eb\u200b\u001b[31m\u2066\ufeff\u00a0\udb40\udc41"' in text
    assert parse_lock(text)[0].prompt.text == hidden


def test_a_lock_is_taken_of_what_the_backend_says_and_of_nothing_else(
    langfuse: FakeLangfuse, tmp_path: Path, path: Path
) -> None:
    entries = read_lock(path)
    assert [str(entry) for entry in entries] == [
        "langfuse:farewell@production", "langfuse:greeting@1", "langfuse:greeting@production"
    ]  # fmt: skip
    langfuse.stop()
    with pytest.raises(BackendUnavailableError, match="a store one won't do"):
        take_lock(Resolver("langfuse", store=path), REFS)
    langfuse.start()
    with pytest.raises(PromptNotFoundError):
        take_lock(Resolver("langfuse"), [*REFS, PromptRef("unknown")])


def test_writing_leaves_nothing_else_behind(path: Path) -> None:
    before = path.read_bytes()
    write_lock(path, read_lock(path))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["prompts.lock"]
    with pytest.raises(ConfigurationError, match="prompt 'p' can't be locked: it holds values"):
        write_lock(path, [Locked("x", PromptRef("p"), Prompt("p", text="x", config={"x": object()}))])
    assert path.read_bytes() == before


def test_a_lock_is_the_last_known_good(door: Door, path: Path, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", store=path)
    assert door.source(resolver, "greeting") == "fresh"
    langfuse.stop()
    later = Resolver("langfuse", store=path)
    assert door.source(later, "greeting") == "store"
    assert door.source(later, "farewell", version=1) == "store", "the version that the label was on"
    with pytest.raises(BackendUnavailableError):
        door.find(later, "greeting", label="staging")
    assert door.resolve(later, "greeting", variables={"name": "Ada"}).messages[0]["content"] == "Hello Ada"


def test_a_resolver_does_not_write_to_a_lock(door: Door, path: Path, langfuse: FakeLangfuse, until: Until) -> None:
    before = path.read_bytes()
    langfuse.publish("greeting", "Good day")
    langfuse.fail(404, match="farewell")
    resolver = Resolver("langfuse", store=path)
    assert door.find(resolver, "greeting")[0].version == 2
    with pytest.raises(PromptNotFoundError):
        door.find(resolver, "farewell")
    assert path.read_bytes() == before


def test_frozen_nobody_else_is_asked_and_no_key_is_needed(
    door: Door, path: Path, langfuse: FakeLangfuse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    langfuse.publish("greeting", "Good day")
    for name in langfuse.env:
        monkeypatch.delenv(name)
    asked = langfuse.count
    resolver = Resolver("langfuse", store=path, frozen=True, cache_ttl=0)
    for options in ({}, {"label": "production"}, {"version": 1}, {"backend": "langfuse"}):
        found, source = door.find(resolver, "greeting", **options)
        assert (found.version, found.backend) == (1, "langfuse")
        assert source == ("cached" if options.keys() & {"label", "backend"} else "store")
    assert door.source(resolver, "langfuse:farewell") == "store"
    clock.ahead += 1e9
    assert door.source(resolver, "greeting") == "cached"
    assert langfuse.count == asked
    assert [(row.id, row.versions, row.labels) for row in resolver.list_prompts()] == [
        ("farewell", (1,), ("production",)), ("greeting", (1,), ("production",))
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{"label": "staging"}, {"version": 2}])
@pytest.mark.parametrize("prompt_id", ["greeting", "unknown"])
def test_frozen_what_is_not_locked_is_an_error_that_says_so(
    prompt_id: str, options: Any, door: Door, path: Path, langfuse: FakeLangfuse
) -> None:
    asked = langfuse.count
    resolver = Resolver("langfuse", store=path, frozen=True)
    with pytest.raises(PromptNotFoundError, match=rf"langfuse prompt '{prompt_id}' \(.*\) is not in .*prompts.lock"):
        door.find(resolver, prompt_id, **options)
    assert door.source(resolver, prompt_id, fallback="Hi", **options) == "fallback"
    assert langfuse.count == asked


def test_frozen_a_locked_version_that_needs_more_than_its_contract_is_an_error_that_names_it(
    door: Door, path: Path, langfuse: FakeLangfuse, clock: Clock
) -> None:
    told: list[Event] = []
    resolver = Resolver("langfuse", store=path, frozen=True, contracts={"greeting": ()}, on_event=told.append)
    for ahead in (0, 1, 10):
        clock.ahead += ahead
        with pytest.raises(ContractError, match=r"'greeting' \(version 1\) is held back: it needs name"):
            door.find(resolver, "greeting")
    assert [event.kind for event in told] == ["held_back"]
    assert door.source(resolver, "greeting", fallback="Hi") == "fallback"


def test_frozen_a_prompt_of_another_backend_is_an_error_that_names_it(door: Door, path: Path) -> None:
    resolver = Resolver("files", store=path, frozen=True)
    with pytest.raises(PromptNotFoundError, match="it holds that id from langfuse: name that backend"):
        door.find(resolver, "greeting")
    with pytest.raises(PromptNotFoundError, match=r"ask for what was locked$"):
        door.find(resolver, "unknown")


def test_frozen_every_way_to_name_a_backend_is_answered_from_the_lock(path: Path, langfuse: FakeLangfuse) -> None:
    real = Resolver("langfuse").open_backend()
    resolver = Resolver(real, store=path, frozen=True)
    assert resolver.find("greeting")[1] == "store"
    assert resolver.find("greeting", backend=resolver.open_backend("langfuse", public_key="x", secret_key="y"))[1]
    with pytest.raises(PromptNotFoundError):
        resolver.find("greeting", backend="files")
    with pytest.raises(PromptNotFoundError):
        resolver.find("greeting", backend=MemoryBackend({"greeting": "x"}))
    with pytest.raises(ConfigurationError, match="no backend 'nowhere'"):
        resolver.find("greeting", backend="nowhere")


def test_a_chain_is_locked_as_a_chain(door: Door, langfuse: FakeLangfuse, tmp_path: Path) -> None:
    chain = Chain(["langfuse", MemoryBackend({"extra": "Hi"})])
    path = tmp_path / "prompts.lock"
    write_lock(path, take_lock(Resolver(), [PromptRef("greeting"), PromptRef("extra")], backend=chain))
    frozen = Resolver("chain", store=path, frozen=True)
    assert [door.find(frozen, prompt_id)[0].backend for prompt_id in ("greeting", "extra")] == ["langfuse", "memory"]


@pytest.mark.parametrize("store", [None, False, "folder", MemoryBackend()])
def test_frozen_needs_a_lock(store: Any) -> None:
    with pytest.raises(ConfigurationError, match="frozen=True needs a lock"):
        Resolver("langfuse", store=store, frozen=True).get_prompt("x")


def test_a_resolver_with_a_lock_pickles(path: Path) -> None:
    twin = pickle.loads(pickle.dumps(Resolver("langfuse", store=path, frozen=True)))  # noqa: S301 - our own
    assert twin.find("greeting")[1] == "store"


def _edited(change: Callable[[Any], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        body = json.loads(text)
        change(body)
        return json.dumps(body)

    return edit


BROKEN: dict[str, Callable[[str], str]] = {
    "missing": lambda text: "",
    "torn": lambda text: text[:-30],
    "no object": lambda text: "[]",
    "another format": _edited(lambda body: body.update(promptwire_lock=2)),
    "no entries": _edited(lambda body: body.pop("prompts")),
    "entries of another kind": _edited(lambda body: body.update(prompts=[1])),
    "deep": lambda text: "[" * 100_000,
    "merge conflict": lambda text: text.replace('"id"', '<<<<<<< HEAD\n"id"', 1),
    "a text edited by hand": lambda text: text.replace("Hello", "Hallo"),
    "a key twice": lambda text: text.replace('"backend": "langfuse"', '"backend": "x", "backend": "langfuse"', 1),
    "an entry twice": _edited(lambda body: body["prompts"].append(body["prompts"][0])),
    "an id that is none": _edited(lambda body: body["prompts"][0]["asked"].update(id="../x")),
    "a backend of another kind": _edited(lambda body: body["prompts"][0]["asked"].update(backend=5)),
    "messages of another kind": _edited(lambda body: body["prompts"][0]["prompt"].update(messages=5)),
    "a message of another kind": _edited(lambda body: body["prompts"][0]["prompt"].update(messages=[5])),
    "a hash of another kind": _edited(lambda body: body["prompts"][0].update(content_hash=None)),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_lock_that_is_broken_is_an_error_when_frozen_and_else_a_warning(
    change: Callable[[str], str], path: Path, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    text = change(path.read_text("utf-8"))
    path.write_text(text, "utf-8") if text else path.unlink()
    with pytest.raises(ConfigurationError, match=r"prompts\.lock can't be (used|read)"):
        read_lock(path)
    with pytest.raises(ConfigurationError, match=r"prompts\.lock can't be (used|read).*promptwire lock"):
        Resolver("langfuse", store=path, frozen=True).find("greeting")
    caplog.clear()
    resolver = Resolver("langfuse", store=path)
    with caplog.at_level(logging.WARNING):
        assert [resolver.find(prompt_id)[1] for prompt_id in ("greeting", "farewell")] == ["fresh", "fresh"]
    (record,) = caplog.records
    assert "the store can't be read, and is done without" in record.getMessage()


def _becomes_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _becomes_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("become", [_becomes_a_pipe, _becomes_a_device])
def test_what_never_ends_is_no_lock(become: Callable[[Path], None], path: Path, langfuse: FakeLangfuse) -> None:
    become(path)
    with pytest.raises(ConfigurationError, match=r"prompts\.lock can't be read \(OSError\)"):
        read_lock(path)
    assert Resolver("langfuse", store=path).find("greeting")[1] == "fresh"


def test_a_lock_has_a_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(path.read_text("utf-8"))
    monkeypatch.setattr("promptwire.lock.MAX_SIZE", size)
    assert len(read_lock(path)) == 3
    monkeypatch.setattr("promptwire.lock.MAX_SIZE", size - 1)
    with pytest.raises(ConfigurationError, match=r"prompts\.lock can't be read: it is larger than"):
        read_lock(path)


FALSE: dict[str, Callable[[Any], object]] = {
    "a version beside it": lambda entry: entry.update(version=2),
    "a model beside it": lambda entry: entry.update(model="gpt-9"),
    "a provider beside it": lambda entry: entry.update(provider="azure"),
    "variables beside it": lambda entry: entry.update(variables=["nothing"]),
    "variables left out": lambda entry: entry.pop("variables"),
    "a text beside it": lambda entry: entry.update(text=["Something harmless"]),
    "more of what was asked": lambda entry: entry["asked"].update(note="reviewed"),
    "a version as a text": lambda entry: entry["asked"].update(version="1"),
    "another version asked for": lambda entry: entry["asked"].update(version=2),
    "another id asked for": lambda entry: entry["asked"].update(id="other"),
    "another id": lambda entry: entry["prompt"].update(id="other"),
    "another version": lambda entry: (entry["prompt"].update(version=2), entry.update(version=2)),
    "labels": lambda entry: entry["prompt"].update(labels=["x"]),
    "lines cut elsewhere": lambda entry: entry["prompt"].update(text=["Hel", "lo {{name}}"]),
}


@pytest.mark.parametrize("change", FALSE.values(), ids=FALSE)
def test_an_entry_that_lies_about_its_prompt_is_refused(change: Callable[[Any], object], path: Path) -> None:
    body = json.loads(path.read_text("utf-8"))
    assert body["prompts"][1]["asked"] == {"id": "greeting", "backend": "langfuse", "version": 1}
    change(body["prompts"][1])
    with pytest.raises(
        ConfigurationError, match=r"can't be used: (what )?'langfuse:(greeting|other)@[12]' (tells|was)"
    ):
        parse_lock(json.dumps(body))


def test_another_prompt_than_the_one_asked_for_is_not_locked() -> None:
    for prompt in (Prompt("q", text="x"), Prompt("p", text="x", version=2)):
        with pytest.raises(ConfigurationError, match="can't be locked: 'x:p@1' was answered with another prompt"):
            dump_lock([Locked("x", PromptRef("p", 1), prompt)])


def test_wrong_keys_leave_the_lock_to_answer(door: Door, path: Path, langfuse: FakeLangfuse) -> None:
    langfuse.fail(401)
    assert door.source(Resolver("langfuse", store=path), "greeting") == "store"
    with pytest.raises(BackendAuthError):
        door.find(Resolver("langfuse"), "greeting")
