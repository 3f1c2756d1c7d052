"""A model provider on loopback, prompts in memory, and a listener for LlamaIndex's events."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import llama_index.core.llms.mock
import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.llms.promptwire import Promptwire
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from promptwire import Prompt, PromptRef, Resolver
from promptwire.backends.http import Http
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

ENDPOINTS = [
    f"{colour}{stream}{kind}" for colour in ("", "a") for stream in ("", "stream_") for kind in ("chat", "complete")
]
PERSONA = [{"role": "system", "content": "You are {{name}}."}]


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
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


@pytest.fixture
def call() -> Callable[..., Awaitable[list[Any]]]:
    """What an endpoint answers: one response, or all of its stream's."""

    async def call(llm: BaseLLM, endpoint: str, text: str = "<IGNORED>", **kwargs: Any) -> list[Any]:
        given = text if "complete" in endpoint else [ChatMessage(text)]
        answer = getattr(llm, endpoint)(given, **kwargs)
        if endpoint.startswith("a"):
            answer = await answer
            return [one async for one in answer] if "stream" in endpoint else [answer]
        return list(answer) if "stream" in endpoint else [answer]

    return call


@pytest.fixture
def mock() -> Callable[..., LLM]:
    """LlamaIndex's own double, which its oldest release here lacks."""
    found = getattr(llama_index.core.llms.mock, "MockFunctionCallingLLM", None)
    if found is None:
        pytest.skip("this llama-index-core has no MockFunctionCallingLLM")
    return found  # type: ignore[no-any-return]
