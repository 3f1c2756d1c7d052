"""Backends of third parties: how they are found, and whatever they do, our errors and nobody else's trouble."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import BackendError, ConfigurationError, Prompt, PromptRef, PromptSummary, Resolver, compare
from promptwire.backends import backend_class, known_backends
from promptwire.backends.http import Http
from promptwire.backends.langfuse import LangfuseBackend

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clock, Door, Plain, Stub

    Until = Callable[..., None]


class Odd(BaseException):
    """Not even an Exception."""


class UnreadyError(BackendError):
    """An error of a third party, with a constructor of its own."""

    def __init__(self, code: int, *, hint: str) -> None:
        Exception.__init__(self, f"code {code}: {hint}")


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (KeyError("secret-value"), "the backend raised KeyError"),
        (ValueError("secret-value"), "the backend raised ValueError"),
        (Odd("secret-value"), "the backend raised Odd"),
        (SystemExit(3), "the backend raised SystemExit"),
        (KeyboardInterrupt(), "the backend raised KeyboardInterrupt"),
        (UnreadyError(5, hint="later"), "code 5: later"),
    ],
)
def test_whatever_a_third_partys_backend_raises_is_an_error_of_ours(
    raised: BaseException, message: str, door: Door, stub: type[Stub]
) -> None:
    def reply(ref: PromptRef, _: object) -> Prompt:
        if ref.id == "good":
            return Prompt("good", text="Hello")
        raise raised

    resolver = Resolver(stub(reply))
    for _ in range(2):
        with pytest.raises(BackendError, match=message) as caught:
            door.find(resolver, "bad")
        assert "secret-value" not in str(caught.value)
    assert door.source(resolver, "good") == "fresh"


@pytest.mark.parametrize("answer", [None, {"text": "Hello"}, "Hello"])
def test_what_is_no_prompt_is_an_error(answer: object, door: Door, stub: type[Stub]) -> None:
    resolver = Resolver(stub(lambda *_: answer))
    with pytest.raises(BackendError, match=f"returned {type(answer).__name__}, not a Prompt"):
        door.find(resolver, "x")


def test_a_fetch_that_never_ends_is_given_up_and_its_late_answer_taken(
    stub: type[Stub], clock: Clock, until: Until
) -> None:
    """An SDK without timeouts: callers with a stale prompt, who don't wait, must not depend on it for ever."""
    gate = threading.Event()
    gate.set()

    def reply(ref: PromptRef, _: object) -> Prompt:
        gate.wait(30)
        return Prompt(ref.id, text="Hello")

    backend = stub(reply)
    resolver = Resolver(backend)
    resolver.find("x")
    gate.clear()
    for expected in (1, 2, 2, 2):
        clock.ahead += 61 if expected == 1 else 6
        assert resolver.find("x")[1] == "stale"
        until(lambda: backend.fetched["x"] == 2)
    clock.ahead += 10
    assert resolver.find("x")[1] == "stale"
    until(lambda: backend.fetched["x"] == 3)
    gate.set()
    until(lambda: resolver.find("x")[1] == "cached")


@pytest.mark.parametrize("raised", [OSError("/secret"), BackendError("ours")])
def test_a_stamp_that_fails_is_an_error_of_ours(raised: Exception, door: Door, stub: type[Stub]) -> None:
    def fail(ref: PromptRef) -> str:
        raise raised

    backend = stub()
    backend.stamp = fail
    with pytest.raises(BackendError, match=r"the backend raised OSError|ours"):
        door.find(Resolver(backend), "x")


@pytest.mark.parametrize("backend", [5, LangfuseBackend, object()])
def test_what_is_no_backend_is_a_configuration_error(backend: Any, door: Door) -> None:
    with pytest.raises(ConfigurationError, match="backend"):
        door.find(Resolver("memory"), "greeting", backend=backend)


def test_a_backend_that_cannot_be_hashed(door: Door) -> None:
    @dataclass
    class Equal:
        name: str = "equal"
        identity: str = "one"
        default_label: str | None = None
        stamp: None = None
        options: dict[str, str] = field(default_factory=dict)

        def fetch(self, ref: Any, http: Any) -> Prompt:
            return Prompt(ref.id, text="Hello")

    resolver, backend = Resolver("memory"), Equal()
    assert [door.source(resolver, "x", backend=backend) for _ in range(2)] == ["fresh", "cached"]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a distribution whose entry point ``theirs`` is a backend of the given source."""

    def install(source: str) -> None:
        (tmp_path / "their_backend.py").write_text(source)
        info = tmp_path / "their_backend-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-backend\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[promptwire.backends]\ntheirs = their_backend:Theirs\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        known_backends.cache_clear()

    yield install
    monkeypatch.undo()
    known_backends.cache_clear()
    sys.modules.pop("their_backend", None)


def test_backends_opened_by_options_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.backends.opened.MAX_BACKENDS", 2)
    resolver = Resolver("memory")
    keys = [{"public_key": "pk", "secret_key": secret} for secret in ("a", "b", "c")]
    first, *_ = opened = [resolver.open_backend("langfuse", **key) for key in keys]
    assert resolver.open_backend("langfuse", **keys[2]) is opened[2]
    assert resolver.open_backend("langfuse", **keys[0]) is not first
    assert resolver.open_backend("langfuse", **keys[0]).identity == first.identity


class Masked(str):
    """A key that no traceback shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'*****'"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masked)

    def __hash__(self) -> int:
        return 1


def test_keys_that_mask_themselves_are_not_taken_for_each_other() -> None:
    resolver = Resolver("memory")
    first, second, again = (
        resolver.open_backend("langfuse", public_key="pk", secret_key=Masked(secret)) for secret in ("a", "b", "a")
    )
    assert first is again
    assert first is not second
    assert first.identity != second.identity


def test_options_of_any_kind_open_a_backend() -> None:
    resolver = Resolver("memory")
    prompts = {"x": "Hello"}
    assert resolver.open_backend("memory", prompts=prompts) is resolver.open_backend("memory", prompts=dict(prompts))
    assert resolver.open_backend("chain", members={"memory"}).name == "chain"  # a set has no hash


THEIRS = """
from promptwire import Prompt, PromptSummary

class Theirs:
    name, identity, default_label, stamp, options = "theirs", "theirs", None, None, {}

    def fetch(self, ref, http):
        return Prompt(ref.id, text="Theirs", backend="theirs")

    def list(self, http):
        return [PromptSummary("only", (1,))]
"""


def test_an_entry_point_adds_a_backend(door: Door, distribution: Callable[[str], None]) -> None:
    distribution(THEIRS)
    assert "theirs" in known_backends()
    assert door.find(Resolver("theirs"), "x")[0].text == "Theirs"
    assert door.find(Resolver("memory"), "theirs:x")[0].text == "Theirs"
    assert Resolver("theirs").list_prompts() == [PromptSummary("only", (1,))]
    with pytest.raises(ConfigurationError, match=r"known are .*theirs"):
        backend_class("hers")


def test_its_options_are_no_misspellings_of_ours(distribution: Callable[[str], None]) -> None:
    with pytest.raises(ConfigurationError, match=r"'theirs_api_key'.*'api_key'"):
        compare("theirs:x", [{}], resolver=Resolver("memory"), theirs_api_key="k")  # type: ignore[call-arg]
    distribution(THEIRS)
    assert compare("theirs:x", [{}], resolver=Resolver("memory"), theirs_api_key="k").complete  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "source",
    ["import not_installed_at_all", "x = 1", "class Theirs:\n    def __init__(self):\n        raise ValueError"],
)
def test_an_entry_point_that_fails_is_a_configuration_error(
    source: str, door: Door, distribution: Callable[[str], None]
) -> None:
    distribution(source)
    with pytest.raises(ConfigurationError, match="'theirs'"):
        door.find(Resolver("theirs"), "x")


def test_a_third_partys_post(door: Door, plain: Plain, stub: type[Stub]) -> None:
    def fetch(ref: PromptRef, http: Http) -> Prompt:
        body = http.post_json(f"{plain.url}/search", {"id": ref.id}, headers={"x-key": "k"})
        return Prompt(ref.id, text=body["prompt"])

    assert door.find(Resolver(stub(fetch)), "é")[0].text == "Hello"
    (received,) = plain.requests
    assert (received.method, received.path, json.loads(received.body)) == ("POST", "/search", {"id": "é"})
    assert (received.headers["content-type"], received.headers["x-key"]) == ("application/json", "k")
