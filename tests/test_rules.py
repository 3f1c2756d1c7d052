"""The tables of cases on the pages of rules: each row is run, through the front door that a reader has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import promptwire
from promptwire import GatewayError, Prompt, PromptConfigError, PromptwireError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.gateway.hosts import PROVIDERS
from promptwire.testing import FakeLangfuse, FakeOpenAI, LoopbackServer

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

DOCS = Path(__file__).parents[1] / "docs"
ROLES = {"s": "system", "u": "user", "q": "user", "a": "assistant", "c": "assistant", "t": "tool"}
TOOLS: dict[str, dict[str, Any]] = {
    "c": {"tool_calls": [{"id": "call-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
    "t": {"tool_call_id": "call-1"},
}


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the table with that head, of cells without the ticks around code."""
    lines = (DOCS / page).read_text("utf-8").splitlines()
    found = []
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.split("|")[1:-1]])
    assert len(found) > 4
    return found


def plain(cell: str) -> str:
    return cell.removeprefix("`").removesuffix("`")


MODELS = table("models.md", "| the prompt names | you name | runs at | as | with |")
PARAMETERS = table("models.md", "| the prompt sets | you pass | sent |")
MESSAGES = table("messages.md", "| case | the prompt | yours | with | what is sent |")
FAILURES = table("freshness.md", "| the server | a prompt in memory | `fallback=` alone | neither |")
TEMPLATES = table("templates.md", "| template | dialect | with | comes out as |")


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """One server in every provider's place; each provider's key is its variable's name."""
    with LoopbackServer() as server:
        for name, provider in PROVIDERS.items():
            monkeypatch.setenv(provider.base_variable, f"{server.url}/{name}")
            monkeypatch.setenv(provider.key_variable, provider.key_variable)
        yield server


@pytest.mark.parametrize("row", MODELS)
def test_each_case_of_which_model_runs(row: list[str], everywhere: LoopbackServer) -> None:
    named, caller, where, model, key = row
    names = re.findall(r"`(.+?)`", named)
    config = dict(zip(("model", "provider"), names, strict=False))
    options: dict[str, Any] = {"model": plain(caller.partition(",")[0]), "api_key": "your key"}
    options["ignore_prompt_model"] = "ignore_prompt_model=True" in caller
    if "api_base=" in caller:
        options["api_base"] = f"{everywhere.url}/your host"
    prompts = MemoryBackend()
    prompts.publish("p", "Hi", config=config)
    with pytest.raises(GatewayError):
        promptwire.completion(prompt_id="p", resolver=Resolver(prompts), max_retries=0, **options)
    sent = everywhere.requests[-1]
    assert sent.path.replace("%20", " ").split("/")[1] == plain(where)
    assert plain(model) in (json.loads(sent.body).get("model"), *sent.path.split("/"))
    keys = [sent.headers.get(name, "").removeprefix("Bearer ") for name in ("authorization", "x-api-key", "api-key")]
    assert [one for one in keys if one] == [plain(key)]


@pytest.mark.parametrize(("config", "passed", "sent"), PARAMETERS)
def test_each_case_of_which_parameters_are_sent(config: str, passed: str, sent: str, openai: FakeOpenAI) -> None:
    name, _, value = plain(config).partition(": ")
    prompts = MemoryBackend()
    given: dict[str, Any] = (
        {} if passed == "nothing" else ast.literal_eval(re.sub(r"`(\w+)=(.+)`", r'{"\1": \2}', passed))
    )
    if plain(sent) == "PromptConfigError":
        with pytest.raises(PromptConfigError, match=name):
            prompts.publish("p", "Hi", config={name: ast.literal_eval(value)})
        return
    prompts.publish("p", "Hi", config={name: ast.literal_eval(value)})
    promptwire.completion(model="gpt-4o-mini", prompt_id="p", resolver=Resolver(prompts), **given)
    body = json.loads(openai.requests[-1].body)
    rest = {key: body[key] for key in body if key not in ("model", "messages")}
    assert rest == ({} if sent == "nothing" else json.loads(re.sub(r"`(\w+): (.+)`", r'{"\1": \2}', sent)))


def messages(words: str) -> list[dict[str, Any]]:
    """Messages as the page writes them: their text is the word."""
    made: list[dict[str, Any]] = []
    for word in words.split():
        if word.startswith("["):
            made.append({"type": "placeholder", "name": word[1:-1]})
            continue
        made.append({"role": ROLES[word[0].lower()], "content": "{{question}}" if word == "Q" else word})
        made[-1].update(TOOLS.get(word[0], {}))
    return made


@pytest.mark.parametrize("row", MESSAGES)
def test_each_case_of_which_messages_are_sent(row: list[str], openai: FakeOpenAI) -> None:
    _, prompt, yours, option, sent = row
    resolver = Resolver(MemoryBackend({"p": messages(plain(prompt))}))
    options: dict[str, Any] = dict(re.findall(r'`(\w+)="(\w+)"`', option))
    turns = messages(plain(yours))
    promptwire.completion(model="gpt-4o-mini", prompt_id="p", messages=turns, resolver=resolver, **options)
    asked = turns[-1]["content"] if "Q" in prompt else None
    got = [message["content"] for message in json.loads(openai.requests[-1].body)["messages"]]
    assert " ".join("Q" if text == asked else text.replace("\n\n", "+") for text in got) == plain(sent)


def faults(said: str) -> list[Callable[[FakeLangfuse], object]]:
    if said == "can't be reached":
        return [lambda server: server.stop(), lambda server: server.drop(0)]
    if said == "sends garbage":
        return [lambda server: server.garbage(), lambda server: server.garbage('{"prompt": 5, "version": 1}')]
    return [methodcaller("fail", int(status)) for status in re.findall(r"\d+", said)]


def outcome(call: Callable[[], str]) -> str:
    """What it answers, or the name of its error."""
    try:
        return call()
    except PromptwireError as error:
        return type(error).__name__


@pytest.mark.parametrize("row", FAILURES)
def test_each_case_of_a_failure(row: list[str], door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    said, *expected = row
    assert faults(said)
    for fail in faults(said):
        langfuse.start().heal()
        holding = Resolver("langfuse", cache_ttl=0)
        door.find(holding, "greeting")
        fail(langfuse)
        found = [
            outcome(partial(door.source, resolver, "greeting", **options))
            for resolver, options in (
                (holding, {}),
                (Resolver("langfuse"), {"fallback": "Hi"}),
                (Resolver("langfuse"), {}),
            )
        ]
        assert found == [plain(cell) for cell in expected], said


@pytest.mark.parametrize("row", TEMPLATES)
def test_each_case_of_a_template(row: list[str]) -> None:
    template, dialect, given, filled = map(plain, row)
    values = {key: ast.literal_eval(value) for key, value in re.findall(r'(\w+)=("[^"]*"|[\w.]+|\[\])', given)}
    missing = values.pop("missing", "error")

    def fill() -> str:
        prompt = Prompt("p", text=template, dialect=dialect)
        return str(prompt.render(values, missing=missing).messages[0]["content"])

    assert outcome(fill) == filled
