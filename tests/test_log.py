"""``set_verbose`` in both its forms, ``PROMPTWIRE_LOG``, and what a shown request leaves out."""

import json
import logging
import logging.handlers
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

import promptwire
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.exchange import Request
from promptwire.log import logger, show_request, show_resolved

REQUEST = Request(
    "POST",
    "http://user:canary@127.0.0.1/v1/chat?x='1'",
    {"Authorization": "Bearer canary", "X-Other": "canary", "Content-Type": "application/json"},
    json.dumps({"messages": [{"content": "naïve"}]}).encode(),
)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Takes pytest's handlers away, as in a process whose application has set up no logging."""

    def strip() -> None:
        monkeypatch.setattr(logging.root, "handlers", [])
        monkeypatch.setattr(logger, "handlers", [])

    yield strip
    promptwire.set_verbose(False)


def by_call(*, on: bool) -> None:
    promptwire.set_verbose(on)


def by_attribute(*, on: bool) -> None:
    promptwire.set_verbose = on  # type: ignore[assignment]


@pytest.mark.parametrize("switch", [by_call, by_attribute])
def test_verbose_shows_requests_without_their_keys(
    switch: Callable[..., None], alone: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone()
    show_request(REQUEST)
    assert capsys.readouterr().err == ""
    for _ in range(2):
        switch(on=True)
    show_request(REQUEST)
    shown = capsys.readouterr().err
    assert shown.count("POST Request Sent from Promptwire:") == 1
    assert "curl -X POST 'http://*****@127.0.0.1/v1/chat?x='\"'\"'1'\"'\"''" in shown
    assert "-H 'Authorization: *****'" in shown
    assert "-H 'Content-Type: application/json'" in shown
    assert '"content": "naïve"' in shown
    assert "canary" not in shown
    switch(on=False)
    show_request(REQUEST)
    assert capsys.readouterr().err == ""
    assert callable(promptwire.set_verbose)


def test_a_key_in_a_prompts_own_settings_is_masked(
    alone: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    alone()
    promptwire.set_verbose()
    settings = {"metadata": {"api_key": "canary", "team": "support"}}
    show_request(Request("POST", "http://127.0.0.1/", {}, json.dumps(settings).encode()))
    show_resolved("gpt-4o", lambda: [{"role": "user", "content": "Hi"}], settings)
    told = capsys.readouterr().err
    assert told.count('"api_key": "*****"') == told.count('"team": "support"') == 2
    assert "canary" not in told


def nest(depth: int) -> object:
    made: object = "deep"
    for _ in range(depth):
        made = {"a": made}
    return made


def nest_list(depth: int) -> object:
    made: object = "deep"
    for _ in range(depth):
        made = [made]
    return made


def test_what_cannot_be_shown_fails_no_call(alone: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    alone()
    promptwire.set_verbose()
    messages = [{"role": "user", "content": "Hi"}, {"role": "user", "content": [nest(400)]}]
    body = {"messages": messages, "tools": [nest(400)], "user": "ada"}
    show_request(Request("POST", "http://127.0.0.1/", {}, json.dumps(body).encode()))
    show_resolved("gpt-4o", lambda: messages, {"tools": [nest(400)], "user": "ada", "metadata": {"api_key": "canary"}})
    told = capsys.readouterr().err
    assert told.count('"content": "Hi"') == told.count('"user": "ada"') == 2
    assert told.count('"<RecursionError>"') == 4
    assert "canary" not in told

    def refuse() -> NoReturn:
        raise ValueError("canary")

    show_resolved("gpt-4o", refuse, {})
    show_resolved("gpt-4o", list, {"tools": [[[[[nest_list(2000)]]]]]})
    show_request(Request("POST", "http://127.0.0.1/", {}, b"no JSON"))
    show_request(Request("POST", "http://127.0.0.1/", {}, b"[" * 2000 + b"]" * 2000))
    told = capsys.readouterr().err
    assert "<ValueError>" in told
    assert told.count("<RecursionError>") == 2
    assert "<JSONDecodeError>" in told
    assert "canary" not in told


def test_a_request_without_a_body(alone: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    alone()
    promptwire.set_verbose()
    show_request(Request("GET", "http://127.0.0.1/"))
    assert capsys.readouterr().err.endswith("curl -X GET http://127.0.0.1/\n")


def test_an_applications_own_handlers_are_enough(alone: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    alone()
    handler = logging.handlers.BufferingHandler(100)
    logger.addHandler(handler)
    promptwire.set_verbose()
    show_request(REQUEST)
    assert len(handler.buffer) == 1
    assert capsys.readouterr().err == ""
    promptwire.set_verbose(False)
    assert logger.handlers == [handler]


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("debug", logging.DEBUG),
        (" Debug ", logging.DEBUG),
        ("info", logging.INFO),
        ("nonsense", logging.NOTSET),
        ("", logging.NOTSET),
    ],
)
def test_the_environment_sets_the_level_at_the_first_use(
    value: str,
    level: int,
    alone: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone()
    monkeypatch.setenv("PROMPTWIRE_LOG", value)
    monkeypatch.setenv("PROMPTWIRE_BACKEND", "memory")
    resolver = Resolver()
    assert logger.level == logging.NOTSET
    resolver.find("x", fallback="Hello")
    assert logger.level == level
    show_request(REQUEST)
    assert ("Request Sent" in capsys.readouterr().err) is (level == logging.DEBUG)


def test_the_environment_counts_for_a_backend_given_as_an_object(
    alone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    monkeypatch.setenv("PROMPTWIRE_LOG", "info")
    Resolver(MemoryBackend({"x": "Hello"})).find("x")
    assert logger.level == logging.INFO
