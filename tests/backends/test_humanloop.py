"""Humanloop's API: what is asked on the wire, what becomes of every answer, and the calls of LiteLLM's users."""

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptwire import PromptSummary, Resolver
from promptwire.backends.humanloop import DEFAULT_BASE_URL, HumanloopBackend
from promptwire.errors import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    MissingVariablesError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.prompts import Prompt
from promptwire.testing import Answer, FakeHumanloop, LoopbackServer, Received
from promptwire.testing.contract import SEEDS, BackendContract

CASES = Path(__file__).parents[1] / "cases"
SHARED = Path(__file__).parents[3] / "shared" / "contract"


def rendering_cases() -> list[Any]:
    """The clone's own cases, and those of a contract folder beside the clone if there is one."""
    files = [folder / "humanloop_cases.json" for folder in (CASES, SHARED)]
    found = [case for file in files if file.exists() for case in json.loads(file.read_text("utf-8"))["cases"]]
    return [pytest.param(case, id=case["name"]) for case in {json.dumps(case): case for case in found}.values()]


# The vendor's defects, and what a prompt says here instead.
MENDED: dict[str, object] = {
    "value containing braces of a later variable (re-expanded)": "{{b}} B",
    "chat list content multi-char text": [{"role": "user", "content": [{"type": "text", "text": "Hi X"}]}],
}


@pytest.fixture
def humanloop() -> Iterator[FakeHumanloop]:
    with FakeHumanloop() as server:
        yield server


class Says(LoopbackServer):
    """Answers every request alike."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self._answer = Answer.of_json(200, body)

    def answer(self, request: Received) -> Answer:
        return self._answer


def backend_of(server: LoopbackServer, key: str = "hl-test-key") -> HumanloopBackend:
    return HumanloopBackend(key, server.url)


def said(body: object, prompt_id: str = "pr_1") -> Prompt:
    with Says(body) as server:
        return Resolver(backend_of(server)).get_prompt(prompt_id)


def plain_seed(content: Any) -> Any:
    """Humanloop has no placeholders."""
    return content if isinstance(content, str) else [one for one in content if one.get("type") != "placeholder"]


class TestContract(BackendContract):
    has_placeholders = False

    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with FakeHumanloop() as self.server:
            for name, value in self.server.env.items():
                monkeypatch.setenv(name, value)
            for seed in SEEDS:
                self.server.publish(seed.id, plain_seed(seed.content), environments=seed.labels, **seed.config)
            yield

    def named(self, version: int) -> str:
        return f"prv_{version}"

    def open(self) -> HumanloopBackend:
        return HumanloopBackend()


@pytest.mark.parametrize("case", rendering_cases())
def test_rendering_keeps_to_the_official_sdk_but_for_its_defects(case: dict[str, Any]) -> None:
    prompt = said({"template": case["template"], "model": "gpt-4o"})
    wanted = MENDED.get(case["name"], case.get("output"))
    if wanted is None:
        with pytest.raises(MissingVariablesError) as caught:
            prompt.render(case["inputs"])
        assert list(caught.value.missing) == case["missing_variables"]
        return
    wanted = [{"role": "user", "content": wanted}] if isinstance(wanted, str) else wanted
    assert prompt.render(case["inputs"]).messages == wanted


def test_the_cases_are_there() -> None:
    assert len(rendering_cases()) >= 28
    assert set(MENDED) <= {case.values[0]["name"] for case in rendering_cases()}


def test_by_path_and_by_id_with_a_version(humanloop: FakeHumanloop) -> None:
    first = humanloop.publish("team/p", "one", prompt_id="pr_ü/x", environments=["staging", "production"])
    second = humanloop.publish("team/p", "two", environments=["production"])
    resolver = Resolver(backend_of(humanloop))
    for prompt_id in ("team/p", "pr_ü/x"):
        assert resolver.get_prompt(prompt_id).text == "two"
        assert resolver.get_prompt(prompt_id, version=first).text == "one"
        assert resolver.get_prompt(prompt_id, label="staging").version == first
        prompt = resolver.get_prompt(prompt_id, label="production")
        assert (prompt.id, prompt.version, prompt.labels) == (prompt_id, second, ("production",))
        with pytest.raises(PromptNotFoundError, match=r"humanloop prompt .* \(label 'nobody'\) does not exist"):
            resolver.get_prompt(prompt_id, label="nobody")


def test_without_an_environment_the_newest_is_meant(humanloop: FakeHumanloop) -> None:
    humanloop.publish("p", "one", environments=["staging"])
    humanloop.publish("p", "two")
    assert Resolver(backend_of(humanloop)).get_prompt("p").text == "two"


def test_an_answer_of_template_and_model_suffices() -> None:
    prompt = said({"template": [{"role": "system", "content": "You are {{p}}"}], "model": "gpt-4o"})
    assert (prompt.model, prompt.version, prompt.labels, prompt.settings()) == ("gpt-4o", None, (), {})
    assert prompt.render({"p": "{{q}}"}).messages == [{"role": "system", "content": "You are {{q}}"}]


def test_a_prompt_without_a_template_leaves_the_callers_messages() -> None:
    assert said({"template": None, "model": "gpt-4o"}).messages == ()


TOOL = {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {}}}
FULL = {
    "template": "Hi {{name}}", "model": "gpt-4o", "provider": "openai", "max_tokens": 50, "temperature": 0.2,
    "top_p": 0.9, "stop": ["END"], "presence_penalty": 0.1, "frequency_penalty": 0.2, "seed": 7,
    "reasoning_effort": "low", "response_format": {"type": "json_object"}, "other": {"api_base": "http://127.0.0.1:9"},
    "tools": [{**TOOL, "strict": None}], "linked_tools": [{**TOOL, "name": "link", "id": "tl_1", "version_id": "tv_1"}],
    "attributes": {"a": 1}, "tags": ["t"], "total_logs_count": 5, "created_by": "u", "api_base": "http://127.0.0.1:9",
    "environments": [{"name": "production"}, {"name": 5}, "x"], "version_id": "prv_9",
}  # fmt: skip


def test_every_setting() -> None:
    prompt = said(FULL)
    assert prompt.settings() == {
        "max_tokens": 50, "temperature": 0.2, "top_p": 0.9, "stop": ["END"], "presence_penalty": 0.1,
        "frequency_penalty": 0.2, "seed": 7, "reasoning_effort": "low", "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": TOOL}, {"type": "function", "function": {**TOOL, "name": "link"}}],
    }  # fmt: skip
    assert (prompt.labels, prompt.tags, prompt.version) == (("production",), ("t",), "prv_9")
    assert prompt.config["other"] == {"api_base": "http://127.0.0.1:9"}
    assert not {"total_logs_count", "created_by", "template"} & set(prompt.config)


def test_use_does_not_make_it_another_prompt() -> None:
    assert said(FULL) == said({**FULL, "total_logs_count": 6, "last_used_at": "2025-08-01"})


def test_the_vendors_blanks_are_no_settings() -> None:
    body: dict[str, Any] = {"max_tokens": -1, "stop": None, "tools": [], "linked_tools": None, "response_format": None}
    assert said({**body, "template": "x", "model": "gpt-4o"}).settings() == {}


def test_a_tool_that_is_wrapped_stays_as_it_is() -> None:
    wrapped = {"type": "function", "function": TOOL}
    assert said({"template": "x", "tools": [wrapped], "reasoning_effort": 512}).settings() == {
        "tools": [wrapped],
        "reasoning_effort": 512,
    }


@pytest.mark.parametrize(
    ("named", "ours"),
    [("openai_azure", "azure"), ("google", "gemini"), ("anthropic", "anthropic"), ("new", "new"), (None, None)],
)
def test_providers(named: str | None, ours: str | None) -> None:
    assert said({"template": "x", "model": "m", "provider": named, "endpoint": "new"}).provider == ours


def test_both_template_languages() -> None:
    assert said({"template": "{% if a %}{{ a }}{% endif %}", "template_language": "jinja"}).render(
        {"a": 1}
    ).messages == [{"role": "user", "content": "1"}]
    assert said({"template": "{{ a|upper }}", "template_language": "default"}).render().messages[0]["content"] == (
        "{{ a|upper }}"
    )


def test_messages_keep_all_but_their_blanks() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    blanks = dict.fromkeys(("name", "tool_call_id", "thinking"))
    template = [
        {"role": "developer", "content": "Be {{how}}", "tool_calls": [], **blanks},
        {
            "role": "user",
            "name": "Ann",
            "content": [
                {"type": "text", "text": "{{how}}?"},
                {"type": "image_url", "image_url": {"url": "{{url}}", "detail": None}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "thinking": thought},
        {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "look"},
        {"role": "assistant", "tool_calls": [call]},
    ]
    assert said({"template": template}).render({"how": "kind", "url": "https://x/y"}).messages == [
        {"role": "developer", "content": "Be kind"},
        {
            "role": "user",
            "name": "Ann",
            "content": [
                {"type": "text", "text": "kind?"},
                {"type": "image_url", "image_url": {"url": "https://x/y"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "thinking_blocks": thought},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
        {"role": "assistant", "tool_calls": [call]},
    ]


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ([], BackendError, "not of a prompt's shape. Is the base URL Humanloop's"),
        ({"detail": "x"}, BackendError, "not of a prompt's shape"),
        ({"template": 5, "model": "m"}, BackendError, "not of a prompt's shape"),
        ({"template": "x", "type": "agent"}, PromptConfigError, "it is a Humanloop agent; only prompts are read"),
        ({"template": "x", "template_language": "liquid"}, PromptConfigError, "'default' or 'jinja', not 'liquid'"),
        ({"template": "x", "template_language": []}, PromptConfigError, "'default' or 'jinja'"),
        ({"template": "x", "tools": "look"}, PromptConfigError, "config key 'tools' must be a list, not str"),
        ({"template": "x", "linked_tools": {}}, PromptConfigError, "'linked_tools' must be a list, not dict"),
        ({"template": "x", "tools": ["look"]}, PromptConfigError, "config key 'tools'"),
        ({"template": "x", "provider": 5}, PromptConfigError, "config key 'provider' must be a text"),
        ({"template": "x", "temperature": "hot"}, PromptConfigError, "config key 'temperature' must be a number"),
        ({"template": ["x"]}, TemplateError, "message 1: a message has a role"),
        ({"template": "{% if %}", "template_language": "jinja"}, TemplateError, "humanloop prompt 'pr_1'"),
    ],
)
def test_answers_of_another_shape(body: object, error: type[PromptwireError], words: str) -> None:
    with pytest.raises(error, match=words):
        said(body)


@pytest.mark.parametrize("given", [["prv_1"], {"id": "prv_1"}, 1.5])
def test_a_version_that_is_no_name_is_none(given: object) -> None:
    prompt = said({"template": "x", "version_id": given})
    assert prompt.version is None
    assert hash(prompt) == hash(said({"template": "x"}))


def test_a_version_by_path_of_a_server_that_names_no_id() -> None:
    with Says({"template": "x", "model": "m"}) as server, pytest.raises(BackendError, match="not of a prompt's shape"):
        Resolver(backend_of(server)).get_prompt("p", version="prv_1")
    with Says(["x"]) as server, pytest.raises(BackendError, match="not of a prompt's shape"):
        Resolver(backend_of(server)).get_prompt("p", version="prv_1")


def test_a_refused_key(humanloop: FakeHumanloop) -> None:
    with pytest.raises(BackendAuthError, match="check the keys") as caught:
        Resolver(backend_of(humanloop, "hl-wrong-key")).get_prompt("p")
    assert "hl-wrong-key" not in str(caught.value)


def test_listing_turns_pages(humanloop: FakeHumanloop) -> None:
    for number in range(150):
        humanloop.publish(f"p{number:03}", "x", environments=["production"], tags=["t"])
    humanloop.publish("p000", "y", environments=["staging"])
    listed = Resolver(backend_of(humanloop), timeout=60).list_prompts()
    assert [summary.id for summary in listed] == [f"p{number:03}" for number in range(150)]
    assert listed[0] == PromptSummary("p000", ("prv_151", "prv_1"), ("staging", "production"), ("t",))


def test_listing_a_server_that_knows_neither_pages_nor_versions() -> None:
    class Short(LoopbackServer):
        def answer(self, request: Received) -> Answer:
            if request.path.endswith("/versions"):
                return Answer.of_json(404, {})
            return Answer.of_json(200, {"records": [{"path": "b", "version_id": "prv_1"}, {"path": "a"}]})

    with Short() as server:
        listed = Resolver(backend_of(server)).list_prompts()
    assert listed == [PromptSummary("a"), PromptSummary("b", ("prv_1",))]


@pytest.mark.parametrize("body", [[], {}, {"records": {}}, {"records": ["x"]}, {"records": [{"path": 5}]}])
def test_listings_of_another_shape(body: object) -> None:
    with Says(body) as server, pytest.raises(BackendError, match="listing is not of Humanloop's shape"):
        Resolver(backend_of(server)).list_prompts()


def test_a_key_that_is_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"set HUMANLOOP_API_KEY, or pass humanloop_api_key=.*humanloop_dir="):
        HumanloopBackend()


def test_environment_and_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl-1")
    assert HumanloopBackend().identity == HumanloopBackend(base_url=f"{DEFAULT_BASE_URL}/").identity
    monkeypatch.setenv("HUMANLOOP_BASE_URL", "http://127.0.0.1:9/v5")
    assert HumanloopBackend().identity == HumanloopBackend("hl-1", "http://127.0.0.1:9/v5").identity
    assert HumanloopBackend().identity != HumanloopBackend("hl-2").identity
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for folder in (str(tmp_path), f"~/{tmp_path.name}"):
        monkeypatch.setenv("HUMANLOOP_DIR", folder)
        assert HumanloopBackend().identity == HumanloopBackend(root=tmp_path).identity
    assert HumanloopBackend("hl-1").stamp is None
    for server in ({"api_key": "hl-1"}, {"base_url": "http://127.0.0.1:9/v5"}):
        with pytest.raises(ConfigurationError, match="a folder or a server"):
            HumanloopBackend(**server, root=tmp_path)


@pytest.mark.parametrize("base", ["127.0.0.1:9", "ftp://x", "http://", "http://u:p@x/v5", "http://[x", "http://x?a=b"])
def test_what_is_no_base_url(base: str) -> None:
    with pytest.raises(ConfigurationError, match="humanloop: the base URL must be one like"):
        HumanloopBackend("hl-1", base)


def test_copies_and_pickles_hold_no_key(humanloop: FakeHumanloop, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_of(humanloop, "hl-secret")
    assert copy.deepcopy(backend) is backend
    monkeypatch.setenv("HUMANLOOP_API_KEY", "hl-other")
    monkeypatch.setenv("HUMANLOOP_DIR", "nowhere")
    pickled = pickle.dumps(backend)
    assert b"hl-secret" not in pickled
    assert pickle.loads(pickled).identity == backend_of(humanloop, "hl-other").identity  # noqa: S301 - ours


CLOSED = r"closed in September 2025.*HUMANLOOP_BASE_URL.*an export \(HUMANLOOP_DIR"


def test_the_closed_service_says_what_to_do() -> None:
    with pytest.raises(BackendUnavailableError, match=CLOSED) as caught:
        Resolver(HumanloopBackend("hl-1")).get_prompt("p", timeout=0.5)
    assert not caught.value.retryable
    with pytest.raises(BackendUnavailableError, match=CLOSED):
        Resolver(HumanloopBackend("hl-1")).list_prompts(timeout=0.5)


def test_a_closed_service_that_never_answers_says_so_in_time(
    humanloop: FakeHumanloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.backends.humanloop.DEFAULT_BASE_URL", humanloop.url)
    humanloop.hang()
    with pytest.raises(BackendUnavailableError, match=CLOSED):
        Resolver(HumanloopBackend("hl-1"), timeout=0.5).get_prompt("p")
    assert humanloop.count == 1


def test_an_old_address_that_answers(humanloop: FakeHumanloop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptwire.backends.humanloop.DEFAULT_BASE_URL", humanloop.url)
    with pytest.raises(BackendAuthError) as caught:
        Resolver(HumanloopBackend("hl-1")).get_prompt("p")
    assert "closed" not in str(caught.value)
    humanloop.publish("p", "Hi")
    resolver = Resolver(HumanloopBackend(humanloop.api_key))
    assert resolver.get_prompt("p").text == "Hi"
    humanloop.fail(503, times=1)
    assert resolver.get_prompt("p", version="prv_1").text == "Hi"
    humanloop.garbage()
    with pytest.raises(BackendError, match=CLOSED):
        resolver.get_prompt("q")


def test_another_host_that_is_down_is_no_closed_service() -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        Resolver(HumanloopBackend("hl-1", "http://127.0.0.1:9/v5")).get_prompt("p")
    assert "closed" not in str(caught.value)
