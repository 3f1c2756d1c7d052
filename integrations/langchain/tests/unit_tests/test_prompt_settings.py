"""What a ``ManagedPromptTemplate``'s prompt sets: on the ``ChatPromptwire`` that comes next, and on any other model."""

import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway, ManagedPromptTemplate
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
SETTINGS = {"model": "gpt-4o", "temperature": 0.3, "max_tokens": 50}


class Verdict(BaseModel):
    good: bool


@pytest.fixture(autouse=True)
def _published(langfuse: FakeLangfuse) -> None:
    langfuse.publish("ask", "Tell me about {{topic}}", config=SETTINGS)
    langfuse.publish("tools", "Tell me about {{topic}}", config={"tools": [LOOK], "tool_choice": "none"})
    langfuse.publish("json", "As JSON: {{topic}}", config={"response_format": {"type": "json_object"}})
    langfuse.publish("claude", "Tell me about {{topic}}", config={"model": "claude-haiku-4-5", "max_tokens": 50})


ROME = {"topic": "Rome"}


def ask(prompt_id: str = "ask") -> ManagedPromptTemplate:
    return ManagedPromptTemplate(prompt_id, backend="langfuse")


CHAINS: dict[str, Callable[[ManagedPromptTemplate], Runnable[Any, Any]]] = {
    "gateway": lambda prompt: prompt | ChatPromptwire(model="gpt-4o-mini"),
    "delegate": lambda prompt: prompt | ChatPromptwire(llm=ChatOpenAI(model="gpt-4o-mini")),
    "bound to ChatOpenAI": lambda prompt: prompt.bind_to(ChatOpenAI(model="gpt-4o-mini", stream_usage=True)),
    "bound to the gateway": lambda prompt: prompt.bind_to(ChatPromptwireGateway(model="gpt-4o-mini")),
    "bound to ChatPromptwire": lambda prompt: prompt.bind_to(ChatPromptwire(model="gpt-4o-mini")),
}
each_chain = pytest.mark.parametrize("chain", CHAINS)


async def at_once(value: Any) -> Any:
    return value


async def alast(chunks: AsyncIterator[Any]) -> Any:
    return [chunk async for chunk in chunks]


DOORS: dict[str, Callable[[Runnable[Any, Any], Any], Awaitable[Any]]] = {
    "invoke": lambda chain, given: at_once(chain.invoke(given)),
    "ainvoke": lambda chain, given: chain.ainvoke(given),
    "stream": lambda chain, given: at_once(list(chain.stream(given))),
    "astream": lambda chain, given: alast(chain.astream(given)),
    "batch": lambda chain, given: at_once(chain.batch([given])[0]),
    "abatch": lambda chain, given: chain.abatch([given]),
}


@each_chain
@pytest.mark.parametrize("door", DOORS)
async def test_model_and_parameters_reach_the_call(chain: str, door: str, openai: FakeOpenAI) -> None:
    answer = await DOORS[door](CHAINS[chain](ask()), {"topic": "Rome"})
    sent = openai.requests[-1].json
    assert (sent["model"], sent["temperature"]) == ("gpt-4o", 0.3)
    assert sent.get("max_tokens") == 50 or sent["max_completion_tokens"] == 50
    assert sent["messages"] == [{"role": "user", "content": "Tell me about Rome"}]
    said: BaseMessage = answer[0] if isinstance(answer, list) else answer
    assert said.response_metadata["prompt_id"] == "ask"
    assert said.response_metadata["prompt_version"] == 1
    assert openai.count == 1


@each_chain
def test_tools_and_response_format_reach_the_call(chain: str, openai: FakeOpenAI) -> None:
    CHAINS[chain](ask("tools")).invoke(ROME)
    sent = openai.requests[-1].json
    assert (sent["tools"][0]["function"]["name"], sent["tool_choice"]) == ("look", "none")
    CHAINS[chain](ask("json")).invoke(ROME)
    assert openai.requests[-1].json["response_format"] == {"type": "json_object"}


def test_the_ranks_are_those_of_a_prompt_of_its_own(openai: FakeOpenAI) -> None:
    chat = ChatPromptwire(model="gpt-4o-mini", temperature=0.1, max_tokens=9, model_kwargs={"seed": 1})
    chain = ask() | chat.bind(max_tokens=7)
    chain.invoke(ROME)
    sent = openai.requests[-1].json
    assert (sent["temperature"], sent["max_tokens"], sent["seed"]) == (0.3, 7, 1)
    (ask() | chat.bind(model="gpt-4.1")).invoke(ROME)
    assert openai.requests[-1].json["model"] == "gpt-4.1"


def test_the_switches_leave_the_prompt_no_say(openai: FakeOpenAI) -> None:
    chat = ChatPromptwire(model="gpt-4o-mini", ignore_prompt_model=True, ignore_prompt_params=True)
    answer = (ask() | chat).invoke(ROME)
    assert openai.requests[-1].json.keys() == {"model", "messages"}
    assert openai.requests[-1].json["model"] == "gpt-4o-mini"
    assert answer.response_metadata["prompt_id"] == "ask"
    with pytest.raises(PromptConfigError, match="allowed_models"):
        (ask() | ChatPromptwire(model="gpt-4o-mini", allowed_models=("openai/gpt-4o-mini",))).invoke(ROME)


def test_a_prompt_of_its_own_counts_alone(openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    langfuse.publish("judge", [{"role": "system", "content": "You judge."}], config={"temperature": 0.9})
    answer = (ask() | ChatPromptwire(model="langfuse/gpt-4o-mini", prompt_id="judge")).invoke(ROME)
    sent = openai.requests[-1].json
    assert (sent["model"], sent["temperature"]) == ("gpt-4o-mini", 0.9)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert answer.response_metadata["prompt_id"] == "judge"


def test_structured_output_after_a_prompt(openai: FakeOpenAI) -> None:
    chain = ask("tools") | ChatPromptwire(model="gpt-4o-mini").with_structured_output(Verdict)
    assert isinstance(chain.invoke(ROME), Verdict)
    assert [tool["function"]["name"] for tool in openai.requests[-1].json["tools"]] == ["Verdict"]


def test_a_model_of_another_provider_is_refused(openai: FakeOpenAI) -> None:
    with pytest.raises(PromptConfigError, match=r"claude-haiku-4-5.*fixed llm="):
        ask("claude").bind_to(ChatOpenAI(model="gpt-4o-mini")).invoke(ROME)
    ask("claude").bind_to(ChatOpenAI(model="gpt-4o-mini"), ignore_prompt_model=True).invoke(ROME)
    assert openai.requests[-1].json["model"] == "gpt-4o-mini"


def test_a_model_that_lacks_something_says_so() -> None:
    mute = FakeListChatModel(responses=["yes"])
    with pytest.raises(ConfigurationError, match="can't call tools"):
        ask("tools").bind_to(mute).invoke(ROME)
    with pytest.raises(PromptConfigError, match="can't run on the fixed llm="):
        ask().bind_to(mute).invoke(ROME)
    assert ask().bind_to(mute, ignore_prompt_model=True).invoke(ROME).content == "yes"


@pytest.mark.parametrize("door", DOORS)
async def test_on_anthropics_wire(door: str) -> None:
    with FakeAnthropic() as server:
        chat = ChatAnthropic(  # type: ignore[call-arg]
            model="claude-opus-4-8", api_key=SecretStr(server.api_key), base_url=server.url, max_retries=0
        )
        await DOORS[door](ask("claude").bind_to(chat), "Rome")
        sent = server.requests[-1].json
    assert (sent["model"], sent["max_tokens"]) == ("claude-haiku-4-5", 50)
    assert sent["messages"] == [{"role": "user", "content": "Tell me about Rome"}]


def test_a_value_survives_pickling_and_carries_nothing_into_json(openai: FakeOpenAI) -> None:
    value = ask().invoke(ROME)
    twin = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    ChatPromptwire(model="gpt-4o-mini").invoke(twin)
    assert openai.requests[-1].json["model"] == "gpt-4o"
    assert "gpt-4o" not in value.model_dump_json()
    ChatPromptwire(model="gpt-4o-mini").invoke(value.to_messages())
    assert openai.requests[-1].json["model"] == "gpt-4o-mini"


def test_messages_alone_run_as_they_are(openai: FakeOpenAI) -> None:
    ChatPromptwire(model="gpt-4o-mini").invoke(ChatPromptValue(messages=[HumanMessage("Hi")]))
    assert openai.requests[-1].json == {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
