"""Errors that aren't ours, from any route: clients and the log are told the kind and the place, never the text."""

import logging
from typing import Any, NoReturn

import pytest

from promptwire.testing import FakeOpenAI
from tests.conftest import wait_until
from tests.proxy.conftest import Running, Start

MESSAGES = [{"role": "user", "content": "one two"}]
CHAT = ("POST", "/v1/chat/completions", {"model": "plain", "messages": MESSAGES})
ROUTES = {
    "chat": (*CHAT, "chat.read_wanted"),
    "models": ("GET", "/v1/models", None, "app._json"),
    "show": ("GET", "/v1/prompts/farewell", None, "catalog.shown"),
    "render": ("POST", "/v1/prompts/farewell/render", {}, "catalog.read_named"),
    "ready": ("GET", "/health/readiness", None, "app._json"),
    "metrics": ("GET", "/metrics", None, "metrics.Metrics.exposed"),
    "webhook": ("POST", "/webhooks/langfuse", {}, "webhook.read_bytes"),
    "unknown": ("GET", "/nix", None, "app.refuse"),
}


def fail(*_: object) -> NoReturn:
    text = "canary, with all that it was told"
    raise RuntimeError(text)


def check_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], what: str) -> None:
    wait_until(lambda: " raised " in caplog.text)  # a client may have its answer before
    shown = caplog.text + "".join(capfd.readouterr())
    assert shown.count(f"{what} raised RuntimeError") == 1
    assert f'File "{__file__}", line {fail.__code__.co_firstlineno + 2}, in fail' in shown
    assert "canary, with" not in shown.replace('text = "canary, with', "")  # its line of code
    assert [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR] == [None]


@pytest.mark.parametrize("route", ROUTES)
def test_a_foreign_error_is_told_by_its_kind_and_place(
    proxy: Running, route: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    method, path, body, part = ROUTES[route]
    monkeypatch.setattr(f"promptwire.proxy.{part}", fail)
    answer = proxy.http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "canary" not in answer.text
    check_log(caplog, capfd, "a request")
    monkeypatch.undo()
    assert (route == "chat") == ('status="500"' in proxy.http.get("/metrics").text)


def test_a_foreign_error_amid_a_stream(
    proxy: Running, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    monkeypatch.setattr("promptwire.proxy.relay.Lines.feed", fail)
    answer = proxy.chat("plain", messages=MESSAGES, stream=True)
    assert answer.status_code == 200
    assert '"code":"internal_error"' in answer.text
    assert "canary" not in answer.text
    check_log(caplog, capfd, "a request")


def test_a_foreign_error_beside_the_requests(start: Start, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    loop = start().server.servers[0].get_loop()
    loop.call_soon_threadsafe(fail)
    loop.call_soon_threadsafe(loop.call_exception_handler, {"message": "asyncio's own words"})
    wait_until(lambda: "asyncio's own words" in caplog.text)
    caplog.records[:] = [record for record in caplog.records if "own words" not in record.message]
    check_log(caplog, capfd, "the server")
