"""LlamaIndex's own ``MockFunctionCallingLLM`` as the delegate, by which users test what they build."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core import PromptTemplate, SummaryIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import MessageRole, ToolCallBlock
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import Memory
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import TextNode
from llama_index.llms.promptwire import Promptwire
from pydantic import BaseModel

from promptwire import Resolver

# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20",
    "ignore::pydantic.PydanticDeprecatedSince211",
    "ignore:is_running called from within a step:DeprecationWarning",  # by ReActAgent itself
)

THOUGHT = 'Thought: I add.\nAction: add\nAction Input: {"a": 2, "b": 3}'
QUESTION = "2 + 3?"
MODES = ["compact", "refine", "tree_summarize", "simple_summarize", "accumulate", "compact_accumulate"]
WITH_TOOLS = ["chat_with_tools", "stream_chat_with_tools", "achat_with_tools", "astream_chat_with_tools"]
PATHS = ["structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict"]


class Sum(BaseModel):
    """A sum."""

    total: int


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Said:
    """What the model is given, and its answers: a tool's call where there is a tool, and then its result."""

    def __init__(self) -> None:
        self.given: list[list[ChatMessage]] = []

    def __call__(self, messages: list[ChatMessage], **kwargs: Any) -> ChatMessage:
        self.given.append(list(messages))
        last = messages[-1]
        if "Action Input" in str(messages[0].content):  # ReAct's header
            seen = str(last.content).partition("Observation: ")[2]
            return ChatMessage(f"Thought: done.\nAnswer: {seen}" if seen else THOUGHT, role="assistant")
        if kwargs.get("tools") and last.role != MessageRole.TOOL:
            [name] = [one.metadata.get_name() for one in kwargs["tools"]]
            arguments = {"add": {"a": 2, "b": 3}, "Sum": {"total": 5}}.get(name, {})
            call = ToolCallBlock(tool_call_id="call_1", tool_name=name, tool_kwargs=arguments)
            return ChatMessage(role="assistant", blocks=[call])
        return ChatMessage("5", role="assistant")


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def llm(mock: Callable[..., LLM], said: Said, resolver: Resolver) -> Iterator[Promptwire]:
    """One by which the prompt, and nothing without it, is to reach the model."""
    yield Promptwire(
        llm=mock(response_generator=said), prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver
    )
    assert said.given
    assert {str(messages[0].content).partition("\n")[0] for messages in said.given} == {"You are Ada."}


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("kind", [FunctionAgent, ReActAgent])
@pytest.mark.parametrize("in_a_workflow", [False, True])
async def test_agents(*, kind: Any, in_a_workflow: bool, streaming: bool, llm: Promptwire, said: Said) -> None:
    agent = kind(tools=[add], llm=llm, streaming=streaming)
    runs, memory = AgentWorkflow(agents=[agent]) if in_a_workflow else agent, Memory.from_defaults()
    assert str(await runs.run(QUESTION, memory=memory)) == "5"
    assert [str(messages[-1].content) for messages in said.given] == [
        QUESTION, "Observation: 5" if kind is ReActAgent else "5"
    ]  # fmt: skip
    assert str(await runs.run(QUESTION, memory=memory)) == "5"
    assert len(said.given) == 4


async def test_every_endpoint(endpoint: str, call: Any, llm: Promptwire) -> None:
    *_, last = await call(llm, endpoint, QUESTION)
    assert (last.text if "complete" in endpoint else last.message.content) == "5"


@pytest.mark.parametrize("endpoint", WITH_TOOLS)
async def test_every_endpoint_with_tools(endpoint: str, call: Any, llm: Promptwire) -> None:
    *_, last = await call(llm, endpoint, QUESTION)
    assert [one.tool_name for one in llm.get_tool_calls_from_response(last)] == ["one"]


@pytest.mark.parametrize("mode", MODES)
async def test_synthesizers(mode: str, llm: Promptwire) -> None:
    for streaming in (False, True)[: 1 + ("accumulate" not in mode)]:
        made = SummaryIndex([TextNode(text="x")]).as_query_engine(
            llm=llm, streaming=streaming, response_mode=ResponseMode(mode), embed_model=MockEmbedding(8)
        )
        for answer in (made.query(QUESTION), await made.aquery(QUESTION)):
            text = (await answer.get_response()) if isinstance(answer, AsyncStreamingResponse) else answer
            assert "5" in str(text)


async def predicted(llm: LLM, path: str) -> list[Any]:
    answer = getattr(llm, path)(Sum, PromptTemplate(QUESTION))
    answer = await answer if path.startswith("a") else answer
    if "stream" not in path:
        return [answer]
    return [one async for one in answer] if path.startswith("a") else [*answer]


@pytest.mark.parametrize("path", PATHS)
async def test_objects(path: str, llm: Promptwire, mock: Callable[..., LLM]) -> None:
    """As by itself: of its streams LlamaIndex makes objects without their fields."""
    answers = [one.model_dump() for one in await predicted(llm, path)]
    assert answers == [one.model_dump() for one in await predicted(mock(response_generator=Said()), path)]
    assert answers == [{"total": 5}] or "stream" in path
    structured = llm.as_structured_llm(Sum)
    assert structured.complete(QUESTION).raw == (await structured.acomplete(QUESTION)).raw == Sum(total=5)
