"""Model providers on loopback, prompts in memory, and a listener for LlamaIndex's events."""

import asyncio
import importlib.util
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import llama_index.core.llms.mock
import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.callbacks.base import global_stack_trace
from llama_index.core.callbacks.schema import BASE_TRACE_EVENT
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.indices import VectorStoreIndex
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from promptwire import Prompt, PromptRef, Resolver
from promptwire.backends.http import Http
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

# LlamaIndex's Anthropic needs another release of the SDK than langchain-anthropic: `make anthropic` has it.
ANTHROPIC = importlib.util.find_spec("llama_index.llms.anthropic") is not None
collect_ignore = [] if ANTHROPIC else ["test_anthropic_delegate.py"]
try:  # langfuse 4.14 is the first that can link a trace to a prompt
    LINKS = tuple(map(int, version("langfuse").split(".")[:2])) >= (4, 14)
except PackageNotFoundError:
    LINKS = False
if not LINKS:
    collect_ignore.append("test_links.py")

ENDPOINTS = [
    f"{colour}{stream}{kind}" for colour in ("", "a") for stream in ("", "stream_") for kind in ("chat", "complete")
]
RAG = [{"role": "system", "content": "Answer from: {{context}}"}, {"role": "user", "content": "{{query_str}} {now}"}]
PERSONA = [{"role": "system", "content": "You are {{name}}."}]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> None:
    """LlamaIndex's ``asyncio_run`` makes a thread's first loop and leaves it open; some events of its never end."""
    asyncio.set_event_loop(None)
    global_stack_trace.set([BASE_TRACE_EVENT])


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


class Library(MemoryBackend):
    """Prompts in memory; every fetch is noted, and waits for the ``gate`` where there is one."""

    def __init__(self, prompts: dict[str, Any]) -> None:
        super().__init__(prompts)
        self.fetched: list[str] = []
        self.gate: threading.Event | None = None

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        self.fetched.append(ref.id)
        if self.gate is not None:
            self.gate.wait()
        return super().fetch(ref, http)


@pytest.fixture
def library() -> Library:
    library = Library({"greeting": "Hello {{name}}", "persona": PERSONA})
    library.publish("tuned", "Hello {{name}}", config={"model": "gpt-4o", "temperature": 0.3, "max_tokens": 50})
    return library


@pytest.fixture
def resolver(library: MemoryBackend) -> Resolver:
    return Resolver(library)


@pytest.fixture
def llm(resolver: Resolver, openai: FakeOpenAI) -> Promptwire:
    return Promptwire(
        model="gpt-4o-mini", prompt_id="greeting", prompt_variables={"name": "Ada"}, resolver=resolver
    )  # fmt: skip


@pytest.fixture
def persona(resolver: Resolver, openai: FakeOpenAI) -> Promptwire:
    return Promptwire(model="gpt-4o-mini", prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=resolver)


@pytest.fixture
def make(resolver: Resolver) -> Callable[..., ManagedPromptTemplate]:
    return lambda prompt_id, **given: ManagedPromptTemplate(prompt_id, **{"resolver": resolver, **given})


@pytest.fixture
def rag(make: Any, library: Library) -> ManagedPromptTemplate:
    """A prompt with a model and a parameter, for the slots that give it a context and a question."""
    library.publish("rag", RAG, config={"model": "gpt-4o", "temperature": 0.3})
    return make("rag", template_var_mappings={"context_str": "context"})  # type: ignore[no-any-return]


@pytest.fixture(params=["promptwire", "gateway", "openai", "promptwire over openai"])
async def llm_of_any_kind(request: pytest.FixtureRequest, openai: FakeOpenAI) -> AsyncIterator[LLM]:
    if "openai" in request.param:
        foreign = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url, max_retries=0)
        yield foreign if request.param == "openai" else Promptwire(llm=foreign)
        await foreign._get_aclient().close()  # noqa: SLF001 - it leaves that to nobody
    elif request.param == "promptwire":
        yield Promptwire(model="gpt-4o-mini")
    else:
        yield PromptwireGateway(model="gpt-4o-mini")


class Listener(BaseEventHandler):
    """Keeps every event."""

    events: list[BaseEvent] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Listener"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.events.append(event)

    def named(self, *names: str) -> list[Any]:
        return [event for event in self.events if event.class_name() in names]


@pytest.fixture
def listener() -> Iterator[Listener]:
    root = get_dispatcher()
    listener = Listener()
    root.add_event_handler(listener)
    yield listener
    root.event_handlers.remove(listener)


@pytest.fixture(params=ENDPOINTS)
def endpoint(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["simple", "context", "condense_plus_context", "condense_question"])
def chat_engine(request: pytest.FixtureRequest) -> Callable[[LLM], BaseChatEngine]:
    """Makes one of that kind over an LLM."""

    def make(llm: LLM) -> BaseChatEngine:
        if request.param == "simple":
            return SimpleChatEngine.from_defaults(llm=llm)
        index = VectorStoreIndex([TextNode(text="Ada wrote the first program.")], embed_model=MockEmbedding(8))
        made: BaseChatEngine = index.as_chat_engine(chat_mode=ChatMode(request.param), llm=llm)
        return made

    return make


@pytest.fixture
def call() -> Callable[..., Awaitable[list[Any]]]:
    """What an endpoint answers: one response, or all of its stream's. Those with tools get one."""
    tool = FunctionTool.from_defaults(lambda: 1, name="one", description="One")

    async def call(llm: BaseLLM, endpoint: str, text: str = "<IGNORED>", **kwargs: Any) -> list[Any]:
        given = [[tool], text] if "tools" in endpoint else [text if "complete" in endpoint else [ChatMessage(text)]]
        answer = getattr(llm, endpoint)(*given, **kwargs)
        if endpoint.startswith("a"):
            answer = await answer
            return [one async for one in answer] if "stream" in endpoint else [answer]
        return list(answer) if "stream" in endpoint else [answer]

    return call


def _anthropic(server: FakeAnthropic, **more: Any) -> Any:
    module = importlib.import_module("llama_index.llms.anthropic")
    return module.Anthropic(**{"model": "claude-sonnet-4-5", "api_key": server.api_key, "max_retries": 0, **more})


class Delegates:
    """Makes LlamaIndex's LLMs, pointed at the doubles, and closes their clients."""

    names = ("gateway", "claude", "openai", "like", *(["anthropic"] if ANTHROPIC else []))

    def __init__(self, openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
        self.openai, self.anthropic = openai, anthropic
        self._made: list[Any] = []

    def make(self, name: str, **more: Any) -> LLM:
        """``gateway`` and ``claude`` are our own model call, on OpenAI's wire and on Anthropic's."""
        common = {"api_key": self.openai.api_key, "api_base": self.openai.url, "max_retries": 0, **more}
        match name:
            case "openai":
                self._made.append(OpenAI(model="gpt-4o", **common))
            case "like":
                able = {"is_chat_model": True, "is_function_calling_model": True}
                self._made.append(OpenAILike(model="gpt-4o", **able, **common))
            case "anthropic":
                self._made.append(_anthropic(self.anthropic, **more))
            case "gateway":
                self._made.append(PromptwireGateway(model="gpt-4o", **more))
            case _:
                self._made.append(PromptwireGateway(model="anthropic/claude-sonnet-4-5", **more))
        return self._made[-1]  # type: ignore[no-any-return]

    def script(self, *answers: str | list[tuple[str, dict[str, Any]]]) -> None:
        """What the model says in turn, whichever the wire: texts, or the tools that it calls."""
        turns, numbers = iter(answers), itertools.count(1)

        def on_openai(_: object) -> Any:
            said = next(turns)
            return said if isinstance(said, str) else [{"name": name, "arguments": args} for name, args in said]

        def on_anthropic(_: object) -> Any:
            said = next(turns)
            made = {"type": "tool_use"}
            return said if isinstance(said, str) else [
                {**made, "id": f"toolu_{next(numbers)}", "name": name, "input": args} for name, args in said
            ]  # fmt: skip

        self.openai._reply, self.anthropic._reply = on_openai, on_anthropic  # noqa: SLF001 - servers already there

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The bodies that came over the wire that an LLM of that name speaks."""
        server = self.anthropic if name in {"claude", "anthropic"} else self.openai
        return [request.json for request in server.requests]

    async def close(self) -> None:
        for llm in self._made:
            if client := getattr(llm, "_client", None):
                client.close()
            if client := getattr(llm, "_aclient", None):
                await client.close()


@pytest.fixture
async def delegates(openai: FakeOpenAI, anthropic: FakeAnthropic) -> AsyncIterator[Delegates]:
    made = Delegates(openai, anthropic)
    yield made
    await made.close()


@pytest.fixture(params=Delegates.names)
def delegate(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def mock() -> Callable[..., LLM]:
    """LlamaIndex's own double, which its oldest release here lacks."""
    found = getattr(llama_index.core.llms.mock, "MockFunctionCallingLLM", None)
    if found is None:
        pytest.skip("this llama-index-core has no MockFunctionCallingLLM")
    return found  # type: ignore[no-any-return]
