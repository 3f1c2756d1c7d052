"""``llm=`` as a Runnable that is no chat model: what is bound to it, falls back from it, or configures it."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.chat_models import init_chat_model
from langchain_core.caches import InMemoryCache
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_promptwire import ChatPromptwire
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.testing import FakeLangfuse, FakeOpenAI


class Joke(BaseModel):
    """A joke."""

    setup: str


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


@tool
def clock(city: str) -> str:
    """The time."""
    return city


def chat(llm: Any, **given: Any) -> ChatPromptwire:
    named = {"model": "langfuse", "prompt_id": "persona", "prompt_variables": {"who": "Eve"}, "llm": llm}
    return ChatPromptwire(**{**named, **given})


@pytest.fixture
def down() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        server.fail(400)
        yield server


@pytest.fixture(autouse=True)
def prompts(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("warm", [{"role": "system", "content": "Hi"}], config={"model": "gpt-4o", "temperature": 0.3})


def test_what_is_bound_to_the_llm_stays_through_tools_and_schemas(openai: FakeOpenAI, recorder: Any) -> None:
    llm = (
        ChatOpenAI(model="gpt-4o-mini")
        .bind(seed=1, user="llm", tools=None)
        .with_config(callbacks=[recorder], tags=["own"])
    )
    model = chat(llm)
    doors: list[Any] = [
        model,
        model.bind_tools([weather]),
        model.with_structured_output(Joke, method="function_calling"),
        model.with_structured_output(Joke, method="function_calling", include_raw=True),
    ]
    for number, door in enumerate(doors, 1):
        door.invoke("weather?")
        assert (openai.requests[-1].json["seed"], openai.requests[-1].json["user"]) == (1, "llm")
        assert recorder.count["llm_start"] == number
    assert all("'own'" in traced for traced in recorder.traced if "chat_models" in traced)
    model.bind(user="bound").invoke("Hi", seed=2)
    assert (openai.requests[-1].json["seed"], openai.requests[-1].json["user"]) == (2, "bound")


def test_tools_bound_to_the_llm_give_way_to_the_calls(openai: FakeOpenAI) -> None:
    model = chat(ChatOpenAI(model="gpt-4o-mini").bind_tools([clock], tool_choice="clock"))
    assert [call["name"] for call in model.invoke("Hi").tool_calls] == ["clock"]
    assert [call["name"] for call in model.bind_tools([weather]).invoke("weather clock").tool_calls] == ["weather"]


def test_the_prompts_model_runs_under_what_is_bound(openai: FakeOpenAI) -> None:
    llm = ChatOpenAI(model="gpt-4o-mini").bind(temperature=1, seed=1)
    model = chat(llm, prompt_id="warm")
    model.invoke("Hi")
    asked = openai.requests[-1].json
    assert (asked["model"], asked["temperature"], asked["seed"]) == ("gpt-4o", 0.3, 1)
    assert model._get_ls_params()["ls_model_name"] == "gpt-4o-mini"  # noqa: SLF001 - as frameworks ask
    assert model._llm_type == "openai-chat"  # noqa: SLF001 - as frameworks ask


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_fallbacks_of_the_llm(colour: str, openai: FakeOpenAI, down: FakeOpenAI) -> None:
    broken = ChatOpenAI(model="gpt-4o", base_url=down.url, max_retries=0)
    model = chat(broken.with_fallbacks([ChatOpenAI(model="gpt-4o-mini")]), temperature=0.5)

    async def ask(asked: Any, text: str) -> Any:
        return asked.invoke(text) if colour == "sync" else await asked.ainvoke(text)

    assert (await ask(model, "Hi")).content == "[gpt-4o-mini] Hi"
    assert [call["name"] for call in (await ask(model.bind_tools([weather]), "weather")).tool_calls] == ["weather"]
    assert await ask(model.with_structured_output(Joke, method="function_calling"), "Hi") == Joke(setup="text")
    assert (down.count, openai.count) == (3, 3)
    for request in openai.requests:
        assert request.json["messages"][0] == {"role": "system", "content": "You are Eve."}
        assert request.json["temperature"] == 0.5


def test_the_prompts_model_cannot_be_set_on_fallbacks(openai: FakeOpenAI) -> None:
    llm = ChatOpenAI(model="gpt-4o-mini").with_fallbacks([ChatOpenAI(model="gpt-4o")])
    with pytest.raises(PromptConfigError, match="no chat model's"):
        chat(llm, prompt_id="warm").invoke("Hi")
    assert chat(llm, prompt_id="warm", ignore_prompt_model=True).invoke("Hi").content == "[gpt-4o-mini] Hi"
    with pytest.raises(ConfigurationError, match="cache= can't be set on a RunnableWithFallbacks"):
        chat(llm, cache=InMemoryCache()).invoke("Hi")


async def test_a_configurable_model(openai: FakeOpenAI) -> None:
    llm: Any = init_chat_model("gpt-4o-mini", configurable_fields="any", config_prefix="own", temperature=0.1)
    model = chat(llm)
    config: Any = {"configurable": {"own_model": "gpt-4o", "own_temperature": 0.9}}
    model.invoke("Hi")
    model.invoke("Hi", config)
    await model.bind_tools([weather]).ainvoke("weather", config)
    assert model.with_structured_output(Joke, method="function_calling").invoke("Hi", config) == Joke(setup="text")
    asked = [(request.json["model"], request.json["temperature"]) for request in openai.requests]
    assert asked == [("gpt-4o-mini", 0.1)] + [("gpt-4o", 0.9)] * 3
    assert openai.requests[2].json["tools"][0]["function"]["name"] == "weather"


def test_a_runnable_that_calls_no_tools(openai: FakeOpenAI) -> None:
    model = chat(ChatOpenAI(model="gpt-4o-mini").with_retry())
    for asked in (model.bind_tools([weather]), model.with_structured_output(Joke)):
        with pytest.raises(ConfigurationError, match="RunnableRetry"):
            asked.invoke("Hi")
    assert openai.count == 0
