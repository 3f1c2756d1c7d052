"""``/v1/prompts``: read only."""

from pathlib import Path
from typing import Any

import pytest

from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.proxy.conftest import Running, Start, entry


def test_a_prompt_is_shown(proxy: Running, langfuse: FakeLangfuse) -> None:
    config = {"model": "gpt-4o", "temperature": 0.2, "api_key": "canary", "note": "canary"}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be {{tone}}"}, {"type": "placeholder", "name": "history"}
    ]  # fmt: skip
    langfuse.publish("chat", messages, config=config, tags=["a"])
    answer = proxy.http.get("/v1/prompts/chat")
    shown = answer.json()
    assert len(shown.pop("content_hash")) == 64
    assert shown == {
        "object": "prompt", "id": "chat", "backend": "langfuse", "version": 1, "labels": ["production", "latest"],
        "tags": ["a"], "text": None,
        "messages": [{"role": "system", "content": "Be {{tone}}"}, {"placeholder": "history"}],
        "variables": ["tone"], "placeholders": ["history"], "model": "gpt-4o", "provider": None,
        "params": {"temperature": 0.2},
    }  # fmt: skip
    assert answer.headers["x-prompt-id"] == "chat"


@pytest.mark.parametrize("name", ["a/b", "a/render", "render", "100% é", "a?b#c", "@x/1"])
def test_ids_are_data(proxy: Running, langfuse: FakeLangfuse, name: str) -> None:
    from urllib.parse import quote

    langfuse.publish(name, "Hello {{name}}")
    path = f"/v1/prompts/{quote(name, safe='')}"
    assert proxy.http.get(path).json()["id"] == name
    rendered = proxy.http.post(f"{path}/render", json={"prompt_variables": {"name": "Ann"}})
    assert rendered.json()["messages"] == [{"role": "user", "content": "Hello Ann"}]
    assert rendered.json()["id"] == name


def test_versions_and_labels(proxy: Running, langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hi {{name}}", labels=["staging"])
    for query, named in (("label=staging", {"prompt_label": "staging"}), ("version=2", {"prompt_version": 2})):
        shown = proxy.http.get(f"/v1/prompts/greeting?{query}")
        assert (shown.json()["version"], shown.json()["text"]) == (2, "Hi {{name}}")
        body = {"prompt_variables": {"name": "x"}, **named}
        rendered = proxy.http.post("/v1/prompts/greeting/render", json=body)
        assert rendered.json()["messages"][0]["content"] == "Hi x"
        assert rendered.headers["x-prompt-version"] == "2"


def test_rendering_says_what_would_be_set_and_calls_no_model(proxy: Running, openai: FakeOpenAI) -> None:
    rendered = proxy.http.post("/v1/prompts/greeting/render", json={"prompt_variables": {"name": "x"}}).json()
    assert (rendered["model"], rendered["params"]) == ("gpt-4o-mini", {"stop": ["END"]})
    assert openai.count == 0


def test_the_model_picks_whose_prompts(start: Start, langfuse: FakeLangfuse) -> None:
    with FakeLangfuse("pk-two", "sk-two") as second:
        second.publish("farewell", "Bye {{name}}, {{more}}")
        keys = {"langfuse_public_key": "pk-two", "langfuse_secret_key": "sk-two", "langfuse_host": second.url}
        proxy = start(
            entry("plain", "gpt-4o"),
            entry("one", "langfuse/gpt-4o"),
            entry(
                "two", "langfuse/gpt-4o", **keys, missing="keep", text_role="system", prompt_variables={"more": "ok"}
            ),
        )
        assert proxy.http.get("/v1/prompts/farewell").json()["text"] is None
        assert proxy.http.get("/v1/prompts/farewell?model=two").json()["text"] == "Bye {{name}}, {{more}}"
        rendered = proxy.http.post("/v1/prompts/farewell/render", json={"model": "two"}).json()
        assert rendered["messages"] == [{"role": "system", "content": "Bye {{name}}, ok"}]


def test_without_an_entry_that_has_a_backend(start: Start, langfuse: FakeLangfuse) -> None:
    proxy = start(entry("plain", "gpt-4o"))
    assert proxy.http.get("/v1/prompts/langfuse:farewell").json()["backend"] == "langfuse"
    rendered = proxy.http.post("/v1/prompts/langfuse:greeting/render", json={"prompt_variables": {"name": "x"}})
    assert rendered.json()["messages"][0]["content"] == "Hello x"


@pytest.mark.parametrize(
    ("asked", "body", "status", "param"),
    [
        ("GET nix", None, 404, "prompt_id"),
        ("GET greeting?version=0", None, 400, "prompt_version"),
        ("GET greeting?version=abc", None, 400, "prompt_version"),
        ("GET greeting?version=1&label=x", None, 400, "prompt_version"),
        ("GET greeting?model=nix", None, 404, "model"),
        ("GET %2E%2E%2Fx", None, 400, "prompt_id"),
        ("GET a%00b", None, 400, "prompt_id"),
        ("POST greeting/render", {}, 400, "prompt_variables.name"),
        ("POST greeting/render", {"prompt_variables": "x"}, 400, "prompt_variables"),
        ("POST greeting/render", {"model": ["x"]}, 404, "model"),
        ("POST greeting/render", {"prompt_id": "other"}, 400, "prompt_id"),
        ("POST greeting/render", [], 400, None),
        ("POST nix/render", {}, 404, "prompt_id"),
    ],
)
def test_bad_requests(proxy: Running, asked: str, body: Any, status: int, param: str | None) -> None:
    method, path = asked.split(" ")
    answer = proxy.http.request(method, f"/v1/prompts/{path}", **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    "prompt",
    [{"prompt": "a\ud800b {{x}}"}, {"prompt": "x", "config": {"metadata": {"a": "\ud800"}}},
     {"prompt": "x", "config": {"metadata": {"a": 2**70}}}],
    ids=["text", "parameter", "number"],
)  # fmt: skip
def test_what_json_cannot_hold(proxy: Running, langfuse: FakeLangfuse, prompt: dict[str, Any]) -> None:
    langfuse.publish("odd", **prompt)
    rendered = proxy.http.post("/v1/prompts/odd/render", json={"prompt_variables": {"x": 1}})
    for answer in (proxy.http.get("/v1/prompts/odd"), rendered):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "prompt_config_error")
        assert "langfuse prompt 'odd'" in answer.json()["error"]["message"]


def test_a_client_is_not_told_where_a_folder_is(
    proxy: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "canary folder"
    (folder / "exported").mkdir(parents=True)
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(folder))
    monkeypatch.setenv("HUMANLOOP_DIR", str(folder))
    monkeypatch.setenv("PROMPTWIRE_CHAIN", "files,humanloop")
    for name in ("files", "humanloop", "chain"):
        for answer in (proxy.http.get(f"/v1/prompts/{name}:nix"), proxy.chat(prompt_id=f"{name}:nix")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "prompt_not_found")
            assert "'nix'" in answer.json()["error"]["message"]
            assert "canary" not in answer.text
            assert str(tmp_path) not in answer.text
