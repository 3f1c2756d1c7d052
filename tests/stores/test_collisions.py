"""Whatever is in ids, labels, versions and keys: no two prompts share a place, in memory, on disk or in Redis."""

from __future__ import annotations

import base64
import hashlib
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import BackendUnavailableError, Prompt, PromptRef, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.testing import Answer, LoopbackServer, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from promptwire.backends.http import Http
    from tests.conftest import Door, Stub

MARKS = ("|", ":", "@", "/", "#", "\\", '"', "', '", "\x7f", "\u2028", "\U0001f600", "%00", "null")
TENANTS: tuple[Any, ...] = ("a|b", ("a", "b"), "('a', 'b')", ("a", ("b",)), "a", ("a",), "a:b", '["a", "b"]')


def alike(mark: str) -> Iterator[PromptRef]:
    """References whose parts, put together by the mark, are one text."""
    yield PromptRef(f"a{mark}b{mark}c")
    yield PromptRef(f"a{mark}b", label="c")
    yield PromptRef(f"a{mark}b", version="c")
    yield PromptRef("a", label=f"b{mark}c")
    yield PromptRef("a", version=f"b{mark}c")


REFS = [*(ref for mark in MARKS for ref in alike(mark)), PromptRef("a1"), PromptRef("a", 1), PromptRef("a", label="1")]


def told(identity: Any, ref: PromptRef) -> str:
    return repr((identity, ref.id, ref.version, ref.label))


def down(ref: PromptRef, http: Http) -> Prompt:
    raise BackendUnavailableError("it is down")


@pytest.fixture(params=["memory", "disk", "redis"])
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return False
    return request.getfixturevalue("folder" if request.param == "disk" else "redis")


def kept(store: Any) -> int:
    """How many prompts it holds."""
    return len(list(store.glob("*.prompt") if isinstance(store, Path) else store.keys("prompt")))


def test_references_and_tenants_that_look_alike_are_kept_apart(
    store: Any, stub: type[Stub], until: Callable[..., None]
) -> None:
    place = getattr(store, "url", store)
    asked = list(product(TENANTS, REFS))

    def answering(one: Any) -> Any:
        return stub(lambda ref, _: Prompt(ref.id, text=told(one, ref), backend="stub"), one)

    backends = {one: answering(one) for one in TENANTS}
    first = Resolver("files", store=place, cache_ttl=600)
    for expected in ("fresh", "cached"):
        for one, ref in asked:
            prompt, source = first.find(ref.id, version=ref.version, label=ref.label, backend=backends[one])
            assert (prompt.text, source) == (told(one, ref), expected)
    if not store:
        return
    until(lambda: kept(store) == len(asked))
    later = Resolver("files", store=place)
    for one, ref in asked:
        prompt, source = later.find(ref.id, version=ref.version, label=ref.label, backend=stub(down, one))
        assert (prompt.text, source) == (told(one, ref), "store")


class Projects(LoopbackServer):
    """One Langfuse of many projects: each key pair has a prompt of its own."""

    def answer(self, request: Received) -> Answer:
        return Answer.of_json(200, {"prompt": _of(request.headers["authorization"]), "version": 1})


def _of(header: str) -> str:
    return hashlib.sha256(header.encode()).hexdigest()


def basic(public: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{public}:{secret}'.encode()).decode()}"


PAIRS = [
    ("pk-lf-a", "bsk-lf-c"), ("pk-lf-ab", "sk-lf-c"), ("pk-lf-a", "bsk-lf-c|"), ("pk-lf-a|bsk-lf-c", "|"),
    ("pk-lf-a:b", "sk-lf-c"), ("pk-lf-a", "b:sk-lf-c"), ("sk-lf-c", "pk-lf-a:b"),
]  # fmt: skip


def test_key_pairs_that_are_alike_put_together_are_tenants_of_their_own(
    door: Door, store: Any, until: Callable[..., None]
) -> None:
    """But for the two that one and the same header is made of: no server can tell these apart."""
    place = getattr(store, "url", store)
    headers = {pair: basic(*pair) for pair in PAIRS}
    assert len(set(headers.values())) == len(PAIRS) - 1
    with Projects() as server:
        resolver, known = Resolver("files", store=place), set[str]()
        for pair, header in headers.items():
            backend = LangfuseBackend(*pair, server.url)
            prompt, source = door.find(resolver, "p", backend=backend)
            assert (prompt.text, source) == (_of(header), "cached" if header in known else "fresh")
            known.add(header)
        assert server.count == len(known)
    if store:
        until(lambda: kept(store) == len(known))
        later = Resolver("files", store=place)
        for pair, header in headers.items():
            assert door.find(later, "p", backend=LangfuseBackend(*pair, server.url))[0].text == _of(header)
