"""``completion()`` and ``acompletion()``: LiteLLM's call, with a managed prompt behind it."""

import asyncio
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import promptwire
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import (
    ConfigurationError,
    GatewayError,
    MissingVariablesError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
)
from promptwire.testing import FakeLangfuse, FakeOpenAI

IGNORED = [{"role": "user", "content": "<IGNORED>"}]
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = [{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "About {{topic}}"}]


def memory(content: Any = "Hi {{name}}", **config: Any) -> Resolver:
    backend = MemoryBackend()
    backend.publish("p", content, config=config)
    return Resolver(backend)


async def test_the_seeds_call(ask: Any, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.publish("team/chat", CHAT, config={"model": "gpt-4o", "temperature": 0.2})
    variables = {"tone": "kind", "topic": "{{tone}}"}
    response = await ask(
        model="langfuse/gpt-4o-mini", prompt_id="team/chat", prompt_variables=variables, messages=IGNORED
    )
    assert openai.requests[0].json == {
        "model": "gpt-4o",
        "temperature": 0.2,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "About {{tone}}"}],
    }
    assert response.choices[0].message.content == "[gpt-4o] About {{tone}}"
    info = response.prompt
    assert (info.id, info.version, info.backend, info.source) == ("team/chat", 1, "langfuse", "fresh")
    assert len(info.content_hash) == 64
    assert langfuse.requests[0].path.endswith("/team%2Fchat")


async def test_a_text_prompt_is_one_user_message(ask: Any, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    await ask(model="langfuse/gpt-4o", prompt_id="greeting", prompt_variables={"name": "Ann"}, messages=IGNORED)
    assert openai.requests[0].json["messages"] == [{"role": "user", "content": "Hello Ann"}]
    await ask(model="langfuse", prompt_id="greeting", prompt_variables={"name": "Ann"}, text_role="system")
    assert openai.requests[1].json["messages"][0]["role"] == "system"


@pytest.mark.parametrize("secret", ["langfuse_secret_key", "langfuse_secret"])
async def test_keys_as_arguments(
    ask: Any, langfuse: FakeLangfuse, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    for name in (*langfuse.env, *openai.env):
        monkeypatch.delenv(name)
    call: dict[str, Any] = {"model": "langfuse/gpt-4o", "prompt_id": "farewell"}
    with pytest.raises(ConfigurationError, match=r"set LANGFUSE_PUBLIC_KEY, or pass langfuse_public_key="):
        await ask(**call)
    keys = {"langfuse_public_key": langfuse.public_key, secret: SecretStr(langfuse.secret_key)}
    call |= {**keys, "langfuse_host": langfuse.url}
    with pytest.raises(ConfigurationError, match=r"openai/gpt-4o needs a key: set OPENAI_API_KEY, or pass api_key="):
        await ask(**call)
    await ask(**call, api_key=SecretStr(openai.api_key), api_base=openai.url + "/")
    await ask(**call, api_key=openai.api_key, base_url=openai.url)
    assert (langfuse.count, openai.count) == (1, 2)


async def test_version_and_label(ask: Any, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.publish("v", "one")
    langfuse.publish("v", "two", labels=["staging"])
    call = {"model": "langfuse/gpt-4o", "prompt_id": "v"}
    for chosen, text in (({}, "one"), ({"prompt_version": 2}, "two"), ({"prompt_label": "staging"}, "two")):
        response = await ask(**call, **chosen)
        assert response.choices[0].message.content == f"[gpt-4o] {text}"
        assert response.prompt.prompt_label == chosen.get("prompt_label")
    assert [request.query for request in langfuse.requests] == [
        {"label": ["production"]}, {"version": ["2"]}, {"label": ["staging"]},
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="a version or a label, not both"):
        await ask(**call, prompt_version=2, prompt_label="staging")
    with pytest.raises(PromptNotFoundError, match=r"langfuse prompt 'v' \(version 9\)"):
        await ask(**call, prompt_version=9)


async def test_plain_calls(ask: Any, openai: FakeOpenAI) -> None:
    response = await ask(model="gpt-4o", messages=HELLO, temperature=0, user=None)
    assert openai.requests[0].json == {"model": "gpt-4o", "messages": HELLO, "temperature": 0}
    assert response.prompt is None


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"temperature": 0.2, "max_tokens": 5}),
        ({"temperature": 1}, {"temperature": 1, "max_tokens": 5}),
        ({"temperature": None}, {"temperature": 0.2, "max_tokens": 5}),
        ({"max_completion_tokens": 9}, {"temperature": 0.2, "max_completion_tokens": 9}),
        ({"ignore_prompt_params": True, "seed": 1}, {"seed": 1}),
        ({"extra_body": {"seed": 1, "temperature": 0}}, {"temperature": 0, "max_tokens": 5, "seed": 1}),
    ],
)
async def test_the_callers_parameters_win(
    ask: Any, openai: FakeOpenAI, options: dict[str, Any], sent: dict[str, Any]
) -> None:
    resolver = memory(temperature=0.2, max_tokens=5, api_base="http://127.0.0.1:9", headers={"x": "y"}, top_k=4)
    await ask(model="gpt-4o", prompt_id="p", prompt_variables={"name": "Ann"}, resolver=resolver, **options)
    body = openai.requests[0].json
    assert {key: body[key] for key in body if key not in {"model", "messages"}} == sent


async def test_which_model(ask: Any, openai: FakeOpenAI) -> None:
    call: dict[str, Any] = {"prompt_id": "p", "resolver": memory("Hi", model="openai/gpt-4o-mini")}
    await ask(**call)
    await ask(**call, model="gpt-4o", ignore_prompt_model=True, allowed_models=["openai/gpt-4o"])
    assert [request.json["model"] for request in openai.requests] == ["gpt-4o-mini", "gpt-4o"]
    with pytest.raises(ConfigurationError, match=r"neither memory prompt 'p' \(version 1\) nor the call names a model"):
        await ask(**call, ignore_prompt_model=True)
    with pytest.raises(PromptConfigError, match=r"gpt-4o-mini, which memory prompt 'p' .* not among allowed_models"):
        await ask(**call, model="gpt-4o", allowed_models=["openai/gpt-4o"])
    assert openai.count == 2


async def test_options_of_the_prompt(ask: Any, openai: FakeOpenAI) -> None:
    turns = [{"role": "user", "content": "First"}, {"role": "assistant", "content": "Yes"}, *HELLO]
    slot = [{"role": "system", "content": "S"}, {"type": "placeholder", "name": "talk"}]
    call: dict[str, Any] = {"model": "gpt-4o", "messages": turns}
    sent: list[Any] = []
    for options in (
        {"prompt_id": "p", "resolver": memory("Hi {{q}}"), "input_variable": "q"},
        {"prompt_id": "p", "resolver": memory("Hi"), "message_mode": "prepend"},
        {"prompt_id": "p", "resolver": memory(slot), "messages_placeholder": "talk"},
        {"prompt_id": "p", "resolver": memory("Hi {{q}}"), "missing": "keep", "message_mode": "replace"},
        {"prompt_id": "none", "resolver": memory(), "fallback": "Instead of {{p}}", "prompt_variables": {"p": "it"}},
    ):
        await ask(**call, **options)
        sent.append(openai.requests[-1].json["messages"])
    assert [[message["content"] for message in messages] for messages in sent] == [
        ["First", "Yes", "Hi Hello"], ["Hi", "First", "Yes", "Hello"], ["S", "First", "Yes", "Hello"],
        ["Hi {{q}}", "Yes", "Hello"], ["Instead of it", "Yes", "Hello"],
    ]  # fmt: skip


async def test_ambient_variables(ask: Any, openai: FakeOpenAI) -> None:
    with promptwire.variables(name="Ann", other="unused"):
        await ask(model="gpt-4o", prompt_id="p", resolver=memory())
        await ask(model="gpt-4o", prompt_id="p", resolver=memory(), prompt_variables={"name": "Bob"})
    assert [request.json["messages"][0]["content"] for request in openai.requests] == ["Hi Ann", "Hi Bob"]


async def test_the_default_resolver_reads_a_folder(
    ask: Any, openai: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hi.yaml").write_text("text: Hi\nmodel: gpt-4o")
    response = await ask(model="files/gpt-4o-mini", prompt_id="hi", prompts_dir=tmp_path)
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    again = await ask(prompt_id="hi")
    assert [answer.prompt.prompt_source for answer in (response, again)] == ["fresh", "cached"]
    assert again.prompt.content_hash == response.prompt.content_hash


GIVEN: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
OURS: dict[str, Any] = {"model": "gpt-4o", "prompt_id": "p"}
WRONG: list[tuple[dict[str, Any], type[PromptwireError], str]] = [
    ({"model": "gpt-4o"}, ConfigurationError, "nothing to send"),
    ({"messages": HELLO}, ConfigurationError, "the call names no model"),
    ({**GIVEN, "model": 5}, ConfigurationError, "model is a text .*, not int"),
    ({**GIVEN, "messages": "Hello"}, ConfigurationError, "messages is a list of message dicts, not str"),
    ({**GIVEN, "messages": ["Hello"]}, ConfigurationError, "dicts with a role"),
    ({**GIVEN, "messages": [{"content": "x"}]}, ConfigurationError, "dicts with a role"),
    ({**GIVEN, "messages": [{"role": "user", "content": {1}}]}, ConfigurationError, "plain JSON values"),
    ({**GIVEN, "messages": [{"role": "user", "content": "\ud800"}]}, ConfigurationError, "plain JSON values"),
    ({**GIVEN, "logit_bias": {"1": float("nan")}}, ConfigurationError, "plain JSON values"),
    ({**GIVEN, "temprature": 1}, ConfigurationError, "no parameter 'temprature' .*'temperature'.*extra_body="),
    ({**GIVEN, "promt_id": "x"}, ConfigurationError, "no parameter 'promt_id' .*'prompt_id'"),
    ({**GIVEN, "headers": {"x": "y"}}, ConfigurationError, "'extra_headers'"),
    ({**GIVEN, "langfuse_host": "x"}, ConfigurationError, "not for a model without a backend's prefix"),
    ({**OURS, "model": "langfuse/x", "langfuse_hots": "x"}, ConfigurationError, r"for model='langfuse/…' .*_host'"),
    (
        {"model": "langfuse/gpt-4o", "messages": HELLO},
        ConfigurationError,
        "prefix 'langfuse' in model: needs a prompt_id=",
    ),
    ({**GIVEN, "prompt_variables": {"a": 1}}, ConfigurationError, "needs a prompt_id="),
    ({**OURS, "prompt_variables": ["a"]}, ConfigurationError, "prompt 'p': prompt_variables is a mapping"),
    ({**OURS, "prompt_id": ""}, ConfigurationError, "prompt id is a text that isn't empty"),
    ({**OURS, "prompt_id": "../../traces"}, ConfigurationError, "no part of a prompt's name"),
    ({**OURS, "prompt_id": "q"}, PromptNotFoundError, "memory prompt 'q' does not exist"),
    ({**OURS, "prompt_version": 0}, ConfigurationError, "versions count from 1"),
    ({**OURS, "prompt_version": "\ud800"}, ConfigurationError, "versions count from 1"),
    ({**GIVEN, "api_base": "http://127.0.0.1:99999/v1"}, ConfigurationError, "up to 65535|not a valid one"),
    ({**OURS, "prompt_label": ""}, ConfigurationError, "a label is a text"),
    ({**OURS, "message_mode": "append"}, ConfigurationError, "message_mode is one of auto, replace, prepend"),
    ({**OURS, "missing": "kep"}, ConfigurationError, "missing is 'error' or 'keep'"),
    ({**OURS, "missing": ["keep"]}, ConfigurationError, "missing is 'error' or 'keep'"),
    ({**OURS, "input_variable": ["q"]}, ConfigurationError, "input_variable is a text, not list"),
    ({**OURS, "text_role": 5}, ConfigurationError, "text_role is a text, not int"),
    ({**OURS}, MissingVariablesError, r"memory prompt 'p' \(version 1\) needs .*: name\."),
    ({**OURS, "prompt_id": "q", "fallback": 5}, ConfigurationError, "fallback is a text"),
    ({**GIVEN, "allowed_models": "openai/*"}, ConfigurationError, "allowed_models is a list"),
    ({**GIVEN, "allowed_models": ["openai/gpt-3*"]}, ConfigurationError, "openai/gpt-4o is not among allowed_models"),
    ({**GIVEN, "resolver": "langfuse"}, ConfigurationError, "resolver is a Resolver, not str"),
    ({**GIVEN, "timeout": "5"}, ConfigurationError, "timeout is a number"),
    ({**GIVEN, "timeout": 0}, ConfigurationError, "timeout is a number"),
    ({**GIVEN, "timeout": float("inf")}, ConfigurationError, "timeout is a number"),
    ({**GIVEN, "timeout": 2**70}, ConfigurationError, "timeout is a number"),
    ({**GIVEN, "allowed_models": 5}, ConfigurationError, "allowed_models is a list"),
    ({**GIVEN, "allowed_models": [5]}, ConfigurationError, "allowed_models is a list"),
    ({**GIVEN, "api_base": "http://127.0.0.1/v1?key=k"}, ConfigurationError, "openai: a base URL ends before any"),
    ({**GIVEN, "max_retries": -1}, ConfigurationError, "max_retries is a number"),
    ({**GIVEN, "max_retries": True}, ConfigurationError, "max_retries is a number"),
    ({**GIVEN, "extra_body": ["x"]}, ConfigurationError, "extra_body is a mapping"),
    ({**GIVEN, "extra_headers": ["x"]}, ConfigurationError, "extra_headers is a mapping"),
    ({**GIVEN, "extra_headers": {"x-a": 5}}, ConfigurationError, "extra_headers is a mapping of names to texts"),
    ({**GIVEN, "extra_headers": {"x-a": "5\n"}}, ConfigurationError, "header 'x-a' can't be sent"),
    ({**GIVEN, "api_base": "http://user:pass@127.0.0.1:9"}, ConfigurationError, "a URL that holds credentials"),
    ({**GIVEN, "extra_headers": {"x a": "5"}}, ConfigurationError, "header 'x a' can't be sent"),
    ({**GIVEN, "api_key": 5}, ConfigurationError, "api_key is a text, not int"),
    ({**GIVEN, "api_base": 5}, ConfigurationError, "api_base is a text, not int"),
    ({**GIVEN, "api_base": "localhost:80"}, ConfigurationError, "check the host"),
    ({**GIVEN, "api_base": "http://[::1"}, ConfigurationError, "not a valid one"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=range(len(WRONG)))
async def test_bad_input_is_named_before_anything_is_sent(
    ask: Any, openai: FakeOpenAI, call: dict[str, Any], error: type[PromptwireError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await ask(**{"resolver": memory(), **call})
    assert openai.count == 0


@pytest.mark.parametrize("part", [5, None, "text"])
async def test_a_part_that_is_none_is_the_providers_to_refuse(ask: Any, openai: FakeOpenAI, part: object) -> None:
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    with pytest.raises(GatewayError, match="400"):
        await ask(model="gpt-4o", messages=[{"role": "user", "content": [marked, part]}])
    assert openai.requests[-1].json["messages"][0]["content"] == [{"type": "text", "text": "Hi"}, part]


async def test_an_unknown_parameter_goes_to_the_provider(ask: Any, openai: FakeOpenAI) -> None:
    with pytest.raises(PromptwireError, match="unknown_parameter, mirostat"):
        await ask(**GIVEN, mirostat=1)


async def test_the_environment_asks_for_a_log(
    ask: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMPTWIRE_LOG", "debug")
    await ask(**GIVEN)
    promptwire.set_verbose(False)
    assert caplog.messages[0].startswith("POST Request Sent from Promptwire:\ncurl -X POST http://127.0.0.1:")


async def test_headers_of_the_callers(ask: Any, openai: FakeOpenAI) -> None:
    headers = {"X-Team": "blue", "Authorization": f"Bearer {openai.api_key}"}
    await ask(**GIVEN, api_key="wrong", extra_headers=headers)
    assert openai.requests[0].headers["x-team"] == "blue"


async def test_answers_are_objects_and_dicts(ask: Any, openai: FakeOpenAI) -> None:
    response = await ask(**GIVEN, prompt_id="p", resolver=memory("Hi"))
    message = response.choices[0].message
    assert message.tool_calls is message["refusal"] is message.function_call is None
    assert response["choices"][0]["message"]["content"] == message.content == "[gpt-4o] Hi"
    assert response.usage.prompt_tokens_details.cached_tokens == 0
    assert response.model_dump() == json.loads(json.dumps(response)) == response
    assert type(response.model_dump()["choices"][0]) is dict
    with pytest.raises(AttributeError, match="has no 'chocies'"):
        _ = response.chocies
    for twin in (pickle.loads(pickle.dumps(response)), copy.deepcopy(response), copy.copy(response)):  # noqa: S301
        assert (twin, twin.prompt, twin.choices[0].message.prompt) == (response, response.prompt, None)


async def test_tool_calls(ask: Any, openai: FakeOpenAI) -> None:
    tool = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    response = await ask(model="gpt-4o", prompt_id="p", resolver=memory("please look", tools=[tool]))
    call = response.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments, call.type) == ("look", "{}", "function")


async def test_thirty_at_once_share_one_loop(langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    with openai.gate() as gate:
        calls = [
            asyncio.create_task(
                promptwire.acompletion(
                    model="langfuse/gpt-4o", prompt_id="greeting", prompt_variables={"name": str(number)}
                )
            )
            for number in range(30)
        ]
        assert await asyncio.to_thread(gate.wait_for, 30)
    answers = [response.choices[0].message.content for response in await asyncio.gather(*calls)]
    assert answers == [f"[gpt-4o-mini] Hello {number}" for number in range(30)]
    assert langfuse.count == 1
