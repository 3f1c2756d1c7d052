"""Everything that LangChain wraps around a chat model, around the gateway and around a framework's own model."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, trim_messages
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire.errors import GatewayError
from promptwire.testing import FakeLangfuse, FakeOpenAI

ANSWER = "[gpt-4o-mini] Hi"


@pytest.fixture(params=["gateway", "openai"])
def chat(request: pytest.FixtureRequest, openai: FakeOpenAI, langfuse: FakeLangfuse) -> Any:
    def made(**given: Any) -> ChatPromptwire:
        llm = None if request.param == "gateway" else ChatOpenAI(model="gpt-4o-mini", max_retries=0, stream_usage=True)
        named = {"model": "langfuse/gpt-4o-mini", "prompt_id": "persona", "prompt_variables": {"who": "Eve"}}
        retries = {"max_retries": 0} if llm is None else {}
        return ChatPromptwire(**{**named, "llm": llm, **retries, **given})

    return made


def sent(openai: FakeOpenAI, at: int = -1) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in openai.requests[at].json["messages"]]


SYSTEM = ("system", "You are Eve.")


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("shape", ["directly", "templated"])
@pytest.mark.filterwarnings("ignore:.*(RunnableWithMessageHistory is|InMemoryChatMessageHistory` was) deprecated")
async def test_message_history(shape: str, colour: str, chat: Any, openai: FakeOpenAI) -> None:
    store: dict[str, InMemoryChatMessageHistory] = {}

    def history(session_id: str) -> InMemoryChatMessageHistory:
        return store.setdefault(session_id, InMemoryChatMessageHistory())

    asked: Any = RunnableWithMessageHistory(chat(), history)
    if shape == "templated":
        template = ChatPromptTemplate.from_messages([MessagesPlaceholder("past"), ("human", "{text}")])
        asked = RunnableWithMessageHistory(
            template | chat(), history, input_messages_key="text", history_messages_key="past"
        )
    config: Any = {"configurable": {"session_id": "a"}}
    for text in ("One", "Two"):
        given: Any = {"text": text} if shape == "templated" else [HumanMessage(text)]
        answer = asked.invoke(given, config) if colour == "sync" else await asked.ainvoke(given, config)
        assert answer.text == f"[gpt-4o-mini] {text}"
    kept = [(message.type, message.text) for message in store["a"].messages]
    assert kept == [
        ("human", "One"), ("ai", "[gpt-4o-mini] One"), ("human", "Two"), ("ai", "[gpt-4o-mini] Two"),
    ]  # fmt: skip
    said = [("user", "One"), ("assistant", "[gpt-4o-mini] One"), ("user", "Two")]
    assert sent(openai) == [SYSTEM, *said]


@pytest.fixture
def down() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_fallbacks(colour: str, chat: Any, openai: FakeOpenAI, down: FakeOpenAI) -> None:
    down.fail(500)
    broken = ChatPromptwireGateway(model="gpt-4o", base_url=down.url, api_key=SecretStr(down.api_key), max_retries=0)
    model = chat(llm=broken).with_fallbacks([chat()])
    given: Any = {"prompt_variables": {"who": "Bob"}}
    answer = model.invoke("Hi", **given) if colour == "sync" else await model.ainvoke("Hi", **given)
    assert (answer.content, down.count) == (ANSWER, 1)
    assert sent(openai)[0] == ("system", "You are Bob.")


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_retries(colour: str, chat: Any, openai: FakeOpenAI) -> None:
    openai.fail(400, times=2)
    model = chat().with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    answer = model.invoke("Hi") if colour == "sync" else await model.ainvoke("Hi")
    assert (answer.content, openai.count) == (ANSWER, 3)


def test_listeners(chat: Any) -> None:
    seen: list[Any] = []
    model = chat().with_listeners(on_start=seen.append, on_end=seen.append)
    assert model.invoke("Hi").content == ANSWER
    assert [run.run_type for run in seen] == ["chain", "chain"]
    assert seen[-1].outputs["output"].content == ANSWER


@pytest.fixture
def global_cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.usefixtures("global_cache")
async def test_the_global_cache_misses_a_new_version(
    colour: str, chat: Any, openai: FakeOpenAI, langfuse: FakeLangfuse
) -> None:
    async def ask(**given: Any) -> str:
        answer = chat().invoke("Hi", **given) if colour == "sync" else await chat().ainvoke("Hi", **given)
        return str(answer.content)

    for _ in range(3):
        assert await ask() == ANSWER
    assert openai.count == 1
    await ask(prompt_variables={"who": "Bob"})
    assert openai.count == 2
    langfuse.publish("persona", [{"role": "system", "content": "You were {{who}}."}])
    await ask(prompt_version=2)
    assert openai.count == 3
    assert sent(openai)[0] == ("system", "You were Eve.")


async def test_every_chunk_is_an_event_once(chat: Any) -> None:
    chain = RunnableLambda(lambda text: [HumanMessage(text)]) | chat() | StrOutputParser()
    events = [event async for event in chain.astream_events("Hi", version="v2")]
    model = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    parsed = [event["data"]["chunk"] for event in events if event["event"] == "on_parser_stream"]
    assert "".join(model) == "".join(parsed) == ANSWER
    counts = [sum(event["event"] == f"on_chat_model_{name}" for event in events) for name in ("start", "end")]
    assert counts == [1, 1]
    usage = [event["data"]["output"].usage_metadata for event in events if event["event"] == "on_chat_model_end"]
    assert usage[0]["total_tokens"] == chat().invoke("Hi").usage_metadata["total_tokens"]


async def test_batches_keep_their_order_and_hold_their_errors(chat: Any, openai: FakeOpenAI) -> None:
    texts = [f"text {number}" for number in range(5)]
    expected = [f"[gpt-4o-mini] {text}" for text in texts]
    assert [answer.content for answer in chat().batch(texts, {"max_concurrency": 2})] == expected
    assert [answer.content for answer in await chat().abatch(texts)] == expected
    done = {at: answer.content for at, answer in chat().batch_as_completed(texts)}
    assert [done[at] for at in range(5)] == expected
    openai.fail(400, times=1)
    first, second = chat().batch(["text 0", "text 1"], {"max_concurrency": 1}, return_exceptions=True)
    assert isinstance(first, Exception)
    assert second.content == expected[1]


def test_configurable_fields_and_alternatives(chat: Any, openai: FakeOpenAI) -> None:
    model = chat().configurable_fields(
        prompt_id=ConfigurableField("which"), prompt_variables=ConfigurableField("filled"),
        temperature=ConfigurableField("heat"),
    )  # fmt: skip
    config: Any = {"configurable": {"which": "goodbye", "filled": {"name": "Ada"}, "heat": 0.7}}
    model.invoke([], config)
    assert (sent(openai), openai.requests[-1].json["temperature"]) == ([("user", "Goodbye Ada")], 0.7)
    model.invoke("Hi")
    assert sent(openai) == [SYSTEM, ("user", "Hi")]
    either = chat().configurable_alternatives(
        ConfigurableField("side"), other=chat(prompt_id="goodbye", prompt_variables={"name": "Bob"})
    )
    either.invoke([], {"configurable": {"side": "other"}})
    assert sent(openai) == [("user", "Goodbye Bob")]


async def test_chains_with_parsers(chat: Any, openai: FakeOpenAI) -> None:
    summary = chat(prompt_id="goodbye") | StrOutputParser()
    given = {"name": "Ada"}
    expected = "[gpt-4o-mini] Goodbye Ada"
    assert summary.invoke(given) == await summary.ainvoke(given) == "".join(summary.stream(given)) == expected
    assert "".join([chunk async for chunk in summary.astream(given)]) == expected
    assert summary.batch([given, {"name": "Bob"}]) == [expected, "[gpt-4o-mini] Goodbye Bob"]
    chained: Any = RunnablePassthrough.assign(who=lambda told: told["name"]) | chat(prompt_variables={})
    assert chained.invoke({"name": "Ada", "messages": "Hi"}).content == ANSWER
    assert sent(openai)[0] == ("system", "You are Ada.")
    as_json = chat() | JsonOutputParser()
    assert as_json.invoke("Answer in JSON", response_format={"type": "json_object"}) == {
        "answer": "[gpt-4o-mini] Answer in JSON"
    }


def test_trimming_counts_by_the_delegate_or_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def count(model: Any, messages: Any, tools: Any = None) -> int:
        asked.append(model)
        return 10 * len(messages)

    monkeypatch.setattr(ChatOpenAI, "get_num_tokens_from_messages", count)
    turns = [SystemMessage("S"), HumanMessage("one"), AIMessage("two"), HumanMessage("three")]
    llm = ChatOpenAI(model="gpt-4o", api_key="sk-x")  # type: ignore[arg-type]
    trimming: Any = {"strategy": "last", "include_system": True, "start_on": "human"}
    kept = trim_messages(turns, max_tokens=20, token_counter=ChatPromptwire(llm=llm), **trimming)
    assert [message.text for message in kept] == ["S", "three"]
    assert set(map(id, asked)) == {id(llm)}
    for model in (ChatPromptwire(model="gpt-4o"), ChatPromptwireGateway(model="gpt-4o")):
        assert model.get_num_tokens("twelve chars") == 3
        each = model.get_num_tokens_from_messages([HumanMessage("three")])
        assert 0 < each < model.get_num_tokens_from_messages([HumanMessage("three" * 9)])
        tool = {"name": "look", "description": "Looks at a thing.", "parameters": {"type": "object"}}
        assert model.get_num_tokens_from_messages([HumanMessage("three")], tools=[tool]) > each + 5
        kept = trim_messages(turns, max_tokens=2 * each + 1, token_counter=model, **trimming)
        assert [message.text for message in kept] == ["S", "three"]


def test_a_trimming_chain(chat: Any, openai: FakeOpenAI) -> None:
    model = chat(llm=None)
    trimmer: Any = trim_messages(max_tokens=12, strategy="last", token_counter=model, start_on="human")
    (trimmer | model).invoke([HumanMessage("long " * 50), AIMessage("long " * 50), HumanMessage("Hi")])
    assert sent(openai) == [SYSTEM, ("user", "Hi")]


class Counting(InMemoryRateLimiter):
    """Lets everybody pass, and counts."""

    passed = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


async def test_a_rate_limiter_is_asked_once_a_call(chat: Any) -> None:
    limiter = Counting()
    model = chat(rate_limiter=limiter)
    model.invoke("Hi")
    list(model.stream("Hi"))
    await model.ainvoke("Hi")
    assert limiter.passed == 3


async def test_streaming_disabled(chat: Any, openai: FakeOpenAI) -> None:
    model = chat(disable_streaming=True)
    (only,) = model.stream("Hi")
    (again,) = [chunk async for chunk in model.astream("Hi")]
    assert (only.content, again.content) == (ANSWER, ANSWER)
    assert not any(request.json.get("stream") for request in openai.requests)


async def test_standard_content_blocks(chat: Any) -> None:
    model = chat(output_version="v1")
    answer = model.invoke("Hi")
    assert answer.content == [{"type": "text", "text": ANSWER}]
    streamed: Any = None
    async for chunk in model.astream("Hi"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed.text == ANSWER
    assert [block["type"] for block in streamed.content_blocks] == ["text"]
    # The answer goes back as the next call's turn.
    assert model.invoke([HumanMessage("Hi"), answer, HumanMessage("Again")]).text == "[gpt-4o-mini] Again"


def test_a_providers_refusal_is_the_delegates_own_error(openai: FakeOpenAI) -> None:
    openai.fail(400)
    with pytest.raises(GatewayError):
        ChatPromptwire(model="gpt-4o").invoke("Hi")
