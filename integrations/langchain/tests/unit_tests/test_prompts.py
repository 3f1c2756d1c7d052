"""A managed prompt as a LangChain prompt: at each of its doors, in chains, and beside other templates."""

import copy
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

import promptwire
from langchain_promptwire import ChatPromptwire, ManagedPromptTemplate
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import (
    BackendUnavailableError,
    ConfigurationError,
    MissingVariablesError,
    PromptNotFoundError,
    PromptwireError,
)
from promptwire.testing import FakeLangfuse, FakeOpenAI

SLOTS = [
    {"role": "system", "content": 'You help {{name}}. {"a": {"b": 1}} {x} {{#if}}'},
    {"type": "placeholder", "name": "examples"},
    {"type": "placeholder", "name": "history"},
    {"role": "user", "content": "{{ question }}"},
]
FILLED = 'You help Ada. {"a": {"b": 1}} {x} {{#if}}'
GIVEN: dict[str, Any] = {"name": "Ada", "question": "Why?", "examples": []}


@pytest.fixture(autouse=True)
def _published(langfuse: FakeLangfuse) -> None:
    langfuse.publish("slots", SLOTS, config={"model": "gpt-4o", "temperature": 0.3})
    langfuse.publish("text", "Tell me about {{topic}}")


def template(prompt_id: str = "slots", **given: Any) -> ManagedPromptTemplate:
    return ManagedPromptTemplate(prompt_id, **{"backend": "langfuse", **given})


async def at_once(value: Any) -> Any:
    return value


async def first(values: Any) -> Any:
    return await anext(values)


async def to_messages(value: Awaitable[Any]) -> list[BaseMessage]:
    messages: list[BaseMessage] = (await value).to_messages()
    return messages


Door = Callable[[ManagedPromptTemplate, dict[str, Any]], Awaitable[list[BaseMessage]]]
DOORS: dict[str, Door] = {
    "invoke": lambda prompt, given: to_messages(at_once(prompt.invoke(given))),
    "ainvoke": lambda prompt, given: to_messages(prompt.ainvoke(given)),
    "stream": lambda prompt, given: to_messages(at_once(next(iter(prompt.stream(given))))),
    "astream": lambda prompt, given: to_messages(first(prompt.astream(given))),
    "batch": lambda prompt, given: to_messages(at_once(prompt.batch([given])[0])),
    "format_messages": lambda prompt, given: at_once(prompt.format_messages(**given)),
    "aformat_messages": lambda prompt, given: prompt.aformat_messages(**given),
    "format_prompt": lambda prompt, given: to_messages(at_once(prompt.format_prompt(**given))),
    "aformat_prompt": lambda prompt, given: to_messages(prompt.aformat_prompt(**given)),
}
each_door = pytest.mark.parametrize("door", DOORS)


@each_door
async def test_every_door_fills_in_the_prompt(door: str) -> None:
    messages = await DOORS[door](template(), {**GIVEN, "unused": 1})
    assert messages == [SystemMessage(FILLED), HumanMessage("Why?")]


@each_door
async def test_every_door_names_all_that_is_missing(door: str) -> None:
    with pytest.raises(MissingVariablesError) as caught:
        await DOORS[door](template(), {})
    assert caught.value.missing == ("name", "question")


@each_door
async def test_an_open_slot_that_is_no_history_is_missing(door: str) -> None:
    with pytest.raises(MissingVariablesError, match="examples"):
        await DOORS[door](template(), {"name": "Ada", "question": "Why?"})


@each_door
async def test_every_door_says_that_there_is_no_prompt(door: str) -> None:
    with pytest.raises(PromptNotFoundError, match="nowhere"):
        await DOORS[door](template("nowhere"), {})


async def test_format_is_text() -> None:
    assert template("text").format(topic="Rome") == "Human: Tell me about Rome"
    assert await template("text").aformat(topic="Rome") == "Human: Tell me about Rome"


@each_door
async def test_nothing_in_a_value_or_a_message_is_a_template(door: str) -> None:
    history = [("human", "{name} {{name}}"), AIMessage("{{question}} {x}")]
    given = {**GIVEN, "name": "{{question}} {question}", "history": history}
    messages = await DOORS[door](template(), given)
    assert [message.content for message in messages] == [
        'You help {{question}} {question}. {"a": {"b": 1}} {x} {{#if}}',
        "{name} {{name}}",
        "{{question}} {x}",
        "Why?",
    ]


def test_messages_in_a_slot_stay_what_they_are() -> None:
    thinking = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}], id="kept")
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    given = [
        thinking,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        ToolMessage("seen", tool_call_id="1"),
    ]
    _, same, asked, seen, _ = template().invoke({**GIVEN, "history": given}).to_messages()
    assert same is thinking
    assert isinstance(asked, AIMessage)
    assert asked.tool_calls == [{"name": "look", "args": {"at": "it"}, "id": "1", "type": "tool_call"}]
    assert seen is given[2]
    as_value = template().invoke({**GIVEN, "history": ChatPromptValue(messages=[thinking])})
    assert as_value.to_messages()[1] is thinking


@pytest.mark.parametrize("wrong", ["Hi", 7, {"role": "user"}, [object()], [{"content": "no role"}], [("x", "y", "z")]])
def test_what_is_no_message_is_refused_without_showing_it(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="placeholder 'history'"):
        template().invoke({**GIVEN, "history": wrong})


def test_ambient_variables_rank_between_partial_and_given() -> None:
    prompt = template().partial(name="partial", question=lambda: "from a function", examples=[("human", "one")])
    assert [m.content for m in prompt.invoke({}).to_messages()[1:]] == ["one", "from a function"]
    with promptwire.variables(name="ambient", question="ambient"):
        said = prompt.invoke({"question": "given"}).to_messages()
    assert said[0].content == FILLED.replace("Ada", "ambient")
    assert said[-1].content == "given"


def test_a_partial_leaves_the_whole_alone() -> None:
    whole = template("text")
    part = whole.partial(topic="Rome")
    assert part.partial_variables == {"topic": "Rome"}
    assert (whole.input_variables, part.input_variables) == (["topic"], [])
    assert part.invoke({}).to_string() == "Human: Tell me about Rome"
    declared = template("text", input_variables=["topic", "other"]).partial(topic="Rome")
    assert declared.input_variables == ["other"]


def test_missing_keep_and_text_role() -> None:
    kept = template("text", missing="keep", text_role="system").invoke({})
    assert kept.to_messages() == [SystemMessage("Tell me about {{topic}}")]
    assert [m.type for m in template(missing="keep").invoke({}).to_messages()] == ["system", "human"]


@pytest.mark.parametrize(("prompt_id", "given"), [("text", "Rome"), ("text", {"topic": "Rome"})])
def test_a_prompt_of_one_variable_takes_it_bare(prompt_id: str, given: Any) -> None:
    assert template(prompt_id).invoke(given).to_string() == "Human: Tell me about Rome"


def test_a_prompt_of_several_takes_a_dict() -> None:
    with pytest.raises(ConfigurationError, match=r"'slots' .*takes a dict of its variables, not str"):
        template().invoke("Rome")


def test_a_variable_may_have_any_name(langfuse: FakeLangfuse) -> None:
    names = ["self", "_x", "a b", "model_name", "copy", "__config__", "stop", "input"]
    langfuse.publish("odd", " ".join(f"{{{{{name}}}}}" for name in names))
    odd = template("odd")
    assert odd.input_variables == names
    assert odd.invoke(dict.fromkeys(names, "v")).to_messages()[0].content == "v v v v v v v v"
    assert odd.get_input_schema().model_json_schema()


class TestDescribing:
    def test_the_variables_are_the_prompts(self) -> None:
        prompt = template()
        assert prompt.input_variables == ["name", "question", "examples"]
        assert prompt.optional_variables == ["history"]
        schema = prompt.get_input_schema().model_json_schema()
        assert sorted(schema["required"]) == ["examples", "name", "question"]
        assert schema["properties"]["history"]["type"] == "array"

    def test_they_are_those_of_the_newest_version(self, langfuse: FakeLangfuse) -> None:
        prompt = template("text", resolver=Resolver(cache_ttl=0))
        assert prompt.input_variables == ["topic"]
        langfuse.publish("text", "{{other}}")
        assert prompt.input_variables == ["other"]

    def test_making_pickling_and_showing_one_fetches_nothing(self, langfuse: FakeLangfuse) -> None:
        prompt = template(partial_variables={"topic": "a secret"}, fallback="a secret")
        pictures = [repr(prompt), dumpd(prompt), prompt.model_dump(), prompt.asdict(), prompt.get_name()]
        assert pickle.loads(pickle.dumps(prompt)) == copy.deepcopy(prompt) == prompt  # noqa: S301 - our own
        assert langfuse.count == 0
        assert "a secret" not in repr(pictures[:2])

    def test_given_ones_are_believed(self, langfuse: FakeLangfuse) -> None:
        prompt = template("nowhere", input_variables=["a"], optional_variables=[], input_types={})
        assert prompt.input_variables == ["a"]
        assert prompt.get_input_schema().model_json_schema()["required"] == ["a"]
        assert langfuse.count == 0

    @pytest.mark.parametrize("prompt_id", ["nowhere", "../x"])
    def test_without_the_prompt_there_are_none_and_a_warning(
        self, prompt_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert template(prompt_id).input_variables == []
        assert "its variables are unknown" in caplog.text
        chain = template(prompt_id) | FakeListChatModel(responses=["yes"])
        assert len(chain.get_graph().nodes) == 4

    async def test_on_a_loop_nothing_waits(self, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture) -> None:
        prompt = template(resolver=Resolver())
        with langfuse.gate(times=1):
            assert prompt.input_variables == []
            assert prompt.get_graph().nodes
        await prompt.ainvoke(GIVEN)
        assert prompt.input_variables == ["name", "question", "examples"]
        assert (langfuse.count, caplog.text) == (1, "")

    def test_pretty(self) -> None:
        shown = template().pretty_repr()
        assert "System Message" in shown
        assert "You help {{name}}." in shown
        assert "history" in shown
        assert "Managed Prompt nowhere" in template("nowhere").pretty_repr()


class TestBeside:
    def test_within_a_larger_template(self) -> None:
        parts: list[Any] = [template().partial(examples=[]), MessagesPlaceholder("more"), ("human", "{last}")]
        whole = ChatPromptTemplate(parts)
        assert whole.input_variables == ["last", "more", "name", "question"]
        said = whole.invoke({"name": "Ada", "question": "{last}", "more": [("ai", "{last}")], "last": "!"})
        assert [message.content for message in said.to_messages()] == [FILLED, "{last}", "{last}", "!"]

    @pytest.mark.parametrize(
        "other", [("human", "{last}"), [("human", "{last}")], HumanMessage("!"), ChatPromptTemplate([("human", "!")])]
    )
    def test_added_up(self, other: Any) -> None:
        other = [other] if isinstance(other, tuple) else other
        said = (template("text") + other).invoke({"topic": "Rome", "last": "!"}).to_messages()
        assert [message.content for message in said] == ["Tell me about Rome", "!"]
        turned = (ChatPromptTemplate([("system", "Be brief")]) + template("text")).invoke({"topic": "Rome"})
        assert [message.type for message in turned.to_messages()] == ["system", "human"]

    async def test_in_a_chain_with_any_model(self, openai: FakeOpenAI) -> None:
        chain = template("text") | ChatOpenAI(model="gpt-4o-mini") | StrOutputParser()
        assert chain.invoke({"topic": "Rome"}) == "[gpt-4o-mini] Tell me about Rome"
        assert await chain.ainvoke({"topic": "Oslo"}) == "[gpt-4o-mini] Tell me about Oslo"
        assert "".join([part async for part in chain.astream({"topic": "Rome"})]) == "[gpt-4o-mini] Tell me about Rome"


class TestRun:
    async def test_its_run_tells_which_prompt_it_was(self, recorder: Any) -> None:
        config: Any = {"callbacks": [recorder], "metadata": {"mine": 1}, "tags": ["a"]}
        prompt = template("text", metadata={"ours": 2}, tags=["b"])
        prompt.invoke({"topic": "Rome"}, config)
        await prompt.ainvoke({"topic": "Rome"}, config)
        for metadata in recorder.chain_metadata:
            told = {name: metadata[name] for name in ("prompt_id", "prompt_version", "prompt_backend", "mine", "ours")}
            assert told == {
                "prompt_id": "text",
                "prompt_version": 1,
                "prompt_backend": "langfuse",
                "mine": 1,
                "ours": 2,
            }
        assert [metadata["prompt_source"] for metadata in recorder.chain_metadata] == ["fresh", "cached"]
        assert not [name for name in recorder.chain_metadata[0] if name.startswith("lc_hub")]

    @pytest.mark.parametrize("door", ["invoke", "ainvoke"])
    async def test_a_failed_fetch_is_its_runs_error(self, door: str, recorder: Any) -> None:
        prompt = template("nowhere").with_config(callbacks=[recorder])
        with pytest.raises(PromptNotFoundError):
            await DOORS[door](prompt, {})  # type: ignore[arg-type]
        assert recorder.count == {"chain_start": 1, "chain_error": 1}
        assert recorder.chain_metadata[0]["prompt_id"] == "nowhere"


@pytest.mark.parametrize("door", ["invoke", "ainvoke"])
async def test_the_fallback_answers_for_a_backend_that_fails(door: str, langfuse: FakeLangfuse) -> None:
    langfuse.fail(500)
    prompt = template("text", fallback=[{"role": "user", "content": "About {{topic}}"}], timeout=0.5)
    assert await DOORS[door](prompt, {"topic": "Rome"}) == [HumanMessage("About Rome")]
    with pytest.raises(BackendUnavailableError):
        await DOORS[door](template("text", timeout=0.5), {"topic": "Rome"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lable": "x"}, "did you mean 'label'"),
        ({"missing": "kep"}, "missing is 'error' or 'keep'"),
        ({"version": [1]}, "version"),
        ({"text_role": 7}, "text_role"),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        template(**given)
    assert not isinstance(caught.value, ValueError)


def test_an_id_is_checked_when_it_is_used() -> None:
    for wrong in ("", "../traces", "a\nb"):
        with pytest.raises(PromptwireError):
            template(wrong).invoke({})


def test_version_label_and_backend_choose(langfuse: FakeLangfuse) -> None:
    langfuse.publish("text", "Newer {{topic}}", labels=["staging"])
    said = [template("text", **which).invoke("Rome").to_string() for which in ({"version": 1}, {"label": "staging"})]
    assert said == ["Human: Tell me about Rome", "Human: Newer Rome"]
    files = Resolver(MemoryBackend({"text": "Mine {{topic}}"}))
    assert template("text", backend=None, resolver=files).invoke("Rome").to_string() == "Human: Mine Rome"


@each_door
async def test_of_weighted_labels_each_call_gets_one(door: str, langfuse: FakeLangfuse) -> None:
    langfuse.publish("text", "Newer {{topic}}", labels=["staging"])
    weights = {"production": 1, "staging": 1}
    said = [
        (await DOORS[door](template("text", label=weights, rollout_key=key), {"topic": "it"}))[0].text
        for key in [*range(12), *range(12)]
    ]
    assert said[:12] == said[12:]
    assert set(said) == {"Tell me about it", "Newer it"}


def test_the_label_that_was_chosen_is_told(openai: FakeOpenAI, recorder: Any) -> None:
    prompt = template("text", label={"production": 1, "staging": 0})
    answer = (prompt | ChatPromptwire(model="gpt-4o")).invoke({"topic": "it"}, {"callbacks": [recorder]})
    assert answer.response_metadata["prompt_label"] == "production"
    assert recorder.chain_metadata[1]["prompt_label"] == "production"
    with pytest.raises(ConfigurationError, match="weight"):
        template("text", label={"production": 0}).invoke("it")


def test_a_secret_value_is_stars() -> None:
    assert template("text").invoke({"topic": SecretStr("sk-1")}).to_string() == "Human: Tell me about **********"
