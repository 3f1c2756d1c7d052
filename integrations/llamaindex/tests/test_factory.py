"""``llm_factory=``: the prompt's model chooses the LLM, and each is made once."""

import pickle
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from promptwire import ConfigurationError, PromptConfigError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic


class Factory:
    """Makes LLMs pointed at the doubles, and notes for which models."""

    def __init__(self, openai: FakeOpenAI) -> None:
        self.asked: list[tuple[str, str]] = []
        self.made: list[OpenAI] = []
        self._openai = openai

    def __call__(self, *, provider: str, model: str) -> LLM:
        self.asked.append((provider, model))
        if provider == "openai":
            own: dict[str, Any] = {"api_key": self._openai.api_key, "api_base": self._openai.url, "max_retries": 0}
            self.made.append(OpenAI(model=model, **own))
            return self.made[-1]
        return PromptwireGateway(model=f"{provider}/{model}")


@pytest.fixture
async def factory(openai: FakeOpenAI) -> AsyncIterator[Factory]:
    factory = Factory(openai)
    yield factory
    for llm in factory.made:
        if llm._aclient:  # noqa: SLF001 - it has no door to close it by
            await llm._aclient.close()  # noqa: SLF001 - as above


@pytest.fixture
def chosen(library: MemoryBackend) -> MemoryBackend:
    library.publish("ours", "Hi", config={"model": "gpt-4o"})
    library.publish("theirs", "Hi", config={"model": "claude-sonnet-4-5"})
    library.publish("spelt", "Hi", config={"model": "anthropic/claude-opus-4-5"})
    return library


def over(factory: Callable[..., Any], library: MemoryBackend, **more: Any) -> Promptwire:
    return Promptwire(llm_factory=factory, resolver=Resolver(library), **more)


async def test_the_prompts_model_chooses_the_provider(
    endpoint: str, call: Any, factory: Factory, chosen: MemoryBackend, anthropic: FakeAnthropic
) -> None:
    llm = over(factory, chosen, model="gpt-4o-mini")
    said = [(await call(llm, endpoint, prompt_id=name))[-1] for name in ("ours", "theirs", "spelt", "persona")]
    texts = [one.text if hasattr(one, "text") else one.message.content for one in said[:3]]
    assert texts == ["[gpt-4o] Hi", "[claude-sonnet-4-5] Hi", "[claude-opus-4-5] Hi"]
    assert factory.asked == [
        ("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-opus-4-5"),
        ("openai", "gpt-4o-mini"),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def _persona_needs_a_name(library: MemoryBackend) -> None:
    library.publish("persona", [{"role": "system", "content": "You are Ada."}])


def test_parameters_go_with_the_call_and_make_no_second_llm(
    factory: Factory, chosen: MemoryBackend, openai: FakeOpenAI
) -> None:
    chosen.publish("cool", "Hi", config={"model": "gpt-4o", "temperature": 0.2, "max_tokens": 9})
    llm = over(factory, chosen, model="gpt-4o")
    for name, wanted in (("cool", (0.2, 9)), ("ours", (0.1, None))):
        llm.chat([], prompt_id=name)
        sent = openai.requests[-1].json
        assert (sent["temperature"], sent.get("max_tokens")) == wanted
    assert len(factory.asked) == 1


def test_what_a_factorys_llm_was_made_with_loses_to_the_prompt(chosen: MemoryBackend, openai: FakeOpenAI) -> None:
    """LlamaIndex's OpenAI lets its own max_tokens and additional_kwargs beat those of a call."""

    def make(*, provider: str, model: str) -> LLM:
        own: dict[str, Any] = {"max_tokens": 100, "additional_kwargs": {"seed": 1, "user": model}, "max_retries": 0}
        llm: LLM = OpenAILike(model="served", is_chat_model=True, api_key="sk-test-key", api_base=openai.url, **own)
        return llm

    for name in ("a", "b"):  # two models that the factory serves by one name
        chosen.publish(name, "Hi", config={"model": f"gpt-{name}", "max_tokens": 9, "seed": 2})
    llm = over(make, chosen)
    for name in ("a", "b"):
        llm.chat([], prompt_id=name)
        sent = openai.requests[-1].json
        assert [sent[key] for key in ("model", "max_tokens", "seed", "user")] == ["served", 9, 2, f"gpt-{name}"]


@pytest.mark.parametrize(
    ("config", "call", "wanted"),
    [
        ({"model": "gpt-4o"}, {"model": "anthropic/claude-x"}, ("anthropic", "claude-x")),
        ({"model": "gpt-4o"}, {"ignore_prompt_model": True}, ("groq", "llama")),
        ({"model": "big", "provider": "acme"}, {}, ("acme", "big")),
        ({}, {}, ("groq", "llama")),
    ],
)
def test_which_model_it_is_asked_for(
    config: dict[str, Any], call: dict[str, Any], wanted: tuple[str, str], library: MemoryBackend, mock: Any
) -> None:
    """A provider that Promptwire has no row for is the factory's to know."""
    library.publish("one", "Hi", config=config)
    asked: list[tuple[str, str]] = []

    def make(*, provider: str, model: str) -> LLM:
        asked.append((provider, model))
        return mock()  # type: ignore[no-any-return]

    over(make, library, model="groq/llama", prompt_id="one").chat([], **call)
    assert asked == [wanted]


@pytest.mark.parametrize("model", ["azure/gpt-4o/../../../secret#", "azure/gpt-4o/x", "azure/gpt-4o?x="])
def test_a_prompts_model_that_could_lead_elsewhere_is_not_made(
    model: str, library: MemoryBackend, factory: Factory, openai: FakeOpenAI
) -> None:
    library.publish("odd", "Hi", config={"model": model})
    with pytest.raises(PromptConfigError, match="no model's name for azure"):
        over(factory, library, prompt_id="odd").chat([])
    like = OpenAILike(model="m", api_key=openai.api_key, api_base=openai.url, is_chat_model=True)
    library.publish("odd", "Hi", config={"model": model.removeprefix("azure/") + "#"})
    with pytest.raises(PromptConfigError, match="no model's name for openai"):
        Promptwire(llm=like, resolver=Resolver(library), prompt_id="odd").chat([])
    assert (factory.asked, openai.count) == ([], 0)


def test_a_hundred_threads_make_one(chosen: MemoryBackend, mock: Any) -> None:
    made: list[LLM] = []
    gate = threading.Barrier(100)

    def make(*, provider: str, model: str) -> LLM:
        made.append(mock())
        return made[-1]

    llm = over(make, chosen, prompt_id="ours")

    def one(_: int) -> str:
        gate.wait(timeout=30)
        return str(llm.chat([]).message.content)

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(one, range(100))) == {"Hi"}
    assert len(made) == 1


def test_how_many_are_kept_is_bounded(library: MemoryBackend, mock: Any) -> None:
    asked: list[str] = []

    def make(*, provider: str, model: str) -> LLM:
        asked.append(model)
        return mock()  # type: ignore[no-any-return]

    llm = over(make, library, prompt_id="greeting", prompt_variables={"name": "x"})
    for number in range(250):
        llm.chat([], model=f"groq/{number}")
    assert len(asked) == 250
    assert len(llm._delegates._kept) <= 100  # noqa: SLF001 - what memory holds
    llm.chat([], model="groq/249")
    assert len(asked) == 250


def broken(*, provider: str, model: str) -> LLM:
    raise ValueError("sk-secret")


def blank(*, provider: str, model: str) -> Any:
    return f"{provider}/{model}"


def refusing(*, provider: str, model: str) -> LLM:
    raise PromptConfigError("not that one")


@pytest.mark.shows_keys("a cause says what its raiser made it say")
@pytest.mark.parametrize(
    ("factory", "message", "error"),
    [
        (broken, "llm_factory= for openai/gpt-4o, which memory prompt 'ours'.* raised ValueError$", ConfigurationError),
        (blank, "answered a str: a LlamaIndex LLM is wanted", ConfigurationError),
        (MockLLM, "raised TypeError", ConfigurationError),
        (refusing, "not that one", PromptConfigError),
    ],
)
async def test_a_factory_that_fails(
    factory: Any, message: str, error: type[Exception], chosen: MemoryBackend, openai: FakeOpenAI
) -> None:
    """LlamaIndex would answer "Empty Response" to a ValueError or TypeError."""
    llm = over(factory, chosen, prompt_id="ours")
    with pytest.raises(error, match=message) as caught:
        await llm.achat([])
    assert "sk-secret" not in str(caught.value)
    node = NodeWithScore(node=TextNode(text="x"), score=1.0)
    with pytest.raises(error):
        get_response_synthesizer(llm=llm, response_mode=ResponseMode.COMPACT).synthesize("?", [node])


def test_nobody_names_a_model(factory: Factory, library: MemoryBackend) -> None:
    library.publish("bare", "Hi")
    with pytest.raises(ConfigurationError, match=r"neither memory prompt 'bare'.* nor the call names a model"):
        over(factory, library, prompt_id="bare").chat([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"llm": MockLLM(), "llm_factory": blank}, "not both"),
        ({"llm_factory": "openai"}, "llm_factory= is a function .* not str"),
        ({"llm": blank}, "a function that makes one is llm_factory="),
        ({"llm_factory": blank, "api_key": "k"}, "api_key= is for .* with llm_factory= set it there"),
        ({"llm_factory": blank, "timeout": 3}, "timeout= is for"),
    ],
)
def test_arguments_that_exclude_each_other(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Promptwire(**arguments)


def test_the_factory_is_asked_for_nothing_before_a_call(factory: Factory, chosen: MemoryBackend) -> None:
    llm = over(factory, chosen, model="groq/llama", prompt_id="ours")
    assert (llm.metadata.model_name, llm.metadata.is_function_calling_model) == ("llama", True)
    assert llm.bind(seed=1).to_dict()["prompt_id"] == "ours"
    assert factory.asked == []


def served(*, provider: str, model: str) -> LLM:
    return PromptwireGateway(model=f"{provider}/{model}")


def test_a_pickle_takes_a_modules_function_along_and_refuses_another(chosen: MemoryBackend, openai: FakeOpenAI) -> None:
    """LlamaIndex would leave out what doesn't pickle, and the twin would run on another LLM."""
    twin = pickle.loads(pickle.dumps(over(served, chosen, prompt_id="ours")))  # noqa: S301 - our own
    assert twin.chat([]).message.content == "[gpt-4o] Hi"
    local = over(lambda *, provider, model: served(provider=provider, model=model), chosen, prompt_id="ours")
    with pytest.raises(ConfigurationError, match="llm_factory= that does is a function of a module"):
        pickle.dumps(local)
    assert local.chat([ChatMessage("x")]).message.content == "[gpt-4o] Hi"
