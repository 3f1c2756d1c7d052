"""``llm=``: whose model runs, with which clients, and what is refused."""

import copy
import logging
import pickle
from collections.abc import Iterator, Mapping
from typing import Any, Self

import openai as openai_sdk
import pytest
from langchain.chat_models import init_chat_model
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import AzureChatOpenAI, ChatOpenAI

import promptwire
from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import PROVIDERS, Provider
from promptwire.testing import FakeLangfuse, FakeOpenAI

ADA = {"name": "Ada", "place": "Rome"}


def chat(llm: Any, **given: Any) -> ChatPromptwire:
    named = {"model": "langfuse", "prompt_id": "welcome", "prompt_variables": ADA, **given}
    return ChatPromptwire(llm=llm, **named)


@pytest.fixture
def llm(openai: FakeOpenAI, langfuse: FakeLangfuse) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o-mini", temperature=1, seed=1, stream_usage=True)


async def test_the_prompts_model_runs_on_a_copy(llm: ChatOpenAI, openai: FakeOpenAI, recorder: Any) -> None:
    model = chat(llm)
    model.invoke("x", {"callbacks": [recorder]})
    await model.ainvoke("x")
    list(model.stream("x"))
    for request in openai.requests:
        assert (request.json["model"], request.json["temperature"], request.json["seed"]) == ("gpt-4o", 0.3, 1)
        assert request.json["messages"] == [{"role": "user", "content": "Welcome Ada to Rome"}]
    assert llm.model_name == "gpt-4o-mini"
    assert recorder.llm_metadata[0]["ls_model_name"] == "gpt-4o"
    assert recorder.count["llm_start"] == 1


class Counting(ChatOpenAI):
    """Counts its copies."""

    copies: list[str] = []  # noqa: RUF012 - a field, and shared by the copies

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        self.copies.append(str(update))
        return super().model_copy(update=update, deep=deep)


@pytest.mark.usefixtures("langfuse")
def test_one_copy_for_each_model_and_none_for_its_own(openai: FakeOpenAI) -> None:
    llm = Counting(model="gpt-4o-mini")
    model = chat(llm)
    for _ in range(3):
        model.invoke([])
        model.invoke([], prompt_id="goodbye")
        model.invoke([], model="gpt-4.1")
        model.bind(seed=1).invoke([])
        model.invoke([], model="gpt-4o-mini")
    assert len(llm.copies) == 2
    assert {request.json["model"] for request in openai.requests} == {"gpt-4o", "gpt-4o-mini", "gpt-4.1"}


def test_which_model_runs(llm: ChatOpenAI, openai: FakeOpenAI) -> None:
    chat(llm, prompt_id="goodbye", model="langfuse/gpt-4.1").invoke([])
    chat(llm, ignore_prompt_model=True).invoke([])
    chat(llm).invoke([], model="gpt-4")
    assert [request.json["model"] for request in openai.requests] == ["gpt-4.1", "gpt-4o-mini", "gpt-4"]


def test_another_llm_is_noticed(llm: ChatOpenAI, openai: FakeOpenAI) -> None:
    model = chat(llm)
    model.invoke([])
    model.llm = ChatOpenAI(model="gpt-4o-mini", seed=2)
    model.invoke([])
    model.model_copy(update={"llm": ChatOpenAI(model="gpt-4o-mini", seed=3)}).invoke([])
    assert [request.json["seed"] for request in openai.requests] == [1, 2, 3]


def test_another_provider_is_refused(llm: ChatOpenAI, langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    class ChatElsewhere(FakeListChatModel):
        model: str = "else-1"

    with pytest.raises(PromptConfigError, match=r"openai/gpt-4o, which .*welcome.* names, .*elsewhere.*llm=<factory>"):
        chat(ChatElsewhere(responses=["no"])).invoke([])
    langfuse.publish("odd", "Hi", config={"model": "gpt-4o", "provider": "openai"})
    with pytest.raises(PromptConfigError, match="llm=<factory>"):
        chat(ChatElsewhere(responses=["no"]), prompt_id="odd").invoke([])
    with pytest.raises(PromptConfigError, match="no chat model"):
        chat(RunnableLambda(lambda _: AIMessage("no"))).invoke([])
    assert chat(ChatElsewhere(responses=["yes"]), ignore_prompt_model=True).invoke([]).content == "yes"
    assert openai.count == 0


def test_any_runnable_runs_a_prompt_that_names_no_model(llm: ChatOpenAI, openai: FakeOpenAI) -> None:
    model = chat(llm.with_retry(), prompt_id="goodbye")
    assert model.invoke([]).content == "[gpt-4o-mini] Goodbye Ada"
    with pytest.raises(ConfigurationError, match="RunnableRetry"):
        model.invoke([], model="gpt-4o")


def test_a_key_belongs_to_the_gateway(llm: ChatOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="give them to the llm"):
        chat(llm, api_key="sk-other").invoke([])


def test_plain_call_of_the_delegate(llm: ChatOpenAI, openai: FakeOpenAI) -> None:
    assert ChatPromptwire(llm=llm).invoke("Hi").content == "[gpt-4o-mini] Hi"


class Keeping(InMemoryCache):
    """Shows what it was given."""

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        self.kept = return_val
        super().update(prompt, llm_string, return_val)


def test_the_cache_misses_a_new_version(llm: ChatOpenAI, openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    cache = Keeping()
    model = chat(llm, cache=cache)
    first, again = model.invoke([]), model.invoke([])
    assert openai.count == 1
    assert (first.response_metadata["prompt_source"], again.response_metadata["prompt_source"]) == ("fresh", "cached")
    assert "prompt_id" not in cache.kept[0].message.response_metadata
    model.invoke([], model="gpt-4")
    assert openai.count == 2
    langfuse.publish("welcome", "Hello {{name}} of {{place}}")
    model.invoke([], prompt_version=2)
    assert openai.count == 3


def test_the_copys_answers_are_cached_apart(llm: ChatOpenAI, openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("hi", "Hi", config={"model": "gpt-4o"})
    llm.cache = InMemoryCache()
    assert llm.invoke("Hi").content == "[gpt-4o-mini] Hi"
    assert chat(llm, prompt_id="hi").invoke([]).content == "[gpt-4o] Hi"


def test_a_deep_copy_shares_llm_and_resolver_and_leaves_the_kept_behind(llm: ChatOpenAI) -> None:
    model = chat(llm)
    model.invoke([])
    twin = copy.deepcopy(model)
    assert twin.llm is llm
    assert twin.prompt_variables == ADA
    assert twin.prompt_variables is not model.prompt_variables
    assert twin.invoke([]).content == model.invoke([]).content


def test_it_identifies_itself_as_its_delegate(llm: ChatOpenAI) -> None:
    model = chat(llm)
    assert model.profile == llm.profile
    assert model.asdict() == {
        "model": "langfuse", "prompt_id": "welcome", "message_mode": "auto", "_type": llm.asdict()["_type"],
    }  # fmt: skip
    assert ChatPromptwire(model="gpt-4o").asdict()["_type"] == "promptwire"


def test_a_pickled_delegate_still_runs(langfuse: FakeLangfuse) -> None:
    model = chat(FakeListChatModel(responses=["yes"]), prompt_id="goodbye")
    assert model.invoke([]).content == "yes"
    assert pickle.loads(pickle.dumps(model)).invoke([]).content == "yes"  # noqa: S301 - our own


def test_fields_that_are_the_delegates_are_handed_on(llm: ChatOpenAI, openai: FakeOpenAI) -> None:
    (only,) = chat(llm, disable_streaming=True).stream([])
    assert only.content == "[gpt-4o] Welcome Ada to Rome"
    chat(None, model="langfuse/gpt-4o", streaming=True).invoke([])
    assert openai.requests[-1].json["stream"] is True


def test_a_gateway_as_delegate(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    gateway = ChatPromptwireGateway(model="gpt-4o-mini", base_url=openai.url)
    chat(gateway).invoke([])
    chat(gateway, prompt_id="goodbye").invoke([])
    assert [request.json["model"] for request in openai.requests] == ["gpt-4o", "gpt-4o-mini"]
    langfuse.publish("host", "Hi", config={"model": "openai/open-weights"})
    chat(gateway, prompt_id="host").invoke([])
    assert openai.requests[-1].json["model"] == "openai/open-weights"


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    """A second provider, with a key of its own."""
    with FakeOpenAI(api_key="sk-other") as server:
        monkeypatch.setitem(PROVIDERS, "other", Provider("other", server.url, "OTHER_API_KEY", "OTHER_BASE_URL"))
        monkeypatch.setenv("OTHER_API_KEY", "sk-other")
        yield server


def test_the_explicit_key_stays_with_its_provider(
    openai: FakeOpenAI, other: FakeOpenAI, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    langfuse.publish("other", "Hi", config={"model": "m", "provider": "other"})
    model = chat(None, model="langfuse/openai/gpt-4o-mini", api_key=openai.api_key, base_url=openai.url)
    assert model.invoke([], model="other/m").content == "[m] Welcome Ada to Rome"
    assert model.invoke([], prompt_id="other").content == "[m] Hi"
    assert model.invoke([]).content == "[gpt-4o] Welcome Ada to Rome"
    assert {request.headers["authorization"] for request in other.requests} == {"Bearer sk-other"}
    monkeypatch.delenv("OTHER_API_KEY")
    for given in ({"model": "other/m"}, {"prompt_id": "other"}):
        with pytest.raises(ConfigurationError, match="set OTHER_API_KEY"):
            model.invoke([], **given)  # type: ignore[arg-type]
    assert (openai.count, other.count) == (1, 2)


def test_a_gateway_of_another_provider_keeps_it(other: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("other", "Hi", config={"model": "n", "provider": "other"})
    assert chat(ChatPromptwireGateway(model="other/m"), prompt_id="other").invoke([]).content == "[n] Hi"


def test_a_model_of_another_provider_than_the_llms(llm: ChatOpenAI, other: FakeOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="names provider 'other', but the fixed llm= is openai's"):
        chat(llm, model="langfuse/other/m").invoke([])
    assert other.count == 0


def test_showing_a_call_never_fails_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "promptwire")
    blocks: list[Any] = [
        {"type": "file", "base64": "aGk=", "mime_type": "application/pdf"},
        {"type": "image", "of": "another maker"},
    ]
    model = ChatPromptwire(llm=FakeListChatModel(responses=["yes"]))
    assert model.invoke([HumanMessage(blocks[:1]), HumanMessage(blocks[1:])]).content == "yes"
    for word in ("POST Request Sent", "file.pdf", "another maker"):
        assert word in caplog.text


@pytest.mark.parametrize("way", ["llm", "factory"])
def test_a_prompts_model_asks_no_other_path_of_azures_host(
    way: str, openai: FakeOpenAI, langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure = {
        "AZURE_OPENAI_ENDPOINT": openai.url,
        "AZURE_OPENAI_API_KEY": "sk-azure",
        "OPENAI_API_VERSION": "2024-10-21",
    }
    for name, value in azure.items():
        monkeypatch.setenv(name, value)
    given: Any = (
        {"llm": AzureChatOpenAI(model="gpt-4o", max_retries=0), "allowed_models": ("azure/gpt-4o*",)}
        if way == "llm"
        else {"llm": init_chat_model, "model": "langfuse/azure/gpt-4o", "max_retries": 0}
    )
    for model in ("gpt-4o/../../../secret#", "gpt-4o/x", "gpt-4o?x=", "gpt-4o%2f..", "gpt-4o-2"):
        langfuse.publish("named", "Hi", config={"model": model})
        promptwire.invalidate()
        with pytest.raises(openai_sdk.APIStatusError if model == "gpt-4o-2" else PromptConfigError):
            chat(**{**given, "prompt_id": "named"}).invoke([])
    assert [request.path.partition("/openai")[2] for request in openai.requests] == [
        "/deployments/gpt-4o-2/chat/completions"
    ]
