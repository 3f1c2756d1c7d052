"""Langfuse's traces through OpenInference: which generations are linked to which version of a prompt."""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langfuse import Langfuse
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import BaseOutputParser, PydanticProgramMode
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from llama_index_instrumentation.dispatcher import instrument_tags
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from pydantic import BaseModel

from promptwire import Resolver
from promptwire.gateway.driver import send
from promptwire.testing import FakeLangfuse, FakeOpenAI

if LlamaIndexInstrumentor()._check_dependency_conflicts() is not None:  # noqa: SLF001 - else it only logs so
    pytest.skip("OpenInference instruments newer LlamaIndex only", allow_module_level=True)

# 2026-11: openinference-instrumentation-llama-index 4.6 with pydantic 2.14.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KEY = "langfuse.observation.prompt"


class City(BaseModel):
    """A city."""

    name: str


def one() -> int:
    """One."""
    return 1


ONE = FunctionTool.from_defaults(one)


class Trace:
    """The LLM spans that Langfuse would get."""

    def __init__(self, sdk: Langfuse, tracer: Tracer, exporter: InMemorySpanExporter) -> None:
        self._sdk = sdk
        self.tracer = tracer
        self._exporter = exporter

    def spans(self) -> list[Any]:
        self._sdk.flush()
        spans = [span for span in self._exporter.get_finished_spans() if span.attributes is not None]
        return sorted(spans, key=lambda span: span.start_time or 0)

    def links(self) -> list[tuple[str, Any, Any]]:
        """Span, prompt and version, of those that are linked."""
        told = [(span.name, span.attributes) for span in self.spans()]
        return [(name, found[f"{KEY}.name"], found[f"{KEY}.version"]) for name, found in told if f"{KEY}.name" in found]

    def generations(self) -> list[str]:
        """What Langfuse takes for generations: OpenInference marks what helps around a model's call so, too."""
        return [span.name for span in self.spans() if span.attributes.get("openinference.span.kind") == "LLM"]

    def booked(self) -> list[str]:
        """The spans whose tokens Langfuse counts."""
        return [span.name for span in self.spans() if "llm.token_count.prompt" in span.attributes]


@pytest.fixture
def trace(langfuse: FakeLangfuse) -> Iterator[Trace]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    sdk = Langfuse(
        public_key=f"pk-lf-{uuid4()}",  # the SDK keeps a client per key, and a port may come again
        secret_key=langfuse.secret_key, base_url=langfuse.url,
        tracer_provider=provider, span_exporter=exporter, should_export_span=lambda _: True,
    )  # fmt: skip
    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield Trace(sdk, provider.get_tracer("tests"), exporter)
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


async def _whole(stream: Any) -> None:
    async for _ in await stream:
        pass


ASKED = PromptTemplate("x")
CHAT: dict[str, Callable[[LLM], Any]] = {
    "chat": lambda llm: llm.chat([]),
    "achat": lambda llm: llm.achat([]),
    "stream_chat": lambda llm: list(llm.stream_chat([])),
    "astream_chat": lambda llm: _whole(llm.astream_chat([])),
}
COMPLETE: dict[str, Callable[[LLM], Any]] = {
    "complete": lambda llm: llm.complete(""),
    "acomplete": lambda llm: llm.acomplete(""),
    "stream_complete": lambda llm: list(llm.stream_complete("")),
    "astream_complete": lambda llm: _whole(llm.astream_complete("")),
}
PREDICT: dict[str, Callable[[LLM], Any]] = {
    "predict": lambda llm: llm.predict(ASKED),
    "apredict": lambda llm: llm.apredict(ASKED),
    "stream": lambda llm: list(llm.stream(ASKED)),
    "astream": lambda llm: _whole(llm.astream(ASKED)),
}
STRUCTURED: dict[str, Callable[[LLM], Any]] = {
    "structured_predict": lambda llm: llm.structured_predict(City, ASKED),
    "astructured_predict": lambda llm: llm.astructured_predict(City, ASKED),
    "stream_structured_predict": lambda llm: list(llm.stream_structured_predict(City, ASKED)),
    "astream_structured_predict": lambda llm: _whole(llm.astream_structured_predict(City, ASKED)),
}
TOOLS: dict[str, Callable[[Any], Any]] = {
    "chat_with_tools": lambda llm: llm.chat_with_tools([ONE], "x"),
    "achat_with_tools": lambda llm: llm.achat_with_tools([ONE], "x"),
    "stream_chat_with_tools": lambda llm: list(llm.stream_chat_with_tools([ONE], "x")),
    "astream_chat_with_tools": lambda llm: _whole(llm.astream_chat_with_tools([ONE], "x")),
    "predict_and_call": lambda llm: llm.predict_and_call([ONE], "x"),
    "apredict_and_call": lambda llm: llm.apredict_and_call([ONE], "x"),
}
WAYS = {**CHAT, **COMPLETE, **PREDICT, **STRUCTURED, **TOOLS}
OBJECTS = {**CHAT, **PREDICT, "complete": COMPLETE["complete"], "acomplete": COMPLETE["acomplete"]}


def leaf(way: str) -> str:
    """The endpoint that asks the model."""
    return ("a" if way.startswith("a") else "") + ("stream_" if "stream" in way else "") + "chat"


async def go(way: Callable[[Any], Any], llm: Any) -> None:
    done = way(llm)
    if inspect.isawaitable(done):
        await done


def over(delegate: LLM) -> Promptwire:
    return Promptwire(
        model="langfuse/gpt-4o", llm=delegate, prompt_id="team/welcome", prompt_variables={"name": "Ada"},
        resolver=Resolver(),
    )  # fmt: skip


@pytest.fixture(params=["gateway", "openai"])
def linked(request: pytest.FixtureRequest, langfuse: FakeLangfuse, delegates: Any) -> Promptwire:
    return over(delegates.make(request.param))


def runs(llm: Promptwire) -> str:
    """The name that the spans of its delegate have."""
    delegate = llm._delegates.llm  # noqa: SLF001 - who runs
    return type(delegate).__name__ if delegate else PromptwireGateway.__name__


@pytest.mark.parametrize("way", WAYS)
async def test_the_models_own_call_is_linked_and_none_around_it(
    way: str, linked: Promptwire, trace: Trace, delegates: Any
) -> None:
    if way in TOOLS:
        delegates.script([("one", {})])
    await go(WAYS[way], linked)
    assert trace.links() == [(f"{runs(linked)}.{leaf(way)}", "team/welcome", 2)]
    assert trace.booked() in ([], [f"{runs(linked)}.{leaf(way)}"])  # OpenAI's streams tell no tokens
    assert len(trace.generations()) > 1 or "stream_structured" in way  # whose spans stay open for a minute


@pytest.mark.parametrize("path", STRUCTURED)
async def test_objects_by_tools_too(path: str, langfuse: FakeLangfuse, delegates: Any, trace: Trace) -> None:
    """OpenAI's own way is another, and the one above."""
    await go(STRUCTURED[path], over(delegates.make("openai", pydantic_program_mode=PydanticProgramMode.FUNCTION)))
    assert "tools" in delegates.sent("openai")[-1]
    assert trace.links() == [(f"OpenAI.{leaf(path)}", "team/welcome", 2)]


@pytest.mark.parametrize("path", STRUCTURED)
async def test_objects_in_words_too(path: str, llm: Promptwire, trace: Trace, openai: FakeOpenAI) -> None:
    openai._reply = lambda _: json.dumps({"name": "Ulm"})  # noqa: SLF001 - a server already there
    await go(STRUCTURED[path], llm.bind(pydantic_program_mode=PydanticProgramMode.LLM))
    assert trace.links() == [(f"PromptwireGateway.{leaf(path)}", "team/welcome", 2)]


@pytest.mark.parametrize("way", OBJECTS)
async def test_a_structured_llm_asks_once(way: str, llm: Promptwire, trace: Trace, openai: FakeOpenAI) -> None:
    await go(OBJECTS[way], llm.as_structured_llm(City))
    assert trace.links() == [(f"PromptwireGateway.{leaf(way)}", "team/welcome", 2)]


@pytest.fixture(params=["promptwire", "gateway", "openai", "promptwire over openai"])
def any_llm(request: pytest.FixtureRequest, delegates: Any, langfuse: FakeLangfuse) -> LLM:
    langfuse.publish("rag", "{{context_str}} {{query_str}}")
    if request.param == "promptwire":
        return Promptwire(model="gpt-4o")
    made: LLM = delegates.make(request.param.split()[-1])
    return Promptwire(llm=made) if "over" in request.param else made


def of_the_model(llm: LLM, endpoint: str) -> str:
    return f"{runs(llm) if isinstance(llm, Promptwire) else type(llm).__name__}.{endpoint}"


def slot() -> ManagedPromptTemplate:
    return ManagedPromptTemplate("rag", backend="langfuse", resolver=Resolver())


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_slots_prompt_is_linked_whichever_llm_runs_it(*, streaming: bool, any_llm: LLM, trace: Trace) -> None:
    index = SummaryIndex.from_documents([Document(text="Ada wrote it.")], embed_model=MockEmbedding(8))
    engine = index.as_query_engine(
        llm=any_llm, text_qa_template=slot(), streaming=streaming, embed_model=MockEmbedding(8)
    )
    str(engine.query("Who?"))
    answer: Any = await engine.aquery("Who?")
    if streaming:
        await answer.get_response()
    stream = "stream_" if streaming else ""
    names = [of_the_model(any_llm, f"{stream}chat"), of_the_model(any_llm, f"a{stream}chat")]
    assert trace.links() == [(name, "rag", 1) for name in names]
    assert trace.booked() in ([], names)
    assert len(trace.generations()) > 2


@pytest.mark.parametrize("as_llm", [False, True])
async def test_a_slots_objects_are_linked_too(*, as_llm: bool, any_llm: LLM, trace: Trace) -> None:
    """Those of a structured LLM as well, which is a generation around the call to OpenInference."""
    given = {"context_str": "x", "query_str": "y"}
    if as_llm:
        any_llm.as_structured_llm(City).predict(slot(), **given)
        await any_llm.as_structured_llm(City).apredict(slot(), **given)
    else:
        any_llm.structured_predict(City, slot(), **given)
        await any_llm.astructured_predict(City, slot(), **given)
    assert trace.links() == [(of_the_model(any_llm, name), "rag", 1) for name in ("chat", "achat")]


class Polite(BaseOutputParser):
    """Adds a word to what is asked."""

    def parse(self, output: str) -> Any:
        return output

    def format(self, query: str) -> str:
        return f"{query} please"


@pytest.mark.parametrize("where", ["llm", "template"])
def test_an_output_parser_leaves_the_link(where: str, any_llm: LLM, trace: Trace, openai: FakeOpenAI) -> None:
    template = slot()
    (any_llm if where == "llm" else template).output_parser = Polite()
    any_llm.predict(template, context_str="x", query_str="y")
    assert [message["content"] for message in openai.requests[-1].json["messages"]] == ["x y please"]
    assert trace.links() == [(of_the_model(any_llm, "chat"), "rag", 1)]


@pytest.mark.parametrize("instrumented", [False, True])
def test_a_tracer_below_is_linked_where_llama_index_is_not_traced(
    *, instrumented: bool, llm: Promptwire, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of the provider's SDK is; a span for each of the two would count the prompt twice."""

    def traced(call: Any) -> Any:
        with trace.tracer.start_as_current_span("sdk"):
            return send(call)

    monkeypatch.setattr("llama_index.llms.promptwire.gateway.send", traced)
    if not instrumented:
        LlamaIndexInstrumentor().uninstrument()
    llm.chat([])
    assert [name for name, *_ in trace.links()] == ["PromptwireGateway.chat" if instrumented else "sdk"]


def test_openinference_has_nothing_to_warn_of(
    any_llm: LLM, llm: Promptwire, trace: Trace, listener: Any, caplog: pytest.LogCaptureFixture
) -> None:
    llm.chat([])
    any_llm.predict(slot(), context_str="x", query_str="y")
    assert len(listener.named("PromptResolvedEvent")) == 2
    assert [record for record in caplog.records if record.name.startswith("openinference")] == []


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
    assert [link[1:] for link in trace.links()] == [("team/welcome", 2)]
    [start] = listener.named("LLMChatStartEvent")
    assert (start.tags["mine"], start.tags["prompt_id"], start.tags["prompt_version"]) == (1, "team/welcome", 2)


@pytest.mark.parametrize("streaming", [False, True])
async def test_each_step_of_an_agent_is_linked(
    *, streaming: bool, linked: Promptwire, trace: Trace, langfuse: FakeLangfuse, delegates: Any
) -> None:
    langfuse.publish("team/persona", [{"role": "system", "content": "You are {{name}}."}])
    delegates.script([("one", {})], "Done.")
    agent = FunctionAgent(tools=[one], llm=linked.bind(prompt_id="team/persona"), streaming=streaming)
    assert str(await agent.run("One?")) == "Done."
    step = f"{runs(linked)}.{'astream_chat' if streaming else 'achat'}"
    assert trace.links() == [(step, "team/persona", 1)] * 2
    assert trace.booked() in ([], [step] * 2)
    assert len(trace.generations()) > 4
    assert len(delegates.openai.requests) == 2
