"""``configurable_keys``: what the config of a run may say of the prompt, and no more."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tools import tool

from langchain_promptwire import ChatPromptwire
from promptwire.errors import ConfigurationError
from promptwire.testing import FakeLangfuse, FakeOpenAI

pytestmark = pytest.mark.usefixtures("langfuse")

TOLD: Any = {"configurable": {"prompt_id": "goodbye", "prompt_variables": {"name": "Bob"}, "temperature": 0.9}}


@tool
def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def chat(*keys: str, **given: Any) -> ChatPromptwire:
    named = {"model": "langfuse/gpt-4o-mini", "prompt_id": "welcome", "message_mode": "replace"}
    variables = {"name": "Ada", "place": "Rome"}
    return ChatPromptwire(**{**named, "prompt_variables": variables, "configurable_keys": keys, **given})


def sent(openai: FakeOpenAI) -> str:
    text: str = openai.requests[-1].json["messages"][0]["content"]
    return text


def test_nothing_is_read_unless_it_is_allowed(openai: FakeOpenAI) -> None:
    chat().invoke([], TOLD)
    assert sent(openai) == "Welcome Ada to Rome"
    chat("prompt_variables").invoke([], TOLD)
    assert sent(openai) == "Welcome Bob to Rome"
    assert openai.requests[-1].json["temperature"] == 0.3
    chat("prompt_id", "temperature").invoke([], TOLD)
    assert (sent(openai), openai.requests[-1].json["temperature"]) == ("Goodbye Ada", 0.9)


@pytest.mark.parametrize("door", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch", "chain"])
async def test_every_door_reads_it(door: str, openai: FakeOpenAI) -> None:
    model = chat("prompt_id", "prompt_variables")
    match door:
        case "invoke" | "stream" | "batch":
            list(getattr(model, door)([] if door != "batch" else [[]], TOLD))
        case "ainvoke":
            await model.ainvoke([], TOLD)
        case "abatch":
            await model.abatch([[]], TOLD)
        case "astream":
            [chunk async for chunk in model.astream([], TOLD)]
        case _:
            (model | StrOutputParser()).invoke([], TOLD)
    assert sent(openai) == "Goodbye Bob"


def test_it_ranks_between_bound_and_call(openai: FakeOpenAI) -> None:
    keys = ("prompt_id", "prompt_variables", "temperature", "seed")
    model = chat(*keys).bind(prompt_id="persona", prompt_variables={"name": "Cid"}, temperature=0.5, seed=3)
    model.invoke([], TOLD)
    asked = openai.requests[-1].json
    assert (sent(openai), asked["temperature"], asked["seed"]) == ("Goodbye Bob", 0.9, 3)
    model.invoke([], TOLD, prompt_variables={"name": "Dan"}, temperature=0.1)
    assert (sent(openai), openai.requests[-1].json["temperature"]) == ("Goodbye Dan", 0.1)


def test_a_model_told_there_comes_before_the_prompts(openai: FakeOpenAI) -> None:
    chat("model").invoke([], {"configurable": {"model": "gpt-4.1"}})
    assert openai.requests[-1].json["model"] == "gpt-4.1"


@pytest.mark.parametrize("colour", ["sync", "async", "stream"])
async def test_inside_an_agent(colour: str, openai: FakeOpenAI) -> None:
    agent: Any = create_agent(chat("prompt_id", "prompt_variables", message_mode="prepend"), [weather])
    turns = {"messages": [("human", "weather?")]}
    if colour == "sync":
        agent.invoke(turns, TOLD)
    elif colour == "async":
        await agent.ainvoke(turns, TOLD)
    else:
        list(agent.stream(turns, TOLD))
    assert openai.count == 2
    assert {request.json["messages"][0]["content"] for request in openai.requests} == {"Goodbye Bob"}


@pytest.mark.parametrize(
    ("key", "says"),
    [("promt_id", "did you mean 'prompt_id'"), ("api_key", "no argument of a call"), ("base_url", "no argument"),
     ("llm", "no argument"), ("resolver", "no argument"), ("thread_id", "no argument")],
)  # fmt: skip
def test_what_may_not_be_configured(key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        chat(key)


def test_values_of_end_users_are_checked(openai: FakeOpenAI) -> None:
    model = chat("prompt_id", "prompt_variables", "prompt_version")
    for told in ({"prompt_variables": "Ada"}, {"prompt_id": 5}, {"prompt_id": "../x"}, {"prompt_version": "one"}):
        with pytest.raises(ConfigurationError):
            model.invoke([], {"configurable": told})
    assert openai.count == 0


def test_variables_told_there_are_not_templates(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    chat("prompt_variables").invoke([], {"configurable": {"prompt_variables": {"name": "{{place}}"}}})
    assert sent(openai) == "Welcome {{place}} to Rome"
