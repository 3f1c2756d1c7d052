"""Copies, pickles and dictionaries; and what none of them may hold."""

import copy
import json
import logging
import pickle
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire, PromptwireGateway
from pydantic import SecretStr

from promptwire import GatewayError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

CANARY = "sk-canary-7f3a"


@pytest.fixture
def guarded() -> Any:
    with FakeOpenAI(api_key=CANARY) as server:
        yield server


def reread(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - our own


def keyed(kind: str, server: FakeOpenAI, resolver: Resolver) -> Promptwire:
    common: dict[str, Any] = {"prompt_id": "tuned", "prompt_variables": {"name": "Ada"}, "resolver": resolver}
    if kind == "own":
        return Promptwire(model="gpt-4o-mini", api_key=CANARY, base_url=server.url, **common)
    if kind == "openai":
        delegate = OpenAI(model="gpt-4o-mini", api_key=CANARY, api_base=server.url, max_retries=0)
        return Promptwire(llm=delegate, **common)
    key = SecretStr(CANARY)
    return Promptwire(llm=PromptwireGateway(model="gpt-4o-mini", api_key=key, base_url=server.url), **common)


@pytest.fixture(params=["own", "openai", "gateway"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def used(kind: str, guarded: FakeOpenAI, resolver: Resolver) -> Promptwire:
    """An LLM with a secret, that has made its clients and copies."""
    llm = keyed(kind, guarded, resolver)
    assert llm.complete("").text == "[gpt-4o] Hello Ada"
    assert llm.complete("", ignore_prompt_model=True, ignore_prompt_params=True).text == "[gpt-4o-mini] Hello Ada"
    return llm


def test_a_pickle(used: Promptwire, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = used.bind(seed=5, prompt_variables={"name": "Bo"})
    data = pickle.dumps(bound)
    assert CANARY.encode() not in data
    assert used.complete("").text == "[gpt-4o] Hello Ada"
    assert bound.complete("").text == "[gpt-4o] Hello Bo"
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    assert reread(data).complete("").text == "[gpt-4o] Hello Bo"
    assert reread(data).bound == bound.bound


def test_a_key_is_not_pickled(guarded: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = PromptwireGateway(model="gpt-4o", api_key=CANARY, base_url=guarded.url)
    twin = reread(pickle.dumps(gateway))
    assert twin.api_key is None
    with pytest.raises(GatewayError, match="401"):
        twin.complete("Hi")
    assert gateway.complete("Hi").text == "[gpt-4o] Hi"


def test_copies(used: Promptwire) -> None:
    twin = copy.deepcopy(used)
    twin.prompt_variables["name"] = "Bo"
    assert (twin.complete("").text, used.complete("").text) == ("[gpt-4o] Hello Bo", "[gpt-4o] Hello Ada")
    assert twin.complete("").additional_kwargs["prompt_source"] == "cached"
    assert copy.copy(used).complete("").text == "[gpt-4o] Hello Ada"


def test_a_dictionary(
    used: Promptwire, resolver: Resolver, guarded: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = json.loads(used.bind(seed=5, prompt_version=1).to_json())
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", guarded.url)
    twin = Promptwire.from_dict(data | {"model": "gpt-4o-mini"}, resolver=resolver)
    assert twin.complete("").text == "[gpt-4o] Hello Ada"
    assert guarded.requests[-1].json["seed"] == 5
    assert used.complete("").text == "[gpt-4o] Hello Ada"


def test_no_secret_is_told(
    kind: str, used: Promptwire, guarded: FakeOpenAI, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "promptwire"):
        used.complete("")
        list(used.stream_complete(""))
        if kind != "openai":  # whose errors tell all that the vendor says
            guarded.fail(401, body={"error": {"message": f"Incorrect API key {CANARY}", "type": "x"}})
            with pytest.raises(GatewayError) as caught:
                used.complete("")
            assert "*****" in str(caught.value.body)
            assert CANARY not in repr(caught.value)
    told = [repr(used), str(used), repr(used.__dict__), str(used.to_dict()), used.to_json(), str(used.to_payload())]
    told += [repr(used.__getstate__()), caplog.text]
    told += [event.model_dump_json() if hasattr(event, "model_dict") else str(event) for event in listener.events]
    gateway = PromptwireGateway(model="gpt-4o", api_key=CANARY, base_url=guarded.url)
    told += [
        repr(gateway),
        str(gateway.to_dict()),
        gateway.to_json(),
        str(gateway.to_payload()),
        str(gateway.__getstate__()),
    ]
    assert [text for text in told if CANARY in text] == []
    assert len(listener.events) > 4


def test_variables_stay_out_of_the_payload(used: Promptwire) -> None:
    payload = used.bind(prompt_variables={"secret": "Bo-variable"}).to_payload()
    assert "Ada" not in str(payload)
    assert "Bo-variable" not in str(payload)
    assert payload["prompt_id"] == "tuned"


def test_pickling_leaves_what_doesnt_pickle_alone(llm: Promptwire) -> None:
    counter = CallbackManager([TokenCountingHandler(tokenizer=lambda text: text.split())])
    llm.callback_manager = counter
    llm.prompt_variables["fn"] = lambda: 1
    pickle.dumps(llm)
    assert llm.callback_manager is counter
    assert sorted(llm.prompt_variables) == ["fn", "name"]
    assert llm.complete("").text == "[gpt-4o-mini] Hello Ada"


def test_a_fallback_survives(resolver: Resolver, library: MemoryBackend, openai: FakeOpenAI) -> None:
    prompt = resolver.get_prompt("greeting")
    for fallback in ("Hello {{name}}", [{"role": "user", "content": "Hello {{name}}"}], prompt):
        llm = Promptwire(model="gpt-4o", prompt_id="gone", fallback=fallback, resolver=resolver)
        assert json.loads(llm.to_json())["fallback"] == (None if fallback is prompt else fallback)
        again = {"fallback": prompt} if fallback is prompt else {}  # like the resolver: no plain data
        rebuilt = Promptwire.from_dict(llm.to_dict(), resolver=resolver, **again)
        for twin in (llm, reread(pickle.dumps(llm)), copy.deepcopy(llm), rebuilt):
            assert twin.complete("", prompt_variables={"name": "Ada"}).text == "[gpt-4o] Hello Ada"
