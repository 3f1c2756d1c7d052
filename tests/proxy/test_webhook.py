"""Langfuse's webhook, against a recorded delivery."""

import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from promptwire.proxy.webhook import is_signed
from promptwire.testing import FakeLangfuse
from tests.proxy.conftest import Running, Start, entry

VECTOR: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases/langfuse_webhook_vector.json").read_text())
SECRET: str = VECTOR["secret"]
BODY: bytes = VECTOR["body"].encode()
HEADERS: dict[str, str] = VECTOR["header"]
STAMP = 1720701136


def signed(body: bytes, secret: str = SECRET, stamp: float | None = None) -> dict[str, str]:
    now = int(time.time() if stamp is None else stamp)
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, "sha256").hexdigest()
    return {"x-langfuse-signature": f"t={now},v1={digest}"}


def deliver(proxy: Running, headers: Mapping[str, str] | None = None, body: bytes = BODY) -> httpx.Response:
    return proxy.http.post("/webhooks/langfuse", content=body, headers=signed(body) if headers is None else headers)


@pytest.fixture
def hooked(start: Start) -> Running:
    return start(langfuse_webhook_secret=SECRET, master_key="sk-master")


def source(proxy: Running, model: str = "clerk") -> str:
    proxy.http.headers["authorization"] = "Bearer sk-master"
    found: str = proxy.chat(model, prompt_id="farewell").headers["x-prompt-source"]
    return found


def test_the_recorded_delivery_is_accepted_in_its_time(hooked: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.proxy.webhook.time.time", lambda: STAMP + 3.0)
    answer = deliver(hooked, HEADERS)
    assert (answer.status_code, answer.json()) == (200, {"dropped": 0})


@pytest.mark.parametrize(("late", "accepted"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)])
def test_the_replay_window(late: int, *, accepted: bool) -> None:
    signature = HEADERS["x-langfuse-signature"].encode()
    assert is_signed(signature, BODY, SECRET, STAMP + late) == accepted


def test_an_edit_is_seen_at_once(hooked: Running, langfuse: FakeLangfuse) -> None:
    assert source(hooked) == "fresh"
    assert source(hooked) == "cached"
    langfuse.publish("farewell", [{"role": "user", "content": "Goodbye"}])
    assert deliver(hooked).json() == {"dropped": 1}
    assert source(hooked) == "fresh"
    answer = hooked.chat(prompt_id="farewell")
    assert answer.json()["choices"][0]["message"]["content"].endswith("Goodbye")


def test_what_is_dropped_still_answers_in_an_outage(hooked: Running, langfuse: FakeLangfuse) -> None:
    assert source(hooked) == "fresh"
    langfuse.stop()
    assert deliver(hooked).status_code == 200
    assert source(hooked) == "stale"


@pytest.mark.parametrize(
    "header",
    [
        None, "", "t=,v1=", "v1=abc", f"t={STAMP}", f"t={STAMP},v1=", "t=x,v1=y", "t=99999999999999999999,v1=y",
        "t=-5,v1=y", "t=1e9,v1=y", "garbage", ",,,===", HEADERS["x-langfuse-signature"],
    ],
)  # fmt: skip
def test_an_unsigned_delivery_drops_nothing(hooked: Running, header: str | None) -> None:
    assert source(hooked) == "fresh"
    answer = deliver(hooked, {} if header is None else {"x-langfuse-signature": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_signature")
    assert source(hooked) == "cached"


@pytest.mark.parametrize(
    ("secret", "body"),
    [("lf-whsec_other", BODY), (SECRET, BODY.replace(b"updated", b"deleted"))],
    ids=["secret", "body"],
)
def test_another_secret_or_body_is_refused(hooked: Running, secret: str, body: bytes) -> None:
    assert deliver(hooked, signed(BODY, secret), body).status_code == 401


def test_without_a_secret_there_is_no_such_door(proxy: Running) -> None:
    assert deliver(proxy).status_code == 404


def test_a_huge_delivery(hooked: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.proxy.body.MAX_BODY", 100)
    assert deliver(hooked).status_code == 413


def test_each_project_has_its_own_secret(start: Start, langfuse: FakeLangfuse) -> None:
    with FakeLangfuse("pk-two", "sk-two") as second:
        second.publish("farewell", "from two")
        keys = {"langfuse_public_key": "pk-two", "langfuse_secret_key": "sk-two", "langfuse_host": second.url}
        proxy = start(
            entry("one", "langfuse/gpt-4o"),
            entry("two", "langfuse/gpt-4o", **keys, langfuse_webhook_secret="lf-whsec_two22"),
            langfuse_webhook_secret=SECRET,
            master_key="sk-master",
        )
        assert [source(proxy, name) for name in ("one", "two")] == ["fresh", "fresh"]
        assert deliver(proxy, signed(BODY, "lf-whsec_two22")).json() == {"dropped": 1}
        assert [source(proxy, name) for name in ("one", "two")] == ["cached", "fresh"]
        assert deliver(proxy).json() == {"dropped": 1}
        assert [source(proxy, name) for name in ("one", "two")] == ["fresh", "cached"]


def test_the_environments_project_without_an_entry(start: Start, langfuse: FakeLangfuse) -> None:
    proxy = start(entry("plain", "gpt-4o"), langfuse_webhook_secret=SECRET)
    for expected in ("fresh", "cached"):
        assert proxy.chat("plain", prompt_id="langfuse:farewell").headers["x-prompt-source"] == expected
    assert deliver(proxy).json() == {"dropped": 1}


def test_without_any_project(start: Start, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = start(entry("plain", "gpt-4o"), langfuse_webhook_secret=SECRET)
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    assert deliver(proxy).json() == {"dropped": 0}
