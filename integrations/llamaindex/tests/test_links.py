"""Langfuse's traces through OpenInference: which generations are linked to which version of a prompt."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langfuse import Langfuse
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire
from llama_index_instrumentation.dispatcher import instrument_tags
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from promptwire import Resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI

if LlamaIndexInstrumentor()._check_dependency_conflicts() is not None:  # noqa: SLF001 - else it only logs so
    pytest.skip("OpenInference instruments newer LlamaIndex only", allow_module_level=True)

# 2026-11: openinference-instrumentation-llama-index 4.6 with pydantic 2.14.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KEY = "langfuse.observation.prompt"


class City(BaseModel):
    """A city."""

    name: str


class Trace:
    """The LLM spans that Langfuse would get."""

    def __init__(self, sdk: Langfuse, exporter: InMemorySpanExporter) -> None:
        self._sdk = sdk
        self._exporter = exporter

    def spans(self) -> list[Any]:
        self._sdk.flush()
        spans = [span for span in self._exporter.get_finished_spans() if span.attributes is not None]
        return sorted(spans, key=lambda span: span.start_time or 0)

    def links(self) -> list[tuple[str, Any, Any]]:
        """Span, prompt and version, of those that are linked."""
        told = [(span.name, span.attributes) for span in self.spans()]
        return [(name, found[f"{KEY}.name"], found[f"{KEY}.version"]) for name, found in told if f"{KEY}.name" in found]

    def generations(self) -> list[tuple[Any, Any]]:
        """Prompt and version of each span that tells what a model said; OpenInference marks helpers around it too."""
        told = [span.attributes for span in self.spans() if "llm.token_count.prompt" in span.attributes]
        return [(found.get(f"{KEY}.name"), found.get(f"{KEY}.version")) for found in told]


@pytest.fixture
def trace(langfuse: FakeLangfuse) -> Iterator[Trace]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    sdk = Langfuse(
        public_key=f"pk-lf-{langfuse.url}", secret_key=langfuse.secret_key, base_url=langfuse.url,
        tracer_provider=provider, span_exporter=exporter,
    )  # fmt: skip
    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield Trace(sdk, exporter)
    instrumentor.uninstrument()
    sdk.shutdown()


@pytest.fixture
def langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    with FakeLangfuse() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.publish("team/welcome", "Hi {{name}}")
        server.publish("team/welcome", "Hello {{name}}", config={"model": "gpt-4o"})
        yield server


@pytest.fixture
def llm(langfuse: FakeLangfuse, openai: FakeOpenAI) -> Promptwire:
    return Promptwire(
        model="langfuse/gpt-4o-mini", prompt_id="team/welcome", prompt_variables={"name": "Ada"}, resolver=Resolver()
    )  # fmt: skip


async def test_one_linked_generation_a_call(endpoint: str, call: Any, llm: Promptwire, trace: Trace) -> None:
    await call(llm, endpoint)
    kind = endpoint.replace("complete", "chat")
    assert trace.links() == [(f"PromptwireGateway.{kind}", "team/welcome", 2)]
    [linked] = [span for span in trace.spans() if f"{KEY}.name" in span.attributes]
    assert linked.attributes["openinference.span.kind"] == "LLM"
    assert linked.attributes["llm.input_messages.0.message.content"] == "Hello Ada"
    assert linked.attributes["llm.output_messages.0.message.content"] == "[gpt-4o] Hello Ada"
    assert linked.attributes["llm.token_count.prompt"] == 3
    outer = {span.context.span_id: span.name for span in trace.spans()}
    assert outer[linked.parent.span_id] == f"Promptwire.{kind}"


async def test_tokens_are_counted_once(endpoint: str, call: Any, llm: Promptwire, trace: Trace) -> None:
    await call(llm, endpoint)
    assert [span.name for span in trace.spans() if "llm.token_count.prompt" in span.attributes] == [
        f"PromptwireGateway.{endpoint.replace('complete', 'chat')}"
    ]


def test_with_another_delegate(llm: Promptwire, trace: Trace, openai: FakeOpenAI) -> None:
    delegate = OpenAI(model="gpt-4o", api_key=openai.api_key, api_base=openai.url)
    linked = Promptwire(
        model="langfuse/gpt-4o", llm=delegate, prompt_id="team/welcome", prompt_version=1,
        prompt_variables={"name": "Ada"}, resolver=Resolver(),
    )  # fmt: skip
    linked.complete("")
    list(linked.stream_chat([]))
    assert trace.links() == [("OpenAI.chat", "team/welcome", 1), ("OpenAI.stream_chat", "team/welcome", 1)]


def test_in_an_engine_the_slots_prompt_is_linked(trace: Trace, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.publish("rag", "{{context_str}} {{query_str}}")
    slot = ManagedPromptTemplate("rag", backend="langfuse", resolver=Resolver())
    index = SummaryIndex.from_documents([Document(text="Ada wrote it.")])
    index.as_query_engine(llm=Promptwire(model="gpt-4o"), text_qa_template=slot).query("Who?")
    assert trace.links() == [("PromptwireGateway.chat", "rag", 1)]


async def test_neighbours_are_not_linked(llm: Promptwire, trace: Trace, openai: FakeOpenAI) -> None:
    bare = Promptwire(model="gpt-4o", resolver=Resolver())
    stream = llm.stream_chat([])
    bare.predict(PromptTemplate("Hi"))
    next(stream)
    bare.predict(PromptTemplate("Hi"))
    list(stream)
    linked = llm.achat([]), llm.achat([], prompt_version=1)
    await asyncio.gather(*linked, *(bare.apredict(PromptTemplate("Hi")) for _ in range(5)))
    assert sorted(trace.links()) == [
        ("PromptwireGateway.achat", "team/welcome", 1),
        ("PromptwireGateway.achat", "team/welcome", 2),
        ("PromptwireGateway.stream_chat", "team/welcome", 2),
    ]
    assert len([span for span in trace.spans() if span.name.startswith("PromptwireGateway.")]) == 10


def test_what_is_not_langfuses_is_not_linked(
    llm: Promptwire, trace: Trace, langfuse: FakeLangfuse, resolver: Resolver
) -> None:
    Promptwire(model="gpt-4o", prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver).complete("Hi")
    llm.complete("", prompt_id="gone", fallback="Hi {{name}}")
    assert [span.name for span in trace.spans()].count("PromptwireGateway.chat") == 2
    assert trace.links() == []


@pytest.mark.parametrize(
    "path", ["structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict"]
)
async def test_structured_answers_are_linked_and_tagged(
    path: str, llm: Promptwire, trace: Trace, listener: Any, openai: FakeOpenAI
) -> None:
    """A lazy stream calls the model at its first step, which is inside the link and the tags too."""
    with instrument_tags({"mine": 1}):
        answer: Any = getattr(llm, path)(City, PromptTemplate("x"))
        answer = await answer if path.startswith("a") else answer
        if "stream" in path:
            assert [one async for one in answer] if path.startswith("a") else list(answer)
    assert trace.generations() == [("team/welcome", 2)]
    [start] = listener.named("LLMChatStartEvent")
    assert (start.tags["mine"], start.tags["prompt_id"], start.tags["prompt_version"]) == (1, "team/welcome", 2)


@pytest.mark.parametrize("streaming", [False, True])
async def test_each_step_of_an_agent_is_linked(
    *, streaming: bool, llm: Promptwire, trace: Trace, langfuse: FakeLangfuse, delegates: Any
) -> None:
    langfuse.publish("team/persona", [{"role": "system", "content": "You are {{name}}."}])
    delegates.script([("one", {})], "Done.")
    agent = FunctionAgent(tools=[one], llm=llm.bind(prompt_id="team/persona"), streaming=streaming)
    assert str(await agent.run("One?")) == "Done."
    assert trace.generations() == [("team/persona", 1)] * 2
    assert len(delegates.openai.requests) == 2


def one() -> int:
    """One."""
    return 1
