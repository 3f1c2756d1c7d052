"""What a store does for a resolver whose backend fails, and that it never costs anybody an answer (DESIGN 4.7)."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import BackendUnavailableError, ConfigurationError, Prompt, PromptNotFoundError, PromptRef, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.cache import PromptCache
from promptwire.invalidation import hear
from promptwire.stores import Scope, Stored, StoreKey
from promptwire.stores.disk import DiskStore
from promptwire.stores.keeper import Keeper
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.conftest import Clock, Door, Stub

Until = Callable[..., None]
Warm = Callable[..., Path]
Later = Callable[..., str]

DOWN: dict[str, Callable[[FakeLangfuse], object]] = {
    "refused": lambda server: server.stop(),
    "hang": lambda server: server.hang(),
    "drip": lambda server: server.drip(0.1),
    "503": lambda server: server.fail(503),
    "401": lambda server: server.fail(401),
    "403": lambda server: server.fail(403),
    "html": lambda server: server.garbage(),
}


@pytest.mark.parametrize("fault", DOWN)
def test_a_process_that_starts_in_an_outage_runs_on_what_the_last_one_had(
    fault: str, warm: Warm, later: Later, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
) -> None:
    warm()
    DOWN[fault](langfuse)
    started = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        assert later() == "store"
    assert time.perf_counter() - started < 3
    (record,) = caplog.records
    assert "answering with a stored prompt: langfuse prompt 'greeting' (label 'production')" in record.getMessage()


def test_the_stored_prompt_is_the_one_that_was_served(
    door: Door, folder: Path, langfuse: FakeLangfuse, until: Until
) -> None:
    first = Resolver("langfuse", store=folder)
    served = [first.get_prompt(prompt_id) for prompt_id in ("greeting", "farewell")]
    until(lambda: len(list(folder.glob("*.prompt"))) == 2)
    langfuse.stop()
    second = Resolver("langfuse", store=folder)
    found = [door.find(second, prompt_id)[0] for prompt_id in ("greeting", "farewell")]
    assert found == served
    assert [prompt.labels for prompt in found] == [prompt.labels for prompt in served]
    rendered = door.resolve(second, "greeting", variables={"name": "Ada"})
    assert (rendered.messages, rendered.source) == ([{"role": "user", "content": "Hello Ada"}], "store")
    assert rendered.params["stop"] == ["END"]


def test_the_outage_is_told_of_once_and_its_end_is_noticed(
    door: Door,
    warm: Warm,
    folder: Path,
    *,
    langfuse: FakeLangfuse,
    clock: Clock,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warm()
    langfuse.stop()
    resolver = Resolver("langfuse", store=folder)
    with caplog.at_level(logging.WARNING):
        assert [door.source(resolver, "greeting") for _ in range(5)] == ["store"] * 5
    assert len(caplog.records) == 1
    langfuse.start()
    langfuse.publish("greeting", "Good day {{name}}")
    clock.ahead += 11
    until(lambda: door.source(resolver, "greeting") == "cached")
    assert resolver.get_prompt("greeting").version == 2


def test_while_the_circuit_is_open_the_store_alone_is_asked(
    door: Door, warm: Warm, folder: Path, langfuse: FakeLangfuse
) -> None:
    warm("greeting", "farewell")
    langfuse.stop()
    resolver = Resolver("langfuse", store=folder)
    assert door.source(resolver, "greeting") == "store"
    langfuse.start()
    before = langfuse.count
    assert [door.source(resolver, "farewell") for _ in range(3)] == ["store"] * 3
    with pytest.raises(BackendUnavailableError, match="not asked for"):
        door.find(resolver, "unknown")
    assert langfuse.count == before


def test_stale_memory_comes_before_the_store_and_the_store_before_the_fallback(
    door: Door, warm: Warm, folder: Path, langfuse: FakeLangfuse, clock: Clock
) -> None:
    warm()
    lived = Resolver("langfuse", store=folder)
    door.find(lived, "greeting")
    langfuse.fail(500)
    clock.ahead += 10_000
    assert door.source(lived, "greeting", fallback="Hi") == "stale"
    assert door.source(Resolver("langfuse", store=folder), "greeting", fallback="Hi") == "store"
    assert door.source(Resolver("langfuse", store=folder), "farewell", fallback="Hi") == "fallback"


def test_what_the_backend_says_is_gone_leaves_the_store_and_refused_keys_do_not(
    warm: Warm, later: Later, files: Callable[[], list[Path]], langfuse: FakeLangfuse, until: Until
) -> None:
    warm()
    for status in (401, 403):
        langfuse.fail(status)
        assert later() == "store"
    langfuse.fail(404)
    with pytest.raises(PromptNotFoundError):
        later()
    until(lambda: not files())
    langfuse.fail(503)
    with pytest.raises(BackendUnavailableError):
        later()


def test_nobody_gets_what_was_stored_for_other_keys_another_host_version_or_label(
    warm: Warm, later: Later, langfuse: FakeLangfuse
) -> None:
    warm()
    url, public, secret = langfuse.url, langfuse.public_key, langfuse.secret_key
    langfuse.stop()
    assert later(version=None) == "store"
    assert later(label="production") == "store"
    for options in ({"version": 1}, {"label": "latest"}):
        with pytest.raises(BackendUnavailableError):
            later(**options)
    for other in ((public, "sk-lf-other", url), ("pk-lf-other", secret, url), (public, secret, f"{url}/other")):
        with pytest.raises(BackendUnavailableError):
            later(backend=LangfuseBackend(*other))


def test_the_environment_names_the_store_and_false_is_none(
    monkeypatch: pytest.MonkeyPatch, warm: Warm, folder: Path, langfuse: FakeLangfuse
) -> None:
    warm()
    langfuse.stop()
    resolver = Resolver("langfuse")
    monkeypatch.setenv("PROMPTWIRE_STORE", str(folder))
    assert resolver.find("greeting", timeout=0.2)[1] == "store"
    with pytest.raises(BackendUnavailableError):
        Resolver("langfuse", store=False).find("greeting", timeout=0.2)


@pytest.mark.parametrize("named", ["here", "by the environment"])
def test_a_tilde_is_the_users_home(
    named: str, folder: Path, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("PROMPTWIRE_STORE", "~/store" if named == "by the environment" else "elsewhere")
    Resolver("langfuse", store="~/store" if named == "here" else None).get_prompt("greeting")
    until(lambda: list(folder.parent.rglob("*.prompt")))
    assert [path.parent for path in folder.parent.rglob("*.prompt")] == [folder]


@pytest.mark.parametrize(
    ("store", "message"),
    [(5, "not int"), ("", "not str"), (object, "not type"), ("s3://127.0.0.1", "no store for s3://")],
)
def test_what_is_no_store_is_refused_at_the_first_use(store: Any, message: str, stub: type[Stub]) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Resolver(stub(), store=store).get_prompt("x")


def test_a_resolver_with_a_store_pickles(warm: Warm, folder: Path, langfuse: FakeLangfuse) -> None:
    warm()
    twin = pickle.loads(pickle.dumps(Resolver("langfuse", store=folder, timeout=0.2)))  # noqa: S301 - our own
    langfuse.stop()
    assert twin.find("greeting")[1] == "store"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_reads_and_writes_the_store(
    folder: Path, files: Callable[[], list[Path]], langfuse: FakeLangfuse, until: Until
) -> None:
    script = """
import os, sys, time
from pathlib import Path
from promptwire import Resolver
resolver = Resolver("langfuse", store=sys.argv[1])
resolver.get_prompt("greeting")
if os.fork() == 0:
    resolver.get_prompt("farewell")
    while len(list(Path(sys.argv[1]).glob("*.prompt"))) < 2:
        time.sleep(0.005)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    run = subprocess.run([sys.executable, "-c", script, folder], check=False, timeout=60, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert len(files()) == 2


BROKEN: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "it is a file": lambda folder, patch: folder.write_text("x"),
    "the disk is full": lambda folder, patch: patch.setattr("promptwire.stores.disk.os.fsync", _raise(errno.ENOSPC)),
    "it is read-only": lambda folder, patch: patch.setattr(
        "promptwire.stores.disk.tempfile.mkstemp", _raise(errno.EROFS)
    ),
    "it may not be entered": lambda folder, patch: patch.setattr(
        "promptwire.stores.disk.os.open", _raise(errno.EACCES)
    ),
}


def _raise(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_store_that_fails_costs_one_warning_and_no_answer(
    trouble: str,
    door: Door,
    folder: Path,
    langfuse: FakeLangfuse,
    *,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    BROKEN[trouble](folder, monkeypatch)
    resolver = Resolver("langfuse", store=folder, cache_ttl=0)
    with caplog.at_level(logging.WARNING):
        assert [door.source(resolver, "greeting") for _ in range(4)] == ["fresh"] * 4
        until(lambda: any("can't be written" in record.getMessage() for record in caplog.records))
        door.find(resolver, "farewell")
    told = [record.getMessage() for record in caplog.records if "can't be written" in record.getMessage()]
    assert len(told) == 1
    assert len(caplog.records) <= 2  # reading may fail as well
    until(lambda: not list(folder.parent.rglob("*.tmp")))  # a write may be under way


def test_a_disk_that_is_really_full_leaves_no_half_file(folder: Path, langfuse: FakeLangfuse) -> None:
    script = """
import resource, sys, time
from promptwire import Resolver
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
resolver = Resolver("langfuse", store=sys.argv[1], cache_ttl=0)
print([resolver.find("greeting")[1] for _ in range(3)])
"""
    run = subprocess.run([sys.executable, "-c", script, folder], check=True, timeout=60, capture_output=True, text=True)
    assert run.stdout.strip() == "['fresh', 'fresh', 'fresh']"
    assert not list(folder.glob("*.prompt"))


def test_a_prompt_that_cannot_be_stored_costs_one_warning_however_often_others_are(
    door: Door, stub: type[Stub], folder: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    odd = ("odd", "odder")
    backend = stub(lambda ref, http: Prompt(ref.id, text="x", config={"x": object()} if ref.id in odd else {}))
    resolver = Resolver(backend, store=folder, cache_ttl=0)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            for prompt_id in (*odd, f"p{number}"):
                door.find(resolver, prompt_id)
            until(lambda number=number: len(list(folder.glob("*.prompt"))) == number + 1)
        until(lambda: len(caplog.records) >= 2)
    assert sorted("odder" in record.getMessage() for record in caplog.records) == [False, True]


def test_many_who_miss_at_once_ask_the_store_once_and_the_backend_once(
    warm: Warm, folder: Path, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm()
    reads = Counter[str]()
    read = DiskStore.get

    def counted(self: DiskStore, key: StoreKey, deadline: float) -> Stored | None:
        reads[key.ref.id] += 1
        return read(self, key, deadline)

    monkeypatch.setattr(DiskStore, "get", counted)
    langfuse.hang()
    resolver = Resolver("langfuse", store=folder, timeout=0.5)
    before = langfuse.count
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: resolver.find("greeting")[1], range(200)))
    assert set(found) == {"store"}
    assert reads == {"greeting": 1}
    assert langfuse.count - before == 1


def test_an_invalidated_prompt_is_fetched_anew_and_the_store_follows(
    door: Door, warm: Warm, folder: Path, langfuse: FakeLangfuse, until: Until
) -> None:
    path = warm()
    resolver = Resolver("langfuse", store=folder)
    door.find(resolver, "greeting")
    langfuse.publish("greeting", "Good day {{name}}")
    resolver.invalidate("greeting")
    assert door.find(resolver, "greeting")[0].version == 2
    until(lambda: b"Good day" in path.read_bytes())
    langfuse.stop()
    resolver.invalidate()
    found, source = door.find(resolver, "greeting")
    assert (found.version, source) == (2, "stale")
    found, source = door.find(Resolver("langfuse", store=folder), "greeting")
    assert (found.version, source) == (2, "store")


def test_a_store_of_ones_own_has_nobody_to_tell(folder: Path, stub: type[Stub]) -> None:
    keeper = Keeper(folder)
    keeper.announce(stub(), "greeting")
    assert keeper.tell() is None


def test_all_prompts_of_a_backend_are_invalidated_by_its_name(stub: type[Stub]) -> None:
    cache, mine, other = PromptCache(10), stub(identity="mine"), stub(identity="other")
    slots = [cache.slot(backend, PromptRef(name), 0.0) for backend in (mine, other) for name in ("a", "b")]
    for slot in slots:
        slot.fresh_until = 1e12
    hear(cache, Scope.of(mine.name, mine.identity))
    assert [slot.fresh_until > 0 for slot in slots] == [False, False, True, True]
