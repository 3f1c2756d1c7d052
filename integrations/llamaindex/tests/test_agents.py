"""Agents: the tool loop ends, nothing of it is lost or doubled, and managed text is never remembered."""

import asyncio
import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import Memory
from llama_index.core.workflow import Context, StartEvent, StopEvent, Workflow, step
from llama_index.llms.promptwire import Promptwire

import promptwire
from promptwire import ConfigurationError, MissingVariablesError, PromptNotFoundError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20",
    "ignore::pydantic.PydanticDeprecatedSince211",
    "ignore:is_running called from within a step:DeprecationWarning",  # by ReActAgent itself
)

OLDEST = version("llama-index-core") == "0.14.5"
MODES = ["auto", "prepend", "replace"]
ADD = [("add", {"a": 2, "b": 3})]


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def shout(text: str) -> str:
    """Shouts."""
    return text.upper()


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return request.param  # type: ignore[no-any-return]


def over(name: str, delegates: Any, library: MemoryBackend, **more: Any) -> Promptwire:
    given = {"prompt_id": "persona", "prompt_variables": {"name": "Ada"}, **more}
    return Promptwire(llm=delegates.make(name), resolver=Resolver(library), **given)


def plain(name: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """What was sent, in few words and alike for both wires; results in the order of their calls."""
    made: list[tuple[str, Any]] = [("system", body["system"])] if body.get("system") else []
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and name in {"claude", "anthropic"}:
            made += [_block(message["role"], block) for block in content]
        else:
            if content:
                made.append((message["role"], content))
            calls = message.get("tool_calls") or ()
            made += [("call", (one["function"]["name"], json.loads(one["function"]["arguments"]))) for one in calls]
    return made


def _block(role: str, block: dict[str, Any]) -> tuple[str, Any]:
    if block["type"] == "tool_use":
        return "call", (block["name"], block["input"])
    if block["type"] == "text":
        return role, block["text"]
    content = block["content"]
    return "tool", content if isinstance(content, str) else "".join(part["text"] for part in content)


async def test_the_tool_loop(*, streaming: bool, delegate: str, delegates: Any, library: MemoryBackend) -> None:
    delegates.script(ADD, "It is 5.")
    agent = FunctionAgent(
        tools=[add], llm=over(delegate, delegates, library), streaming=streaming, system_prompt="Count well."
    )  # fmt: skip
    assert str(await agent.run("What is 2 + 3?")) == "It is 5."
    first, second = [plain(delegate, body) for body in delegates.sent(delegate)]
    assert first == [("system", "You are Ada.\n\nCount well."), ("user", "What is 2 + 3?")]
    assert second == [*first, ("call", ("add", {"a": 2, "b": 3})), ("tool", "5")]


@pytest.mark.parametrize("in_a_workflow", [False, True])
async def test_parallel_tools_and_a_second_turn(
    *, in_a_workflow: bool, streaming: bool, delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    if OLDEST and not streaming:
        pytest.skip("LlamaIndex's oldest agents here allow one tool at a time unless they stream")
    delegates.script([*ADD, ("shout", {"text": "hi"})], "5 and HI", [("shout", {"text": "bye"})], "BYE")
    agent = FunctionAgent(tools=[add, shout], llm=over(delegate, delegates, library), streaming=streaming)
    runs = AgentWorkflow(agents=[agent]) if in_a_workflow else agent
    memory = Memory.from_defaults()
    assert str(await runs.run("Both?", memory=memory)) == "5 and HI"
    assert str(await runs.run("Again?", memory=memory)) == "BYE"
    *_, last = [plain(delegate, body) for body in delegates.sent(delegate)]
    results = last[4:6]
    assert sorted(results) == [("tool", "5"), ("tool", "HI")]
    assert last[:4] == [
        ("system", "You are Ada."), ("user", "Both?"), ("call", ("add", {"a": 2, "b": 3})),
        ("call", ("shout", {"text": "hi"})),
    ]  # fmt: skip
    assert last[6:] == [
        ("assistant", "5 and HI"), ("user", "Again?"), ("call", ("shout", {"text": "bye"})), ("tool", "BYE")
    ]  # fmt: skip
    assert not any("You are Ada" in str(message) for message in memory.get_all())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prompt", ["persona", "asks", "slot", "late"])
async def test_two_turns_in_every_mode(
    *, mode: str, prompt: str, streaming: bool, delegates: Any, library: MemoryBackend
) -> None:
    """Whatever stands for the question: the tool step comes last and whole, and an answered turn is remembered."""
    library.publish("asks", "What is it, {{name}}?")
    library.publish("slot", [
        {"role": "system", "content": "Be {{name}}."}, {"type": "placeholder", "name": "history"}
    ])  # fmt: skip
    library.publish("late", [{"type": "placeholder", "name": "history"}, {"role": "user", "content": "Be brief."}])
    delegates.script(ADD, "5.", ADD, "5 again.")
    llm = over("gateway", delegates, library, prompt_id=prompt, message_mode=mode)
    agent, memory = FunctionAgent(tools=[add], llm=llm, streaming=streaming), Memory.from_defaults()
    for question, wanted in (("One?", "5."), ("Two?", "5 again.")):
        assert str(await agent.run(question, memory=memory)) == wanted
    sent = [plain("gateway", body) for body in delegates.sent("gateway")]
    assert [[one[0] for one in body[-2:]] == ["call", "tool"] for body in sent] == [False, True, False, True]
    assert ("assistant", "5.") in sent[3]
    assert len(sent[3]) == len({str(one) for one in sent[3][:-2]}) + 2 or prompt == "late"
    if prompt in {"persona", "slot"} and mode != "replace":
        assert ("user", "Two?") in sent[2]


async def test_a_workflow_of_agents(*, streaming: bool, delegate: str, delegates: Any, library: MemoryBackend) -> None:
    delegates.script([("handoff", {"to_agent": "loud", "reason": "r"})], [("shout", {"text": "x"})], "X")
    llm = over(delegate, delegates, library)
    calm = FunctionAgent(
        name="calm", description="d", llm=llm, tools=[add], can_handoff_to=["loud"], streaming=streaming
    )
    loud = FunctionAgent(
        name="loud", description="d", llm=llm.bind(prompt_variables={"name": "Bo"}), tools=[shout], streaming=streaming
    )  # fmt: skip
    assert str(await AgentWorkflow(agents=[calm, loud], root_agent="calm").run("Shout x")) == "X"
    systems = [plain(delegate, body)[0][1].partition("\n")[0] for body in delegates.sent(delegate)]
    assert systems == ["You are Ada.", "You are Bo.", "You are Bo."]


THOUGHT = 'Thought: I add.\nAction: add\nAction Input: {"a": 2, "b": 3}'
ANSWER = "Thought: done.\nAnswer: It is 5."


@pytest.mark.parametrize(("functions", "wanted"), [(True, FunctionAgent), (None, FunctionAgent), (False, ReActAgent)])
async def test_the_metadata_choose_the_kind_of_agent(
    *, functions: bool | None, wanted: type, delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    delegates.script(*((THOUGHT, ANSWER) if wanted is ReActAgent else (ADD, "It is 5.")))
    llm = over(delegate, delegates, library, is_function_calling_model=functions)
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=llm)
    assert [type(agent) for agent in workflow.agents.values()] == [wanted]
    assert str(await workflow.run("2 + 3?")) == "It is 5."
    first, second = delegates.sent(delegate)
    assert plain(delegate, first)[0][1].startswith("You are Ada.")
    assert ("tools" in first) is (wanted is FunctionAgent)
    assert plain(delegate, second)[-1] == (("user", "Observation: 5") if wanted is ReActAgent else ("tool", "5"))


async def test_react(*, streaming: bool, delegate: str, delegates: Any, library: MemoryBackend) -> None:
    """Its tools stand in its system message, and its observations are the user's messages."""
    delegates.script(THOUGHT, ANSWER, THOUGHT, "Thought: done.\nAnswer: 5 again.")
    agent = ReActAgent(tools=[add], llm=over(delegate, delegates, library), streaming=streaming)
    memory = Memory.from_defaults()
    assert str(await agent.run("2 + 3?", memory=memory)) == "It is 5."
    assert str(await agent.run("Again?", memory=memory)) == "5 again."
    first, second, third, last = [plain(delegate, body) for body in delegates.sent(delegate)]
    assert first[0][1].startswith("You are Ada.\n\nYou are designed to help")
    assert "> Tool Name: add" in first[0][1]
    assert first[1] == ("user", "2 + 3?")
    assert second[:2] == first
    assert [role for role, _ in second[2:]] == ["assistant", "user"]
    assert second[-1][1] == "Observation: 5"
    assert third[:2] == first
    assert [role for role, _ in third[2:]] == ["assistant", "user"]
    assert "It is 5." in third[2][1]
    assert third[3] == ("user", "Again?")
    assert last[:4] == third
    assert [role for role, _ in last[4:]] == ["assistant", "user"]
    assert not any("You are Ada" in str(message) for message in memory.get_all())


@pytest.mark.parametrize("times", [1, 2])
async def test_two_runs_of_one_agent_keep_their_variables_apart(
    *, times: int, streaming: bool, resolver: Resolver, mock: Callable[..., LLM]
) -> None:
    started = asyncio.Event()
    seen: dict[str, list[str]] = {}

    def say(messages: list[ChatMessage], **_: Any) -> ChatMessage:
        seen.setdefault(str(messages[1].content), []).append(str(messages[0].content))
        return ChatMessage("Done.", role="assistant")

    llm = Promptwire(llm=mock(response_generator=say), prompt_id="persona", resolver=resolver)
    agent = FunctionAgent(tools=[add], llm=llm, streaming=streaming)

    async def run(name: str) -> None:
        with promptwire.variables(name=name):
            await started.wait()
            for _ in range(times):
                await agent.run(f"I am {name}")

    runs = asyncio.gather(*map(run, ("A", "B", "C")))
    started.set()
    await runs
    assert seen == {f"I am {name}": [f"You are {name}."] * times for name in "ABC"}


async def test_a_history_of_another_providers(delegates: Any, library: MemoryBackend) -> None:
    """Calls and thoughts of one provider go on at the other; OpenAI's objects in additional_kwargs too."""
    delegates.script(ADD, "5.", [("shout", {"text": "x"})], "X", "Bye.")
    memory = Memory.from_defaults()
    for name, question in (("openai", "One"), ("claude", "Two"), ("gateway", "Three")):
        agent = FunctionAgent(tools=[add, shout], llm=over(name, delegates, library), streaming=name != "openai")
        await agent.run(question, memory=memory)
    claude, last = plain("claude", delegates.sent("claude")[-1]), plain("gateway", delegates.sent("gateway")[-1])
    talk = [
        ("system", "You are Ada."), ("user", "One"), ("call", ("add", {"a": 2, "b": 3})), ("tool", "5"),
        ("assistant", "5."), ("user", "Two"), ("call", ("shout", {"text": "x"})), ("tool", "X"),
    ]  # fmt: skip
    assert claude == talk
    assert last == [*talk, ("assistant", "X"), ("user", "Three")]


async def test_a_pinned_agent_stays_with_its_prompt_and_another_does_not(
    delegates: Any, library: MemoryBackend
) -> None:
    llm = Promptwire(
        llm=delegates.make("gateway"), prompt_id="now", resolver=Resolver(library, cache_ttl=0), message_mode="prepend"
    )
    for pinned, wanted in ((True, ["V1", "V1"]), (False, ["V1", "V2"])):
        library.publish("now", [{"role": "system", "content": "V1"}])

        def edit(a: int, b: int) -> int:
            """Adds, while someone edits the prompt."""
            library.publish("now", [{"role": "system", "content": "V2"}])
            return a + b

        delegates.script([("edit", {"a": 1, "b": 2})], "3.")
        await FunctionAgent(tools=[edit], llm=await llm.apin() if pinned else llm).run("Go")
        assert [body["messages"][0]["content"] for body in delegates.sent("gateway")[-2:]] == wanted


async def test_errors_of_ours_end_the_run(*, streaming: bool, delegates: Any, library: MemoryBackend) -> None:
    for change, error in (
        ({"prompt_id": "nowhere"}, PromptNotFoundError), ({"prompt_variables": {}}, MissingVariablesError)
    ):  # fmt: skip
        llm = over("gateway", delegates, library, **change)
        with pytest.raises(error):
            await FunctionAgent(tools=[add], llm=llm, streaming=streaming).run("Hi")
    assert delegates.openai.count == 0


class Chain(Workflow):
    """A user's own workflow, with a plain call and one with tools."""

    def __init__(self, llm: LLM) -> None:
        super().__init__()
        self._llm: Any = llm

    @step
    async def answer(self, ctx: Context, event: StartEvent) -> StopEvent:
        said = await self._llm.acomplete(event.question)
        called = await self._llm.achat_with_tools([], said.text)
        return StopEvent(called.message.content)


async def test_a_workflow_of_ones_own(persona: Promptwire, openai: FakeOpenAI) -> None:
    with promptwire.variables(name="Cy"):
        answer = await Chain(persona).run(question="Hi")
    assert answer == "[gpt-4o-mini] [gpt-4o-mini] Hi"
    assert {request.json["messages"][0]["content"] for request in openai.requests} == {"You are Cy."}


async def test_a_delegate_without_tools_is_told_of(library: MemoryBackend) -> None:
    llm = Promptwire(
        llm=MockLLM(), prompt_id="greeting", prompt_variables={"name": "x"}, resolver=Resolver(library),
        is_function_calling_model=True,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="can't call tools"):
        await FunctionAgent(tools=[add], llm=llm).run("Hi")
