"""From what a caller types to a prompt: ids, selectors, backends, the environment, and what callers may not break."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import pytest

import promptwire
from promptwire import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    MissingVariablesError,
    Prompt,
    PromptNotFoundError,
    PromptSummary,
    Resolver,
)
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.default import fresh_resolver, invalidate
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clock, Door, Stub

BAD_IDS = [
    "", " ", ".", "..", "../x", "../../x", "a/../b", "a/./b", "..\\x", "a\\..\\b", "a\nb", "\x00", "\ud800", None, 5
]  # fmt: skip
ODD_IDS = [
    "a?b#c", "100% sure", "x" * 300, "naïve ✓", "folder/name", "a/b/c", "%2e%2e", "a+b&c=d", "a@3", "x:y", "langfuse",
    "langfuse:", "...", "{{name}}", '"quoted"',
]  # fmt: skip
BAD_SELECTORS: list[dict[str, Any]] = [
    {"version": 0}, {"version": -1}, {"version": 2**31}, {"version": "0"}, {"version": True}, {"version": 1.5},
    {"version": ""}, {"version": "9" * 5000}, {"version": [1]}, {"version": 1, "label": "production"}, {"label": ""},
    {"label": "  "}, {"label": 5}, {"label": "\ud800"}, {"label": "a\nb"},
]  # fmt: skip


@pytest.mark.parametrize("prompt_id", BAD_IDS, ids=repr)
def test_bad_ids_are_refused_before_any_request(prompt_id: object, door: Door, langfuse: FakeLangfuse) -> None:
    with pytest.raises(ConfigurationError, match="prompt id"):
        door.find(Resolver("langfuse"), prompt_id)
    assert langfuse.count == 0


@pytest.mark.parametrize("prompt_id", ODD_IDS)
def test_odd_ids_are_sent_whole(prompt_id: str, door: Door, langfuse: FakeLangfuse) -> None:
    with pytest.raises(PromptNotFoundError, match=re.escape(f"langfuse prompt {prompt_id!r}")):
        door.find(Resolver("langfuse"), prompt_id)
    assert [request.path for request in langfuse.requests] == [f"/api/public/v2/prompts/{quote(prompt_id, safe='')}"]


def test_a_folder_is_part_of_the_name(door: Door, langfuse: FakeLangfuse) -> None:
    langfuse.publish("team/greeting", "Hello")
    assert door.find(Resolver("langfuse"), "team/greeting")[0].id == "team/greeting"


@pytest.mark.parametrize("selector", BAD_SELECTORS, ids=lambda selector: repr(selector)[:40])
def test_bad_selectors_are_refused_before_any_request(
    selector: dict[str, Any], door: Door, langfuse: FakeLangfuse
) -> None:
    with pytest.raises(ConfigurationError, match="prompt 'greeting'"):
        door.find(Resolver("langfuse"), "greeting", **selector)
    assert langfuse.count == 0


def test_what_is_refused_is_refused_whatever_is_cached(door: Door, langfuse: FakeLangfuse) -> None:
    """``True`` equals 1, and finds what was cached for it unless somebody looks."""
    resolver = Resolver("langfuse")
    assert door.source(resolver, "greeting", version=1) == "fresh"
    with pytest.raises(ConfigurationError, match="versions count from 1"):
        door.find(resolver, "greeting", version=True)


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        ({}, {"label": ["production"]}),
        ({"label": "a b/c"}, {"label": ["a b/c"]}),
        ({"version": 3}, {"version": ["3"]}),
        ({"version": "3"}, {"version": ["3"]}),
        ({"version": 2**31 - 1}, {"version": ["2147483647"]}),
    ],
)
def test_selectors_on_the_wire(
    selector: dict[str, Any], query: dict[str, list[str]], door: Door, langfuse: FakeLangfuse
) -> None:
    with pytest.raises(PromptNotFoundError):
        door.find(Resolver("langfuse"), "nothing", **selector)
    assert langfuse.requests[0].query == query


def test_a_known_backends_prefix_chooses_it(door: Door, langfuse: FakeLangfuse) -> None:
    langfuse.publish("team/x", "Hello")
    resolver = Resolver(MemoryBackend({"other:thing": "Literal"}))
    assert door.find(resolver, "langfuse:team/x")[0].backend == "langfuse"
    assert door.source(resolver, "langfuse:team/x") == "cached"
    assert door.find(resolver, "other:thing")[0].text == "Literal"


def test_one_slot_however_it_is_typed(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    door.find(resolver, "greeting")
    typed: list[dict[str, Any]] = [{"label": "production"}, {"backend": "langfuse"}, {"label": "production"}]
    assert [door.source(resolver, "greeting", **options) for options in typed] == ["cached"] * 3
    assert door.source(resolver, "langfuse:greeting") == "cached"
    assert langfuse.count == 1


@pytest.mark.parametrize("missing", ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"])
def test_a_missing_key_is_named(
    missing: str, door: Door, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigurationError, match=f"set {missing}, or pass {missing.lower()}="):
        door.find(Resolver("langfuse"), "greeting", fallback="not for this")


@pytest.mark.parametrize(
    "host", ["example.com", "ftp://example.com", "http://", "http://[::1", "http://h:port", "http://h:99999"]
)
def test_a_host_that_is_none_is_a_configuration_error(host: str, door: Door) -> None:
    with pytest.raises(ConfigurationError, match="host"):
        door.find(Resolver("memory"), "greeting", backend=LangfuseBackend("pk", "sk", host))


def test_an_unknown_backend_is_answered_with_the_nearest(door: Door) -> None:
    with pytest.raises(ConfigurationError, match=r"no backend 'langfus' \(did you mean 'langfuse'\?\); known are "):
        door.find(Resolver("langfus"), "greeting")


def test_the_environment_is_read_at_the_first_use_and_no_more(
    door: Door, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMPTWIRE_BACKEND", raising=False)
    resolver = Resolver()
    monkeypatch.setenv("PROMPTWIRE_BACKEND", "langfuse")
    assert door.find(resolver, "greeting")[0].backend == "langfuse"
    monkeypatch.setenv("PROMPTWIRE_BACKEND", "nonsense")
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")
    assert door.source(resolver, "farewell") == "fresh"


def test_the_default_backend_is_a_folder_of_files(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello.yaml").write_text("text: Hello\n")
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    resolver = Resolver()
    assert door.find(resolver, "hello")[0].backend == "files"
    (tmp_path / "hello.yaml").write_text("text: Good morning\n")
    assert door.find(resolver, "hello")[0].text == "Good morning"


def test_a_callers_changes_are_never_seen_by_the_next(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    for _ in range(2):
        rendered = door.resolve(resolver, "greeting", variables={"name": "Ada"})
        assert rendered.messages == [{"role": "user", "content": "Hello Ada"}]
        assert rendered.params == {"stop": ["END"]}
        rendered.messages[0]["content"] = "Changed"
        rendered.messages.append({"role": "user"})
        rendered.params["stop"].append("MORE")
        with pytest.raises(ConfigurationError, match="can't be changed"):
            cast("dict[str, str]", rendered.prompt.config)["model"] = "another"


def test_variables_and_their_lack(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    with pytest.raises(MissingVariablesError, match="name"):
        door.resolve(resolver, "greeting")
    with promptwire.variables(name="Ada"):
        assert door.resolve(resolver, "greeting").messages[0]["content"] == "Hello Ada"
        assert door.resolve(resolver, "greeting", variables={"name": "Bo"}).messages[0]["content"] == "Hello Bo"
    for keeping, options in ((resolver, {"missing": "keep"}), (Resolver("langfuse", missing="keep"), {})):
        assert door.resolve(keeping, "greeting", **options).messages[0]["content"] == "Hello {{name}}"


@pytest.mark.parametrize(
    "options",
    [{"missing": "eror"}, {"timeout": "5"}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"cache_ttl": None},
     {"cache_ttl": -1}, {"max_stale": "1h"}, {"max_entries": 0}, {"max_entries": "9"},
     {"missing": ["keep"]}],
    ids=repr,
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Resolver(**options)


@pytest.mark.parametrize("options", [{"missing": "eror"}, {"timeout": "5"}, {"timeout": float("inf")}], ids=repr)
def test_bad_options_of_a_call_are_refused(options: dict[str, Any], door: Door) -> None:
    resolver = Resolver(MemoryBackend({"x": "Hello"}))
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        door.resolve(resolver, "x", **options)


def test_the_least_recently_used_go_first(door: Door, stub: type[Stub], clock: Clock) -> None:
    resolver = Resolver(stub(), max_entries=20, cache_ttl=1000)
    for number in range(20):
        clock.ahead += 1
        door.find(resolver, f"p{number}")
    clock.ahead += 1
    assert door.source(resolver, "p0") == "cached"
    clock.ahead += 1
    door.find(resolver, "p20")
    kept = [f"p{number}" for number in (0, *range(3, 21))]
    assert {door.source(resolver, prompt_id) for prompt_id in kept} == {"cached"}
    assert door.source(resolver, "p1") == "fresh"


def test_memory_is_bounded_however_prompts_are_typed(stub: type[Stub]) -> None:
    resolver = Resolver(stub(), max_entries=10)
    for number in range(300):
        resolver.find(f"bounded{number}")
        resolver.find("same", version=f"{'0' * (number % 5)}{number + 1}")
    gc.collect()
    alive = [one for one in gc.get_objects() if isinstance(one, Prompt) and one.id.startswith(("bounded", "same"))]
    assert len(alive) <= 50


@pytest.mark.parametrize("given", [{"version": "x" * 1001}, {"label": "x" * 1001}, {"label": {"x" * 1001: 1}}, {}])
def test_nothing_is_kept_of_a_name_that_is_too_long(stub: type[Stub], given: dict[str, Any]) -> None:
    backend = stub()
    resolver = Resolver(backend)
    prompt_id = "welcome" if given else "x" * 1001
    with pytest.raises(ConfigurationError, match="has at most 1000 characters") as caught:
        resolver.resolve(prompt_id, **given)
    assert len(str(caught.value)) < 150
    assert (resolver.invalidate(), len(backend.fetched)) == (0, 0)


def test_memory_is_bounded_however_many_credentials_ask(stub: type[Stub]) -> None:
    resolver = Resolver(stub(), max_entries=10)
    for number in range(50):
        resolver.find("welcome", backend=stub(identity=f"tenant {number}"))
    assert resolver.invalidate() <= 10


def test_memory_is_bounded_while_credentials_rotate(stub: type[Stub]) -> None:
    backend = stub()
    resolver = Resolver(backend, max_entries=10)
    for number in range(50):
        backend.identity = f"token {number // 3}"
        assert resolver.find(f"p{number}")[1] == "fresh"
    assert resolver.invalidate() <= 10


def test_notes_are_made_once_and_bounded(stub: type[Stub]) -> None:
    resolver = Resolver(stub(), max_entries=1)
    assert [resolver.first_time("a"), resolver.first_time("a"), resolver.first_time("b")] == [True, False, True]
    assert [resolver.first_time(key) for key in "cdef"] == [True, True, False, False]


def test_pickles_and_copies_hold_no_secret(door: Door, langfuse: FakeLangfuse) -> None:
    backend = LangfuseBackend(langfuse.public_key, langfuse.secret_key, langfuse.url)
    resolver = Resolver(backend, cache_ttl=7, max_stale=8, timeout=9, missing="keep")
    door.find(resolver, "greeting")
    data = pickle.dumps(resolver)
    for secret in (langfuse.secret_key, langfuse.public_key):
        assert secret.encode() not in data
        assert secret not in repr(vars(resolver))
    twin = pickle.loads(data)  # noqa: S301 - our own
    assert door.source(twin, "greeting") == "fresh"
    assert door.resolve(twin, "greeting").messages[0]["content"] == "Hello {{name}}"
    assert copy.deepcopy(resolver) is resolver
    assert copy.deepcopy(backend) is backend
    assert door.source(copy.copy(resolver), "greeting") == "fresh"


def test_memory_prompts_are_pickled_with_their_backend(door: Door) -> None:
    resolver = pickle.loads(pickle.dumps(Resolver(MemoryBackend({"x": "Hello"}))))  # noqa: S301 - our own
    assert door.find(resolver, "x")[0].text == "Hello"
    memory = MemoryBackend()
    assert copy.deepcopy(memory) is memory


def listed(door: Door, resolver: Resolver, **options: Any) -> list[PromptSummary]:
    if door.is_async:
        return asyncio.run(resolver.alist_prompts(**options))
    return resolver.list_prompts(**options)


def test_a_listing_asks_each_time(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse")
    assert [summary.id for summary in listed(door, resolver)] == ["farewell", "greeting"]
    langfuse.publish("another", "x")
    assert [summary.id for summary in listed(door, resolver)] == ["another", "farewell", "greeting"]


def test_a_listing_that_fails(door: Door, langfuse: FakeLangfuse, stub: type[Stub]) -> None:
    resolver = Resolver("langfuse")
    langfuse.fail(401)
    with pytest.raises(BackendAuthError, match="langfuse prompts"):
        listed(door, resolver)
    langfuse.heal()
    with langfuse.gate(), pytest.raises(BackendUnavailableError, match=r"no answer|timed out"):
        listed(door, resolver, timeout=0.05)
    broken = stub()
    broken.list = lambda http: None  # type: ignore[assignment,method-assign,return-value]
    with pytest.raises(BackendError, match="TypeError"):
        listed(door, resolver, backend=broken)


def test_the_default_resolver_answers_the_public_names(langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTWIRE_BACKEND", "langfuse")
    with fresh_resolver():
        assert promptwire.get_prompt("greeting").version == 1
        assert asyncio.run(promptwire.aget_prompt("greeting")).version == 1
        assert promptwire.resolve("greeting", variables={"name": "Ada"}).source == "cached"
        assert asyncio.run(promptwire.aresolve("greeting", variables={"name": "Ada"})).source == "cached"
        assert langfuse.count == 1
        assert invalidate() == 1
        assert promptwire.get_prompt("greeting").version == 1
    assert langfuse.count == 2
