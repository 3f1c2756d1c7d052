"""What traces tell: Langfuse's own SDK and handler record the spans, callbacks the metadata."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, SecretStr

import promptwire
from langchain_promptwire import ChatPromptwire, ManagedPromptTemplate
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI

pytestmark = [
    pytest.mark.usefixtures("openai", "langfuse"),
    # v3 events are in beta.
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]

LINK = ("welcome", 1)
ADA = {"name": "Ada", "place": "Rome"}
_KEYS = (f"pk-lf-{number}" for number in itertools.count())


class Verdict(BaseModel):
    good: bool


class Traces:
    """Langfuse's handler, and what its processor made of the spans: of generations, in the order of their ends."""

    def __init__(self, sdk: Langfuse, key: str, exporter: InMemorySpanExporter) -> None:
        self._sdk = sdk
        self._exporter = exporter
        self.config: Any = {"callbacks": [CallbackHandler(public_key=key)]}

    def links(self, model: str | None = None) -> list[tuple[Any, Any] | None]:
        """Of all generations, or of one model's, which a second call for another still finds."""
        self._sdk.flush()
        told = [dict(span.attributes or {}) for span in self._exporter.get_finished_spans()]
        if model is None:
            self._exporter.clear()
        key = "langfuse.observation"
        names = (f"{key}.prompt.name", f"{key}.prompt.version")
        runs = [one for one in told if one[f"{key}.type"] == "generation"]
        runs = [one for one in runs if model in {None, one[f"{key}.model.name"]}]
        return [(one[names[0]], one[names[1]]) if names[0] in one else None for one in runs]


@pytest.fixture
def traces(langfuse: FakeLangfuse) -> Iterator[Traces]:
    key, exporter = next(_KEYS), InMemorySpanExporter()
    sdk = Langfuse(
        public_key=key, secret_key=langfuse.secret_key, base_url=langfuse.url,
        tracer_provider=TracerProvider(), span_exporter=exporter,
    )  # fmt: skip
    yield Traces(sdk, key, exporter)
    sdk.shutdown()


def chat(**given: Any) -> ChatPromptwire:
    fixed = {"model": "langfuse/gpt-4o-mini", "prompt_id": "welcome", "prompt_variables": ADA}
    return ChatPromptwire(**{**fixed, "message_mode": "replace", **given})


async def at_once(value: Any) -> Any:
    return value


async def drained(items: AsyncIterator[Any]) -> Any:
    return [item async for item in items]


async def v3(model: Any, config: Any) -> Any:
    events = await model.astream_events([], config, version="v3")
    return await events.output


async def v3_text(model: Any, config: Any) -> Any:
    events = await model.astream_events([], config, version="v3")
    return [part async for part in events.text]


DOORS: dict[str, Callable[[Runnable[Any, Any], Any], Awaitable[Any]]] = {
    "invoke": lambda model, config: at_once(model.invoke([], config)),
    "ainvoke": lambda model, config: model.ainvoke([], config),
    "stream": lambda model, config: at_once(list(model.stream([], config))),
    "astream": lambda model, config: drained(model.astream([], config)),
    "batch": lambda model, config: at_once(model.batch([[]], config)),
    "abatch": lambda model, config: model.abatch([[]], config),
    "astream_events": lambda model, config: drained(model.astream_events([], config, version="v2")),
}
V3: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
    "v3 output": lambda model, config: at_once(model.stream_events([], config, version="v3").output),
    "v3 text": lambda model, config: at_once(list(model.stream_events([], config, version="v3").text)),
    "v3 events": lambda model, config: at_once(list(model.stream_events([], config, version="v3"))),
    "v3 async output": v3,
    "v3 async text": v3_text,
}
DELEGATES: dict[str, Callable[[], Any]] = {
    "gateway": lambda: None,
    "ChatOpenAI": lambda: ChatOpenAI(model="gpt-4o-mini"),
}


@pytest.mark.parametrize("delegate", DELEGATES)
@pytest.mark.parametrize("door", [*DOORS, *V3])
async def test_every_door_links_its_generation_and_no_neighbours(door: str, delegate: str, traces: Traces) -> None:
    model, other = chat(llm=DELEGATES[delegate]()), ChatOpenAI(model="other")
    for _ in range(2):
        await {**DOORS, **V3}[door](model, traces.config)
        other.invoke("x", traces.config)
        await other.ainvoke("x", traces.config)
    # v3's asynchronous run ends when its stream has been read already.
    assert traces.links("gpt-4o") == [LINK] * 2
    assert traces.links("other") == [None] * 4


@pytest.mark.parametrize("door", DOORS)
async def test_structured_output_is_linked(door: str, traces: Traces) -> None:
    await DOORS[door](chat().with_structured_output(Verdict), traces.config)
    assert traces.links() == [LINK]


def test_a_neighbour_called_while_we_stream_is_not_linked(traces: Traces) -> None:
    model, other = chat(), ChatOpenAI(model="other")
    chunks = model.stream([], traces.config)
    next(chunks)
    other.invoke("x", traces.config)
    assert list(chunks)
    events = model.stream_events([], traces.config, version="v3")
    assert next(iter(events.text))
    other.invoke("x", traces.config)
    assert events.output
    other.invoke("x", traces.config)
    assert traces.links() == [None, LINK, None, LINK, None]


async def test_nor_one_in_another_task_or_one_that_comes_later(traces: Traces) -> None:
    model, other = chat(), ChatOpenAI(model="other")
    chunks = model.astream([], traces.config)
    await anext(chunks)
    await other.ainvoke("x", traces.config)
    await chunks.aclose()  # type: ignore[attr-defined]
    await asyncio.gather(*(run.ainvoke("x", traces.config) for run in (model, other) * 5))
    links = traces.links()
    assert (links[0], links.count(LINK), links.count(None)) == (None, 6, 6)


def test_each_version_is_linked_to_itself(traces: Traces, langfuse: FakeLangfuse) -> None:
    langfuse.publish("welcome", "Hello {{name}}", labels=["staging"])
    chat().batch([[], []], traces.config)
    chat(prompt_label="staging").invoke([], traces.config)
    assert traces.links() == [LINK, LINK, ("welcome", 2)]


@pytest.mark.parametrize("door", DOORS)
async def test_a_fallback_is_linked_to_nothing(door: str, traces: Traces, langfuse: FakeLangfuse) -> None:
    langfuse.fail(500, match="/prompts/")
    model = chat(resolver=Resolver(timeout=0.5), fallback="Hello {{name}}")
    await DOORS[door](model, traces.config)
    assert traces.links() == [None]


def test_a_prompt_of_another_backend_is_linked_to_nothing(traces: Traces) -> None:
    chat(model="gpt-4o", resolver=Resolver(MemoryBackend({"welcome": "Hello {{name}}"}))).invoke([], traces.config)
    assert traces.links() == [None]


@tool
def look(at: str) -> str:
    """Look at something."""
    return f"{at} is fine"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_every_step_of_an_agent_is_linked(
    traces: Traces,
    langfuse: FakeLangfuse,
    asynchronous: bool,
) -> None:
    langfuse.publish("agent", [{"role": "system", "content": "You help {{name}}."}])
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    said: list[Any] = [{"role": "assistant", "content": None, "tool_calls": [call]}, "Fine."]
    with FakeOpenAI(reply=said) as server:
        model = chat(prompt_id="agent", message_mode="auto", api_key=server.api_key, base_url=server.url)
        agent = create_agent(model, [look])
        given: Any = {"messages": [HumanMessage("Look at it")]}
        answer = await agent.ainvoke(given, traces.config) if asynchronous else agent.invoke(given, traces.config)
    assert answer["messages"][-1].content == "Fine."
    ChatOpenAI(model="other").invoke("x", traces.config)
    assert traces.links() == [("agent", 1), ("agent", 1), None]


class TestTemplates:
    @pytest.mark.parametrize("door", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
    async def test_a_template_is_linked_whatever_model_comes_next(self, door: str, traces: Traces) -> None:
        prompt, other = ManagedPromptTemplate("welcome", backend="langfuse"), ChatOpenAI(model="gpt-4o-mini")
        prompt = prompt.partial(**ADA)
        given = [prompt | other, prompt | ChatPromptwire(model="gpt-4o-mini"), prompt.bind_to(other)]
        for chain in given:
            await DOORS[door](_with_input({}) | chain, traces.config)
            other.invoke("x", traces.config)
        assert traces.links() == [LINK, None] * 3

    def test_but_a_fallback(self, traces: Traces, langfuse: FakeLangfuse) -> None:
        langfuse.fail(500, match="/prompts/")
        prompt = ManagedPromptTemplate("welcome", backend="langfuse", fallback="Hello {{name}}", timeout=0.5)
        (prompt | ChatOpenAI(model="gpt-4o-mini")).invoke(ADA, traces.config)
        prompt.bind_to(ChatOpenAI(model="gpt-4o-mini")).invoke(ADA, traces.config)
        assert traces.links() == [None, None]


def _with_input(given: Any) -> Runnable[Any, Any]:
    from langchain_core.runnables import RunnableLambda

    return RunnableLambda(lambda _: given)


TOLD = {
    "prompt_id": "welcome",
    "prompt_version": 1,
    "prompt_label": "production",
    "prompt_backend": "langfuse",
    "prompt_source": "cached",
}


def _response_metadata(answer: Any) -> dict[str, Any]:
    if isinstance(answer, list):
        first = answer[0]
        if isinstance(first, dict):  # events
            ends = [event for event in answer if event["event"] == "on_chat_model_stream"]
            return {} if not ends else answer[-1]["data"]["output"].response_metadata
        return dict(first.response_metadata)
    return dict(answer.response_metadata)


@pytest.mark.parametrize("delegate", DELEGATES)
@pytest.mark.parametrize("door", DOORS)
async def test_the_run_and_the_answer_tell_the_prompt(door: str, delegate: str, recorder: Any) -> None:
    model = chat(prompt_label="production", llm=DELEGATES[delegate]())
    model.invoke([])
    answer = await DOORS[door](model, {"callbacks": [recorder], "metadata": {"mine": 1}})
    metadata = recorder.llm_metadata[0]
    assert {name: metadata[name] for name in TOLD} == TOLD
    assert {name: _response_metadata(answer)[name] for name in TOLD} == TOLD
    assert metadata["mine"] == 1
    assert (metadata["ls_provider"], metadata["ls_model_name"]) == ("openai", "gpt-4o")
    assert (metadata["ls_model_type"], metadata["ls_temperature"]) == ("chat", 0.3)


@pytest.mark.parametrize("delegate", DELEGATES)
@pytest.mark.parametrize("door", ["v3 output", "v3 async output"])
async def test_the_answer_of_v3s_events_tells_it_too(door: str, delegate: str) -> None:
    model = chat(prompt_label="production", llm=DELEGATES[delegate]())
    model.invoke([])
    answer = await V3[door](model, {})
    assert answer.response_metadata.items() >= TOLD.items()
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.text == model.invoke([]).text


async def test_include_raw_tells_it_too(recorder: Any) -> None:
    model = chat().with_structured_output(Verdict, include_raw=True)
    answer: Any = await model.ainvoke([], {"callbacks": [recorder]})
    assert answer["raw"].response_metadata["prompt_id"] == "welcome"
    assert recorder.llm_metadata[0]["prompt_version"] == 1


class TestVariables:
    @pytest.mark.parametrize("door", DOORS)
    async def test_are_not_traced_unless_asked_for(self, door: str, recorder: Any) -> None:
        with promptwire.variables(place="Rome"):
            await DOORS[door](chat(prompt_variables={"name": "Ada"}), {"callbacks": [recorder]})
        assert "prompt_variables" not in repr((recorder.llm_metadata, recorder.chain_metadata))

    @pytest.mark.parametrize("door", DOORS)
    async def test_are_metadata_of_the_models_run_where_asked_for(self, door: str, recorder: Any) -> None:
        given = {"name": SecretStr("sk-secret"), "unused": "never shown"}
        model = chat(prompt_variables=given, trace_variables=True)
        with promptwire.variables(place=["Rome", 7]):
            answer = await DOORS[door](model, {"callbacks": [recorder]})
        assert recorder.llm_metadata[0]["prompt_variables"] == {"name": "**********", "place": ["Rome", 7]}
        assert "prompt_variables" not in _response_metadata(answer)
        told = repr((recorder.traced, recorder.llm_inputs, recorder.llm_metadata, recorder.chain_metadata))
        assert "sk-secret" not in told
        assert "never shown" not in told

    def test_the_question_is_one_of_them(self, langfuse: FakeLangfuse, recorder: Any) -> None:
        langfuse.publish("ask", "Answer: {{question}}")
        model = chat(prompt_id="ask", prompt_variables={}, input_variable="question", trace_variables=True)
        model.invoke("Why?", {"callbacks": [recorder]})
        assert recorder.llm_metadata[0]["prompt_variables"] == {"question": "Why?"}


def test_without_langfuse_in_the_program_nothing_is_imported() -> None:
    import subprocess
    import sys

    program = """
import sys
from langchain_promptwire import ChatPromptwire, ManagedPromptTemplate
from promptwire.testing import FakeLangfuse, FakeOpenAI
import os
with FakeLangfuse() as langfuse, FakeOpenAI() as openai:
    os.environ.update({**langfuse.env, **openai.env})
    langfuse.publish("p", "Hi {{name}}")
    ChatPromptwire(model="langfuse/gpt-4o", prompt_id="p", prompt_variables={"name": "Ada"}).invoke([])
    ManagedPromptTemplate("p", backend="langfuse").bind_to(ChatPromptwire(model="gpt-4o")).invoke("Ada")
print([name for name in sys.modules if name.startswith("langfuse")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
