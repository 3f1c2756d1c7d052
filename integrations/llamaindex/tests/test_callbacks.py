"""LlamaIndex's older callbacks: an engine's token counter counts its own calls, once each."""

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document, Settings, SummaryIndex
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MockEmbedding
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire, PromptwireGateway
from llama_index.llms.promptwire.managers import MAX_KEPT

from promptwire import Resolver
from promptwire.testing import FakeOpenAI


@pytest.fixture
def counter() -> Callable[[], TokenCountingHandler]:
    """Counters whose own estimate, used where the provider tells nothing, is far off."""
    return lambda: TokenCountingHandler(tokenizer=lambda _: [0] * 1000)


@pytest.fixture(params=["own", "gateway", "openai"])
def llm(request: pytest.FixtureRequest, resolver: Resolver, openai: FakeOpenAI) -> Promptwire:
    given: dict[str, Any] = {"prompt_id": "tuned", "prompt_variables": {"name": "Ada"}, "resolver": resolver}
    delegates: dict[str, dict[str, Any]] = {
        "own": {"model": "gpt-4o-mini"},
        "gateway": {"llm": PromptwireGateway(model="gpt-4o-mini")},
        "openai": {"llm": OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)},
    }
    return Promptwire(**given, **delegates[request.param])


def reporting(llm: Promptwire, *handlers: TokenCountingHandler) -> Promptwire:
    """As engines do it: a copy that shares the delegates, with a manager of its own."""
    twin = llm.bind()
    twin.callback_manager = CallbackManager([*handlers])
    return twin


def counted(handler: TokenCountingHandler) -> int:
    """How many calls."""
    return len(handler.llm_token_counts)


def test_once_a_call_and_on_its_own_counter(llm: Promptwire, counter: Any) -> None:
    first, second, third = counter(), counter(), counter()
    a, b = reporting(llm, first), reporting(llm, second)
    for _ in range(2):
        a.complete("")
        list(a.stream_chat([]))
    b.complete("")
    llm.complete("")
    reporting(llm, third).complete("", ignore_prompt_params=True, ignore_prompt_model=True)
    assert [counted(one) for one in (first, second, third)] == [4, 1, 1]
    if (delegate := llm._delegates.llm) is not None:  # noqa: SLF001 - the user's own object is left alone
        assert delegate.callback_manager.handlers == []


async def test_in_async(llm: Promptwire, counter: Any, openai: FakeOpenAI) -> None:
    if isinstance(llm._delegates.llm, OpenAI):  # noqa: SLF001 - whose async clients nobody closes
        llm = Promptwire(llm=PromptwireGateway(model="gpt-4o"), prompt_id="greeting", prompt_variables={"name": "Ada"},
                         resolver=llm._resolver)  # fmt: skip  # noqa: SLF001 - its own
    first = counter()
    one = reporting(llm, first)
    await one.achat([])
    assert [chunk async for chunk in await one.astream_chat([])]
    assert counted(first) == 2


def test_the_client_is_shared(llm: Promptwire, counter: Any) -> None:
    """A copy for each manager, not for each call: a client costs some 20 ms."""
    one, other = reporting(llm, counter()), reporting(llm, counter())
    kept = llm._delegates._managers._kept  # noqa: SLF001 - how many copies there are shows nowhere else
    for _ in range(3):
        one.complete("")
        other.complete("")
    assert len(kept) == 2


def test_the_delegates_own_counter_counts_too(resolver: Resolver, counter: Any, openai: FakeOpenAI) -> None:
    own, engines, later = counter(), counter(), counter()
    delegate = PromptwireGateway(model="gpt-4o-mini", callback_manager=CallbackManager([own]))
    given: dict[str, Any] = {"prompt_id": "greeting", "prompt_variables": {"name": "Ada"}, "resolver": resolver}
    llm = Promptwire(llm=delegate, **given)
    llm.complete("")
    assert counted(own) == 1
    both = reporting(llm, engines, own)
    both.complete("")
    assert (counted(own), counted(engines)) == (2, 1)
    both.callback_manager.add_handler(later)
    delegate.callback_manager.remove_handler(own)
    both.callback_manager.remove_handler(own)
    both.complete("")
    assert (counted(own), counted(engines), counted(later)) == (2, 2, 1)
    assert delegate.callback_manager.handlers == []


def test_settings_of_another_time_count_nothing(
    resolver: Resolver, counter: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway is made at the first call, and takes LlamaIndex's global handlers of that moment."""
    worldwide, engines = counter(), counter()
    given: dict[str, Any] = {"model": "gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": "Ada"}}
    quiet = Promptwire(**given, resolver=resolver)
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([worldwide]))
    quiet.complete("")
    reporting(quiet, engines).complete("")
    assert (counted(worldwide), counted(engines)) == (0, 1)
    Promptwire(**given, resolver=resolver).complete("")
    assert counted(worldwide) == 1


def test_an_engine(resolver: Resolver, counter: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = counter()
    index = SummaryIndex.from_documents([Document(text="Ada wrote it.")], embed_model=MockEmbedding(8))
    llm = Promptwire(model="gpt-4o-mini", resolver=resolver)
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([handler]))
    monkeypatch.setattr(Settings, "_llm", llm)
    slot = ManagedPromptTemplate("tuned", resolver=resolver, template_var_mappings={"query_str": "name"})
    index.as_query_engine(text_qa_template=slot).query("Ada")
    assert counted(handler) == 1


def test_what_handlers_are_told(llm: Promptwire) -> None:
    class Keeper(TokenCountingHandler):
        def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> None:
            kept.append((event_type, payload))

    kept: list[Any] = []
    reporting(llm, Keeper(tokenizer=str.split)).complete("")
    [(kind, payload)] = kept
    assert kind is CBEventType.LLM
    assert [one.content for one in payload[EventPayload.MESSAGES]] == ["Hello Ada"]
    assert payload[EventPayload.RESPONSE].message.content == "[gpt-4o] Hello Ada"


def test_tokens_are_the_providers(resolver: Resolver, counter: Any, openai: FakeOpenAI) -> None:
    handler = counter()
    llm = Promptwire(model="gpt-4o", prompt_id="greeting", prompt_variables={"name": "Ada"}, resolver=resolver)
    one = reporting(llm, handler)
    one.complete("")
    assert list(one.stream_complete(""))
    answers = [(event.prompt_token_count, event.completion_token_count) for event in handler.llm_token_counts]
    assert answers == [(3, 3)] * 2


def test_managers_of_passing_requests_are_let_go(llm: Promptwire, counter: Any) -> None:
    kept = llm._delegates._managers._kept  # noqa: SLF001 - as above
    sizes = []
    for _ in range(MAX_KEPT + 1):
        reporting(llm, counter()).complete("")
        sizes.append(len(kept))
    assert (max(sizes), sizes[-1]) == (MAX_KEPT, 1)
