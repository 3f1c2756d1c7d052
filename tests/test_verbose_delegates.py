"""``set_verbose`` shows what a framework's own model is handed, as it shows the gateway's requests."""

from collections.abc import Callable, Iterator

import pytest
from langchain_openai import ChatOpenAI
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

KEY = "sk-canary-of-the-delegate"


@pytest.fixture
def resolver() -> promptwire.Resolver:
    backend = MemoryBackend()
    backend.publish("p", "Hello {{name}}", config={"model": "gpt-4o", "temperature": 0.5})
    return promptwire.Resolver(backend)


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as running:
        yield running


def langchain(resolver: promptwire.Resolver, server: FakeOpenAI) -> None:
    delegate = ChatOpenAI(model="gpt-4o-mini", api_key=KEY, base_url=server.url)  # type: ignore[arg-type]
    llm = ChatPromptwire(prompt_id="p", llm=delegate, resolver=resolver)
    llm.invoke({"name": "Ann"}, extra_headers={"x-secret": KEY})


def llamaindex(resolver: promptwire.Resolver, server: FakeOpenAI) -> None:
    delegate = OpenAI(model="gpt-4o-mini", api_key=KEY, api_base=server.url)
    llm = Promptwire(prompt_id="p", llm=delegate, resolver=resolver, prompt_variables={"name": "Ann"})
    llm.chat([], extra_headers={"x-secret": KEY})


@pytest.mark.parametrize("call", [langchain, llamaindex])
def test_the_resolved_request_is_shown(
    call: Callable[[promptwire.Resolver, FakeOpenAI], None],
    resolver: promptwire.Resolver,
    server: FakeOpenAI,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    promptwire.set_verbose(True)
    try:
        call(resolver, server)
    finally:
        promptwire.set_verbose(False)
    shown = capsys.readouterr().err + caplog.text
    assert "POST Request Sent from Promptwire:" in shown
    assert '"content": "Hello Ann"' in shown
    assert '"model": "gpt-4o"' in shown
    assert '"temperature": 0.5' in shown
    assert '"extra_headers": "*****"' in shown
    assert KEY not in shown
