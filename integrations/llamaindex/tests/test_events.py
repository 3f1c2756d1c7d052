"""LlamaIndex's instrumentation: one pair of events per call, from the LLM that runs."""

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from llama_index_instrumentation.span_handlers import NullSpanHandler
from pydantic import Field

from promptwire import Resolver
from promptwire.testing import FakeOpenAI

START, END = ("LLMChatStartEvent", "LLMCompletionStartEvent"), ("LLMChatEndEvent", "LLMCompletionEndEvent")


class Spans(NullSpanHandler):
    """The names of the spans that were entered, in order."""

    seen: list[str] = Field(default_factory=list)

    def span_enter(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.seen.append(id_)


@pytest.fixture
def spans() -> Iterator[Spans]:
    root, handler = get_dispatcher(), Spans()
    root.add_span_handler(handler)
    yield handler
    root.span_handlers.remove(handler)


def model(start: Any) -> str:
    """Of the payload, or of the whole LLM that the event holds before llama-index-core 0.14.23."""
    told = start.model_dict
    return str(told.get("model_name", told.get("model"))).rpartition("/")[2]


async def test_one_pair_per_call(endpoint: str, call: Any, llm: Promptwire, listener: Any, openai: FakeOpenAI) -> None:
    await call(llm, endpoint)
    [start], [end] = listener.named(*START), listener.named(*END)
    assert (start.class_name(), end.class_name()) == (START[0], END[0])
    assert [(one.role.value, one.content) for one in start.messages] == [("user", "Hello Ada")]
    assert (start.model_dict["class_name"], model(start)) == ("PromptwireGateway", "gpt-4o-mini")
    assert end.response.message.content == "[gpt-4o-mini] Hello Ada"


WAYS = [
    f"{colour}{stream}{kind}"
    for colour in ("", "a")
    for stream in ("", "stream_")
    for kind in ("chat", "complete", "chat_with_tools")
]


@pytest.mark.parametrize("way", WAYS)
async def test_no_delegate_makes_more_pairs_than_by_itself(
    *, way: str, delegate: str, delegates: Any, call: Any, resolver: Resolver, listener: Any
) -> None:
    """LlamaIndex's Anthropic makes two for some of its calls."""
    own = delegates.make(delegate)
    llm = Promptwire(llm=own, prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver)
    pairs = []
    for one, endpoint in ((own, way.replace("complete", "chat")), (llm, way)):
        listener.events.clear()
        await call(one, endpoint, "Hi")
        pairs.append((len(listener.named(*START)), len(listener.named(*END))))
    assert pairs[1] == pairs[0]
    assert pairs[1] == (1, 1) or delegate == "anthropic"


def test_one_pair_with_a_delegate_and_its_copy(resolver: Resolver, listener: Any, openai: FakeOpenAI) -> None:
    delegate = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)
    llm = Promptwire(llm=delegate, prompt_id="tuned", prompt_variables={"name": "Ada"}, resolver=resolver)
    llm.chat([])
    list(llm.stream_complete(""))
    starts = listener.named(*START)
    assert [model(start) for start in starts] == ["gpt-4o"] * 2
    assert starts[0].additional_kwargs == {"temperature": 0.3, "max_tokens": 50}
    assert len(listener.named(*END)) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_one_pair_with_tools_and_in_engines(
    *, stream: bool, persona: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    tool = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
    if stream:
        list(persona.stream_chat_with_tools([tool], "Hi"))
    else:
        persona.chat_with_tools([tool], "Hi")
    assert (len(listener.named(*START)), len(listener.named(*END))) == (1, 1)
    str(SummaryIndex.from_documents([Document(text="x")]).as_query_engine(llm=persona, streaming=stream).query("Hi"))
    assert (len(listener.named(*START)), len(listener.named(*END))) == (2, 2)


def test_nothing_starts_when_the_prompt_is_not_found(llm: Promptwire, listener: Any, openai: FakeOpenAI) -> None:
    with pytest.raises(Exception, match="nowhere"):
        llm.complete("", prompt_id="nowhere")
    assert listener.named(*START) == []


@pytest.fixture
def slot(resolver: Resolver) -> ManagedPromptTemplate:
    return ManagedPromptTemplate("tuned", resolver=resolver)


async def test_the_prompt_is_told_once_within_the_call(
    endpoint: str, call: Any, llm: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    await call(llm, endpoint, prompt_id="tuned", model="gpt-4o-mini", prompt_label=None)
    [told] = listener.named("PromptResolvedEvent")
    assert (told.prompt_id, told.prompt_version, told.prompt_label) == ("tuned", 1, None)
    assert (told.prompt_backend, told.prompt_source, len(told.content_hash)) == ("memory", "fresh", 64)
    assert (told.requested_model, told.variables) == ("gpt-4o", None)
    names = [event.class_name() for event in listener.events]
    assert names.index("PromptResolvedEvent") < names.index(START[0])
    [start] = listener.named(*START)
    assert told.span_id.startswith(f"Promptwire.{endpoint.replace('complete', 'chat')}-")
    assert start.span_id.startswith(f"PromptwireGateway.{endpoint.replace('complete', 'chat')}-")


def test_variables_are_told_if_asked(llm: Promptwire, resolver: Resolver, listener: Any, openai: FakeOpenAI) -> None:
    llm.bind(report_variables=True).complete("", prompt_variables={"name": "Bo"})
    slot = ManagedPromptTemplate("greeting", resolver=resolver, report_variables=True)
    llm.predict(slot, name="Cy")
    assert [one.variables for one in listener.named("PromptResolvedEvent")] == [{"name": "Bo"}, {"name": "Cy"}]


async def test_a_template_tells_its_prompt(
    slot: ManagedPromptTemplate, persona: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    """Once, whichever LLM runs it, and whatever else measures it."""
    foreign = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)
    for run in (persona, foreign):
        run.predict(slot, name="Ada")
        "".join(run.stream(slot, name="Ada"))
    await persona.apredict(slot, name="Ada")
    persona.chat(slot.format_messages(name="Ada"))
    told = listener.named("PromptResolvedEvent")
    assert [one.prompt_id for one in told] == ["tuned"] * 6
    spans = [one.span_id.partition("-")[0] for one in told]
    own = ["Promptwire.chat", "Promptwire.stream_chat", "Promptwire.achat", "Promptwire.chat"]
    assert spans == [*own[:2], "OpenAI.predict", "OpenAI.stream", *own[2:]]
    assert len(listener.named(*START)) == len(listener.named(*END)) == 6
    made = SummaryIndex.from_documents([Document(text="x")]).as_query_engine(llm=persona, text_qa_template=slot)
    with pytest.raises(Exception, match="name"):
        made.query("Hi")
    assert len(listener.named("PromptResolvedEvent")) == 6


def test_no_prompt_no_event(resolver: Resolver, listener: Any, openai: FakeOpenAI) -> None:
    Promptwire(model="gpt-4o-mini", resolver=resolver).complete("Hi")
    assert listener.named("PromptResolvedEvent") == []
    assert len(listener.named(*START)) == 1


async def test_tags_are_added_to_the_callers(
    endpoint: str, call: Any, llm: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    with instrument_tags({"user": "u1", "prompt_source": "mine"}):
        await call(llm, endpoint)
    [start] = listener.named(*START)
    assert start.tags == {
        "user": "u1", "prompt_source": "mine", "prompt_id": "greeting", "prompt_version": 1, "prompt_label": None,
        "prompt_backend": "memory",
    }  # fmt: skip
    assert active_instrument_tags.get() == {}


@pytest.mark.parametrize("where", ["root", "llama_index.llms.promptwire.base"])
async def test_whoever_listens_sees_the_span_around(
    where: str, endpoint: str, call: Any, llm: Promptwire, openai: FakeOpenAI
) -> None:
    """Nobody else can tell that there is none: it costs as much as what is done inside it."""
    dispatcher, handler = get_dispatcher(where), Spans()
    await call(llm, endpoint)
    dispatcher.add_span_handler(handler)
    try:
        await call(llm, endpoint)
    finally:
        dispatcher.span_handlers.remove(handler)
    name = f"Promptwire.{endpoint.replace('complete', 'chat')}"
    assert [one.partition("-")[0] for one in handler.seen].count(name) == 1


async def test_one_span_a_prediction(llm: Promptwire, spans: Any, openai: FakeOpenAI) -> None:
    llm.predict(PromptTemplate("Hi"))
    await llm.apredict(PromptTemplate("Hi"))
    names = [name.partition("-")[0] for name in spans.seen]
    assert names == [
        "Promptwire.predict", "Promptwire.chat", "PromptwireGateway.chat",
        "Promptwire.apredict", "Promptwire.achat", "PromptwireGateway.achat",
    ]  # fmt: skip
