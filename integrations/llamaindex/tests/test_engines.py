"""Query and chat engines over ``Promptwire``, with LlamaIndex's settings untouched."""

import json
from typing import Any, cast

import pytest
from llama_index.core import Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import TextNode
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool
from llama_index.llms.promptwire import Promptwire

from promptwire import (
    BackendUnavailableError,
    GatewayError,
    MissingVariablesError,
    PromptNotFoundError,
    PromptwireError,
    Resolver,
)
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI

SILENT = [ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY]
MODES = [mode for mode in ResponseMode if mode not in SILENT]
STREAMED = [mode for mode in MODES if "accumulate" not in mode.value]  # which LlamaIndex doesn't stream
ADA = "Ada wrote the first program."


@pytest.fixture
def index() -> SummaryIndex:
    return SummaryIndex([TextNode(text=ADA), TextNode(text="Ulm is a city.")])


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
async def test_a_persona_answers_in_every_mode(
    mode: ResponseMode, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI
) -> None:
    made = engine(index, persona, mode)
    for answer in (made.query("Who wrote it?"), await made.aquery("Who wrote it?")):
        assert "Who wrote it?" in str(answer) or ADA in str(answer)
    said = [request.json["messages"] for request in openai.requests]
    assert {len(messages) for messages in said} <= {2}
    assert all(system["content"].startswith("You are Ada.") for system, _ in said)
    assert (ADA in str(said)) == (mode is not ResponseMode.GENERATION)
    assert Settings._llm is None  # noqa: SLF001 - its public door makes one


@pytest.mark.parametrize("mode", STREAMED)
async def test_streamed(mode: ResponseMode, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI) -> None:
    made = engine(index, persona, mode, streaming=True)
    for answer in (made.query("Who?"), await made.aquery("Who?")):
        assert isinstance(answer, StreamingResponse | AsyncStreamingResponse)
        assert await answered(answer)
    assert openai.requests[-1].json["stream"]


@pytest.mark.parametrize("mode", SILENT)
def test_modes_without_a_model_resolve_nothing(mode: ResponseMode, index: SummaryIndex, openai: FakeOpenAI) -> None:
    library = MemoryBackend({})
    llm = Promptwire(model="gpt-4o", prompt_id="nowhere", resolver=Resolver(library))
    engine(index, llm, mode).query("Who?")
    assert openai.count == 0


async def test_a_refine_step_keeps_the_persona(persona: Promptwire, openai: FakeOpenAI) -> None:
    openai._reply = lambda _: "Short."  # noqa: SLF001 - a script for a server already there
    facts = SummaryIndex([TextNode(text=f"Fact {number}. " + "word " * 900) for number in range(3)])
    made = engine(facts, persona.bind(context_window=1700), ResponseMode.REFINE)
    for _ in (made.query("Who?"), await made.aquery("Who?")):
        pass
    said = [request.json["messages"] for request in openai.requests]
    assert len(said) >= 6
    assert all(one[0]["content"].startswith("You are Ada.") for one in said)
    assert any("Short." in one[-1]["content"] for one in said)


async def test_retrieval_over_every_delegate(delegate: str, delegates: Any, resolver: Resolver) -> None:
    llm = Promptwire(
        llm=delegates.make(delegate), prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver
    )  # fmt: skip
    index = VectorStoreIndex([TextNode(text=ADA)], embed_model=MockEmbedding(8))
    for streaming in (False, True):
        made = RetrieverQueryEngine.from_args(index.as_retriever(), llm=llm, streaming=streaming)
        for answer in (made.query("Who?"), await made.aquery("Who?")):
            assert ADA in await answered(answer)
    assert all("You are Ada." in str(body) for body in delegates.sent(delegate))
    assert len(delegates.sent(delegate)) == 4


def test_the_engines_arguments_are_variables(
    library: MemoryBackend, index: SummaryIndex, persona: Promptwire, openai: FakeOpenAI
) -> None:
    library.publish("rag", "From {{context_str}}: {{query_str}}")
    engine(index, persona.bind(prompt_id="rag", message_mode="replace")).query("Who?")
    [message] = openai.requests[-1].json["messages"]
    assert message == {"role": "user", "content": f"From {ADA}\n\nUlm is a city.: Who?"}


def test_a_prompt_that_asks_belongs_in_the_engines_slot(
    library: MemoryBackend,
    index: SummaryIndex,
    persona: Promptwire,
    openai: FakeOpenAI,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its user message stands for the engine's own prompt: said once, with where it should go."""
    library.publish("rag", [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "{{query_str}}"}])
    made = engine(index, persona.bind(prompt_id="rag"))
    for _ in range(3):
        made.query("Who?")
    [record] = [record for record in caplog.records if record.name == "promptwire"]
    assert record.levelname == "WARNING"
    for word in ("memory prompt 'rag'", "text_qa_template", "ManagedPromptTemplate"):
        assert word in record.getMessage()
    caplog.clear()
    engine(index, persona).query("Who?")
    engine(index, persona.bind(prompt_id="rag", message_mode="replace")).query("Who?")
    assert [record for record in caplog.records if record.name == "promptwire"] == []


async def test_a_router_chooses(delegates: Any, index: SummaryIndex, resolver: Resolver) -> None:
    """LlamaIndex's own prompts, JSON in braces and all, go through unharmed."""
    llm = Promptwire(
        llm=delegates.make("gateway"), prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver
    )  # fmt: skip
    tools = [
        QueryEngineTool.from_defaults(engine(index, llm), name=name, description=f"About {name}.")
        for name in ("ships", "programs")
    ]
    choice = {"index": 1, "reason": "It is of programs."}
    for selector, picked in (
        (LLMSingleSelector.from_defaults(llm), json.dumps([{"choice": 2, "reason": "It is of programs."}])),
        (PydanticSingleSelector.from_defaults(llm=cast("Any", llm)), [("SingleSelection", choice)]),
    ):
        router = RouterQueryEngine(selector=selector, query_engine_tools=tools, llm=llm)
        delegates.script(picked, "By Ada.", picked, "By Ada.")
        for answer in (router.query("Who wrote it?"), await router.aquery("Who wrote it?")):
            assert str(answer) == "By Ada."
            assert "programs" in str((answer.metadata or {})["selector_result"])
    assert all(body["messages"][0]["content"].startswith("You are Ada.") for body in delegates.sent("gateway"))


@pytest.mark.parametrize("use_async", [False, True])
async def test_sub_questions(*, use_async: bool, delegates: Any, index: SummaryIndex, resolver: Resolver) -> None:
    llm = Promptwire(
        llm=delegates.make("gateway"), prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver
    )  # fmt: skip
    tool = QueryEngineTool.from_defaults(engine(index, llm), name="programs", description="About programs.")
    made = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm),
        response_synthesizer=get_response_synthesizer(llm=llm),
        use_async=use_async,
        verbose=False,
    )
    items = [{"sub_question": f"Part {n}?", "tool_name": "programs"} for n in (1, 2)]
    asked = f"```json\n{json.dumps({'items': items})}\n```"
    for ask in (made.query, made.aquery):
        delegates.script(asked, "One.", "Two.", "All.")
        answer: Any = ask("Who wrote it, and when?")
        assert str(await answer if ask == made.aquery else answer) == "All."
    assert len(delegates.sent("gateway")) == 8
    assert all(body["messages"][0]["content"].startswith("You are Ada.") for body in delegates.sent("gateway"))


async def test_chat_engines(chat_engine: Any, persona: Promptwire, openai: FakeOpenAI) -> None:
    chat = chat_engine(persona)
    said = [
        str(chat.chat("One")),
        "".join(chat.stream_chat("Two").response_gen),
        str(await chat.achat("Three")),
        "".join([token async for token in (await chat.astream_chat("Four")).async_response_gen()]),
    ]
    assert all(said)
    systems = [request.json["messages"][0] for request in openai.requests]
    assert {(one["role"], one["content"][:12]) for one in systems} == {("system", "You are Ada.")}
    assert not any("You are Ada." in str(message.content) for message in chat.chat_history if message.role == "user")
    assert [message.content for message in chat.chat_history if message.role == "user"] == [
        "One", "Two", "Three", "Four"
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # raised there once more
async def test_errors_surface_from_chat_engines(chat_engine: Any, persona: Promptwire, openai: FakeOpenAI) -> None:
    chat = chat_engine(persona.bind(prompt_id="nowhere"))
    with pytest.raises(PromptNotFoundError):
        chat.chat("One")
    with pytest.raises(PromptNotFoundError):
        "".join(chat.stream_chat("One").response_gen)
    with pytest.raises(PromptNotFoundError):
        await chat.achat("One")
    with pytest.raises(PromptNotFoundError):
        [token async for token in (await chat.astream_chat("One")).async_response_gen()]
    assert openai.count == 0


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
    made = engine(
        index, persona.bind(prompt_id="needy"), mode, streaming=streaming and mode in STREAMED
    )  # fmt: skip
    with pytest.raises(MissingVariablesError):
        str(made.query("Who?"))
    with pytest.raises(MissingVariablesError):
        await answered(await made.aquery("Who?"))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_an_outage_surfaces(
    mode: ResponseMode, *, streaming: bool, index: SummaryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeLangfuse() as langfuse:
        for name, value in langfuse.env.items():
            monkeypatch.setenv(name, value)
    llm = Promptwire(model="langfuse/gpt-4o", prompt_id="x", resolver=Resolver(timeout=0.5), max_retries=0)
    made = engine(index, llm, mode, streaming=streaming and mode in STREAMED)
    with pytest.raises(BackendUnavailableError):
        str(made.query("Who?"))
    with pytest.raises(BackendUnavailableError):
        await answered(await made.aquery("Who?"))


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
