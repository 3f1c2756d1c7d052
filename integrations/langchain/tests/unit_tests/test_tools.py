"""Tools and structured output, bound before the prompt and its model are known."""

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire.errors import ConfigurationError
from promptwire.testing import FakeLangfuse, FakeOpenAI

pytestmark = pytest.mark.usefixtures("langfuse")


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


class Joke(BaseModel):
    """A joke."""

    setup: str


def chat(**given: Any) -> ChatPromptwire:
    named = {"model": "langfuse/gpt-4o-mini", "prompt_id": "persona", "prompt_variables": {"who": "Eve"}}
    return ChatPromptwire(**{**named, **given})


def test_a_hand_written_loop_ends(openai: FakeOpenAI) -> None:
    model = chat().bind(temperature=0.7).bind_tools([weather])
    turns: list[BaseMessage] = [HumanMessage("Ask weather, twice: weather")]
    while (answer := model.invoke(turns)).tool_calls:
        turns += [answer, *(weather.invoke(call) for call in answer.tool_calls)]
    assert answer.content == "[gpt-4o-mini] sunny in text"
    first, second = (request.json for request in openai.requests)
    assert first["tools"][0]["function"]["name"] == "weather"
    assert first["temperature"] == second["temperature"] == 0.7
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize("mode", ["auto", "replace", "prepend"])
@pytest.mark.parametrize("prompt", ["persona", "ask"])
def test_tool_results_reach_the_model_in_every_mode(
    mode: str, prompt: str, openai: FakeOpenAI, langfuse: FakeLangfuse
) -> None:
    langfuse.publish("ask", "Use weather, {{who}}")
    calls = [{"name": "weather", "args": {"city": city}, "id": city, "type": "tool_call"} for city in ("Rome", "Oslo")]
    step = [
        AIMessage("", tool_calls=calls),
        ToolMessage("sun", tool_call_id="Rome"),
        ToolMessage("ice", tool_call_id="Oslo"),
    ]
    turns = [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("weather?"), *step]
    chat(message_mode=mode).bind_tools([weather]).invoke(turns, prompt_id=prompt)
    sent = openai.requests[-1].json["messages"]
    assert [message.get("tool_call_id") for message in sent[-2:]] == ["Rome", "Oslo"]
    assert sum("tool_calls" in message for message in sent) == 1


def test_results_in_anthropics_form_reach_the_model(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("ask", "Use weather, {{who}}")
    use = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Rome"}}
    result: Any = {"type": "tool_result", "tool_use_id": "a", "content": "sun"}
    turns = [HumanMessage("Hi"), AIMessage([use]), HumanMessage([result])]
    chat(prompt_id="ask").bind_tools([weather]).invoke(turns)
    sent = openai.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[-1]["content"] == "sun"


@pytest.mark.parametrize("llm", [None, "openai"])
def test_bound_prompt_arguments_survive_binding_tools(llm: str | None, openai: FakeOpenAI) -> None:
    given: dict[str, Any] = {} if llm is None else {"llm": ChatOpenAI(model="gpt-4o-mini")}
    model = chat(**given).bind(prompt_variables={"who": "Bob"}, seed=5)
    doors: list[Runnable[Any, Any]] = [
        model.bind_tools([weather], tool_choice="any"),
        model.with_structured_output(Joke, method="function_calling"),
        model.with_structured_output(Joke, method="json_schema", include_raw=True),
    ]
    for door in doors:
        door.invoke("weather?")
        request = openai.requests[-1].json
        assert request["messages"][0]["content"] == "You are Bob."
        assert request["seed"] == 5
    assert openai.requests[0].json["tool_choice"] == "required"


def test_streamed_calls_come_in_pieces_that_join(openai: FakeOpenAI) -> None:
    chunks: list[Any] = list(chat().bind_tools([weather]).stream("weather"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert isinstance(whole, AIMessageChunk)
    assert sum(bool(chunk.tool_call_chunks) for chunk in chunks) > 1
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("weather", {"city": "text"})]


@pytest.mark.parametrize("llm", [None, "openai"])
async def test_structured_output_in_both_colours(llm: str | None, openai: FakeOpenAI) -> None:
    given: dict[str, Any] = {} if llm is None else {"llm": ChatOpenAI(model="gpt-4o-mini")}
    model = chat(**given).with_structured_output(Joke, method="function_calling")
    assert model.invoke("x") == await model.ainvoke("x") == [*model.stream("x")][-1] == Joke(setup="text")
    raw = chat(**given).with_structured_output(Joke, method="function_calling", include_raw=True).invoke("x")
    assert raw["parsed"] == Joke(setup="text")
    assert raw["raw"].response_metadata["prompt_id"] == "persona"


def test_the_prompts_tools_are_sent_as_they_are(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    function = {"name": "look", "strict": True, "parameters": {"type": "object", "properties": {}, "title": "Kept"}}
    tools = [{"type": "function", "function": function}, {"type": "custom", "custom": {"name": "run"}}]
    config = {"tools": tools, "tool_choice": "required"}
    langfuse.publish("tooled", [{"role": "user", "content": "Hi"}], config=config)
    chat().invoke("x", prompt_id="tooled")
    assert openai.requests[-1].json["tools"] == tools
    assert openai.requests[-1].json["tool_choice"] == "required"
    chat().bind_tools([weather]).invoke("x", prompt_id="tooled")
    request = openai.requests[-1].json
    assert [one["function"]["name"] for one in request["tools"]] == ["weather"]
    assert "tool_choice" not in request
    chat().with_structured_output(Joke).invoke("x", prompt_id="tooled")
    assert [one["function"]["name"] for one in openai.requests[-1].json["tools"]] == ["Joke"]


def test_a_delegate_that_calls_no_tools_is_named(openai: FakeOpenAI) -> None:
    model = chat(model="langfuse", llm=FakeListChatModel(responses=["no"]))
    assert model.invoke("x").content == "no"
    with pytest.raises(ConfigurationError, match="FakeListChatModel can't call tools"):
        model.bind_tools([weather]).invoke("x")


class Calling(FakeListChatModel):
    """Answers what its bind_tools was given."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return FakeListChatModel(responses=[f"{[tool.name for tool in tools]} {options}"])


def test_tools_are_bound_by_the_delegate(openai: FakeOpenAI) -> None:
    model = chat(model="langfuse", llm=Calling(responses=[""]))
    bound = model.bind_tools([weather], tool_choice="any", strict=True, parallel_tool_calls=False)
    assert bound.invoke("x").content == (
        "['weather'] {'tool_choice': 'any', 'strict': True, 'parallel_tool_calls': False}"
    )


@pytest.mark.parametrize("llm", [None, ChatOpenAI])
def test_options_go_with_an_empty_list_of_tools(llm: Any, openai: FakeOpenAI) -> None:
    given: dict[str, Any] = {"llm": llm(model="gpt-4o-mini")} if llm else {}
    chat(**given).bind_tools([], tool_choice="any", strict=True, parallel_tool_calls=False).invoke("x")
    assert not openai.requests[-1].json.keys() & {"tools", "tool_choice", "strict", "parallel_tool_calls"}


def test_json_mode_of_the_gateway(openai: FakeOpenAI) -> None:
    model = ChatPromptwireGateway(model="gpt-4o").with_structured_output(
        {"title": "J", "type": "object"}, method="json_mode"
    )
    assert model.invoke("in JSON") == {"answer": "[gpt-4o] in JSON"}
    with pytest.raises(ConfigurationError, match="json_mode"):
        ChatPromptwireGateway(model="gpt-4o").with_structured_output(Joke, method="xml")


@pytest.mark.parametrize("stream", [False, True])
async def test_create_agent(stream: bool, openai: FakeOpenAI) -> None:
    agents = pytest.importorskip("langchain.agents")  # not a dependency
    model = chat().bind(prompt_variables={"who": "Bob"})
    agent: Any = agents.create_agent(model, [weather], system_prompt="Be brief.")
    turns = {"messages": [("human", "weather?")]}
    states = [state async for state in agent.astream(turns, stream_mode="values")] if stream else [agent.invoke(turns)]
    assert states[-1]["messages"][-1].content == "[gpt-4o-mini] sunny in text"
    assert openai.requests[-1].json["messages"][0]["content"] == "You are Bob.\n\nBe brief."
    assert openai.count == 2
