"""Agents: two turns with parallel calls, in every mode and colour, on both wires; unpaired calls are refused there."""

from collections import Counter
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

from langchain_promptwire import ChatPromptwire
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

CLAUDE = "claude-haiku-4-5"
SYSTEM = {"role": "system", "content": "Be kind."}
ASKS = {"role": "user", "content": "Use weather and clock, {{who}}"}
SLOT = {"type": "placeholder", "name": "history"}
RESOLVER = Resolver(MemoryBackend({"persona": [SYSTEM], "ask": [SYSTEM, ASKS], "slot": [SYSTEM, SLOT, ASKS]}))

FIRST, SECOND = "weather and clock of Rome", "again weather and clock"
STEP = ["calls weather clock", "result sunny in text", "result noon in text"]
ANSWER = "assistant [model] sunny in text noon in text"
PROMPT = "user Use weather and clock, Ada"
SENT = {
    ("persona", "auto"): ["system Be kind.", f"user {FIRST}", *STEP, ANSWER, f"user {SECOND}", *STEP],
    ("persona", "prepend"): ["system Be kind.", f"user {FIRST}", *STEP, ANSWER, f"user {SECOND}", *STEP],
    ("ask", "auto"): ["system Be kind.", PROMPT, *STEP, ANSWER, f"user {SECOND}", *STEP],
    ("ask", "replace"): ["system Be kind.", PROMPT, *STEP, ANSWER, f"user {SECOND}", *STEP],
    ("ask", "prepend"): ["system Be kind.", PROMPT, f"user {FIRST}", *STEP, ANSWER, f"user {SECOND}", *STEP],
    ("slot", "auto"): ["system Be kind.", f"user {FIRST}", *STEP, ANSWER, f"user {SECOND}", PROMPT, *STEP],
}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@tool
def clock(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


TOOLS = [weather, clock]


Wire = tuple[str, FakeOpenAI | FakeAnthropic]


@pytest.fixture(params=["openai", "anthropic"])
def wire(request: pytest.FixtureRequest, openai: FakeOpenAI, anthropic: FakeAnthropic) -> Wire:
    """A model of the wire's, and its host."""
    return ("gpt-4o", openai) if request.param == "openai" else (f"anthropic/{CLAUDE}", anthropic)


def chat(**given: Any) -> ChatPromptwire:
    return ChatPromptwire(**{"prompt_variables": {"who": "Ada"}, "resolver": RESOLVER, **given})


def graph_of(model: ChatPromptwire) -> Any:
    """What people write by hand."""
    bound = model.bind_tools(TOOLS)

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(call, afunc=acall))
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


AGENTS: dict[str, Any] = {"create_agent": lambda model: create_agent(model, TOOLS), "ToolNode": graph_of}


async def run(agent: Any, turns: list[Any], door: str) -> tuple[list[Any], list[Any]]:
    """The messages after a run, and those that were streamed."""
    given = {"messages": turns}
    match door:
        case "invoke":
            return agent.invoke(given, {"recursion_limit": 12})["messages"], []
        case "ainvoke":
            return (await agent.ainvoke(given, {"recursion_limit": 12}))["messages"], []
        case "stream":
            events = list(agent.stream(given, {"recursion_limit": 12}, stream_mode=["messages", "values"]))
        case _:
            stream = agent.astream(given, {"recursion_limit": 12}, stream_mode=["messages", "values"])
            events = [event async for event in stream]
    return events[-1][1]["messages"], [event[0] for mode, event in events if mode == "messages"]


def said(server: FakeOpenAI | FakeAnthropic) -> list[str]:
    """Every message of the last request, told alike on both wires."""
    body = server.requests[-1].json
    system = [f"system {body['system']}"] if "system" in body else []
    return system + [one for message in body["messages"] for one in told(message)]


def told(message: dict[str, Any]) -> list[str]:
    role, content = message["role"], message.get("content") or []
    if role == "tool":
        return [f"result {content}"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    calls = [call["function"]["name"] for call in message.get("tool_calls", ())]
    calls += [block["name"] for block in blocks if block["type"] == "tool_use"]
    results = [f"result {block['content']}" for block in blocks if block["type"] == "tool_result"]
    texts = [f"{role} {block['text']}" for block in blocks if block["type"] == "text"]
    return [*results, *texts, *([" ".join(["calls", *calls])] if calls else [])]


def check_streamed(streamed: list[Any], messages: list[Any]) -> None:
    """Each chunk comes once: those of one message join to it."""
    by_id: dict[str, Any] = {}
    for chunk in streamed:
        if isinstance(chunk, AIMessageChunk):
            by_id[chunk.id or ""] = by_id[chunk.id or ""] + chunk if chunk.id in by_id else chunk
    spoken = [message for message in messages if isinstance(message, AIMessage)]
    joined = list(by_id.values())
    assert [one.text for one in joined] == [one.text for one in spoken]
    assert [one.tool_calls for one in joined] == [one.tool_calls for one in spoken]


@pytest.mark.parametrize("case", SENT, ids="-".join)
@pytest.mark.parametrize("door", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_two_turns_with_parallel_calls(wire: Wire, agent: str, door: str, case: tuple[str, str]) -> None:
    name, server = wire
    asked = AGENTS[agent](chat(model=name, prompt_id=case[0], message_mode=case[1]))
    messages, streamed = await run(asked, [HumanMessage(FIRST)], door)
    assert len(messages) == 5
    if door.endswith("stream"):
        check_streamed(streamed, messages)
    messages, _ = await run(asked, [*messages, HumanMessage(SECOND)], door)
    assert Counter(message.type for message in messages) == {"human": 2, "ai": 4, "tool": 4}
    answer = ANSWER.replace("model", name.rpartition("/")[2])
    assert said(server) == [answer if one == ANSWER else one for one in SENT[case]]
    assert messages[-1].text == answer.removeprefix("assistant ")
    assert server.count == 4


LLMS: dict[str, Any] = {
    "openai": lambda: ChatOpenAI(model="gpt-4o-mini"),
    "anthropic": lambda: ChatAnthropic(model=CLAUDE),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("prompt", ["persona", "ask", "slot"])
@pytest.mark.parametrize("door", ["invoke", "astream"])
@pytest.mark.parametrize("llm", LLMS)
async def test_the_frameworks_own_models(
    llm: str, door: str, prompt: str, openai: FakeOpenAI, anthropic: FakeAnthropic
) -> None:
    server = openai if llm == "openai" else anthropic
    asked = create_agent(chat(llm=LLMS[llm](), prompt_id=prompt), TOOLS)
    messages, streamed = await run(asked, [HumanMessage(FIRST)], door)
    if door.endswith("stream"):
        check_streamed(streamed, messages)
    messages, _ = await run(asked, [*messages, HumanMessage(SECOND)], door)
    name = server.requests[-1].json["model"]
    answer = ANSWER.replace("model", name)
    assert said(server) == [answer if one == ANSWER else one for one in SENT[prompt, "auto"]]
    assert server.count == 4


def test_the_agents_system_prompt_stays_beside_the_prompts(openai: FakeOpenAI) -> None:
    model = chat(model="gpt-4o", prompt_id="persona")
    create_agent(model, TOOLS, system_prompt="Be brief.").invoke({"messages": [HumanMessage("Hi")]})
    assert said(openai) == ["system Be kind.\n\nBe brief.", "user Hi"]


class Report(BaseModel):
    """A report."""

    city: str


async def test_an_agents_structured_response(wire: Wire) -> None:
    agent: Any = create_agent(chat(model=wire[0], prompt_id="persona"), [], response_format=Report)
    for state in (agent.invoke({"messages": ["Report"]}), await agent.ainvoke({"messages": ["Report"]})):
        assert state["structured_response"] == Report(city="text")


@pytest.mark.parametrize("llm", [None, ChatOpenAI])
async def test_a_structured_response_beside_tools(llm: Any, openai: FakeOpenAI) -> None:
    given: dict[str, Any] = {"llm": llm(model="gpt-4o")} if llm else {}
    agent: Any = create_agent(chat(model="gpt-4o", prompt_id="persona", **given), TOOLS, response_format=Report)
    for state in (agent.invoke({"messages": [FIRST]}), await agent.ainvoke({"messages": [FIRST]})):
        assert state["structured_response"] == Report(city="text")
        assert any(isinstance(message, ToolMessage) for message in state["messages"])


async def test_variables_of_one_run_by_middleware(openai: FakeOpenAI) -> None:
    from langchain.agents.middleware import wrap_model_call

    @wrap_model_call
    def personal(request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"prompt_variables": {"who": "Bob"}}))

    agent: Any = create_agent(chat(model="gpt-4o", prompt_id="ask"), TOOLS, middleware=[personal])
    agent.invoke({"messages": [HumanMessage(FIRST)]})
    assert "user Use weather and clock, Bob" in said(openai)
