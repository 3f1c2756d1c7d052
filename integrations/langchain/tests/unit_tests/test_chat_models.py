"""The prompt and its variables at every door of ``ChatPromptwire``."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire.errors import ConfigurationError, MissingVariablesError, PromptNotFoundError
from promptwire.testing import FakeLangfuse, FakeOpenAI

pytestmark = pytest.mark.usefixtures("langfuse")

ADA = {"name": "Ada", "place": "Rome"}
WELCOME = [{"role": "user", "content": "Welcome Ada to Rome"}]
SAID = "[gpt-4o] Welcome Ada to Rome"


def chat(**given: Any) -> ChatPromptwire:
    return ChatPromptwire(
        **{"model": "langfuse/gpt-4o-mini", "prompt_id": "welcome", "message_mode": "replace", **given}
    )


def sent(openai: FakeOpenAI) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = openai.requests[-1].json["messages"]
    return messages


def joined(chunks: Iterator[BaseMessage]) -> BaseMessage:
    whole, *rest = list(chunks)
    for chunk in rest:
        whole = whole + chunk  # type: ignore[assignment]
    return whole


async def ajoined(chunks: AsyncIterator[BaseMessage]) -> BaseMessage:
    return joined(iter([chunk async for chunk in chunks]))


async def at_once(value: Any) -> Any:
    return value


Door = Callable[[ChatPromptwire, Any], Awaitable[BaseMessage]]
DOORS: dict[str, Door] = {
    "invoke": lambda model, given: at_once(model.invoke(given)),
    "ainvoke": lambda model, given: model.ainvoke(given),
    "stream": lambda model, given: at_once(joined(model.stream(given))),
    "astream": lambda model, given: ajoined(model.astream(given)),
    "batch": lambda model, given: at_once(model.batch([given])[0]),
    "abatch": lambda model, given: afirst(model.abatch([given])),
    "generate": lambda model, given: at_once(model.generate([[HumanMessage("x")]]).generations[0][0].message),  # type: ignore[union-attr]
    "_generate": lambda model, given: at_once(model._generate([HumanMessage("x")]).generations[0].message),  # noqa: SLF001 - as others do
}


async def afirst(answers: Awaitable[list[Any]]) -> Any:
    return (await answers)[0]


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_sends_the_prompt_on_the_prompts_model(door: str, openai: FakeOpenAI) -> None:
    answer = await DOORS[door](chat(prompt_variables=ADA), "<IGNORED>")
    request = openai.requests[-1].json
    assert (request["model"], request["temperature"], request["messages"]) == ("gpt-4o", 0.3, WELCOME)
    assert answer.content == SAID
    assert answer.response_metadata["prompt_id"] == "welcome"
    assert openai.count == 1


async def test_agenerate_keeps_the_order(openai: FakeOpenAI) -> None:
    model = chat(prompt_id="persona", prompt_variables={"who": "Eve"}, message_mode="auto")
    result = await model.agenerate([[HumanMessage("one")], [HumanMessage("two")]])
    assert [found[0].text for found in result.generations] == ["[gpt-4o-mini] one", "[gpt-4o-mini] two"]


@pytest.mark.parametrize(
    "given",
    [
        {"name": "Ada"},
        {"name": "Ada", "messages": "<IGNORED>"},
        {"name": "Ada", "messages": [("human", "<IGNORED>")]},
    ],
)
def test_a_dict_is_variables(given: dict[str, Any], openai: FakeOpenAI) -> None:
    chat(prompt_variables={"name": "Bob", "place": "Rome"}).invoke(given)
    assert sent(openai) == WELCOME


@pytest.mark.parametrize(
    "given",
    ["Hi", [HumanMessage("Hi")], [("human", "Hi")], ChatPromptTemplate.from_messages([("human", "Hi")]).invoke({})],
)
def test_a_persona_keeps_the_callers_turns(given: Any, openai: FakeOpenAI) -> None:
    chat(prompt_id="persona", message_mode="auto", prompt_variables={"who": "Eve"}).invoke(given)
    assert sent(openai) == [{"role": "system", "content": "You are Eve."}, {"role": "user", "content": "Hi"}]


def test_message_mode_and_question_per_call(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("ask", "Answer: {{question}}")
    model = chat(prompt_id="ask")
    model.invoke("Why?", input_variable="question")
    assert sent(openai) == [{"role": "user", "content": "Answer: Why?"}]
    model.invoke("Why?", prompt_variables={"question": "What?"}, message_mode="prepend", text_role="system")
    assert sent(openai) == [{"role": "system", "content": "Answer: What?"}, {"role": "user", "content": "Why?"}]


def test_placeholders_take_langchain_messages(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    slots = [{"type": "placeholder", "name": name} for name in ("examples", "history")]
    langfuse.publish("slots", [*slots, {"role": "user", "content": "Now {{name}}"}])
    examples = [HumanMessage("{{name}}?"), AIMessage("{{name}}!")]
    given = {"name": "Ada", "examples": examples}
    chat(prompt_id="slots", message_mode="auto").invoke({**given, "messages": "before"})
    first = sent(openai)
    assert [message["content"] for message in first] == ["{{name}}?", "{{name}}!", "before", "Now Ada"]
    chat(prompt_id="slots", message_mode="auto", prompt_variables=given).invoke("before")
    assert sent(openai) == first


def test_variables_merge_key_by_key_up_the_layers(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("layers", "{{a}} {{b}} {{c}} {{d}} {{e}}")
    model = chat(prompt_id="layers", prompt_variables=dict.fromkeys("abcde", "constructor"))
    bound = model.bind(prompt_variables=dict.fromkeys("cde", "bound")).bind(prompt_variables={"e": "again"})
    with promptwire.variables(**dict.fromkeys("bcde", "ambient")):
        bound.invoke({"d": "input", "e": "input"}, prompt_variables={"e": "call"})
    assert sent(openai) == [{"role": "user", "content": "constructor ambient bound input call"}]
    assert model.prompt_variables == dict.fromkeys("abcde", "constructor")


def test_params_merge_up_the_layers(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("params", "Hi", config={"top_p": 0.2, "seed": 2, "user": "prompt", "temperature": 0.2})
    model = chat(prompt_id="params", temperature=0.1, max_tokens=1, model_kwargs={"seed": 1, "service_tier": "flex"})
    model.bind(seed=3, user="bound").invoke([], user="call", stop=["x"])
    request = openai.requests[-1].json
    assert {name: request[name] for name in request if name not in {"model", "messages"}} == {
        "service_tier": "flex",
        "max_tokens": 1,
        "top_p": 0.2,
        "temperature": 0.2,
        "seed": 3,
        "user": "call",
        "stop": ["x"],
    }
    model.invoke([], ignore_prompt_params=True)
    assert openai.requests[-1].json["temperature"] == 0.1


@pytest.mark.parametrize(
    ("given", "per_call", "expected"),
    [
        ({}, {}, "gpt-4o"),
        ({"ignore_prompt_model": True}, {}, "gpt-4o-mini"),
        ({}, {"model": "gpt-4.1"}, "gpt-4.1"),
        ({}, {"model": "langfuse/openai/gpt-4.1"}, "gpt-4.1"),
        ({}, {"model": "langfuse/"}, "gpt-4o"),
        ({}, {"ignore_prompt_model": True}, "gpt-4o-mini"),
    ],
)
def test_which_model_runs(given: dict[str, Any], per_call: dict[str, Any], expected: str, openai: FakeOpenAI) -> None:
    model = chat(prompt_variables=ADA, **given)
    model.invoke([], **per_call)
    model.bind(**per_call).invoke([])
    assert [request.json["model"] for request in openai.requests] == [expected, expected]


def test_allowed_models_bound_the_prompt(openai: FakeOpenAI) -> None:
    with pytest.raises(promptwire.PromptConfigError, match="allowed_models"):
        chat(prompt_variables=ADA, allowed_models=["openai/gpt-4o-mini"]).invoke([])
    assert openai.count == 0


def test_version_and_label(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("v", "one")
    langfuse.publish("v", "two", labels=["staging"])
    staging = chat(prompt_id="v", prompt_label="staging")
    assert staging.invoke([]).response_metadata["prompt_label"] == "staging"
    assert sent(openai)[0]["content"] == "two"
    assert staging.invoke([], prompt_version=1).response_metadata["prompt_version"] == 1
    assert sent(openai)[0]["content"] == "one"
    assert staging.invoke([], prompt_version=1).response_metadata["prompt_label"] is None
    chat(prompt_id="v", prompt_version=2).with_prompt("goodbye", name="Ada").invoke([])
    assert sent(openai)[0]["content"] == "Goodbye Ada"


def test_the_fallback_answers_an_outage(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.fail(401)
    answer = chat(fallback="Hello {{name}}", prompt_variables=ADA).invoke([])
    assert (answer.content, answer.response_metadata["prompt_source"]) == ("[gpt-4o-mini] Hello Ada", "fallback")


def test_missing_variables_may_be_kept(openai: FakeOpenAI) -> None:
    chat(missing="keep", prompt_variables={"name": "Ada"}).invoke([])
    assert sent(openai)[0]["content"] == "Welcome Ada to {{place}}"


async def test_retries_and_timeout_are_the_gateways(openai: FakeOpenAI) -> None:
    openai.fail(500)
    model = chat(prompt_variables=ADA)
    for number, asked in enumerate((chat(prompt_variables=ADA, max_retries=0), model.bind(max_retries=0)), 1):
        with pytest.raises(promptwire.GatewayError):
            await asked.ainvoke([])
        assert openai.count == number
    openai.hang()
    for asked in (chat(prompt_variables=ADA, max_retries=0, timeout=0.05), model.bind(max_retries=0, timeout=0.05)):
        with pytest.raises(promptwire.GatewayError, match="time"):
            asked.invoke([])


def test_with_prompt_and_bind_make_copies(openai: FakeOpenAI) -> None:
    model = chat(prompt_variables=ADA)
    other = model.with_prompt("goodbye", name="Bob")
    assert isinstance(model.bind(prompt_id="goodbye"), ChatPromptwire)
    for asked, text in (
        (other, "Goodbye Bob"),
        (model.bind(prompt_id="goodbye"), "Goodbye Ada"),
        (model, WELCOME[0]["content"]),
    ):
        asked.invoke([])
        assert sent(openai)[0]["content"] == text


def test_model_kwargs_hold_prompt_arguments(openai: FakeOpenAI) -> None:
    extra = {"prompt_id": "welcome", "prompt_variables": ADA, "seed": 7}
    model = ChatPromptwire(model="langfuse/gpt-4o-mini", model_kwargs=extra)
    assert (model.prompt_id, model.model_kwargs) == ("welcome", {"seed": 7})
    model.invoke([])
    assert (sent(openai), openai.requests[-1].json["seed"]) == (WELCOME, 7)


def test_without_a_prompt_it_is_a_plain_call(openai: FakeOpenAI) -> None:
    answer = ChatPromptwire(model="gpt-4o-mini", temperature=0.5).invoke([SystemMessage("S"), HumanMessage("Hi")])
    request = openai.requests[-1].json
    assert request["messages"] == [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]
    assert (request["model"], request["temperature"]) == ("gpt-4o-mini", 0.5)
    assert "prompt_id" not in answer.response_metadata


def test_it_stands_in_a_chain(openai: FakeOpenAI) -> None:
    variables: Any = RunnableLambda(lambda name: {"name": name, "place": "Rome"})
    chain = variables | chat() | StrOutputParser()
    assert chain.invoke("Ada") == SAID
    assert "".join(chain.stream("Ada")) == SAID


@pytest.mark.parametrize("stream", [False, True])
async def test_one_chain_run_and_one_llm_run(stream: bool, recorder: Any, openai: FakeOpenAI) -> None:
    model, config = chat(prompt_variables=ADA), {"callbacks": [recorder]}
    answer = joined(model.stream("x", config)) if stream else model.invoke("x", config)  # type: ignore[arg-type]
    assert (recorder.count["chain_start"], recorder.count["llm_start"], recorder.count["llm_end"]) == (1, 1, 1)
    assert recorder.tokens == answer.usage_metadata["total_tokens"]  # type: ignore[attr-defined]
    assert [message.content for message in recorder.llm_inputs[0]] == ["Welcome Ada to Rome"]
    metadata = recorder.llm_metadata[0]
    assert (metadata["prompt_id"], metadata["prompt_version"], metadata["ls_model_name"]) == ("welcome", 1, "gpt-4o")
    assert (metadata["ls_provider"], metadata["ls_temperature"]) == ("openai", 0.3)


async def test_chunks_come_once_in_a_chain(openai: FakeOpenAI) -> None:
    chain = chat(prompt_variables=ADA) | StrOutputParser()
    events = [event async for event in chain.astream_events("x", version="v2")]
    chunks = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(chunks) == SAID
    assert sum(event["event"] == "on_chat_model_start" for event in events) == 1


@pytest.mark.usefixtures("openai")
def test_own_callbacks_are_called_once(recorder: Any) -> None:
    chat(prompt_variables=ADA, callbacks=[recorder], tags=["mine"]).invoke("x")
    assert (recorder.count["chain_start"], recorder.count["llm_start"]) == (1, 1)
    assert "'mine'" in recorder.traced[1]


async def test_provenance_is_told_once(openai: FakeOpenAI) -> None:
    model = chat(prompt_variables=ADA, prompt_label="production")
    expected = {
        "prompt_id": "welcome",
        "prompt_version": 1,
        "prompt_label": "production",
        "prompt_backend": "langfuse",
        "prompt_source": "fresh",
    }
    assert model.invoke([]).response_metadata.items() >= expected.items()
    expected["prompt_source"] = "cached"
    assert joined(model.stream([])).response_metadata.items() >= expected.items()
    assert (await ajoined(model.astream([]))).response_metadata.items() >= expected.items()


async def test_an_error_of_resolution_is_seen_in_the_trace(recorder: Any, openai: FakeOpenAI) -> None:
    model, config = chat(prompt_id="nowhere"), {"callbacks": [recorder]}
    doors: list[Callable[[], Any]] = [
        lambda: model.invoke("x", config),  # type: ignore[arg-type]
        lambda: list(model.stream("x", config)),  # type: ignore[arg-type]
    ]
    for number, door in enumerate(doors, 1):
        with pytest.raises(PromptNotFoundError):
            door()
        assert recorder.count["chain_error"] == number
    with pytest.raises(PromptNotFoundError):
        await model.ainvoke("x", config)  # type: ignore[arg-type]
    assert (recorder.count["chain_error"], recorder.count["llm_start"], openai.count) == (3, 0, 0)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"prompt_id": None, "prompt_variables": {}}, ConfigurationError, "prefix 'langfuse'.*needs a prompt_id"),
        ({"prompt_id": None, "model": "gpt-4o", "prompt_variables": {"a": 1}}, ConfigurationError, "prompt_variables"),
        ({"prompt_variables": {}}, MissingVariablesError, "name, place"),
        ({"message_mode": "append"}, ConfigurationError, "message_mode"),
        ({"prompt_version": 1, "prompt_label": "x"}, ConfigurationError, "not both"),
        ({"model": "langfuse/gpt-4o", "prompt_id": "../x"}, ConfigurationError, "prompt's name"),
    ],
)
def test_bad_arguments_send_nothing(
    given: dict[str, Any], error: type[Exception], says: str, openai: FakeOpenAI
) -> None:
    with pytest.raises(error, match=says):
        chat(**{"prompt_variables": ADA, **given}).invoke("x")
    assert openai.count == 0


@pytest.mark.parametrize("given", [None, 5, [object()], [("human",)]])
def test_input_of_another_kind_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="input"):
        chat(prompt_variables=ADA).invoke(given)


def test_nothing_to_send(openai: FakeOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="nothing to send"):
        ChatPromptwire(model="gpt-4o").invoke([])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"promt_id": "x"}, "did you mean 'prompt_id'"),
        ({"model_kwargs": {"prompt_id": "x"}, "openai_api_key": "sk-secret"}, "did you mean 'api_key'"),
        ({"temperature": "sk-secret"}, "temperature"),
        ({"prompt_variables": "sk-secret"}, "prompt_variables"),
        ({"llm": "sk-secret"}, "llm"),
    ],
)
def test_constructor_errors_name_the_argument_alone(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        ChatPromptwire(**given)
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_misspelt_call_arguments_are_not_sent(openai: FakeOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'prompt_variables'"):
        chat().invoke([], promt_variables=ADA)
    with pytest.raises(ConfigurationError, match="mapping"):
        chat().invoke([], prompt_variables="Ada")
    assert openai.count == 0


def test_configurable_fields_keep_what_is_bound(openai: FakeOpenAI) -> None:
    bound = chat(prompt_variables=ADA).bind(prompt_id="goodbye", seed=3)
    model = bound.configurable_fields(temperature=ConfigurableField("heat"))
    model.invoke([], {"configurable": {"heat": 0.9}})
    request = openai.requests[-1].json
    assert (request["messages"][0]["content"], request["seed"], request["temperature"]) == ("Goodbye Ada", 3, 0.9)


def test_the_callers_system_text_joins_the_prompts(openai: FakeOpenAI) -> None:
    cached = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    turns = [SystemMessage([cached]), HumanMessage("Hi")]
    chat(prompt_id="persona", message_mode="auto", prompt_variables={"who": "Eve"}).invoke(turns)
    texts = [{"type": "text", "text": text} for text in ("You are Eve.", "Be brief.")]
    assert sent(openai) == [{"role": "system", "content": texts}, {"role": "user", "content": "Hi"}]
