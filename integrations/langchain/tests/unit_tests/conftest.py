from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

PERSONA = [{"role": "system", "content": "You are {{who}}."}]


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


@pytest.fixture
def langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    # The default resolver read an earlier test's environment.
    monkeypatch.setattr("promptwire.default._resolver", None)
    with FakeLangfuse() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.publish("welcome", "Welcome {{name}} to {{place}}", config={"model": "gpt-4o", "temperature": 0.3})
        server.publish("persona", PERSONA)
        server.publish("goodbye", "Goodbye {{name}}")
        yield server


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """A call by each of the four doors; what is streamed is joined."""

    async def asked(model: Any, given: Any, config: Any = None, **params: Any) -> Any:
        match request.param:
            case "invoke":
                return model.invoke(given, config, **params)
            case "ainvoke":
                return await model.ainvoke(given, config, **params)
            case "stream":
                return reduce(add, model.stream(given, config, **params))
            case _:
                return reduce(add, [chunk async for chunk in model.astream(given, config, **params)])

    return asked


class Recorder(BaseCallbackHandler):
    """Counts callbacks by name and keeps what the LLM runs were given and answered."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.llm_metadata: list[dict[str, Any]] = []
        self.llm_inputs: list[Any] = []
        self.chain_metadata: list[dict[str, Any]] = []
        self.traced: list[str] = []
        self.tokens = 0

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.count["chain_start"] += 1
        self.chain_metadata.append(kwargs["metadata"])
        self.traced.append(repr((serialized, inputs, kwargs)))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.count["chain_error"] += 1

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.count["llm_start"] += 1
        self.llm_metadata.append(kwargs["metadata"])
        self.llm_inputs.append(messages[0])
        self.traced.append(repr((serialized, messages, kwargs)))

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.count["token"] += 1

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.count["llm_end"] += 1
        usage = response.generations[0][0].message.usage_metadata
        self.tokens += usage["total_tokens"]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
