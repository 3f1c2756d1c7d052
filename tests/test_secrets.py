"""Canaries in every key, header and variable: none may be found where somebody could read it."""

import asyncio
import base64
import copy
import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from langchain_core.load import dumpd
from llama_index.llms.promptwire import Promptwire
from pydantic import SecretStr

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire import PromptwireError, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.default import fresh_resolver
from promptwire.testing import Answer, FakeLangfuse, FakeOpenAI, LoopbackServer, Received

PUBLIC, SECRET, KEY = "pk-lf-canary-1", "sk-lf-canary-2", "sk-canary-3"
HEADER, VALUE, PASSWORD = "canary-header-4", "canary-value-5", "canary-password-6"
PAIR = base64.b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()
KEYS = (SECRET, PAIR, KEY, HEADER, PASSWORD)
CALL: dict[str, Any] = {
    "model": "langfuse/gpt-4o",
    "prompt_id": "p",
    "prompt_variables": {"name": VALUE},
    "extra_headers": {"X-Team": HEADER},
    "max_retries": 0,
}


class Parrot(LoopbackServer):
    """Refuses, and repeats all it was told."""

    def answer(self, request: Received) -> Answer:
        told = {"message": f"{request.headers} {request.body.decode()}", "code": request.headers["x-team"]}
        if request.json.get("stream"):
            return Answer(200, f"data: {json.dumps({'error': told})}\n\n".encode())
        return Answer.of_json(400, {"error": told})


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeLangfuse, FakeOpenAI]]:
    with fresh_resolver(), FakeLangfuse(PUBLIC, SECRET) as langfuse, FakeOpenAI(KEY) as openai:
        for name, value in (langfuse.env | openai.env).items():
            monkeypatch.setenv(name, value)
        langfuse.publish("p", "Hi {{name}}")
        yield langfuse, openai


def run(colour: str, **options: Any) -> Any:
    """A call, its stream read whole."""
    if colour == "sync":
        answer = promptwire.completion(**options)
        return list(answer) if options.get("stream") else answer

    async def call() -> Any:
        answer = await promptwire.acompletion(**options)
        return [chunk async for chunk in answer] if options.get("stream") else answer

    return asyncio.run(call())


def shown(error: BaseException) -> str:
    """All that is commonly printed, logged or sent of an error and of those behind it."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    texts = ["".join(traceback.format_exception(error)), str(pickle.dumps(error)), repr(vars(error))]
    return "\n".join([*texts, *map(str, chain), *map(repr, chain), *(repr(link.args) for link in chain)])


Break = Callable[[FakeLangfuse, FakeOpenAI], object]

SLOT = [{"type": "placeholder", "name": "name"}]
FAILURES: dict[str, tuple[Break, dict[str, Any]]] = {
    "prompt server says 401": (lambda lf, ai: lf.fail(401, body=PAIR), {}),
    "prompt server says 404": (lambda lf, ai: lf.fail(404, body=SECRET), {}),
    "prompt server says 409": (lambda lf, ai: lf.fail(409, body=SECRET), {}),
    "prompt server redirects": (lambda lf, ai: lf.redirect("http://127.0.0.1:9/"), {}),
    "prompt server talks garbage": (lambda lf, ai: lf.garbage(SECRET), {}),
    "prompt server is down": (lambda lf, ai: lf.stop(), {"resolver": partial(Resolver, timeout=0.05)}),
    "prompt server hangs": (lambda lf, ai: lf.hang(), {"resolver": Resolver(timeout=0.05)}),
    "prompt server drops": (lambda lf, ai: lf.drop(), {"resolver": Resolver(timeout=0.05)}),
    "broken config": (lambda lf, ai: lf.publish("p", "x", config={"stop": {"a": SECRET}}), {}),
    "broken host": (lambda lf, ai: None, {"langfuse_host": f"http://u:{PASSWORD}@[::1", "langfuse_secret": SECRET}),
    "missing variables": (lambda lf, ai: lf.publish("p", "{{name}} {{other}}"), {}),
    "variables in a list": (lambda lf, ai: None, {"prompt_variables": [VALUE]}),
    "a value in a placeholder": (lambda lf, ai: lf.publish("q", SLOT), {"prompt_id": "q"}),
    "a model that is not allowed": (lambda lf, ai: None, {"allowed_models": []}),
    "another provider": (lambda lf, ai: lf.publish("p", "x", config={"model": "x", "provider": "z"}), {"api_key": KEY}),
    "model says 401": (lambda lf, ai: ai.fail(401, body={"error": {"message": KEY, "code": KEY}}), {}),
    "model says 429": (lambda lf, ai: ai.fail(429, body=KEY), {}),
    "model says 500": (lambda lf, ai: ai.fail(500, body=f"{HEADER} {KEY}"), {}),
    "model talks garbage": (lambda lf, ai: ai.garbage(KEY), {}),
    "model is down": (lambda lf, ai: ai.stop(), {}),
    "model drops": (lambda lf, ai: ai.drop(), {}),
    "model hangs": (lambda lf, ai: ai.hang(), {"timeout": 0.05}),
    "stream breaks": (lambda lf, ai: ai.drop(2), {"stream": True}),
    "stream errs": (lambda lf, ai: ai.fail_stream(f"{KEY} {HEADER}"), {"stream": True}),
    "stream is garbage": (lambda lf, ai: ai.garbage(f"data: {KEY}\n\n"), {"stream": True}),
    "key with a line end": (lambda lf, ai: None, {"api_key": f"{KEY}\n"}),
    "key with a space": (lambda lf, ai: None, {"api_key": f"{KEY} "}),
    "key that is not ASCII": (lambda lf, ai: None, {"api_key": f"{KEY}é"}),
    "key of another type": (lambda lf, ai: None, {"api_key": [KEY]}),
    "header with a line end": (lambda lf, ai: None, {"extra_headers": {"X-Team": f"{HEADER}\r\nx: y"}}),
    "header of another type": (lambda lf, ai: None, {"extra_headers": {"X-Team": [HEADER]}}),
    "key in a broken URL": (lambda lf, ai: None, {"api_base": f"http://u:{PASSWORD}@[::1"}),
    "key in a URL": (lambda lf, ai: None, {"api_base": f"http://u:{PASSWORD}@127.0.0.1:9"}),
    "key as a timeout": (lambda lf, ai: None, {"timeout": KEY}),
    "key as a parameter": (lambda lf, ai: None, {"api_kye": KEY}),
    "key as a mode": (lambda lf, ai: None, {"prompt_label": "x", "prompt_version": 3, "langfuse_secret": SECRET}),
    "what JSON can't hold": (lambda lf, ai: None, {"extra_body": {"x": {VALUE}}}),
}  # fmt: skip


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("failure", FAILURES)
def test_errors_show_no_canary(
    servers: tuple[FakeLangfuse, FakeOpenAI],
    failure: str,
    colour: str,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    break_it, given = FAILURES[failure]
    options = {name: value() if isinstance(value, partial) else value for name, value in given.items()}
    break_it(*servers)
    with caplog.at_level("DEBUG"), pytest.raises(PromptwireError) as caught:
        run(colour, **CALL | options)
    for canary in (*KEYS, VALUE):
        assert canary not in shown(caught.value)
    for canary in KEYS:
        assert canary not in caplog.text
    assert VALUE not in "".join(record.getMessage() for record in caplog.records if record.levelname != "DEBUG")
    assert list(recwarn) == []


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_repeats_all_it_was_told(
    servers: tuple[FakeLangfuse, FakeOpenAI], colour: str, *, stream: bool
) -> None:
    with Parrot() as parrot, pytest.raises(promptwire.GatewayError) as caught:
        run(colour, **CALL, api_base=parrot.url, stream=stream)
    assert parrot.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "*****" in (caught.value.body or "")
    for canary in KEYS:
        assert canary not in shown(caught.value)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_verbose_output_masks_keys(
    servers: tuple[FakeLangfuse, FakeOpenAI], colour: str, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    promptwire.set_verbose(True)
    try:
        run(colour, **CALL)
        with pytest.raises(promptwire.ConfigurationError, match="a URL that holds credentials is not called"):
            run(colour, **CALL, api_base=f"http://u:{PASSWORD}@127.0.0.1:9/v1")
    finally:
        promptwire.set_verbose(False)
    output = "".join(capsys.readouterr()) + caplog.text
    assert output.count("POST Request Sent from Promptwire:\ncurl -X POST ") >= 2
    assert f"Hi {VALUE}" in output
    assert "authorization: *****" in output
    assert "http://*****@127.0.0.1:9/v1/chat/completions" in output
    for canary in KEYS:
        assert canary not in output


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_a_call_leaves_behind(servers: tuple[FakeLangfuse, FakeOpenAI], colour: str, caplog: Any) -> None:
    keys = {"langfuse_public_key": PUBLIC, "langfuse_secret_key": SecretStr(SECRET), "api_key": SecretStr(KEY)}
    resolver = Resolver(LangfuseBackend(PUBLIC, SECRET, servers[0].url))
    with caplog.at_level("DEBUG"):
        answers = [run(colour, **CALL, **keys), run(colour, **CALL | {"model": "gpt-4o"}, resolver=resolver)]
    twin = pickle.loads(pickle.dumps(resolver))  # noqa: S301
    copied = copy.deepcopy(resolver)
    for thing in (resolver, twin, copied, *answers, answers[0].prompt, vars(resolver), resolver.get_prompt("p")):
        for canary in KEYS:
            assert canary not in repr(thing)
    for thing in (resolver, *answers, resolver.get_prompt("p"), resolver.resolve("p", variables={"name": "x"}).prompt):
        for canary in (*KEYS, PUBLIC):
            assert canary.encode() not in pickle.dumps(thing)
    for canary in KEYS:
        assert canary not in caplog.text
    assert VALUE not in repr(answers[0].prompt)
    assert twin.get_prompt("p") == copied.get_prompt("p") == resolver.get_prompt("p")


def langchain() -> list[Any]:
    model = ChatPromptwire(model="langfuse/gpt-4o", prompt_id="p", api_key=SecretStr(KEY), max_retries=0)
    return [
        model.invoke([], prompt_variables={"name": VALUE}),
        *(model, model.__dict__, model.bind(seed=1), pickle.dumps(model), dumpd(model), model.model_dump_json()),
    ]


def llamaindex() -> list[Any]:
    model = Promptwire(model="langfuse/gpt-4o", prompt_id="p", api_key=KEY, max_retries=0)
    return [
        model.complete("", prompt_variables={"name": VALUE}),
        *(model, model.__dict__, pickle.dumps(model), model.to_dict(), model.to_json(), model.to_payload()),
    ]


@pytest.mark.parametrize("door", [langchain, llamaindex])
def test_the_adapters_show_no_canary(
    door: Callable[[], list[Any]],
    servers: tuple[FakeLangfuse, FakeOpenAI],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    promptwire.set_verbose(True)
    try:
        told = repr(door())
    finally:
        promptwire.set_verbose(False)
    output = "".join(capsys.readouterr()) + caplog.text
    assert "POST Request Sent from Promptwire:\ncurl -X POST " in output
    assert f"Hi {VALUE}" in output
    for canary in KEYS:
        assert canary not in output
        assert canary not in told


ADAPTED = [name for name, (_, options) in FAILURES.items() if not options]


@pytest.mark.parametrize("door", [langchain, llamaindex])
@pytest.mark.parametrize("failure", ADAPTED)
def test_the_adapters_errors_show_no_canary(
    failure: str,
    door: Callable[[], list[Any]],
    servers: tuple[FakeLangfuse, FakeOpenAI],
    caplog: pytest.LogCaptureFixture,
) -> None:
    FAILURES[failure][0](*servers)
    with caplog.at_level("DEBUG", "promptwire"), pytest.raises(PromptwireError) as caught:
        door()
    for canary in {*KEYS, VALUE} - {HEADER}:  # adapters are given no headers, so this one is no secret to them
        assert canary not in shown(caught.value)
    for canary in set(KEYS) - {HEADER}:
        assert canary not in caplog.text


def test_urls_hold_no_keys(servers: tuple[FakeLangfuse, FakeOpenAI]) -> None:
    run("sync", **CALL)
    for server in servers:
        for request in server.requests:
            assert not any(canary in f"{request.path} {request.query}" for canary in (*KEYS, PUBLIC))


def test_a_prompt_cannot_send_the_callers_key_elsewhere(servers: tuple[FakeLangfuse, FakeOpenAI]) -> None:
    with LoopbackServer() as thief:
        stolen = {
            "api_base": thief.url, "base_url": thief.url, "api_key": "x", "organization": "thief", "proxies": thief.url,
            "headers": {"Host": "thief"}, "extra_headers": {"X-A": "b"}, "mock_response": "fake",
            "extra_body": {"a": 1}, "OPENAI_BASE_URL": thief.url, "langfuse_host": thief.url, "stream": True,
            "messages": [],
        }  # fmt: skip
        run("sync", model="gpt-4o", prompt_id="p", resolver=_memory(stolen), api_key=KEY)
        run("async", model="gpt-4o", prompt_id="p", resolver=_memory({**stolen, "model": "gpt-4o-mini"}), api_key=KEY)
    assert thief.count == 0
    for request in servers[1].requests:
        assert set(request.json) == {"model", "messages"}
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert not {"x-a", "openai-organization"} & set(request.headers)


def _memory(config: dict[str, Any]) -> Resolver:
    backend = MemoryBackend()
    backend.publish("p", "Hi", config=config)
    return Resolver(backend)
