"""Who wins where several say something: variables, parameters, models, and which prompt."""

from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.llms.promptwire import Promptwire

import promptwire
from promptwire import ConfigurationError, MissingVariablesError, PromptConfigError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

ENGINE = PromptTemplate("{name} {unused}")


@pytest.fixture
def bare(resolver: Resolver, openai: FakeOpenAI) -> Promptwire:
    return Promptwire(model="gpt-4o-mini", prompt_id="greeting", resolver=resolver)


def said(openai: FakeOpenAI) -> str:
    return str(openai.requests[-1].json["messages"][-1]["content"])


def test_variables(llm: Promptwire, openai: FakeOpenAI) -> None:
    """constructor < engine < ambient < bound < call"""
    llm.predict(PromptTemplate("Hi"))
    assert said(openai) == "Hello Ada"
    llm.predict(ENGINE, name="engine", unused=1)
    assert said(openai) == "Hello engine"
    with promptwire.variables(name="ambient"):
        llm.predict(ENGINE, name="engine", unused=1)
        assert said(openai) == "Hello ambient"
        bound = llm.bind(prompt_variables={"name": "bound"})
        bound.predict(ENGINE, name="engine", unused=1)
        assert said(openai) == "Hello bound"
        bound.complete("", prompt_variables={"name": "call"})
        assert said(openai) == "Hello call"
    llm.complete("")
    assert said(openai) == "Hello Ada"


def test_variables_merge_key_by_key(library: MemoryBackend, openai: FakeOpenAI) -> None:
    library.publish("many", "{{a}} {{b}} {{c}} {{d}} {{e}}")
    ones = dict.fromkeys("abcde", 1)
    llm = Promptwire(model="gpt-4o", prompt_id="many", prompt_variables=ones, resolver=Resolver(library))
    with promptwire.variables(c=3, d=3, e=3):
        llm = llm.bind(prompt_variables={"d": 4, "e": 4})
        llm.chat([], prompt_variables={"e": 5})
        assert said(openai) == "1 1 3 4 5"
        llm.bind(prompt_id="many").predict(PromptTemplate("{b}{c}{d}{e}"), b=2, c=2, d=2, e=2)
        assert said(openai) == "1 2 3 4 4"


async def test_an_engines_arguments_reach_all_four(bare: Promptwire, openai: FakeOpenAI) -> None:
    template = ENGINE.partial_format(unused="")
    bare.predict(template, name="one")
    assert said(openai) == "Hello one"
    assert "".join(bare.stream(template, name="two")) == "[gpt-4o-mini] Hello two"
    assert await bare.apredict(template.partial_format(name="three")) == "[gpt-4o-mini] Hello three"
    assert "".join([token async for token in await bare.astream(template, name="four")]) == "[gpt-4o-mini] Hello four"
    with pytest.raises(MissingVariablesError):
        bare.chat([ChatMessage("the arguments went with their call")])


def test_an_engines_history_is_a_text_and_fills_no_slot(
    library: MemoryBackend, bare: Promptwire, openai: FakeOpenAI
) -> None:
    library.publish(
        "slot", [{"role": "system", "content": "Be {{name}}"}, {"type": "placeholder", "name": "chat_history"}]
    )
    bare.bind(prompt_id="slot").predict(PromptTemplate("{chat_history} {name}"), chat_history="user: hi", name="kind")
    assert [one["content"] for one in openai.requests[-1].json["messages"]] == ["Be kind", "user: hi kind"]


def test_parameters(library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI) -> None:
    """constructor < prompt < bound < call"""
    library.publish("cool", "Hi", config={"temperature": 0.2, "seed": 2, "stop": ["2"]})
    own = {"seed": 1, "stop": ["1"], "user": "1"}
    llm = Promptwire(
        model="gpt-4o", prompt_id="cool", resolver=resolver, temperature=0.1, max_tokens=9, additional_kwargs=own
    )  # fmt: skip
    llm.bind(seed=3, stop=["3"]).complete("", stop=["4"])
    sent = openai.requests[-1].json
    assert [sent[key] for key in ("temperature", "max_tokens", "seed", "stop", "user")] == [0.2, 9, 3, ["4"], "1"]
    llm.complete("", ignore_prompt_params=True)
    assert openai.requests[-1].json["temperature"] == 0.1


@pytest.mark.parametrize(
    ("bound", "call", "wanted"),
    [
        ({}, {}, "gpt-4o"),
        ({"model": "gpt-4.1"}, {}, "gpt-4.1"),
        ({"model": "gpt-4.1"}, {"model": "openai/o3"}, "o3"),
        ({"ignore_prompt_model": True}, {}, "gpt-4o-mini"),
        ({}, {"ignore_prompt_model": True}, "gpt-4o-mini"),
    ],
)
def test_models(bound: dict[str, Any], call: dict[str, Any], wanted: str, llm: Promptwire, openai: FakeOpenAI) -> None:
    answer = llm.bind(prompt_id="tuned", **bound).complete("", **call)
    assert openai.requests[-1].json["model"] == wanted
    assert answer.additional_kwargs["prompt_id"] == "tuned"


def test_a_model_given_per_call_keeps_the_backend(monkeypatch: pytest.MonkeyPatch, openai: FakeOpenAI) -> None:
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", "nowhere")
    llm = Promptwire(model="files/gpt-4o", prompt_id="x", resolver=Resolver("memory"), fallback="Hello")
    answer = llm.complete("", model="gpt-4.1")
    assert (answer.text, answer.additional_kwargs["prompt_backend"]) == ("[gpt-4.1] Hello", "files")


@pytest.mark.parametrize("bound", [False, True])
def test_the_constructors_key_is_not_sent_to_another_provider(
    *, bound: bool, resolver: Resolver, openai: FakeOpenAI, anthropic: FakeAnthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Promptwire(
        model="gpt-4o", api_key=openai.api_key, base_url=openai.url, prompt_id="persona",
        prompt_variables={"name": "x"}, resolver=resolver,
    )  # fmt: skip
    question, other = [ChatMessage("Hi")], "anthropic/claude-sonnet-4-5"

    def call() -> ChatResponse:
        return own.bind(model=other).chat(question) if bound else own.chat(question, model=other)

    assert call().message.content == "[claude-sonnet-4-5] Hi"
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        call()
    assert (anthropic.count, openai.count) == (1, 0)
    assert openai.api_key not in str(anthropic.requests[0].headers)


def test_allowed_models(llm: Promptwire, openai: FakeOpenAI) -> None:
    with pytest.raises(PromptConfigError, match="allowed_models"):
        llm.complete("", prompt_id="tuned", allowed_models=["openai/gpt-4o-mini"])
    assert openai.count == 0


def test_a_version_is_of_its_prompt(library: MemoryBackend, bare: Promptwire, openai: FakeOpenAI) -> None:
    library.publish("greeting", "Bye {{name}}", labels=["staging"])
    llm = bare.bind(prompt_version=1, prompt_variables={"name": "x"})
    llm.complete("")
    assert said(openai) == "Hello x"
    llm.complete("", prompt_label="staging")
    assert said(openai) == "Bye x"
    assert llm.bind(prompt_id="tuned").prompt_version is None
    assert llm.complete("", prompt_id="tuned").additional_kwargs["prompt_version"] == 1


def test_lifted_arguments(resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = Promptwire(
        model="gpt-4o",
        resolver=resolver,
        prompt_variables={"name": "Ada"},
        additional_kwargs={"prompt_id": "greeting", "prompt_variables": {"name": "no"}, "seed": 4},
    )
    assert (llm.prompt_id, llm.additional_kwargs) == ("greeting", {"seed": 4})
    llm.complete("")
    assert (said(openai), openai.requests[-1].json["seed"]) == ("Hello Ada", 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"promt_id": "x"}, "'promt_id' .did you mean 'prompt_id'"),
        ({"resolvr": None}, "did you mean 'resolver'"),
        ({"additional_kwargs": {"prompt_variable": {}}}, "did you mean 'prompt_variables'"),
        ({"temperature": "hot"}, "temperature: "),
        ({"additional_kwargs": "seed"}, "additional_kwargs is a mapping"),
        ({"llm": "openai"}, "not str"),
        ({"resolver": "langfuse"}, "not str"),
        ({"api_key": 7}, "not int"),
    ],
)
def test_unknown_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Promptwire(**arguments)


def test_bind_shares_and_leaves_alone(llm: Promptwire, openai: FakeOpenAI) -> None:
    bound = llm.bind(temperature=0.5, prompt_variables={"name": "Bo"}, context_window=9, additional_kwargs={"seed": 1})
    bound.complete("")
    sent = openai.requests[-1].json
    assert (sent["temperature"], sent["seed"], said(openai)) == (0.5, 1, "Hello Bo")
    llm.complete("")
    assert openai.requests[-1].json == {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello Ada"}]}
    assert (bound.metadata.context_window, llm.metadata.context_window) == (9, 3900)
    with pytest.raises(ConfigurationError, match="constructor"):
        llm.bind(llm=None)


def test_the_question_fills_a_variable(library: MemoryBackend, bare: Promptwire, openai: FakeOpenAI) -> None:
    library.publish("ask", [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Q: {{q}}"}])
    before = [ChatMessage("One?"), ChatMessage("1", role="assistant")]
    bare.chat([*before, ChatMessage("Two?")], prompt_id="ask", input_variable="q")
    assert [one["content"] for one in openai.requests[-1].json["messages"]] == ["Brief.", "One?", "1", "Q: Two?"]


async def test_weights_and_rollout_keys_at_every_door(
    endpoint: str, call: Any, library: MemoryBackend, bare: Promptwire, openai: FakeOpenAI
) -> None:
    """One key stays with one label, and the shares are the weights, wherever they are given."""
    library.publish("split", "old", labels=["stable"])
    library.publish("split", "new", labels=["canary"])
    weights = {"stable": 0.5, "canary": 0.5}
    split = bare.bind(prompt_id="split", prompt_label=weights)
    by_key = []
    for key in range(12):
        labels = [
            (await call(split, endpoint, rollout_key=key))[-1],
            (await call(split.bind(rollout_key=key), endpoint))[-1],
            (await call(bare, endpoint, prompt_id="split", prompt_label=weights, rollout_key=key))[-1],
        ]
        [label] = {one.additional_kwargs["prompt_label"] for one in labels}
        by_key.append(label)
    assert set(by_key) == {"stable", "canary"}
    last = await call(bare, endpoint, prompt_id="split", prompt_label={"canary": 1.0})
    assert last[-1].additional_kwargs["prompt_label"] == "canary"
