"""Chat completions: which prompt, which model, whose key, which parameters."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import yaml

from promptwire.gateway.answers import PromptInfo
from promptwire.proxy.chat import PROMPT_HEADERS, prompt_headers
from promptwire.rollout import choose_label
from promptwire.testing import FakeHumanloop, FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.proxy.conftest import Running, Start, entry

IGNORED = [{"role": "user", "content": "THIS WILL BE IGNORED"}]


def sent(server: FakeOpenAI) -> dict[str, Any]:
    body: dict[str, Any] = server.requests[-1].json
    return body


def test_a_managed_prompt_answers(proxy: Running, openai: FakeOpenAI) -> None:
    answer = proxy.chat(messages=IGNORED, prompt_id="greeting", prompt_variables={"name": "Ann"})
    assert answer.json()["choices"][0]["message"]["content"] == "[gpt-4o-mini] Hello Ann"
    assert sent(openai)["messages"] == [{"role": "user", "content": "Hello Ann"}]
    assert sent(openai)["stop"] == ["END"]
    assert answer.headers["x-prompt-id"] == "greeting"
    assert answer.headers["x-prompt-version"] == "1"
    assert answer.headers["x-prompt-backend"] == "langfuse"
    assert answer.headers["x-prompt-source"] == "fresh"
    assert answer.headers["x-request-id"] == "req_1"
    again = proxy.chat(prompt_id="greeting", prompt_variables={"name": "Bo"})
    assert again.headers["x-prompt-source"] == "cached"


def test_weighted_labels_stick_to_their_users(start: Start, langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hi {{name}}", labels=["staging"])
    weights = {"production": 50, "staging": 50}
    rolled = entry("rolled", "langfuse/gpt-4o", prompt_id="greeting", prompt_label=weights)
    proxy = start(rolled, entry("plain", "langfuse/gpt-4o"))
    labels = {}
    for user in map(str, range(12)):
        asked = {"prompt_variables": {"name": "Ann"}, "rollout_key": user}
        answer = proxy.chat("rolled", **asked)
        labels[user] = answer.headers["x-prompt-label"]
        assert labels[user] == choose_label("greeting", weights, user)
        rendered = proxy.http.post("/v1/prompts/greeting/render", json={**asked, "prompt_label": weights})
        assert rendered.headers["x-prompt-label"] == labels[user]
        assert rendered.headers["x-prompt-version"] == answer.headers["x-prompt-version"]
    assert set(labels.values()) == set(weights)


@pytest.mark.parametrize(
    "named", [{"rollout_key": [1]}, {"rollout_key": True}, {"prompt_label": {}}, {"prompt_label": {"a": -1}}]
)
def test_what_can_choose_no_label_is_refused(proxy: Running, named: dict[str, Any]) -> None:
    answer = proxy.chat(prompt_id="greeting", prompt_variables={"name": "Ann"}, **named)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(named)))


def test_both_paths_are_the_same_route(proxy: Running) -> None:
    body = {"model": "plain", "messages": IGNORED}
    first, second = (proxy.http.post(path, json=body) for path in ("/chat/completions", "/v1/chat/completions"))
    assert first.json()["choices"] == second.json()["choices"]


def test_without_a_prompt_it_passes_through(proxy: Running, openai: FakeOpenAI) -> None:
    body = {"messages": IGNORED, "temperature": 0.3, "user": "u", "seed": 7, "logit_bias": {"50256": -100}}
    answer = proxy.chat("plain", **body)
    assert sent(openai) == {"model": "gpt-4o", **body}
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-prompt")]


def test_the_answer_is_the_providers_to_the_byte(start: Start, openai: FakeOpenAI) -> None:
    exact = '{"choices" : [],\n "odd": 1.0e2, "\\u00e9": "é"}'
    openai.garbage(exact)
    assert start().chat("plain", messages=IGNORED).text == exact


def test_versions_and_labels(proxy: Running, langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hi {{name}}", labels=["staging"])
    variables = {"name": "Ann"}
    for named, text in (({"prompt_label": "staging"}, "Hi"), ({"prompt_version": 2}, "Hi"), ({}, "Hello")):
        answer = proxy.chat(prompt_id="greeting", prompt_variables=variables, **named)
        assert answer.json()["choices"][0]["message"]["content"].endswith(f"{text} Ann")
        assert answer.headers.get("x-prompt-label") == named.get("prompt_label")


def test_an_entrys_prompt_and_what_a_request_says_over_it(start: Start, langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", "Hi {{name}} from {{place}}", labels=["staging"])
    proxy = start(
        entry(
            "clerk", "langfuse/gpt-4o", prompt_id="greeting", prompt_label="staging",
            prompt_variables={"name": "nobody", "place": "here"},
        )
    )  # fmt: skip
    answer = proxy.chat(prompt_variables={"name": "Ann"})
    assert answer.json()["choices"][0]["message"]["content"] == "[gpt-4o] Hi Ann from here"
    other = proxy.chat(prompt_id="farewell", prompt_label="production")
    assert other.headers["x-prompt-id"] == "farewell"


def test_parameters_rank_entry_prompt_request(start: Start, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.publish("p", "x", config={"temperature": 0.2, "max_tokens": 5})
    proxy = start(entry("clerk", "langfuse/gpt-4o", temperature=0.1, top_p=0.5, max_tokens=1, seed=1))
    proxy.chat(prompt_id="p", max_tokens=9)
    assert {name: sent(openai)[name] for name in ("temperature", "top_p", "max_tokens", "seed")} == {
        "temperature": 0.2, "top_p": 0.5, "max_tokens": 9, "seed": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("mode", "count"), [("replace", 1), ("prepend", 2)])
def test_the_message_mode_is_the_requests_or_the_entrys(
    start: Start, openai: FakeOpenAI, mode: str, count: int
) -> None:
    proxy = start(entry("clerk", "langfuse/gpt-4o"), entry("fixed", "langfuse/gpt-4o", message_mode=mode))
    call: dict[str, Any] = {"messages": IGNORED, "prompt_id": "greeting", "prompt_variables": {"name": "Ann"}}
    for answer in (proxy.chat(**call, message_mode=mode), proxy.chat("fixed", **call)):
        assert answer.status_code == 200
        assert len(sent(openai)["messages"]) == count


def test_missing_keep_is_the_operators_to_say(start: Start, openai: FakeOpenAI) -> None:
    proxy = start(entry("clerk", "langfuse/gpt-4o", missing="keep"))
    assert proxy.chat(prompt_id="greeting").status_code == 200
    assert sent(openai)["messages"][0]["content"] == "Hello {{name}}"
    assert proxy.chat(prompt_id="greeting", missing="keep").status_code == 400


def test_headers_hold_any_id(start: Start, langfuse: FakeLangfuse) -> None:
    name = "team/gr\u2028öße 100%"
    langfuse.publish(name, "x")
    answer = start().chat(prompt_id=name)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-prompt-id"].isascii()
    assert unquote(answer.headers["x-prompt-id"]) == name


SPLIT = "1\r\nx-evil: 1\r\n\r\n<html>\x00\u2028\U0001f600"
PLAIN = bytes(range(33, 127))


def evil(answer: httpx.Response) -> bool:
    """Whether a header or a body of somebody else's came along."""
    told = [name + value for name, value in answer.headers.raw if name.startswith(b"x-prompt")]
    return "x-evil" in answer.headers or answer.text.startswith("<html>") or any(text.strip(PLAIN) for text in told)


def test_a_servers_answer_adds_no_header(start: Start, openai: FakeOpenAI) -> None:
    with FakeHumanloop() as humanloop:
        humanloop.publish("team/p", "x", environments=["production"], version_id=SPLIT)
        keys = {"humanloop_api_key": humanloop.api_key, "humanloop_base_url": humanloop.url}
        proxy = start(entry("clerk", "humanloop/gpt-4o", **keys, prompt_id="team/p"))
        for stream in (False, True):
            answer = proxy.chat(messages=IGNORED, stream=stream)
            assert answer.status_code == 200, answer.text
            assert unquote(answer.headers["x-prompt-version"]) == SPLIT
            assert not evil(answer)
        assert not evil(proxy.http.get("/v1/prompts/team%2Fp?model=clerk"))
        assert not evil(proxy.http.post("/v1/prompts/team%2Fp/render", json={"model": "clerk"}))


@pytest.mark.parametrize("field", ["version", "labels", "name", "id"])
def test_a_file_adds_no_header(
    start: Start, openai: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"text": "x", field: [SPLIT] if field == "labels" else SPLIT}))
    proxy = start(entry("clerk", "files/gpt-4o", prompt_id="p"))
    answer = proxy.chat(messages=IGNORED)
    assert answer.status_code == (200 if field == "labels" else 400), answer.text
    assert not evil(answer)


@pytest.mark.parametrize("field", ["prompt_id", "prompt_label", "prompt_version"])
def test_a_client_adds_no_header(proxy: Running, openai: FakeOpenAI, field: str) -> None:
    for text in (SPLIT, "1\r\nx-evil: 1", "1\nx-evil: 1", "1%0d%0ax-evil:%201", "1\u010d\u010ax-evil: 1"):
        answer = proxy.chat(messages=IGNORED, **{"prompt_id": "farewell", field: text})
        assert answer.status_code in {400, 404}
        assert "x-evil" not in answer.headers
    assert openai.count == 0


def test_no_text_becomes_a_header_of_its_own() -> None:
    told = prompt_headers(PromptInfo(SPLIT, SPLIT, SPLIT, SPLIT, SPLIT, "", ()))
    assert [name for name, _ in told] == list(PROMPT_HEADERS)
    assert not any(value.strip(PLAIN) or unquote(value.decode()) != SPLIT for _, value in told)


class TestTheModelList:
    def test_a_pointed_entry_runs_the_prompt_and_an_entrys_own_key_wins(
        self, start: Start, langfuse: FakeLangfuse
    ) -> None:
        langfuse.publish("p", "x")
        with FakeOpenAI("sk-other") as other:
            proxy = start(
                entry("clerk", "langfuse/gpt-3.5-turbo", temperature=0.5),
                entry("keyed", "langfuse/gpt-3.5-turbo", api_key="sk-other"),
                entry(
                    "gpt-3.5-turbo", "openai/deployed", api_key="sk-not-it", api_base=other.url, temperature=0.1, seed=3
                ),
            )
            assert proxy.chat("keyed", prompt_id="p").status_code == 200
            assert sent(other) | {"messages": None} == {
                "model": "deployed", "messages": None, "temperature": 0.1, "seed": 3
            }  # fmt: skip
            assert proxy.chat("clerk", prompt_id="p").status_code == 401
            assert (sent(other)["temperature"], sent(other)["seed"]) == (0.5, 3)

    def test_an_entry_may_have_the_name_of_its_own_model(self, start: Start, langfuse: FakeLangfuse) -> None:
        proxy = start(entry("gpt-3.5-turbo", "langfuse/gpt-3.5-turbo", prompt_id="farewell"))
        answer = proxy.chat("gpt-3.5-turbo", messages=[])
        assert answer.json()["model"] == "gpt-3.5-turbo"

    def test_a_model_that_the_prompt_names_is_looked_up_in_the_list_first(
        self, start: Start, langfuse: FakeLangfuse, openai: FakeOpenAI
    ) -> None:
        langfuse.publish("p", "x", config={"model": "gpt-3.5-turbo", "temperature": 0.2})
        langfuse.publish("q", "x", config={"model": "gpt-3.5-turbo", "provider": "azure"})
        with FakeOpenAI("sk-elsewhere") as elsewhere:
            proxy = start(
                entry("clerk", "langfuse/gpt-4o", extra_headers={"x-secret": "canary-header"}),
                entry("gpt-3.5-turbo", "openai/deployed", api_key="sk-elsewhere", api_base=elsewhere.url, seed=3),
            )
            assert proxy.chat(prompt_id="p").status_code == 200
            assert openai.count == 0
            assert sent(elsewhere)["model"] == "deployed"
            assert (sent(elsewhere)["temperature"], sent(elsewhere)["seed"]) == (0.2, 3)
            assert "canary-header" not in str(elsewhere.requests[-1].headers)
            refused = proxy.chat(prompt_id="q")
            assert (refused.status_code, refused.json()["error"]["code"]) == (500, "proxy_misconfigured")
            assert "AZURE_API_KEY" in refused.json()["error"]["message"]

    def test_a_name_with_its_provider(self, start: Start, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
        langfuse.publish("p", "x", config={"model": "small", "provider": "openai"})
        proxy = start(entry("clerk", "langfuse/gpt-4o"), entry("openai/small", "openai/deployed"))
        assert proxy.chat(prompt_id="p").status_code == 200
        assert sent(openai)["model"] == "deployed"

    def test_a_prompt_may_name_a_model_outside_the_list(
        self, start: Start, langfuse: FakeLangfuse, anthropic: FakeAnthropic, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        langfuse.publish("p", "x", config={"model": "claude-sonnet-4-5"})
        proxy = start(entry("clerk", "langfuse/gpt-4o", api_key="sk-openais", extra_headers={"x-key": "canary-key"}))
        answer = proxy.chat(prompt_id="p")
        assert answer.json()["choices"][0]["message"]["content"] == "[claude-sonnet-4-5] x"
        monkeypatch.setattr("promptwire.proxy.chat.MAX_TARGETS", 0)
        langfuse.publish("q", "x", config={"model": "claude-opus-4-1"})
        assert proxy.chat(prompt_id="q").json()["model"] == "claude-opus-4-1"
        request = str(anthropic.requests[-1].headers)
        assert "canary-key" not in request
        assert "sk-openais" not in request

    @pytest.mark.parametrize("model", ["gpt-4o-mini", "listed"])
    def test_allowed_models_bound_what_a_prompt_names(self, start: Start, langfuse: FakeLangfuse, model: str) -> None:
        langfuse.publish("p", "x", config={"model": model})
        proxy = start(
            entry("clerk", "langfuse/gpt-4o", allowed_models=["openai/gpt-4o"]), entry("listed", "openai/deployed")
        )
        refused = proxy.chat(prompt_id="p")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "prompt_config_error")
        assert "not among allowed_models" in refused.json()["error"]["message"]

    def test_the_prompts_model_and_parameters_can_be_ignored(
        self, start: Start, langfuse: FakeLangfuse, openai: FakeOpenAI
    ) -> None:
        langfuse.publish("p", "x", config={"model": "gpt-4o-mini", "temperature": 0.2})
        ignoring = {"ignore_prompt_manager_model": True, "ignore_prompt_manager_optional_params": True}
        assert start(entry("clerk", "langfuse/gpt-4o", **ignoring)).chat(prompt_id="p").status_code == 200
        assert sent(openai) == {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}

    def test_entries_of_one_name_take_turns(self, start: Start, openai: FakeOpenAI) -> None:
        proxy = start(
            entry("m", "openai/one"), entry("m", "openai/two"), entry("p", "langfuse/m", prompt_id="farewell")
        )
        for name in ("m", "p"):
            seen = [proxy.chat(name, messages=IGNORED).json()["model"] for _ in range(4)]
            assert seen == ["one", "two", "one", "two"]

    def test_an_entry_without_a_model_runs_prompts_that_name_one(
        self, start: Start, langfuse: FakeLangfuse, openai: FakeOpenAI
    ) -> None:
        proxy = start(entry("clerk", "langfuse/"))
        assert proxy.chat(prompt_id="greeting", prompt_variables={"name": "x"}).status_code == 200
        assert proxy.chat(prompt_id="farewell").status_code == 500

    def test_azure(self, start: Start, langfuse: FakeLangfuse) -> None:
        with FakeOpenAI() as azure:
            azure.garbage('{"choices": []}')
            base = azure.url.removesuffix("/v1")
            proxy = start(
                entry("clerk", "langfuse/gpt-3.5-turbo"),
                entry("gpt-3.5-turbo", "azure/chatgpt-v-2", api_key="k", api_base=base, api_version="2024-06-01"),
            )
            langfuse.publish("p", "x", config={"model": "gpt-3.5-turbo"})
            for call in ({"prompt_id": "p"}, {"prompt_id": "farewell"}):
                assert proxy.chat(**call).status_code == 200
                assert azure.requests[-1].path == "/openai/deployments/chatgpt-v-2/chat/completions"
                assert azure.requests[-1].headers["api-key"] == "k"

    def test_an_entrys_langfuse_project_and_the_environments(self, start: Start, langfuse: FakeLangfuse) -> None:
        with FakeLangfuse("pk-two", "sk-two") as second:
            second.publish("farewell", "from two")
            keys = {"langfuse_public_key": "pk-two", "langfuse_secret": "sk-two", "langfuse_host": second.url}
            proxy = start(entry("one", "langfuse/gpt-4o"), entry("two", "langfuse/gpt-4o", **keys))
            for name, text in (("one", "Bye"), ("two", "from two")):
                answer = proxy.chat(name, prompt_id="farewell")
                assert answer.json()["choices"][0]["message"]["content"].endswith(text)


def test_one_model_under_any_name(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    from promptwire.proxy.config import single_model
    from tests.proxy.conftest import serving

    with serving(single_model("langfuse/gpt-4o", "farewell")) as proxy:
        for name in ("gpt-3.5-turbo", "anything/else"):
            assert proxy.chat(name, messages=IGNORED).json()["model"] == "gpt-4o"
        assert proxy.http.post("/v1/chat/completions", json={}).status_code == 200
        named = proxy.chat("any", prompt_id="greeting", prompt_variables={"name": "x"})
        assert named.json()["model"] == "gpt-4o-mini"
        assert proxy.http.get("/v1/prompts/farewell?model=any").json()["backend"] == "langfuse"


def test_a_slow_prompt_stalls_nobody_else(proxy: Running, langfuse: FakeLangfuse) -> None:
    import threading

    gate = langfuse.hang(match="greeting")
    slow = threading.Thread(target=lambda: proxy.chat(prompt_id="greeting", prompt_variables={"name": "x"}))
    slow.start()
    assert gate.wait_for(1)
    assert proxy.chat("plain", messages=IGNORED).status_code == 200
    assert proxy.chat(prompt_id="farewell").status_code == 200
    assert slow.is_alive()
    gate.release()
    slow.join()


def test_an_outage_of_the_prompt_service(proxy: Running, langfuse: FakeLangfuse) -> None:
    call: dict[str, Any] = {"prompt_id": "greeting", "prompt_variables": {"name": "x"}}
    assert proxy.chat(**call).headers["x-prompt-source"] == "fresh"
    langfuse.stop()
    proxy.service.resolver.invalidate()
    assert proxy.chat(**call).headers["x-prompt-source"] == "stale"
    cold = proxy.chat(prompt_id="farewell")
    assert (cold.status_code, cold.json()["error"]["code"]) == (503, "prompt_service_unavailable")
