"""Fixtures of the core's tests: a fake Langfuse, one door for both colours, and a clock that a test turns."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest
from playwright.sync_api import Browser

from promptwire import Prompt, PromptRef, PromptSummary, RenderedPrompt, Resolver
from promptwire.backends.http import Http
from promptwire.exchange import Request, Response
from promptwire.search import Found
from promptwire.testing import Answer, FakeLangfuse, FakeOpenAI, LoopbackServer, Received
from promptwire.transport import open_astream, open_stream
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.browser import chromium

if TYPE_CHECKING:
    from tests.doubles.telemetry import Telemetry

Reply = Callable[[PromptRef, Http], Any]

CLOCKED = ("attempts", "cache", "catalog", "deadlines", "fetching", "resolver", "search", "transport")


class Door:
    """A resolver's calls in one colour; in the async one each call has a loop of its own."""

    def __init__(self, colour: str) -> None:
        self.is_async = colour == "async"

    def find(self, resolver: Resolver, prompt_id: Any, **options: Any) -> Found:
        if self.is_async:
            return asyncio.run(resolver.afind(prompt_id, **options))
        return resolver.find(prompt_id, **options)

    def source(self, resolver: Resolver, prompt_id: Any, **options: Any) -> str:
        return self.find(resolver, prompt_id, **options)[1]

    def resolve(self, resolver: Resolver, prompt_id: Any, **options: Any) -> RenderedPrompt:
        if self.is_async:
            return asyncio.run(resolver.aresolve(prompt_id, **options))
        return resolver.resolve(prompt_id, **options)

    def exchange(self, request: Request, timeout: float = 5) -> Response:
        """One request by the driver itself."""

        async def aread() -> Response:
            async with open_astream(request, timeout) as answer:
                return await answer.aread()

        if self.is_async:
            return asyncio.run(aread())
        with open_stream(request, timeout) as answer:
            return answer.read()


class Clock:
    """Stands for the core's ``time``: a test puts it forward, and sleeping passes at once."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ahead += seconds


class Plain(LoopbackServer):
    """Answers every request with one and the same prompt, as Langfuse would."""

    reply = Answer(200, b'{"prompt": "Hello", "version": 1}', {"Content-Type": "application/json"})

    def answer(self, request: Received) -> Answer:
        return self.reply


class Stub:
    """A third party's backend: answers what ``reply`` returns, or raises, and counts by id."""

    name = "stub"
    default_label: str | None = None
    stamp: Callable[[PromptRef], Hashable] | None = None
    options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, reply: Reply | None = None, identity: Hashable = "stub") -> None:
        self.identity: Hashable = identity
        self.fetched: Counter[str] = Counter()
        self.reply = reply or (lambda ref, http: Prompt(ref.id, text=f"Hello from {ref.id}", backend="stub"))
        self._lock = threading.Lock()

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        with self._lock:
            self.fetched[ref.id] += 1
        answer: Prompt = self.reply(ref, http)
        return answer

    def list(self, http: Http) -> list[PromptSummary]:
        return [PromptSummary("only")]


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until it holds; fail the test if it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.002)


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in CLOCKED:
        monkeypatch.setattr(f"promptwire.{module}.time", made, raising=False)
    return made


@pytest.fixture
def stub() -> type[Stub]:
    return Stub


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def plain() -> Iterator[Plain]:
    with Plain() as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Its driver keeps a loop running on this thread: not for a module with tests of its own loops."""
    with chromium() as started:
        yield started


S = TypeVar("S", FakeLangfuse, FakeOpenAI, FakeAnthropic)


@contextmanager
def in_environment(server: S, monkeypatch: pytest.MonkeyPatch) -> Generator[S]:
    """The server, running, and named by the environment."""
    with server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    with in_environment(FakeOpenAI(), monkeypatch) as server:
        yield server


@pytest.fixture
def langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    """A project that holds ``greeting`` and ``farewell``, named by the environment."""
    with in_environment(FakeLangfuse(), monkeypatch) as server:
        server.publish("greeting", "Hello {{name}}", config={"model": "gpt-4o-mini", "stop": ["END"]})
        server.publish("farewell", [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Bye"}])
        yield server


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAnthropic]:
    with in_environment(FakeAnthropic(), monkeypatch) as server:
        yield server


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator["Telemetry"]:
    """A program that has set OpenTelemetry up."""
    from tests.doubles.telemetry import Telemetry

    made = Telemetry(monkeypatch)
    made.trace(made.tracers)
    made.measure(made.meters)
    yield made
    made.points("")  # what the test hasn't read is watched for keys, too
    made.meters.shutdown()
