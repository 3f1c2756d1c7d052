"""Langfuse: what is asked on the wire, and what becomes of every answer."""

import base64
import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from promptwire import Placeholder, PromptSummary, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.errors import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.frozen import thaw
from promptwire.testing import Answer, FakeLangfuse, LoopbackServer, Received

ROOT = Path(__file__).parents[2]
PROMPTS = "/api/public/v2/prompts"
RECORDED = {
    case["case"]: case
    for case in json.loads((ROOT / "tests/cases/langfuse_http.json").read_text("utf-8"))
    if case["request"]["method"] == "GET" and case["request"]["path"].startswith(PROMPTS + "/")
}
NAMED: dict[int, type[PromptwireError]] = {
    308: BackendError, 400: BackendError, 401: BackendAuthError, 403: BackendAuthError, 404: PromptNotFoundError,
    405: BackendError, 500: BackendUnavailableError,
}  # fmt: skip


class Says(LoopbackServer):
    """Answers every request alike."""

    def __init__(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        text = body if isinstance(body, str) else json.dumps(body)
        self._answer = Answer(status, text.encode(), headers or {})

    def answer(self, request: Received) -> Answer:
        return self._answer


def resolver_of(server: LoopbackServer, **options: Any) -> Resolver:
    return Resolver(LangfuseBackend("pk-lf-1", "sk-lf-1", server.url), **options)


def body(**fields: object) -> dict[str, object]:
    return {"name": "p", "version": 3, "type": "text", "prompt": "Hi", "config": {}, "labels": [], "tags": [], **fields}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("case", RECORDED)
def test_recorded_answers(case: str) -> None:
    said, status = RECORDED[case]["body"], RECORDED[case]["status"]
    if status == 304:
        pytest.skip("an answer to a conditional request")
    with Says(said, status) as server:
        if status == 200 and isinstance(said["config"], dict | None):
            prompt = resolver_of(server).get_prompt("any")
            assert (prompt.version, list(prompt.labels)) == (said["version"], said["labels"])
            assert (thaw(prompt.config), list(prompt.tags)) == (said["config"], said["tags"])
            assert (prompt.text if said["type"] == "text" else len(prompt.messages or ())) == (
                said["prompt"] if said["type"] == "text" else len(said["prompt"])
            )
            return
        with pytest.raises(NAMED.get(status, PromptConfigError), match=r"langfuse prompt 'any' \(label 'production'\)"):
            resolver_of(server).get_prompt("any")


def test_there_are_recorded_answers_of_each_kind() -> None:
    assert {case["status"] for case in RECORDED.values()} >= {200, 304, 400, 401, 403, 404}
    assert len(RECORDED) > 40


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        ({}, {"label": ["production"]}),
        ({"version": 2}, {"version": ["2"]}),
        ({"version": "2"}, {"version": ["2"]}),
        ({"label": "a b/c&d"}, {"label": ["a b/c&d"]}),
    ],
)
@pytest.mark.parametrize(
    ("prompt_id", "path"),
    [
        ("hi", "hi"),
        ("team/sub/hi", "team%2Fsub%2Fhi"),
        ("a?b#c", "a%3Fb%23c"),
        ("100% sure", "100%25%20sure"),
        ("%2e%2e/x", "%252e%252e%2Fx"),
        ("日本+", "%E6%97%A5%E6%9C%AC%2B"),
        ("x" * 300, "x" * 300),
    ],
)
def test_what_is_asked(
    door: Any, selector: dict[str, Any], query: dict[str, list[str]], prompt_id: str, path: str
) -> None:
    with Says(body()) as server:
        assert door.find(resolver_of(server), prompt_id, **selector)[0].id == prompt_id
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("GET", f"{PROMPTS}/{path}", query)
    pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
    assert pair == b"pk-lf-1:sk-lf-1"


def test_composed_prompts_arrive_resolved(langfuse: FakeLangfuse) -> None:
    langfuse.publish("shared/footer", "Yours, {{name}}")
    langfuse.publish("letter", "Dear all. @@@langfusePrompt:name=shared/footer|label=production@@@")
    prompt = Resolver("langfuse").get_prompt("letter")
    assert (prompt.text, prompt.variables) == ("Dear all. Yours, {{name}}", ("name",))
    langfuse.publish("shared/footer", "Bye, {{name}}")
    changed = Resolver("langfuse").get_prompt("letter")
    assert changed.version == prompt.version
    assert changed.content_hash != prompt.content_hash


def test_chats(langfuse: FakeLangfuse) -> None:
    langfuse.publish("chat", [{"role": "system", "content": "{{a}}"}, {"type": "placeholder", "name": "talk"}])
    prompt = Resolver("langfuse").get_prompt("chat")
    assert prompt.messages == ({"role": "system", "content": "{{a}}"}, Placeholder("talk"))


def test_the_vendors_type_is_left_out_and_the_rest_is_not() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"type": "message", "role": "system", "content": "a"},
        {"type": "chatmessage", "role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": [{"type": "text", "text": "{{x}}"}], "name": "Ann"},
    ]
    with Says(body(type="chat", prompt=messages)) as server:
        sent = resolver_of(server).resolve("p", variables={"x": "y"}).messages
    assert sent == [
        {"role": "system", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": [{"type": "text", "text": "y"}], "name": "Ann"},
    ]


@pytest.mark.parametrize("config", [None, {}])
def test_a_config_may_be_missing(config: object) -> None:
    with Says(body(config=config)) as server:
        assert resolver_of(server).get_prompt("p").config == {}


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (body(config=["canary"]), PromptConfigError, "its config must be an object, not list"),
        (body(config="canary"), PromptConfigError, "its config must be an object, not str"),
        (body(config=0), PromptConfigError, "its config must be an object, not int"),
        (body(config={"temperature": "canary"}), PromptConfigError, r"\(version 3\): config key 'temperature' must be"),
        (body(config={"model": 5}), PromptConfigError, "config key 'model' must be a text"),
        (body(prompt=[{"content": "canary"}]), TemplateError, "message 1: a message has a role"),
        (body(prompt=[{"type": "placeholder"}]), TemplateError, "message 1: a message has a role"),
        (body(prompt=["canary"]), TemplateError, "message 1: a message has a role"),
        (body(prompt=None), BackendError, "not of a prompt's shape. Is the host Langfuse's"),
        (body(prompt={"canary": 1}), BackendError, "not of a prompt's shape"),
        (body(version="3"), BackendError, "not of a prompt's shape"),
        ({}, BackendError, "not of a prompt's shape"),
        ([], BackendError, "not of a prompt's shape"),
        (None, BackendError, "not of a prompt's shape"),
        ("", BackendError, "answered 200, but its body is not JSON"),
        ("<html>canary</html>", BackendError, "answered 200, but its body is not JSON"),
        ("[" * 100_000, BackendError, "its body is not JSON"),
    ],
)
def test_answers_of_another_shape(said: object, error: type[PromptwireError], words: str) -> None:
    with Says(said) as server, pytest.raises(error, match=words) as caught:
        resolver_of(server).get_prompt("p")
    assert str(caught.value).startswith("langfuse prompt 'p'")
    assert "canary" not in str(caught.value)
    assert server.count == 1


def test_labels_and_tags_of_another_shape_are_none() -> None:
    with Says(body(labels="x", tags=[1, "a", None])) as server:
        prompt = resolver_of(server).get_prompt("p")
    assert (prompt.labels, prompt.tags) == ((), ("a",))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("status", "error", "words", "tries"),
    [
        (400, BackendError, "answered 400; the request was refused", 1),
        (401, BackendAuthError, r"refused the credentials \(401\); check the keys", 1),
        (403, BackendAuthError, r"refused the credentials \(403\)", 1),
        (404, PromptNotFoundError, "does not exist there; check the id, the version or label", 1),
        (409, BackendError, "answered 409", 1),
        (429, BackendUnavailableError, "answered 429", 3),
        (500, BackendUnavailableError, "answered 500", 3),
        (503, BackendUnavailableError, "answered 503", 3),
        (302, BackendError, "answered 302; redirects are not followed; give the final host", 1),
        (204, BackendError, "answered 204", 1),
    ],
)
def test_statuses(door: Any, status: int, error: type[PromptwireError], words: str, tries: int) -> None:
    headers = {"Location": "http://127.0.0.1:9/"} if status == 302 else {}
    with Says("" if status == 204 else "canary", status, headers) as server:
        with pytest.raises(error, match=words) as caught:
            door.find(resolver_of(server), "p")
        assert server.count == tries
    assert type(caught.value) is error
    assert getattr(caught.value, "status_code", 404) == status
    assert "canary" not in str(caught.value)


def test_versions_are_numbers(langfuse: FakeLangfuse) -> None:
    with pytest.raises(ConfigurationError, match="Langfuse's versions are numbers"):
        Resolver("langfuse").get_prompt("greeting", version="v1")
    assert langfuse.count == 0


def test_listing_turns_pages(langfuse: FakeLangfuse) -> None:
    for number in range(120):
        langfuse.publish(f"many/{number:03}", "x", tags=["t"])
    langfuse.publish("many/000", "y", labels=["staging"])
    listed = Resolver("langfuse").list_prompts()
    assert [request.query["page"] for request in langfuse.requests] == [["1"], ["2"]]
    assert [summary.id for summary in listed[:3]] == ["farewell", "greeting", "many/000"]
    assert listed[2] == PromptSummary("many/000", (1, 2), ("latest", "production", "staging"), ("t",))
    assert len(listed) == 122


@pytest.mark.parametrize(
    "said",
    [
        [], {}, {"data": None}, {"data": []}, {"data": [{}], "meta": {"totalPages": 1}},
        {"data": [], "meta": {"totalPages": "x"}}, {"data": [], "meta": {"totalPages": float("inf")}},
    ],
)  # fmt: skip
def test_listings_of_another_shape(said: object) -> None:
    with Says(said) as server, pytest.raises(BackendError, match=r"langfuse prompts: .* not of Langfuse's shape"):
        resolver_of(server).list_prompts()


@pytest.mark.parametrize("missing", ["public", "secret"])
def test_keys_that_are_missing(langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv(f"LANGFUSE_{missing.upper()}_KEY", "")
    with pytest.raises(
        ConfigurationError, match=f"set LANGFUSE_{missing.upper()}_KEY, or pass langfuse_{missing}_key="
    ):
        Resolver("langfuse").get_prompt("greeting")
    assert LangfuseBackend("pk", "sk").identity == LangfuseBackend("pk", "sk").identity


def test_which_host(langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    for host, base in ((langfuse.url, ""), ("", langfuse.url), ("http://127.0.0.1:9", langfuse.url + "/")):
        monkeypatch.setenv("LANGFUSE_HOST", host)
        monkeypatch.setenv("LANGFUSE_BASE_URL", base)
        assert Resolver("langfuse").get_prompt("farewell").version == 1
    given = LangfuseBackend(langfuse.public_key, langfuse.secret_key, langfuse.url + "//")
    assert Resolver(given).get_prompt("farewell").version == 1


def test_a_host_may_have_a_path() -> None:
    with Says(body()) as server:
        Resolver(LangfuseBackend("pk", "sk", server.url + "/langfuse/")).get_prompt("p")
    assert server.requests[0].path == f"/langfuse{PROMPTS}/p"


@pytest.mark.parametrize(
    "host",
    [
        "cloud.langfuse.com", "localhost:3000", "ftp://x", "http://", "//x", "http://[::1", "http://x:port",
        "http://u:canary@x", "http://:canary@x", "http://x?a", 5,
    ],
)  # fmt: skip
def test_what_is_no_host(host: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"the host must be a URL like .* \(LANGFUSE_") as caught:
        LangfuseBackend("pk", "sk", host)
    assert "canary" not in str(caught.value)


def test_copies_and_pickles_hold_no_keys(langfuse: FakeLangfuse) -> None:
    backend = LangfuseBackend("pk-canary", "sk-canary", langfuse.url)
    data = pickle.dumps(backend)
    assert b"canary" not in data
    assert base64.b64encode(b"pk-canary:sk-canary") not in data
    assert copy.deepcopy(backend) is backend
    assert Resolver(pickle.loads(data)).get_prompt("farewell").version == 1  # noqa: S301
    assert LangfuseBackend("pk", "a", langfuse.url).identity != LangfuseBackend("pk", "b", langfuse.url).identity
