"""Threads, loops, and a slow prompt service that stalls nobody."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import PromptTemplate, SummaryIndex
from llama_index.core.agent.workflow import BaseWorkflowAgent, FunctionAgent, ReActAgent
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from pydantic import BaseModel

import promptwire
from promptwire import MissingVariablesError, Prompt, PromptRef, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones too.
LLAMA_WARNS = pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20",
    "ignore::pydantic.PydanticDeprecatedSince211",
    "ignore:is_running called from within a step:DeprecationWarning",  # by ReActAgent itself
)
SLOW = 0.2
ALLOWED = 0.05


class City(BaseModel):
    """A city."""

    name: str


class SlowBackend(MemoryBackend):
    """Takes its time, as a distant server would."""

    def fetch(self, ref: PromptRef, http: Any) -> Prompt:
        time.sleep(SLOW)
        return super().fetch(ref, http)


async def longest_stall(work: Awaitable[Any]) -> float:
    """The seconds by which the loop was late at worst while ``work`` ran; in the whole it took at least ``SLOW``."""
    worst, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal worst
        while not done.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before - 0.001)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    started = time.perf_counter()
    await work
    assert time.perf_counter() - started >= SLOW
    done.set()
    await watching
    return worst


async def drained(stream: Awaitable[Any]) -> None:
    async for _ in await stream:
        pass


async def ran(agent: BaseWorkflowAgent) -> None:
    await agent.run("x")


ONE = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
ASKED = PromptTemplate("A City in {place}?")
WAYS: dict[str, Callable[[Promptwire], Awaitable[Any]]] = {
    "achat": lambda llm: llm.achat([]),
    "astream_chat": lambda llm: drained(llm.astream_chat([])),
    "acomplete": lambda llm: llm.acomplete(""),
    "astream_complete": lambda llm: drained(llm.astream_complete("")),
    "apredict": lambda llm: llm.apredict(ASKED, place="x"),
    "astream": lambda llm: drained(llm.astream(ASKED, place="x")),
    "astructured_predict": lambda llm: llm.astructured_predict(City, ASKED, place="x"),
    "astream_structured_predict": lambda llm: drained(llm.astream_structured_predict(City, ASKED, place="x")),
    "astructured_llm": lambda llm: llm.as_structured_llm(City).apredict(ASKED, place="x"),
    "achat_with_tools": lambda llm: llm.achat_with_tools([], "x"),
    "astream_chat_with_tools": lambda llm: drained(llm.astream_chat_with_tools([], "x")),
    "apredict_and_call": lambda llm: llm.apredict_and_call([ONE], "x", tool_required=True),
    "FunctionAgent": lambda llm: ran(FunctionAgent(tools=[ONE], llm=llm, streaming=False)),
    "FunctionAgent, streamed": lambda llm: ran(FunctionAgent(tools=[ONE], llm=llm, streaming=True)),
    "ReActAgent": lambda llm: ran(ReActAgent(tools=[ONE], llm=llm, streaming=False)),
    "ReActAgent, streamed": lambda llm: ran(ReActAgent(tools=[ONE], llm=llm, streaming=True)),
    "aprime": lambda llm: llm.aprime(),
    "apin": lambda llm: llm.apin(),
    "aquery": lambda llm: SummaryIndex([TextNode(text="x")])
    .as_query_engine(llm=llm, embed_model=MockEmbedding(8))
    .aquery("x"),
}  # fmt: skip


def asking() -> Promptwire:
    """One whose prompt nobody has asked for yet."""
    backend = SlowBackend({"slow": [{"role": "system", "content": "City. Be {{name}}."}]})
    return Promptwire(
        model="gpt-4o", prompt_id="slow", prompt_variables={"name": "Ada"}, resolver=Resolver(backend),
        message_mode="prepend",
    )  # fmt: skip


async def best_of_some(work: Callable[[], Awaitable[Any]]) -> float:
    """On a busy machine any loop is late at times."""
    stalls: list[float] = []
    while len(stalls) < 8 and not (stalls and stalls[-1] < ALLOWED):
        stalls.append(await longest_stall(work()))
    return min(stalls)


@LLAMA_WARNS
@pytest.mark.parametrize("way", WAYS)
async def test_a_slow_prompt_service_stalls_no_loop(way: str, openai: FakeOpenAI) -> None:
    assert await best_of_some(lambda: WAYS[way](asking())) < ALLOWED


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_slow_prompt_service_stalls_no_chat_engine(
    *, streaming: bool, chat_engine: Any, openai: FakeOpenAI
) -> None:
    """With a history, which some of them condense at once."""
    history = [ChatMessage("Hi"), ChatMessage("Hello", role="assistant")]

    def chats() -> Awaitable[Any]:
        chat = chat_engine(asking())

        async def said() -> None:
            if streaming:
                answer = await chat.astream_chat("x", chat_history=history)
                assert "".join([token async for token in answer.async_response_gen()])
            else:
                assert str(await chat.achat("x", chat_history=history))

        return said()

    assert await best_of_some(chats) < ALLOWED


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_slot_stalls_no_loop_once_it_is_fetched(*, foreign: bool, openai: FakeOpenAI) -> None:
    """Neither then nor when it is refreshed: LlamaIndex measures templates on the loop itself."""
    stalls = []
    for _ in range(8):
        backend = SlowBackend({"slow": "{{context_str}} {{query_str}}"})
        backend.stamp = None  # type: ignore[method-assign,assignment]  # its prompts grow stale, as a server's
        slot = ManagedPromptTemplate("slow", resolver=Resolver(backend, cache_ttl=0.01))
        made = SummaryIndex([TextNode(text="x")]).as_query_engine(
            llm=MockLLM() if foreign else Promptwire(model="gpt-4o"), text_qa_template=slot,
            embed_model=MockEmbedding(8),
        )  # fmt: skip

        async def used(slot: ManagedPromptTemplate = slot, made: Any = made) -> None:
            await slot.aprefetch()
            await asyncio.sleep(0.02)
            await made.aquery("x")

        stalls.append(await longest_stall(used()))
        if stalls[-1] < ALLOWED:
            break
    assert min(stalls) < ALLOWED


SLOTS = {"tree_summarize": "summary_template"}
MODES = ["compact", "refine", "tree_summarize", "simple_summarize", "accumulate", "compact_accumulate"]


def cold(llm: LLM, mode: str = "compact", **given: Any) -> Any:
    """An engine whose prompt nobody has asked for yet."""
    backend = SlowBackend({"slow": [{"role": "user", "content": "{{context_str}} {{query_str}}"}]})
    slot = ManagedPromptTemplate("slow", resolver=Resolver(backend))
    templates = {SLOTS.get(mode, "text_qa_template"): slot}
    return SummaryIndex([TextNode(text="x")]).as_query_engine(
        llm=llm, response_mode=mode, embed_model=MockEmbedding(8), **templates, **given
    )


@pytest.mark.parametrize(
    ("mode", "streaming"), [*((mode, False) for mode in MODES), *((mode, True) for mode in MODES[:4])]
)
async def test_a_cold_slot_stalls_no_loop(mode: str, *, streaming: bool, openai: FakeOpenAI) -> None:
    """It is measured by what it is given, and found where ``Promptwire`` can wait for it."""

    async def asked() -> None:
        answer = await cold(Promptwire(model="gpt-4o"), mode, streaming=streaming).aquery("Who?")
        if streaming:
            await answer.get_response()

    assert await best_of_some(asked) < ALLOWED
    [message] = openai.requests[-1].json["messages"]
    assert message["content"] in {"x Who?", "['x'] Who?"}  # what LlamaIndex itself makes of a context in one mode


async def test_a_cold_slot_stalls_no_loop_on_a_gateway_nor_around_any_llm(openai: FakeOpenAI) -> None:
    for llm in (PromptwireGateway(model="gpt-4o"), Promptwire(llm=MockLLM())):
        assert await best_of_some(lambda llm=llm: cold(llm).aquery("Who?")) < ALLOWED  # type: ignore[misc]


async def test_another_llm_asks_for_a_cold_slot_on_the_loop() -> None:
    """Of LlamaIndex's own ``apredict`` nothing is awaited before it wants the messages themselves."""
    assert await longest_stall(cold(MockLLM()).aquery("Who?")) > SLOW / 2


async def test_the_probe_sees_a_call_that_blocks(openai: FakeOpenAI) -> None:
    llm = Promptwire(model="gpt-4o", prompt_id="slow", resolver=Resolver(SlowBackend({"slow": "Hi"})))

    async def blocking() -> None:
        llm.chat([])

    assert await longest_stall(blocking()) > SLOW / 2


def test_a_hundred_threads_keep_apart(endpoint: str, resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = Promptwire(model="gpt-4o", prompt_id="greeting", resolver=resolver)
    gate = threading.Barrier(100)

    async def acall(name: str) -> str:
        answer = getattr(llm, endpoint)("x" if "complete" in endpoint else [], prompt_variables={"name": name})
        answer = await answer
        last = [one async for one in answer][-1] if "stream" in endpoint else answer
        return text_of(last)

    def one(number: int) -> bool:
        gate.wait(timeout=60)
        name = f"N{number}"
        if endpoint.startswith("a"):
            return asyncio.run(acall(name)) == f"[gpt-4o] Hello {name}"
        with promptwire.variables(name=name):
            answer = getattr(llm, endpoint)("x" if "complete" in endpoint else [])
        return text_of(list(answer)[-1] if "stream" in endpoint else answer) == f"[gpt-4o] Hello {name}"

    with ThreadPoolExecutor(100) as pool:
        assert all(pool.map(one, range(100)))
    assert openai.count == 100


def text_of(answer: Any) -> str:
    return str(answer.text if hasattr(answer, "text") else answer.message.content)


@pytest.mark.parametrize("endpoint", ["achat", "astream_chat", "acomplete", "astream_complete"])
def test_three_loops_in_a_row(delegate: str, endpoint: str, library: MemoryBackend, delegates: Any) -> None:
    """No client of a loop that has ended is used again."""
    # LlamaIndex's keep one for all loops: its OpenAI can be told not to, and its Anthropic tries again on a new line.
    if delegate == "anthropic":
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)  # the line that it gives up
    fresh: dict[str, Any] = {"reuse_client": False}
    given = {"openai": fresh, "like": fresh, "anthropic": {"max_retries": 1}}.get(delegate, {})
    llm = Promptwire(
        llm=delegates.make(delegate, **given), prompt_id="greeting", prompt_variables={"name": "x"},
        resolver=Resolver(library),
    )  # fmt: skip

    async def one(*, last: bool) -> str:
        answer = await getattr(llm, endpoint)("y" if "complete" in endpoint else [])
        said = text_of([part async for part in answer][-1] if "stream" in endpoint else answer)
        if last:
            await delegates.close()  # on the loop that its lines are of
        return said

    for last in (False, False, True):
        assert asyncio.run(one(last=last)).endswith("Hello x")
    gc.collect()  # here, where such a warning is expected


async def test_sync_calls_inside_a_running_loop(endpoint: str, llm: Promptwire, call: Any, openai: FakeOpenAI) -> None:
    index = SummaryIndex([TextNode(text="x")])
    persona = llm.bind(prompt_id="persona")
    with promptwire.variables(name="Cy"):
        assert text_of((await call(llm, endpoint))[-1]) == "[gpt-4o-mini] Hello Cy"
        index.as_query_engine(llm=persona, embed_model=MockEmbedding(8), use_async=True).query("x")
    assert openai.requests[-1].json["messages"][0]["content"].startswith("You are Cy.")


NESTED = """
import asyncio
import nest_asyncio
from llama_index.core import SummaryIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import TextNode
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend

persona = [{"role": "system", "content": "You are Ada."}]
llm = Promptwire(model="gpt-4o", prompt_id="persona", resolver=Resolver(MemoryBackend({"persona": persona})))
index = SummaryIndex([TextNode(text="x"), TextNode(text="y")])

async def outer():
    nest_asyncio.apply()
    made = {"embed_model": MockEmbedding(8), "response_mode": "tree_summarize", "use_async": True}
    index.as_query_engine(llm=llm, **made).query("x")
    print(asyncio.run(llm.acomplete("within")), [await llm.acomplete("around")][0])

asyncio.run(outer())
print(asyncio.run(llm.acomplete("after")))
"""


def test_a_loop_within_a_loop(openai: FakeOpenAI) -> None:
    """As in notebooks, by what llama-index-core itself depends on; it patches a whole interpreter."""
    done = subprocess.run([sys.executable, "-c", NESTED], check=False, capture_output=True, text=True, timeout=100)
    assert done.stdout == "[gpt-4o] within [gpt-4o] around\n[gpt-4o] after\n"
    assert done.returncode == 0


def test_ambient_variables_follow_the_context_and_not_a_bare_pool(resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = Promptwire(model="gpt-4o", prompt_id="greeting", resolver=resolver)
    with promptwire.variables(name="Cy"), ThreadPoolExecutor(1) as pool:
        inside = contextvars.copy_context()
        assert pool.submit(inside.run, llm.complete, "").result().text == "[gpt-4o] Hello Cy"
        with pytest.raises(MissingVariablesError):
            pool.submit(llm.complete, "").result()
        assert asyncio.run(asyncio.wait_for(asyncio.to_thread(llm.complete, ""), 30)).text == "[gpt-4o] Hello Cy"


class Restless(Resolver):
    """Whoever asks gets another version, and all that run together ask before any of them is answered."""

    async def afind(self, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(0)
        backend: Any = self.open_backend()
        backend.publish("rag", "{{context_str}} {{query_str}}")
        return self.find(*args, **options)


@pytest.mark.parametrize(("mode", "slot"), [("accumulate", "text_qa"), ("tree_summarize", "summary")])
async def test_the_chunks_of_a_query_share_one_version(mode: str, slot: str, openai: FakeOpenAI, listener: Any) -> None:
    openai._reply = lambda _: "Ada."  # noqa: SLF001 - a server already there
    library: Any = MemoryBackend({})
    library.stamp = None  # whose prompts are to be fetched again, as a server's
    template = ManagedPromptTemplate("rag", resolver=Restless(library, cache_ttl=0))
    index = SummaryIndex([TextNode(text=f"{number}" + " word" * 300) for number in range(8)])
    made = index.as_query_engine(
        llm=Promptwire(model="gpt-4o", context_window=1000, num_output=50), embed_model=MockEmbedding(8),
        response_mode=mode, use_async=True, **{f"{slot}_template": template},
    )  # fmt: skip
    for _ in range(2):
        listener.events.clear()
        await made.aquery("Who?")
        told = [event.prompt_version for event in listener.named("PromptResolvedEvent")]
        assert len(told) > 2
        assert len(set(told)) == 1
