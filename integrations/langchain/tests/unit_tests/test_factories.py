"""``llm=`` as a factory: the prompt's model chooses the provider, and a delegate is made once for each."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain.chat_models import init_chat_model
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_promptwire import ChatPromptwire
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

CLAUDE = "claude-haiku-4-5"


@pytest.fixture(autouse=True)
def prompts(langfuse: FakeLangfuse, openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    langfuse.publish("gpt", "Hi", config={"model": "gpt-4o", "temperature": 0.3, "seed": 7})
    langfuse.publish("claude", "Hi", config={"model": CLAUDE, "max_completion_tokens": 9})
    langfuse.publish("none", "Hi")
    langfuse.publish("stranger", "Hi", config={"model": "stranger/m-1", "provider": "stranger"})


def chat(llm: Any, **given: Any) -> ChatPromptwire:
    return ChatPromptwire(**{"model": "langfuse", "prompt_id": "gpt", "llm": llm, **given})


class Factory:
    """Remembers how it was called."""

    def __init__(self, made: Callable[[], Any] = lambda: FakeListChatModel(responses=["made"])) -> None:
        self.made = made
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, model: str, *, model_provider: str, **params: Any) -> Any:
        self.calls.append((model, {"model_provider": model_provider, **params}))
        return self.made()


async def test_init_chat_model_as_it_is(openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    model = chat(init_chat_model)
    assert model.invoke([]).content == (await model.ainvoke([])).content == "[gpt-4o] Hi"
    assert model.with_prompt("claude").invoke([]).content == f"[{CLAUDE}] Hi"
    assert "".join(chunk.text for chunk in model.stream([], prompt_id="claude")) == f"[{CLAUDE}] Hi"
    asked = openai.requests[0].json
    assert (asked["model"], asked["temperature"], asked["seed"]) == ("gpt-4o", 0.3, 7)
    for request in anthropic.requests:
        asked = request.json
        assert (asked["model"], asked["max_tokens"]) == (CLAUDE, 9)
    assert (openai.count, anthropic.count) == (2, 2)


def test_the_callers_model_where_the_prompt_names_none(openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    model = chat(init_chat_model, model=f"langfuse/anthropic/{CLAUDE}", prompt_id="none", max_tokens=5)
    model.invoke([])
    assert anthropic.requests[-1].json["max_tokens"] == 5
    model.invoke([], model="openai/gpt-4o-mini")
    assert openai.requests[-1].json["model"] == "gpt-4o-mini"
    assert ChatPromptwire(model="gpt-4o-mini", llm=init_chat_model).invoke("Hi").content == "[gpt-4o-mini] Hi"


def test_how_a_function_is_called() -> None:
    factory = Factory()
    model = chat(factory, temperature=0.1, max_tokens=5, timeout=3, max_retries=1, stop=["."])
    model.invoke([])
    model.invoke([], prompt_id="claude", temperature=0.9)
    common = {"timeout": 3.0, "max_retries": 1}
    assert factory.calls == [
        ("gpt-4o", {"model_provider": "openai", **common, "temperature": 0.3, "max_tokens": 5}),
        (CLAUDE, {"model_provider": "anthropic", **common, "temperature": 0.9, "max_tokens": 9}),
    ]


@pytest.mark.parametrize(
    ("provider", "word"), [("gemini", "google_genai"), ("mistral", "mistralai"), ("azure", "azure_openai")]
)
def test_providers_go_by_langchains_words(provider: str, word: str) -> None:
    factory = Factory()
    chat(factory, model=f"langfuse/{provider}/m", prompt_id="none").invoke([])
    assert factory.calls == [("m", {"model_provider": word})]


def test_a_provider_that_only_the_factory_knows_has_to_be_allowed() -> None:
    factory = Factory()
    given = {"prompt_id": "stranger", "model": "langfuse/gpt-4o", "api_key": "sk-x", "base_url": "http://localhost"}
    with pytest.raises(PromptConfigError, match=r"'stranger'.*allowed_models=\('stranger/\*'"):
        chat(factory, **given).invoke([])
    with pytest.raises(PromptConfigError, match="not among allowed_models"):
        chat(factory, **given, allowed_models=("openai/*",)).invoke([])
    assert factory.calls == []
    chat(factory, **given, allowed_models=("stranger/*",)).invoke([])
    assert factory.calls == [("m-1", {"model_provider": "stranger"})]
    chat(factory, prompt_id="stranger", model="langfuse/gpt-4o", ignore_prompt_model=True).invoke([])
    assert factory.calls[1] == ("gpt-4o", {"model_provider": "openai"})


def test_one_delegate_for_each_provider_model_and_parameters() -> None:
    factory = Factory()
    model = chat(factory)
    for _ in range(3):
        model.invoke([])
        model.invoke([], prompt_id="claude")
        model.invoke([], temperature=1)
        model.bind(seed=1).invoke([])
    assert len(factory.calls) == 3
    model.llm = other = Factory()
    model.invoke([])
    assert len(other.calls) == 1


def test_the_kept_are_bounded_and_made_in_any_thread() -> None:
    factory = Factory()
    model = chat(factory)

    def work(start: int) -> None:
        for number in range(start, start + 150):
            assert model.invoke([], max_tokens=number).content == "made"

    threads = [threading.Thread(target=work, args=(start,)) for start in (1, 51, 101)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(model._kept) <= 100  # noqa: SLF001 - what is kept is seen from nowhere else
    assert len(factory.calls) >= 250


def test_the_explicit_key_is_for_its_own_provider() -> None:
    factory = Factory()
    model = chat(
        factory, model="langfuse/openai/gpt-4o", api_key=SecretStr("sk-mine"), base_url="http://localhost:1/v1"
    )
    model.invoke([])
    model.invoke([], prompt_id="claude", model="anthropic/claude-x")
    assert factory.calls[0][1].items() >= {"api_key": "sk-mine", "base_url": "http://localhost:1/v1"}.items()
    assert factory.calls[1] == ("claude-x", {"model_provider": "anthropic", "max_tokens": 9})
    chat(factory, prompt_id="claude", model="langfuse/openai/gpt-4o", api_key=SecretStr("sk-mine")).invoke([])
    assert factory.calls[2] == (CLAUDE, {"model_provider": "anthropic", "max_tokens": 9})


def test_it_cannot_make_what_nobody_names() -> None:
    with pytest.raises(ConfigurationError, match=r"'none'.*nor the call names a model"):
        chat(init_chat_model, prompt_id="none").invoke([])


def failing(error: Exception) -> Callable[[], Any]:
    def made() -> Any:
        raise error

    return made


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (Factory(lambda: "a text"), "made no chat model for openai/gpt-4o, which .*'gpt'.* names, but a str"),
        (Factory(failing(ImportError("pip install x"))), "pip install x"),
        (ChatOpenAI, "TypeError|positional"),
        (lambda model: None, "model_provider"),
    ],
)
def test_a_factory_that_fails(factory: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        chat(factory).invoke([])


def test_a_provider_that_the_factory_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match=r"stranger/m-1, which .* names.*Unsupported provider"):
        chat(init_chat_model, prompt_id="stranger", allowed_models=("stranger/*",)).invoke([])
    with pytest.raises(PromptConfigError, match="provider 'stranger'"):
        chat(None, prompt_id="stranger").invoke([])


def test_no_value_is_shown_where_the_model_refuses_it() -> None:
    def make(model: str, model_provider: str, **params: Any) -> Any:
        return ChatOpenAI(model=model, timeout="sk-secret", n="sk-secret")  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="n: Input should be a valid integer") as caught:
        chat(make).invoke([])
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


class Joke(BaseModel):
    """A joke."""

    setup: str


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


@pytest.mark.parametrize("prompt", ["gpt", "claude"])
async def test_tools_and_schemas_of_the_chosen_provider(prompt: str) -> None:
    model = chat(init_chat_model, prompt_id=prompt, message_mode="prepend")
    asked = model.bind_tools([weather], tool_choice="any")
    assert [call["name"] for call in asked.invoke("Rome").tool_calls] == ["weather"]
    structured = model.with_structured_output(Joke, method="function_calling")
    assert structured.invoke("Hi") == await structured.ainvoke("Hi") == Joke(setup="text")


def test_fields_of_the_base_class_are_set_on_what_is_made(openai: FakeOpenAI) -> None:
    model = chat(init_chat_model, cache=InMemoryCache())
    assert model.invoke([]).content == model.invoke([]).content
    assert openai.count == 1
    with pytest.raises(ConfigurationError, match="cache= can't be set on a RunnableSequence"):
        chat(Factory(lambda: FakeListChatModel(responses=["x"]) | str), cache=True).invoke([])


def test_it_identifies_itself() -> None:
    model = chat(init_chat_model, prompt_id="gpt")
    assert (model._llm_type, model.profile) == ("promptwire", None)  # noqa: SLF001 - as frameworks ask
    assert model._get_ls_params()["ls_model_name"] == "gpt"  # noqa: SLF001 - as frameworks ask
    named = chat(init_chat_model, model=f"anthropic/{CLAUDE}")._get_ls_params()  # noqa: SLF001 - as frameworks ask
    assert (named["ls_model_name"], named["ls_provider"]) == (CLAUDE, "anthropic")


def test_a_class_of_one_provider_by_a_function(anthropic: FakeAnthropic) -> None:
    model = chat(lambda model, **_: ChatAnthropic(model_name=model, timeout=None, stop=None), prompt_id="claude")
    assert model.invoke([]).content == f"[{CLAUDE}] Hi"
