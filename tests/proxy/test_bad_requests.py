"""Bad input: 4xx in OpenAI's shape, and the next request is served."""

import gzip
import json
from typing import Any

import httpx
import pytest

from promptwire.testing import Answer, FakeLangfuse, FakeOpenAI, LoopbackServer, Received
from tests.doubles.anthropic import FakeAnthropic
from tests.proxy.conftest import MESSAGES, Running, Start, entry, still_serves

JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error in OpenAI's shape."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    kinds = {401: "authentication_error", 403: "permission_error"}
    assert error["type"] == kinds.get(answer.status_code, "invalid_request_error")
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'"text"', b'{"model": NaN}', b'{"model": "\xff"}', b"[" * 100_000, b'{"a":' * 2000],
    ids=["empty", "cut", "null", "list", "text", "nan", "not utf-8", "deep list", "deep object"],
)
def test_a_body_that_is_no_json_object(proxy: Running, content: bytes) -> None:
    answer = proxy.http.post("/v1/chat/completions", content=content, headers=JSON)
    assert refused(answer) == (400, "invalid_request", None)
    still_serves(proxy)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_request", "model"),
        ({"model": None}, "invalid_request", "model"),
        ({"model": 5}, "invalid_request", "model"),
        ({"model": ["plain"]}, "invalid_request", "model"),
        ({"model": "plain"}, "invalid_request", "messages"),
        ({"model": "plain", "messages": []}, "invalid_request", "messages"),
        ({"model": "plain", "messages": "hi"}, "invalid_request", "messages"),
        ({"model": "plain", "messages": [5]}, "invalid_request", "messages"),
        ({"model": "plain", "messages": [{"content": "x"}]}, "invalid_request", "messages"),
        ({"model": "plain", "messages": [{"role": 5}]}, "invalid_request", "messages"),
        ({"model": "plain", "messages": MESSAGES, "stream": "yes"}, "invalid_request", "stream"),
        ({"model": "plain", "messages": MESSAGES, "temprature": 1}, "unknown_parameter", "temprature"),
        ({"model": "plain", "messages": MESSAGES, "message_mode": "both"}, "invalid_request", "message_mode"),
        ({"model": "plain", "messages": MESSAGES, "message_mode": {}}, "invalid_request", "message_mode"),
        ({"model": "plain", "messages": MESSAGES, "prompt_variables": {"a": 1}}, "invalid_request", "prompt_id"),
        ({"model": "plain", "messages": MESSAGES, "prompt_label": "x"}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "messages": MESSAGES}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": 5}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": ""}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": "../x"}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": "a\nb"}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": "a" * 1001}, "invalid_request", "prompt_id"),
        ({"model": "clerk", "prompt_id": "p", "prompt_version": "a" * 1001}, "invalid_request", "prompt_version"),
        ({"model": "clerk", "prompt_id": "p", "prompt_label": "a" * 1001}, "invalid_request", "prompt_label"),
        ({"model": "clerk", "prompt_id": "p", "prompt_label": {"a" * 1001: 1}}, "invalid_request", "prompt_label"),
        ({"model": "clerk", "prompt_id": "p", "prompt_version": 0}, "invalid_request", "prompt_version"),
        ({"model": "clerk", "prompt_id": "p", "prompt_version": True}, "invalid_request", "prompt_version"),
        ({"model": "clerk", "prompt_id": "p", "prompt_version": 10**30}, "invalid_request", "prompt_version"),
        ({"model": "clerk", "prompt_id": "p", "prompt_version": "abc"}, "invalid_request", "prompt_version"),
        ({"model": "clerk", "prompt_id": "p", "prompt_label": " "}, "invalid_request", "prompt_label"),
        ({"model": "clerk", "prompt_id": "p", "prompt_label": ["x"]}, "invalid_request", "prompt_label"),
        (
            {"model": "clerk", "prompt_id": "p", "prompt_version": 1, "prompt_label": "x"},
            "invalid_request", "prompt_version",
        ),
        ({"model": "clerk", "prompt_id": "greeting", "prompt_variables": [1]}, "invalid_request", "prompt_variables"),
        (
            {"model": "clerk", "prompt_id": "greeting", "prompt_variables": {}},
            "missing_prompt_variable", "prompt_variables.name",
        ),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(proxy: Running, body: dict[str, Any], code: str, param: str) -> None:
    answer = proxy.http.post("/v1/chat/completions", json=body)
    assert refused(answer) == (400, code, param)
    assert len(answer.content) < 1000
    still_serves(proxy)


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "api_base", "api_version", "base_url", "extra_headers", "extra_body", "headers", "proxy",
        "langfuse_host", "langfuse_public_key", "langfuse_secret", "langfuse_secret_key", "humanloop_api_key",
        "azure_ad_token", "aws_secret_access_key", "vertex_credentials", "resolver", "fallback", "missing", "timeout",
        "mock_response", "prompts_dir",
    ],
)  # fmt: skip
def test_where_keys_go_is_not_the_callers_business(proxy: Running, openai: FakeOpenAI, name: str) -> None:
    with FakeOpenAI() as attacker:
        answer = proxy.chat("plain", messages=MESSAGES, **{name: attacker.url})
        assert refused(answer)[::2] == (400, name)
        assert (attacker.count, openai.count) == (0, 0)
    still_serves(proxy)


def test_an_entry_may_let_more_through(start: Start, openai: FakeOpenAI) -> None:
    openai.garbage('{"choices": []}')
    proxy = start(entry("plain", "gpt-4o", allowed_openai_params=["top_k"]))
    assert proxy.chat("plain", messages=MESSAGES, top_k=4).status_code == 200
    assert openai.requests[-1].json["top_k"] == 4


def test_unknown_models_and_prompts(proxy: Running) -> None:
    assert refused(proxy.chat("nix", messages=MESSAGES)) == (404, "model_not_found", "model")
    assert refused(proxy.chat(prompt_id="nix")) == (404, "prompt_not_found", "prompt_id")
    assert refused(proxy.chat(prompt_id="greeting", prompt_version=99)) == (404, "prompt_not_found", "prompt_id")
    still_serves(proxy)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_page_in_a_browser_can_send_nothing(proxy: Running, openai: FakeOpenAI, kind: str) -> None:
    """Such a type needs no permission from us, and would spend the operator's money."""
    content = json.dumps({"model": "plain", "messages": MESSAGES}).encode()
    answer = proxy.http.post("/v1/chat/completions", content=content, headers={"content-type": kind})
    assert refused(answer) == (415, "unsupported_media_type", None)
    assert openai.count == 0


def test_a_compressed_body_is_refused(proxy: Running) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    answer = proxy.http.post("/v1/chat/completions", content=bomb, headers={**JSON, "content-encoding": "gzip"})
    assert refused(answer) == (415, "unsupported_media_type", None)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_body(proxy: Running, monkeypatch: pytest.MonkeyPatch, *, chunked: bool) -> None:
    monkeypatch.setattr("promptwire.proxy.body.MAX_BODY", 100_000)
    piece = b" " * 50_000
    content: Any = iter([piece] * 4) if chunked else piece * 4
    try:
        answer = proxy.http.post("/v1/chat/completions", content=content, headers=JSON)
    except httpx.WriteError:
        pytest.fail("the refusal must reach a client that is still sending")
    assert refused(answer) == (413, "request_too_large", None)
    assert proxy.http.post("/v1/chat/completions", content=b"{}" + piece, headers=JSON).status_code == 400
    still_serves(proxy)


def test_a_body_within_the_bound_in_many_pieces(proxy: Running) -> None:
    content = json.dumps({"model": "plain", "messages": [{"role": "user", "content": "x" * 300_000}]}).encode()
    pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))
    assert proxy.http.post("/v1/chat/completions", content=pieces, headers=JSON).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nix", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/prompts/greeting", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_served(proxy: Running, method: str, path: str, status: int, code: str) -> None:
    answer = proxy.http.request(method, path)
    assert refused(answer) == (status, code, None)
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.parametrize(
    ("config", "code"),
    [({"temperature": "hot"}, "prompt_config_error"), ({"provider": "nix", "model": "x"}, "prompt_config_error")],
)
def test_a_prompt_that_cant_run(proxy: Running, langfuse: FakeLangfuse, config: dict[str, Any], code: str) -> None:
    langfuse.publish("broken", "x", config=config)
    assert refused(proxy.chat(prompt_id="broken"))[:2] == (400, code)


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [(401, 502, "prompt_service_error"), (400, 502, "prompt_service_error"), (500, 503, "prompt_service_unavailable")],
)
def test_a_refusal_by_the_prompt_service_is_not_the_clients(
    proxy: Running, langfuse: FakeLangfuse, status: int, expected: int, code: str
) -> None:
    langfuse.fail(status, retry_after=60)
    answer = proxy.chat(prompt_id="farewell")
    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)
    assert (answer.headers.get("retry-after") == "60") == (status == 500)


@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (418, {"error": {"message": "theirs", "extra": 1}}, True),
        (429, "<html>busy</html>", False),
        (500, {"error": "a text"}, False),
        (503, "", False),
        (307, {"error": {"message": "elsewhere"}}, False),
    ],
)
def test_a_providers_refusal(proxy: Running, openai: FakeOpenAI, status: int, body: Any, *, kept: bool) -> None:
    openai.fail(status, body=body, retry_after=3)
    answer = proxy.chat("plain", messages=MESSAGES)
    assert answer.status_code == (status if status >= 400 else 502)
    if kept:
        assert answer.json() == body
    else:
        assert answer.json()["error"]["code"] == "upstream_error"
        assert "openai/gpt-4o" in answer.json()["error"]["message"]
    assert openai.count == 1


def test_a_providers_refusal_repeats_no_key(proxy: Running, openai: FakeOpenAI) -> None:
    openai.fail(401, body={"error": {"message": "Incorrect API key provided: sk-test-key"}})
    answer = proxy.chat("plain", messages=MESSAGES)
    assert "sk-test-key" not in answer.text
    assert "*****" in answer.text


@pytest.mark.parametrize("body", ["<html></html>", "", "text"])
def test_an_answer_that_is_no_json(proxy: Running, openai: FakeOpenAI, body: str) -> None:
    openai.garbage(body)
    answer = proxy.chat("plain", messages=MESSAGES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


def test_an_anthropic_answer_that_is_none(start: Start, anthropic: FakeAnthropic) -> None:
    anthropic.garbage("{}")
    assert start(entry("plain", "anthropic/claude-sonnet-4-5")).chat("plain", messages=MESSAGES).status_code == 502


def test_a_provider_that_is_down(start: Start, openai: FakeOpenAI) -> None:
    openai.stop()
    answer = start().chat("plain", messages=MESSAGES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    assert "could not connect" in answer.json()["error"]["message"]


def test_an_entry_may_have_the_proxy_try_again(start: Start, openai: FakeOpenAI) -> None:
    openai.fail(503, times=2, retry_after=0)
    assert start(entry("plain", "gpt-4o", num_retries=2)).chat("plain", messages=MESSAGES).status_code == 200
    assert openai.count == 3


@pytest.mark.parametrize("base", ["http://user:pass@127.0.0.1/v1", "http://[::1", "http://127.0.0.1:99999/v1", "nix"])
def test_a_base_url_that_cant_be_called(start: Start, base: str) -> None:
    answer = start(entry("plain", "openai/m", api_base=base, api_key="k")).chat("plain", messages=MESSAGES)
    assert answer.status_code in {400, 500, 502}
    assert "pass" not in answer.json()["error"]["message"].replace("pass api_base", "")


class Chunked(LoopbackServer):
    """Answers whole, without a length."""

    def answer(self, request: Received) -> Answer:
        return Answer(200, b"", {"Content-Type": "application/json"}, iter([b'{"choices":', b" []}"]))


@pytest.mark.parametrize(("limit", "status"), [(100, 200), (5, 502)])
def test_an_answer_without_a_length(start: Start, monkeypatch: pytest.MonkeyPatch, limit: int, status: int) -> None:
    monkeypatch.setattr("promptwire.inflate.MAX_ANSWER", limit)
    with Chunked() as server:
        answer = start(entry("plain", "openai/m", api_base=server.url, api_key="k")).chat("plain", messages=MESSAGES)
    assert answer.status_code == status
    assert status == 200 or "its answer is larger" in answer.json()["error"]["message"]
