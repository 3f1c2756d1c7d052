"""Managed templates in the prompt slots of LlamaIndex's engines, agents and selectors, with any LLM."""

import asyncio
import pickle
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import CondensePlusContextChatEngine, CondenseQuestionChatEngine, ContextChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import QueryBundle, TextNode
from llama_index.core.selectors import LLMMultiSelector, LLMSingleSelector
from llama_index.core.tools import FunctionTool, QueryEngineTool, ToolMetadata
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from llama_index.llms.promptwire.lookup import MAX_QUERIES

from promptwire import BackendUnavailableError, MissingVariablesError, Resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.openai_sent import sent

NATIVE = ChatPromptTemplate.from_messages(
    [("system", "Answer from: {context_str}"), ("user", "{query_str} {now}")]
)  # fmt: skip
SLOT = {
    "compact": "text_qa_template",
    "refine": "text_qa_template",
    "tree_summarize": "summary_template",
    "simple_summarize": "text_qa_template",
    "accumulate": "text_qa_template",
    "compact_accumulate": "text_qa_template",
}
STREAMED = [mode for mode in SLOT if "accumulate" not in mode]  # which LlamaIndex doesn't stream
TEXT = 'Ada wrote {query_str} the {{context}} first {"program": 1}.'


def engine(llm: LLM, mode: str = "compact", **given: Any) -> Any:
    index = SummaryIndex.from_documents([Document(text=TEXT)], embed_model=MockEmbedding(8))
    return index.as_query_engine(llm=llm, response_mode=mode, embed_model=MockEmbedding(8), **given)


def put(made: Any, mode: str, template: Any) -> Any:
    made.update_prompts({f"response_synthesizer:{SLOT[mode]}": template})
    return made


@pytest.mark.parametrize("mode", SLOT)
async def test_every_synthesizer_sends_what_its_own_template_would(
    mode: str, llm_of_any_kind: LLM, rag: ManagedPromptTemplate, openai: FakeOpenAI
) -> None:
    made = put(engine(llm_of_any_kind, mode), mode, rag)
    assert made.get_prompts()[f"response_synthesizer:{SLOT[mode]}"].prompt_id == "rag"
    await made.aquery("Who?")
    in_async = sent(openai)
    made.query("Who?")
    assert in_async == sent(openai)
    put(made, mode, NATIVE).query("Who?")
    assert in_async == sent(openai)
    assert in_async[1] == "Who? {now}"


@pytest.mark.parametrize("mode", SLOT)
def test_one_resolution_a_query(mode: str, rag: ManagedPromptTemplate, library: Any, openai: FakeOpenAI) -> None:
    made = put(engine(Promptwire(model="gpt-4o-mini"), mode), mode, rag)
    made.query("Who?")
    made.query("And when?")
    assert library.fetched == ["rag"]
    assert openai.count == 2


@pytest.mark.usefixtures("rag")
@pytest.mark.parametrize("mode", SLOT)
async def test_one_resolution_a_query_without_a_cache(mode: str, make: Any, library: Any, openai: FakeOpenAI) -> None:
    """Each query is measured and answered with one version, and the next with the next."""
    library.stamp = None  # whose prompts are to be fetched again, as a server's
    for llm in (Promptwire(model="gpt-4o-mini"), MockLLM()):
        made = put(
            engine(llm, mode),
            mode,
            make("rag", resolver=Resolver(library, cache_ttl=0), template_var_mappings={"context_str": "context"}),
        )
        library.fetched.clear()
        made.query("Who?")
        await made.aquery("Who?")
        assert library.fetched == ["rag", "rag"]


async def test_a_query_is_packed_by_the_prompts_size(make: Any, library: Any, openai: FakeOpenAI) -> None:
    """In a query on a loop, whose measuring can't wait, that is the size of what was found last."""
    library.stamp = None  # whose prompts are to be fetched again, as a server's
    library.publish("long", f"Say{' word' * 800}: {{{{context_str}}}} {{{{query_str}}}}")
    openai._reply = lambda _: "Ada."  # noqa: SLF001 - a server already there
    index = SummaryIndex([TextNode(text="A" + " document" * 1800)])
    llm = Promptwire(model="gpt-4o", context_window=2500, num_output=50)

    def over(template: ManagedPromptTemplate) -> Any:
        return index.as_query_engine(llm=llm, embed_model=MockEmbedding(8), text_qa_template=template)

    async def calls(template: ManagedPromptTemplate) -> int:
        before = openai.count
        await over(template).aquery("Who?")
        return openai.count - before

    cold = make("long", resolver=Resolver(library, cache_ttl=0))
    assert [await calls(cold), await calls(cold)] == [1, 2]
    warm = make("long", resolver=Resolver(library, cache_ttl=0))
    await warm.aprefetch()
    assert await calls(warm) == 2
    before = openai.count
    await asyncio.to_thread(over(make("long")).query, "Who?")
    assert openai.count - before == 2


@pytest.mark.usefixtures("rag")
async def test_elsewhere_on_a_loop_a_template_is_found_at_once(make: Any, library: Any) -> None:
    """As in a notebook, where somebody looks at it."""
    assert make("rag").template_vars == ["context", "query_str"]
    assert (
        make("rag").partial_format(query_str="Who?").format(context="x")
        == "system: Answer from: x\nuser: Who? {now}\nassistant: "
    )
    assert library.fetched == ["rag"]


@pytest.mark.usefixtures("rag")
def test_queries_of_passing_requests_are_let_go(make: Any, openai: FakeOpenAI) -> None:
    template = make("rag", template_var_mappings={"context_str": "context"})
    made = put(engine(MockLLM()), "compact", template)
    held = template._seen._queries  # noqa: SLF001 - what must stay small
    for _ in range(MAX_QUERIES + 1):
        made.query("Who?")
    assert len(held) == 1
    assert pickle.loads(pickle.dumps(template))._seen._queries == {}  # noqa: S301, SLF001 - our own


@pytest.mark.parametrize(
    ("mode", "streaming"), [(mode, streaming) for mode in SLOT for streaming in (False, True)[: 1 + (mode in STREAMED)]]
)
async def test_an_outage_surfaces(
    mode: str, *, streaming: bool, monkeypatch: pytest.MonkeyPatch, openai: FakeOpenAI
) -> None:
    with FakeLangfuse() as langfuse:
        for name, value in langfuse.env.items():
            monkeypatch.setenv(name, value)
    gone = ManagedPromptTemplate("langfuse:rag", resolver=Resolver(timeout=0.5))
    for llm in (MockLLM(), Promptwire(model="gpt-4o-mini")):
        made = put(engine(llm, mode, streaming=streaming), mode, gone)
        with pytest.raises(BackendUnavailableError):
            str(made.query("Who?"))
        with pytest.raises(BackendUnavailableError):  # noqa: PT012 - where a stream raises is LlamaIndex's to say
            answer = await made.aquery("Who?")
            if streaming:
                await answer.get_response()
    assert openai.count == 0


@pytest.mark.parametrize("mode", SLOT)
async def test_a_missing_variable_surfaces(mode: str, make: Any, openai: FakeOpenAI) -> None:
    for llm in (Promptwire(model="gpt-4o-mini"), MockLLM()):
        made = put(engine(llm, mode), mode, make("greeting"))
        with pytest.raises(MissingVariablesError, match="name"):
            made.query("Who?")
        with pytest.raises(MissingVariablesError, match="name"):
            await made.aquery("Who?")


async def test_streamed(rag: ManagedPromptTemplate, llm_of_any_kind: LLM, openai: FakeOpenAI) -> None:
    made = put(engine(llm_of_any_kind, streaming=True), "compact", rag)
    answer = made.query("Who?")
    assert isinstance(answer, StreamingResponse)
    assert "Who?" in "".join(answer.response_gen)
    streamed = await made.aquery("Who?")
    assert isinstance(streamed, AsyncStreamingResponse)
    assert "Who?" in "".join([token async for token in streamed.response_gen])
    assert sent(openai)[1] == "Who? {now}"


def test_given_as_an_argument_and_refined(rag: ManagedPromptTemplate, make: Any, library: Any) -> None:
    library.publish("better", "Improve {{answer}} with {{context}}")
    better = make("better", template_var_mappings={"existing_answer": "answer", "context_msg": "context"})
    index = SummaryIndex([TextNode(text=f"{number} " + "Ada wrote it. " * 20) for number in range(20)])
    with FakeOpenAI(reply="{first}") as model:
        llm = Promptwire(
            model="gpt-4o-mini", api_key=model.api_key, base_url=model.url, context_window=600, num_output=10
        )
        made = index.as_query_engine(
            llm=llm, text_qa_template=rag, refine_template=better, embed_model=MockEmbedding(8)
        )  # fmt: skip
        made.query("Who?")
        assert model.requests[0].json["messages"][0]["content"].startswith("Answer from: 0 Ada wrote it.")
        assert model.count > 2
        assert sent(model)[0].startswith("Improve {first} with ")


@pytest.fixture
def talk(rag: ManagedPromptTemplate, library: Any, make: Any) -> dict[str, ManagedPromptTemplate]:
    """Prompts for chat engines, one a chat prompt of one message, another with literal braces and a placeholder."""
    library.publish("context", [{"role": "system", "content": 'Know {"this": {}}: {{context}}'}])
    asking = [{"type": "placeholder", "name": "chat_history"}, {"role": "user", "content": "Condense: {{question}}"}]
    library.publish("condense", asking)
    mapped = {"template_var_mappings": {"context_str": "context"}}
    return {"context": make("context", **mapped), "condense": make("condense")}


def test_condensing_chat_engines(talk: Any, openai: FakeOpenAI) -> None:
    llm = PromptwireGateway(model="gpt-4o-mini")
    chat = CondenseQuestionChatEngine.from_defaults(
        engine(llm), condense_question_prompt=talk["condense"], llm=llm,
        chat_history=[ChatMessage("One {question}"), ChatMessage(role="assistant", content="1")],
    )  # fmt: skip
    chat.chat("Two")
    first = openai.requests[0].json["messages"]
    assert [one["content"] for one in first] == ["user: One {question}\nassistant: 1", "Condense: Two"]


def test_context_chat_engines(talk: Any, openai: FakeOpenAI) -> None:
    llm = PromptwireGateway(model="gpt-4o-mini")
    retriever = SummaryIndex.from_documents([Document(text=TEXT)], embed_model=MockEmbedding(8)).as_retriever()
    for kind, given in (
        (ContextChatEngine, {"context_template": talk["context"]}),
        (CondensePlusContextChatEngine, {"context_prompt": talk["context"], "condense_prompt": talk["condense"]}),
    ):
        chat: Any = kind.from_defaults(retriever, llm=llm, **given)
        chat.chat("Who?")
        assert sent(openai)[0] == f'Know {{"this": {{}}}}: {TEXT}'
        chat.chat("And when?")
        assert len(sent(openai)) == 4
    condensed = [one for one in openai.requests if "Condense" in str(one.json["messages"])]
    assert len(condensed) == 1
    assert condensed[0].json["messages"][0]["content"].endswith("user: Condense: And when?\nassistant: ")


HEADER = 'Tools: {{tool_desc}}. Names: {{tool_names}}. Say Thought, or Action Input: {"input": {"n": 5}}'


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 2026-11: llama-index-workflows 2.26
@pytest.mark.parametrize("native", [False, True])
async def test_the_header_of_react(*, native: bool, make: Any, library: Any, openai: FakeOpenAI) -> None:
    library.publish("header", [{"role": "system", "content": HEADER}])
    header = make("header")
    one = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
    agent = ReActAgent(tools=[one], llm=PromptwireGateway(model="gpt-4o-mini"), streaming=False)
    agent.update_prompts({"react_header": header.to_native(str_format=True) if native else header})
    with FakeOpenAI(reply="Thought: I can answer.\nAnswer: 1") as model:
        agent.llm.base_url = model.url  # type: ignore[attr-defined]
        assert "1" in str(await agent.run("One?"))
        system = model.requests[-1].json["messages"][0]["content"]
    assert system.startswith("Tools: > Tool Name: one")
    assert system.endswith('Names: one. Say Thought, or Action Input: {"input": {"n": 5}}')


async def test_selectors_and_routers(make: Any, library: Any, resolver: Resolver) -> None:
    library.publish("choose", 'Of {{num_choices}}: {{context_list}} for {{query_str}}. Like {"choice": 1}')
    chosen = '[{"choice": 2, "reason": "it fits"}]'
    choices = [ToolMetadata("first", name="a"), ToolMetadata("second {x}", name="b")]
    with FakeOpenAI(reply=chosen) as model:
        llm = Promptwire(model="gpt-4o-mini", base_url=model.url, api_key=model.api_key)
        for selector in (LLMSingleSelector.from_defaults(llm=llm), LLMMultiSelector.from_defaults(llm=llm)):
            parser = selector._prompt.output_parser  # noqa: SLF001 - a new prompt must bring one
            selector.update_prompts({"prompt": make("choose", output_parser=parser)})
            assert selector.select(choices, "Who?").inds == (await selector.aselect(choices, "Who?")).inds == [1]
            assert sent(model)[0].startswith("Of 2: ")
            assert '{"choice": 1}' in sent(model)[0]
        tools = [QueryEngineTool.from_defaults(engine(MockLLM()), description=name) for name in ("a", "b")]
        made = RouterQueryEngine(LLMSingleSelector.from_defaults(llm=llm), tools, llm=llm)
        parser = LLMSingleSelector.from_defaults(llm=llm)._prompt.output_parser  # noqa: SLF001 - as above
        made.update_prompts({"selector:prompt": make("choose", output_parser=parser)})
        made.query("Who?")
        assert sent(model)[0].startswith("Of 2: ")


async def test_sub_questions(make: Any, library: Any) -> None:
    library.publish("split", 'Tools {{tools_str}}, question {{query_str}}, like {"items": [{}]}')
    asked = '```json\n{"items": [{"sub_question": "When?", "tool_name": "a"}]}\n```'
    with FakeOpenAI(reply=asked) as model:
        llm = Promptwire(model="gpt-4o-mini", base_url=model.url, api_key=model.api_key)
        generator = LLMQuestionGenerator.from_defaults(llm=llm)
        generator.update_prompts({"question_gen_prompt": make("split")})
        query = QueryBundle("Who {x}?")
        for questions in (
            generator.generate([ToolMetadata("first", name="a")], query),
            await generator.agenerate([ToolMetadata("first", name="a")], query),
        ):
            assert [one.sub_question for one in questions] == ["When?"]
            assert sent(model)[0].endswith(', question Who {x}?, like {"items": [{}]}')


async def test_the_question_of_query_fusion(make: Any, library: Any, openai: FakeOpenAI) -> None:
    """It keeps a plain text, and calls ``str.format`` on it."""
    library.publish("fuse", 'Write {{num_queries}} like {{query}}, not {"a": 1}.')
    question = make("fuse").to_native(str_format=True).template
    retriever = SummaryIndex.from_documents([Document(text=TEXT)], embed_model=MockEmbedding(8)).as_retriever()
    fusion = QueryFusionRetriever(
        [retriever], llm=PromptwireGateway(model="gpt-4o-mini"), query_gen_prompt=question, num_queries=3,
        use_async=False,
    )  # fmt: skip
    for found in (fusion.retrieve("Who?"), await fusion.aretrieve("Who?")):
        assert found[0].text == TEXT
        assert sent(openai) == ['Write 2 like Who?, not {"a": 1}.']
