"""A prompt's parameters, in OpenAI's words, on the frameworks' own models of either vendor."""

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_promptwire import ChatPromptwire
from promptwire.errors import PromptConfigError
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

CLAUDE = "claude-haiku-4-5"
FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


def publish(langfuse: FakeLangfuse, **config: Any) -> None:
    langfuse.publish("params", [{"role": "user", "content": "7 of them"}], config=config)


def on_openai(**given: Any) -> ChatPromptwire:
    return ChatPromptwire(model="langfuse", prompt_id="params", llm=ChatOpenAI(model="gpt-4o"), **given)


def on_anthropic(**given: Any) -> ChatPromptwire:
    llm = ChatAnthropic(model=CLAUDE)  # type: ignore[call-arg]
    return ChatPromptwire(model="langfuse", prompt_id="params", llm=llm, **given)


def test_parallel_tool_calls_without_tools(langfuse: FakeLangfuse, anthropic: FakeAnthropic) -> None:
    publish(langfuse, parallel_tool_calls=False)
    assert on_anthropic().invoke([]).content


@pytest.mark.parametrize("on", [on_openai, on_anthropic])
@pytest.mark.parametrize(
    "odd", [{"type": "function", "function": {}}, {"type": "function", "function": "look"}, {"type": "document"}]
)
@pytest.mark.usefixtures("openai", "anthropic")
def test_a_tool_that_is_none(on: Any, odd: Any, langfuse: FakeLangfuse) -> None:
    publish(langfuse, tools=[odd])
    with pytest.raises(PromptConfigError, match=r"prompt 'params'.*: config key 'tools' .* can't take"):
        on().invoke([])
    with pytest.raises((TypeError, ValueError, LookupError)):  # the caller's own
        on().invoke([], tools=[{**odd, "mine": True}])


@pytest.mark.parametrize(
    ("choice", "anthropics"),
    [
        ("required", {"type": "any"}),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "look"}}, {"type": "tool", "name": "look"}),
    ],
)
def test_tools_and_how_they_are_chosen(
    choice: Any, anthropics: Any, langfuse: FakeLangfuse, openai: FakeOpenAI, anthropic: FakeAnthropic
) -> None:
    publish(langfuse, tools=[FUNCTION], tool_choice=choice, parallel_tool_calls=False)
    calls = [call["name"] for call in on_openai().invoke([]).tool_calls]
    body = openai.requests[-1].json
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (choice, False)
    assert calls == [call["name"] for call in on_anthropic().invoke([]).tool_calls]
    body = anthropic.requests[-1].json
    assert body["tools"] == [{"name": "look", "description": "Looks.", "input_schema": FUNCTION["parameters"]}]
    sent = {key: value for key, value in body["tool_choice"].items() if key != "disable_parallel_tool_use"}
    assert sent == anthropics


def test_limits_users_and_stops(langfuse: FakeLangfuse, openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    publish(langfuse, max_completion_tokens=9, user="ada", stop=["!"])
    on_openai().invoke([])
    body = openai.requests[-1].json
    assert (body["max_completion_tokens"], body["user"], body["stop"]) == (9, "ada", ["!"])
    on_anthropic().invoke([])
    body = anthropic.requests[-1].json
    assert (body["max_tokens"], body["metadata"], body["stop_sequences"]) == (9, {"user_id": "ada"}, ["!"])
    on_anthropic().invoke([], max_tokens=5)
    assert anthropic.requests[-1].json["max_tokens"] == 5


def test_a_schema_of_the_answer(langfuse: FakeLangfuse, openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    publish(langfuse, response_format=form)
    assert on_openai().invoke([]).text == on_anthropic().invoke([]).text == '{"n": 7}'


@pytest.mark.parametrize("delegate", ["gateway", "openai"])
async def test_metadata_is_the_providers(
    delegate: str, langfuse: FakeLangfuse, openai: FakeOpenAI, recorder: Any
) -> None:
    publish(langfuse, metadata={"team": "a"})
    asked = on_openai() if delegate == "openai" else ChatPromptwire(model="langfuse/gpt-4o", prompt_id="params")
    asked.invoke([], {"metadata": {"mine": 1}, "callbacks": [recorder]})
    await asked.ainvoke([], metadata={"team": "b"})
    list(asked.bind_tools([weather]).stream([]))
    assert [request.json["metadata"]["team"] for request in openai.requests] == ["a", "b", "a"]
    assert recorder.llm_metadata[0]["mine"] == 1


def test_metadata_where_it_has_no_place(
    langfuse: FakeLangfuse, openai: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    publish(langfuse, metadata={"team": "a"})
    llm = ChatOpenAI(model="gpt-4o").with_retry()
    ChatPromptwire(model="langfuse", prompt_id="params", llm=llm).invoke([])
    assert "metadata" not in openai.requests[-1].json
    assert "RunnableRetry" in caplog.text


def test_json_without_a_schema(
    langfuse: FakeLangfuse, anthropic: FakeAnthropic, caplog: pytest.LogCaptureFixture
) -> None:
    publish(langfuse, response_format={"type": "json_object"})
    for _ in range(2):
        on_anthropic().invoke([])
    assert "output_config" not in anthropic.requests[-1].json
    assert len([record for record in caplog.records if "response_format" in record.getMessage()]) == 1


def test_what_the_vendor_lacks_is_left_out(
    langfuse: FakeLangfuse, anthropic: FakeAnthropic, caplog: pytest.LogCaptureFixture
) -> None:
    publish(langfuse, seed=3, frequency_penalty=1, service_tier="default", verbosity="low", langfuse_ui_note="x")
    on_anthropic().invoke([])
    body = anthropic.requests[-1].json
    assert body.keys() <= {"model", "messages", "max_tokens", "service_tier"}
    assert "frequency_penalty, seed, verbosity, which anthropic lacks" in caplog.text
