"""Query and chat engines over ``Promptwire``, with LlamaIndex's settings untouched."""

import pytest
from llama_index.core import Document, Settings, SummaryIndex
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.llms.promptwire import Promptwire

from promptwire import BackendUnavailableError, GatewayError, MissingVariablesError, PromptwireError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI

MODES = [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE, ResponseMode.SIMPLE_SUMMARIZE]


@pytest.fixture
def index() -> SummaryIndex:
    return SummaryIndex.from_documents([Document(text="Ada wrote the first program.")])


def engine(
    index: SummaryIndex, llm: Promptwire, mode: ResponseMode = ResponseMode.COMPACT, *, streaming: bool = False
) -> RetrieverQueryEngine:
    made = index.as_query_engine(llm=llm, response_mode=mode, streaming=streaming, embed_model=MockEmbedding(8))
    assert isinstance(made, RetrieverQueryEngine)
    return made


async def answered(answer: object) -> str:
    """The whole text, streamed or not."""
    if isinstance(answer, AsyncStreamingResponse):
        return "".join([token async for token in answer.response_gen])
    return "".join(answer.response_gen) if isinstance(answer, StreamingResponse) else str(answer)


@pytest.mark.parametrize("mode", MODES)
async def test_a_persona_answers_from_the_context(
    mode: ResponseMode, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI
) -> None:
    made = engine(index, persona, mode)
    for answer in (made.query("Who wrote it?"), await made.aquery("Who wrote it?")):
        assert "Ada wrote the first program." in str(answer)
        system, question = openai.requests[-1].json["messages"]
        assert system["content"].startswith("You are Ada.\n\nYou are an expert")
        assert "Who wrote it?" in question["content"]
    assert openai.count == 2
    assert Settings._llm is None  # noqa: SLF001 - its public door makes one


async def test_streamed(index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI) -> None:
    made = engine(index, persona, streaming=True)
    for answer in (made.query("Who?"), await made.aquery("Who?")):
        assert isinstance(answer, StreamingResponse | AsyncStreamingResponse)
        assert "first program" in await answered(answer)
    assert all(request.json["stream"] for request in openai.requests)


def test_the_engines_arguments_are_variables(
    library: MemoryBackend, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI
) -> None:
    library.publish("rag", "From {{context_str}}: {{query_str}}")
    engine(index, persona.bind(prompt_id="rag", message_mode="replace")).query("Who?")
    [message] = openai.requests[-1].json["messages"]
    assert message == {"role": "user", "content": "From Ada wrote the first program.: Who?"}


def test_a_chat_engine_remembers(persona: Promptwire, openai: FakeOpenAI) -> None:
    chat = SimpleChatEngine.from_defaults(llm=persona)
    chat.chat("One")
    chat.chat("Two")
    assert [one["content"] for one in openai.requests[-1].json["messages"]] == [
        "You are Ada.", "One", "[gpt-4o-mini] One", "Two"
    ]  # fmt: skip


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_errors_surface(
    mode: ResponseMode, *, streaming: bool, index: SummaryIndex, library: MemoryBackend, persona: Promptwire
) -> None:
    """LlamaIndex answers "Empty Response" to a ValueError or TypeError."""
    library.publish("needy", "{{nobody gives this}}")
    made = engine(index, persona.bind(prompt_id="needy"), mode, streaming=streaming)
    with pytest.raises(MissingVariablesError):
        str(made.query("Who?"))
    with pytest.raises(MissingVariablesError):
        await answered(await made.aquery("Who?"))


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_surfaces(
    mode: ResponseMode, index: SummaryIndex, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeLangfuse() as langfuse:
        for name, value in langfuse.env.items():
            monkeypatch.setenv(name, value)
    llm = Promptwire(model="langfuse/gpt-4o", prompt_id="x", resolver=Resolver(timeout=0.5), max_retries=0)
    with pytest.raises(BackendUnavailableError):
        engine(index, llm, mode).query("Who?")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", ["garbage", "drop", "fail", "shape"])
def test_a_broken_model_surfaces(
    fault: str, *, streaming: bool, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI
) -> None:
    if fault == "shape":
        openai.fail(200, body={"choices": [{"message": {"content": "x", "tool_calls": [7]}}]})
    else:
        getattr(openai, fault)()
    with pytest.raises(GatewayError):
        str(engine(index, persona.bind(max_retries=0), streaming=streaming).query("Who?"))


def test_no_error_of_ours_is_one_that_llama_index_swallows() -> None:
    assert not issubclass(PromptwireError, ValueError | TypeError)
