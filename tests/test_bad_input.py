"""Bad input at every front door: the same named error, before anything is sent to the model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from llama_index.llms.promptwire import Promptwire

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire import (
    BackendError,
    ConfigurationError,
    MissingVariablesError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.default import fresh_resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI, LoopbackServer

Door = Callable[..., object]


def named(backend: str, selection: dict[str, Any]) -> dict[str, Any]:
    prompt = {"id" if name == "prompt_id" else name: value for name, value in selection.items()}
    return {"model": f"{backend}/gpt-4o-mini", **{f"prompt_{name}": value for name, value in prompt.items()}}


def resolve(backend: str, **selection: Any) -> object:
    return promptwire.resolve(backend=backend, **selection)


def completion(backend: str, **selection: Any) -> object:
    return promptwire.completion(**named(backend, selection))


def langchain(backend: str, **selection: Any) -> object:
    return ChatPromptwire(**named(backend, selection)).invoke([])


def llamaindex(backend: str, **selection: Any) -> object:
    return Promptwire(**named(backend, selection)).complete("")


@pytest.fixture(params=[resolve, completion, langchain, llamaindex])
def front_door(request: pytest.FixtureRequest) -> Door:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with fresh_resolver(), FakeOpenAI() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


WRONG: list[tuple[dict[str, Any], type[PromptwireError], str]] = [
    ({"prompt_id": "two"}, MissingVariablesError, "one, two"),
    ({"prompt_id": "nothing"}, PromptNotFoundError, "langfuse prompt 'nothing'"),
    ({"prompt_id": "farewell", "label": "staging"}, PromptNotFoundError, "label 'staging'"),
    ({"prompt_id": "farewell", "version": 9}, PromptNotFoundError, "version 9"),
    ({"prompt_id": "farewell", "label": "production", "version": 1}, ConfigurationError, "not both"),
    ({"prompt_id": "farewell", "version": 0}, ConfigurationError, "versions count from 1"),
    ({"prompt_id": "odd"}, PromptConfigError, "temperature"),
    ({"prompt_id": "list"}, PromptConfigError, "config"),
    ({"prompt_id": ".."}, ConfigurationError, "prompt id"),
    ({"prompt_id": "../../x"}, ConfigurationError, "prompt id"),
    ({"prompt_id": ""}, ConfigurationError, "prompt id"),
]


@pytest.mark.parametrize(("selection", "error", "words"), WRONG, ids=range(len(WRONG)))
def test_what_is_selected_wrongly(
    selection: dict[str, Any],
    error: type[PromptwireError],
    words: str,
    *,
    front_door: Door,
    langfuse: FakeLangfuse,
    openai: FakeOpenAI,
) -> None:
    langfuse.publish("two", "{{one}} {{two}}")
    langfuse.publish("odd", "Hi", config={"temperature": "warm"})
    langfuse.publish("list", "Hi", config=["gpt-4o"])
    with pytest.raises(error, match=words):
        front_door(**{"backend": "langfuse", **selection})
    assert openai.count == 0


def test_an_unknown_backend(front_door: Door, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")  # a host of one's own takes any name before the slash as the model's
    with pytest.raises(ConfigurationError, match=r"'langfus' \(did you mean 'langfuse'\?\)"):
        front_door("langfus", prompt_id="farewell")
    assert openai.count == 0


@pytest.mark.parametrize("prompt_id", ["a?b#c", "100% sure", "x" * 300])
def test_odd_ids(prompt_id: str, front_door: Door, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    with pytest.raises(PromptNotFoundError, match="does not exist"):
        front_door("langfuse", prompt_id=prompt_id)
    assert [request.path.rsplit("/", 1)[-1] for request in langfuse.requests] == [quote(prompt_id, safe="")]
    assert openai.count == 0


@pytest.mark.parametrize("name", ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"])
def test_a_key_that_is_missing(
    name: str, front_door: Door, langfuse: FakeLangfuse, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=f"set {name}"):
        front_door("langfuse", prompt_id="farewell")
    assert (langfuse.count, openai.count) == (0, 0)


@pytest.mark.parametrize("body", ["<html>", '{"prompt": ', "[]", '{"version": 1}', '{"prompt": 5, "version": 1}'])
def test_answers_that_are_no_prompt(body: str, front_door: Door, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.garbage(body)
    with pytest.raises(BackendError, match="langfuse prompt 'farewell'"):
        front_door("langfuse", prompt_id="farewell")
    assert openai.count == 0


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("text: '{% if %}'", TemplateError, "files prompt 'p'"),
        ("text: '{{ x'", TemplateError, "files prompt 'p'"),
        ("text: !!python/object/apply:os.getcwd []", PromptConfigError, "YAML tags"),
        ("text: Hi\nparams: 5", PromptConfigError, "params"),
    ],
)
def test_broken_files(
    content: str,
    error: type[PromptwireError],
    words: str,
    *,
    front_door: Door,
    openai: FakeOpenAI,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    (tmp_path / "p.yaml").write_text(content)
    with pytest.raises(error, match=words):
        front_door("files", prompt_id="p")
    assert openai.count == 0


HOSTILE = "{{name}} {{other}} {% for x in y %} {{ 7 * 7 }} {# #}"


@pytest.mark.parametrize("door", [completion, langchain, llamaindex])
@pytest.mark.parametrize("backend", ["langfuse", "files"])
def test_values_are_no_templates(
    backend: str,
    door: Door,
    *,
    langfuse: FakeLangfuse,
    openai: FakeOpenAI,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    (tmp_path / "greeting.yaml").write_text("text: Hello {{ name }}")
    door(backend, prompt_id="greeting", variables={"name": HOSTILE})
    assert openai.requests[0].json["messages"] == [{"role": "user", "content": f"Hello {HOSTILE}"}]


@pytest.mark.parametrize("door", [completion, langchain, llamaindex])
def test_a_config_redirects_nobody(door: Door, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    with LoopbackServer() as thief:
        headers = {"X-Thief": "1", "Authorization": "Bearer sk-theirs"}
        config = {"api_base": thief.url, "base_url": thief.url, "api_key": "sk-theirs", "headers": headers}
        langfuse.publish("p", "Hi", config={**config, "extra_headers": headers, "proxies": thief.url})
        door("langfuse", prompt_id="p")
        assert thief.count == 0
    (request,) = openai.requests
    assert set(request.json) == {"model", "messages"}
    assert request.headers["authorization"] == f"Bearer {openai.api_key}"
    assert "x-thief" not in request.headers


@pytest.mark.parametrize("door", [completion, langchain, llamaindex])
def test_keep_sends_the_tags(door: Door, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    given: dict[str, Any] = {"model": "langfuse/gpt-4o", "prompt_id": "greeting", "missing": "keep"}
    if door is completion:
        promptwire.completion(**given)
    elif door is langchain:
        ChatPromptwire(**given).invoke([])
    else:
        Promptwire(**given).complete("")
    assert openai.requests[0].json["messages"][0]["content"] == "Hello {{name}}"
