"""LlamaIndex's LLMs over other libraries, where they are installed."""

from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire
from pydantic import BaseModel

from promptwire import ConfigurationError, PromptConfigError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

pytestmark = pytest.mark.filterwarnings(
    "ignore:Items? .* on TypedDict class:UserWarning",  # LiteLLM's
    "ignore::pydantic.PydanticDeprecatedSince20",  # LangChainLLM's
)


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


ADD = FunctionTool.from_defaults(add)


def litellm(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> LLM:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = pytest.importorskip("llama_index.llms.litellm", exc_type=ImportError)
    return module.LiteLLM(model="openai/gpt-4o-mini", api_key=server.api_key, api_base=server.url)  # type: ignore[no-any-return]


def langchain(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> LLM:
    module = pytest.importorskip("llama_index.llms.langchain", exc_type=ImportError)
    chat = pytest.importorskip("langchain_openai").ChatOpenAI
    made = chat(model="gpt-4o-mini", api_key=server.api_key, base_url=server.url)
    return module.LangChainLLM(llm=made)  # type: ignore[no-any-return]


@pytest.fixture(params=[litellm, langchain])
def foreign(request: pytest.FixtureRequest, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> LLM:
    return request.param(openai, monkeypatch)  # type: ignore[no-any-return]


@pytest.fixture
def over(resolver: Resolver) -> Any:
    given: dict[str, Any] = {"prompt_variables": {"name": "Ada"}, "resolver": resolver}
    return lambda llm, **more: Promptwire(llm=llm, **{"prompt_id": "persona", **given, **more})


async def test_they_chat(foreign: LLM, over: Any, endpoint: str, call: Any, openai: FakeOpenAI) -> None:
    await call(over(foreign), endpoint, "Hi")
    sent = openai.requests[-1].json["messages"]
    assert [(one["role"], one["content"]) for one in sent] == [("system", "You are Ada."), ("user", "Hi")]


def test_parameters_reach_them(foreign: LLM, over: Any, openai: FakeOpenAI) -> None:
    over(foreign, prompt_id="tuned", ignore_prompt_model=True).complete("")
    sent = openai.requests[-1].json
    assert (sent["model"], sent["temperature"]) == ("gpt-4o-mini", 0.3)
    assert 50 in {sent.get("max_tokens"), sent.get("max_completion_tokens")}


def test_slots(foreign: LLM, resolver: Resolver, openai: FakeOpenAI) -> None:
    foreign.predict(ManagedPromptTemplate("persona", resolver=resolver), name="Bo")
    assert openai.requests[-1].json["messages"][0]["content"] == "You are Bo."


def test_litellm_calls_tools_and_answers_objects(
    over: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = over(litellm(openai, monkeypatch))
    answer = llm.chat_with_tools([ADD], "Add", tool_required=True)
    assert [call.tool_name for call in llm.get_tool_calls_from_response(answer)] == ["add"]
    assert isinstance(llm.structured_predict(City, PromptTemplate("A City?")), City)


def test_langchains_calls_no_tools_and_runs_its_own_model(
    over: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = langchain(openai, monkeypatch)
    with pytest.raises(ConfigurationError, match="can't call tools"):
        over(foreign).chat_with_tools([ADD], "Add")
    with pytest.raises(PromptConfigError, match="ignore_prompt_model=True"):
        over(foreign, prompt_id="tuned").complete("")


class Routing(OpenAI):
    """Told from LlamaIndex's LiteLLM by nothing that matters here: where it comes from, and how it names a model."""

    __module__ = "llama_index.llms.litellm.base"

    @property
    def metadata(self) -> Any:
        return OpenAI(model="gpt-4o").metadata

    def _get_model_name(self) -> str:
        return self.model.partition("/")[2]


@pytest.mark.parametrize("real", [False, True])
def test_a_prompts_model_runs_on_a_litellm_of_its_provider(
    *, real: bool, over: Any, library: MemoryBackend, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named as LiteLLM does, provider first; the key that it holds is for one provider."""
    stand_in = Routing(model="openai/gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)
    llm = over(litellm(openai, monkeypatch) if real else stand_in)
    ran = [(llm.complete("Hi"), openai.requests[-1].json["model"].removeprefix("openai/"))[1]]
    ran += [(llm.complete("", prompt_id="tuned"), openai.requests[-1].json["model"].removeprefix("openai/"))[1]]
    assert ran == ["gpt-4o-mini", "gpt-4o"]
    library.publish("elsewhere", "Hi", config={"model": "anthropic/claude-sonnet-4-5"})
    if real:
        with pytest.raises(PromptConfigError, match=r"anthropic/claude-sonnet-4-5.* is not one of openai's"):
            llm.complete("", prompt_id="elsewhere")


def test_messages_stay_the_callers(foreign: LLM, over: Any) -> None:
    given = [ChatMessage("Hi")]
    over(foreign).chat(given)
    assert given == [ChatMessage("Hi")]
