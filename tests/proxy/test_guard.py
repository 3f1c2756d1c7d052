"""The door: keys, hosts, and how many at once."""

import threading

import httpx
import pytest

from promptwire.testing import FakeOpenAI
from tests.proxy.conftest import MESSAGES, Running, Start

KEY = "sk-canary-master"
PROTECTED = ["/v1/models", "/models", "/metrics", "/v1/prompts/greeting", "/nix"]
OPEN = ["/health/liveliness", "/health/liveness", "/health/readiness", "/openapi.json"]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def keyed(start: Start) -> Running:
    return start(master_key=KEY)


@pytest.mark.parametrize(
    "header", [None, "", KEY, "Bearer", "Bearer sk-canary", f"Bearer {KEY}x", f"Basic {KEY}", b"Bearer \xff"]
)
def test_a_wrong_key_opens_nothing(keyed: Running, openai: FakeOpenAI, header: str | bytes | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for path in PROTECTED:
        answer = keyed.http.get(path, headers=headers)  # type: ignore[arg-type]
        assert code(answer) == (401, "invalid_api_key")
        assert answer.json()["error"]["type"] == "authentication_error"
        assert KEY not in answer.text
    body = {"model": "plain", "messages": MESSAGES}
    assert keyed.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 401  # type: ignore[arg-type]
    assert openai.count == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_right_key_opens(keyed: Running, scheme: str) -> None:
    keyed.http.headers["authorization"] = f"{scheme} {KEY}"
    assert keyed.chat("plain", messages=MESSAGES).status_code == 200
    assert [keyed.http.get(path).status_code for path in PROTECTED] == [200, 200, 200, 200, 404]


def test_probes_need_none(keyed: Running) -> None:
    assert [keyed.http.get(path).status_code for path in OPEN] == [200] * 4
    assert keyed.http.get(OPEN[0]).json() == "I'm alive!"
    assert keyed.http.get("/health/readiness").json() == {"status": "healthy"}


@pytest.mark.parametrize("bearer", [None, "Bearer sk-1234", "Bearer anything"])
def test_without_a_master_key_any_bearer_will_do(proxy: Running, bearer: str | None) -> None:
    if bearer:
        proxy.http.headers["authorization"] = bearer
    assert proxy.chat("plain", messages=MESSAGES).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:4000", 200), ("127.0.0.1:4000", 200), ("[::1]:4000", 200), ("[::1]", 200),
        ("0.0.0.0:4000", 200), ("attacker.example", 403), ("attacker.example:4000", 403),
        ("127.0.0.1.attacker.example", 403), ("localhost.attacker.example:80", 403),
    ],
)  # fmt: skip
def test_without_a_master_key_a_foreign_name_for_this_machine_is_refused(
    proxy: Running, host: str, status: int
) -> None:
    answer = proxy.http.get("/v1/models", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or code(answer) == (403, "host_not_allowed")


def test_with_a_master_key_any_name_will_do(keyed: Running) -> None:
    headers = {"host": "prompts.example", "authorization": f"Bearer {KEY}"}
    assert keyed.http.get("/v1/models", headers=headers).status_code == 200


def test_too_many_at_once_are_told_to_come_back(
    proxy: Running, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.proxy.guard.MAX_AT_ONCE", 1)
    gate = openai.hang()
    body = {"model": "plain", "messages": MESSAGES}
    first = threading.Thread(target=lambda: httpx.post(f"{proxy.url}/v1/chat/completions", json=body, trust_env=False))
    first.start()
    assert gate.wait_for(1)
    answer = proxy.chat("plain", messages=MESSAGES)
    assert code(answer) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert proxy.http.get("/health/liveness").status_code == 200
    gate.release()
    first.join()
    assert proxy.chat("plain", messages=MESSAGES).status_code == 200


def test_metrics_hold_nothing_that_clients_choose(proxy: Running) -> None:
    proxy.chat("canary-model", messages=MESSAGES)
    proxy.chat("plain", messages=MESSAGES)
    proxy.chat(prompt_id="farewell")
    proxy.chat(prompt_id="canary-prompt")
    text = proxy.http.get("/metrics").text
    assert "canary" not in text
    assert 'promptwire_requests_total{model="plain",route="chat",status="200"} 1.0' in text
    assert 'promptwire_requests_total{model="",route="chat",status="404"} 1.0' in text
    assert 'promptwire_prompts_total{source="fresh"} 1.0' in text
    assert 'promptwire_request_seconds_count{model="clerk",route="chat"} 2.0' in text
    assert "promptwire_requests_in_flight 1.0" in text
