"""What a caller gets when the prompt server fails, and how often the server is asked (DESIGN 4.7)."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    Prompt,
    PromptNotFoundError,
    PromptwireError,
    Resolver,
)
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

    Until = Callable[..., None]

Fault = Callable[[FakeLangfuse], object]

FAULTS: dict[str, tuple[Fault, type[PromptwireError], int]] = {
    "html": (lambda server: server.garbage(), BackendError, 1),
    "not json": (lambda server: server.garbage('{"prompt": '), BackendError, 1),
    "too deep": (lambda server: server.garbage("[" * 200_000), BackendError, 1),
    "empty": (lambda server: server.garbage(""), BackendError, 1),
    "no object": (lambda server: server.garbage("[]"), BackendError, 1),
    "no prompt": (lambda server: server.garbage('{"version": 1}'), BackendError, 1),
    "odd prompt": (lambda server: server.garbage('{"prompt": 5, "version": 1}'), BackendError, 1),
    "no version": (lambda server: server.garbage('{"prompt": "Hello"}'), BackendError, 1),
    "too large": (
        lambda server: server.garbage('{"version": 1, "prompt": "%s"}' % ("x" * 10_000_000)),
        BackendError,
        1,
    ),
    "redirect": (lambda server: server.redirect(f"{server.url}/elsewhere"), BackendError, 1),
    "400": (lambda server: server.fail(400), BackendError, 1),
    "401": (lambda server: server.fail(401), BackendAuthError, 1),
    "403": (lambda server: server.fail(403), BackendAuthError, 1),
    "404": (lambda server: server.fail(404), PromptNotFoundError, 1),
    "408": (lambda server: server.fail(408), BackendUnavailableError, 3),
    "409": (lambda server: server.fail(409), BackendError, 1),
    "429": (lambda server: server.fail(429), BackendUnavailableError, 3),
    "500": (lambda server: server.fail(500), BackendUnavailableError, 3),
    "502": (lambda server: server.fail(502, body="<html>"), BackendUnavailableError, 3),
    "503": (lambda server: server.fail(503), BackendUnavailableError, 3),
    "dropped": (lambda server: server.drop(0), BackendUnavailableError, 3),
    "cut short": (lambda server: server.drop(), BackendUnavailableError, 3),
    "refused": (lambda server: server.stop(), BackendUnavailableError, 0),
}

FALLBACKS: dict[str, Any] = {
    "text": "Hi {{name}}",
    "messages": [{"role": "system", "content": "Hi {{name}}"}, {"type": "placeholder", "name": "history"}],
    "prompt": Prompt("spare", text="Hi {{name}}"),
}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> tuple[Fault, type[PromptwireError], int]:
    return FAULTS[request.param]


def test_each_failure_has_its_error_and_its_number_of_requests(
    fault: tuple[Fault, type[PromptwireError], int], door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    fail, expected, requests = fault
    fail(langfuse)
    resolver = Resolver("langfuse")
    for _ in range(2):
        with pytest.raises(PromptwireError, match=r"langfuse prompt 'greeting' \(label 'production'\)") as caught:
            door.find(resolver, "greeting")
        assert type(caught.value) is expected
        if isinstance(caught.value, BackendError):
            assert caught.value.retryable is (requests != 1)
    assert langfuse.count == requests
    assert len(clock.slept) == (2 if expected is BackendUnavailableError else 0)


def test_each_failure_leaves_the_stale_prompt_but_that_it_is_gone(
    fault: tuple[Fault, type[PromptwireError], int], langfuse: FakeLangfuse, clock: Clock
) -> None:
    fail, expected, _ = fault
    resolver = Resolver("langfuse")
    good = resolver.get_prompt("greeting")
    langfuse.publish("greeting", "Not modified would do without a body")
    clock.ahead += 10_000
    fail(langfuse)
    if expected is PromptNotFoundError:
        with pytest.raises(PromptNotFoundError):
            resolver.find("greeting")
    else:
        assert [resolver.find("greeting") for _ in range(2)] == [(good, "stale")] * 2
        assert resolver.get_prompt("greeting") is good


@pytest.mark.parametrize("kind", FALLBACKS)
def test_each_failure_is_answered_by_the_fallback(
    fault: tuple[Fault, type[PromptwireError], int], kind: str, langfuse: FakeLangfuse, clock: Clock
) -> None:
    fault[0](langfuse)
    resolver = Resolver("langfuse")
    for _ in range(2):
        rendered = resolver.resolve("greeting", variables={"name": "Ada"}, fallback=FALLBACKS[kind])
        assert rendered.source == "fallback"
        assert [message["content"] for message in rendered.messages] == ["Hi Ada"]


def test_the_fallback_in_both_colours(door: Door, langfuse: FakeLangfuse) -> None:
    langfuse.fail(404)
    rendered = door.resolve(Resolver("langfuse"), "greeting", fallback="")
    assert (rendered.messages, rendered.source) == ([{"role": "user", "content": ""}], "fallback")


def test_a_stale_prompt_comes_before_the_fallback(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse")
    door.find(resolver, "greeting")
    clock.ahead += 10_000
    langfuse.fail(400)
    assert door.source(resolver, "greeting", fallback="Hi") == "stale"


def test_a_fallback_of_another_kind_is_refused_when_it_is_needed(door: Door, langfuse: FakeLangfuse) -> None:
    langfuse.fail(400)
    with pytest.raises(ConfigurationError, match="fallback is a text, a list of messages or a Prompt, not int"):
        door.find(Resolver("langfuse"), "greeting", fallback=5)


@pytest.mark.parametrize("fallback", [None, "Hi"])
def test_a_timeout_shorter_than_the_fetch_lets_the_fetch_go_on(
    fallback: str | None, door: Door, langfuse: FakeLangfuse, until: Until
) -> None:
    resolver = Resolver("langfuse", timeout=30)
    with langfuse.gate():
        if fallback is None:
            with pytest.raises(BackendUnavailableError, match=r"no answer within 0\.01 s"):
                door.find(resolver, "greeting", timeout=0.01)
        else:
            assert door.source(resolver, "greeting", fallback=fallback, timeout=0.01) == "fallback"
    until(lambda: door.source(resolver, "greeting", fallback="Hi") == "cached")
    assert langfuse.count == 1


@pytest.mark.parametrize("answer", ["stale", "fallback"])
@pytest.mark.parametrize("fault", ["hang", "drip", "drop", "503", "garbage", "stop"])
def test_an_outage_with_an_answer_in_hand_ends_at_the_deadline(
    fault: str, answer: str, door: Door, langfuse: FakeLangfuse
) -> None:
    """The faults last for minutes; what is waited for is a fifth of a second."""
    resolver = Resolver("langfuse", timeout=0.2, max_stale=0, cache_ttl=0)
    if answer == "stale":
        resolver.get_prompt("greeting", timeout=30)
        langfuse.publish("greeting", "A new version, whose answer has a body to break")
    faults: dict[str, Callable[[], object]] = {
        "hang": langfuse.hang,
        "drip": lambda: langfuse.drip(0.15),
        "drop": langfuse.drop,
        "503": lambda: langfuse.fail(503, retry_after=60),
        "garbage": langfuse.garbage,
        "stop": langfuse.stop,
    }
    faults[fault]()
    started = perf_counter()
    assert door.source(resolver, "greeting", fallback="Hi") == answer
    assert perf_counter() - started < 3


@pytest.mark.parametrize(
    ("retry_after", "bounds"),
    [
        (2, (2, 2)),
        (0, (0, 0)),
        (-5, (0, 0)),
        ("in 3 s", (0.5, 3)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", (0, 0)),
        ("soon", (0.05, 0.15)),
        ("nan", (0.05, 0.15)),
        (None, (0.05, 0.15)),
    ],
)
def test_retry_after_is_honoured(
    retry_after: float | str | None, bounds: tuple[float, float], door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    if retry_after == "in 3 s":
        retry_after = formatdate(time() + 3, usegmt=True)
    langfuse.fail(429, times=1, retry_after=retry_after)
    assert door.source(Resolver("langfuse"), "greeting") == "fresh"
    (slept,) = clock.slept
    assert bounds[0] <= slept <= bounds[1]
    assert langfuse.count == 2


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse")
    langfuse.fail(503, times=1, retry_after=60)
    for ahead in (0, 11, 48):
        clock.ahead += ahead
        with pytest.raises(BackendUnavailableError, match="503"):
            door.find(resolver, "greeting")
    assert (langfuse.count, clock.slept) == (1, [])
    clock.ahead += 2
    assert door.source(resolver, "greeting") == "fresh"


def test_all_retries_share_one_deadline(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    langfuse.fail(503, retry_after=3)
    with pytest.raises(BackendUnavailableError):
        door.find(Resolver("langfuse", timeout=5), "greeting")
    assert (langfuse.count, clock.slept) == (2, [3.0])
