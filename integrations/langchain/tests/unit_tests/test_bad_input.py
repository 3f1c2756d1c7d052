"""What can't be run is refused in every colour before anything is sent, or noted where it is a documented choice."""

import logging
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_promptwire import ChatPromptwire
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import ConfigurationError, MissingVariablesError, PromptConfigError, PromptwireError
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

ADA = {"name": "Ada", "place": "Rome"}


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


@pytest.fixture(autouse=True)
def prompts(langfuse: FakeLangfuse, openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    langfuse.publish("slots", [{"type": "placeholder", "name": "examples"}, {"role": "user", "content": "Hi"}])
    langfuse.publish("two", [{"type": "placeholder", "name": "a"}, {"type": "placeholder", "name": "b"}])
    langfuse.publish("claude", "Hi", config={"model": "claude-haiku-4-5"})
    langfuse.publish("odd", "Hi", config={"temperature": "warm"})


def on_openai(**given: Any) -> ChatPromptwire:
    return ChatPromptwire(**{"model": "langfuse", "llm": ChatOpenAI(model="gpt-4o"), **given})


def on_gateway(prompt_id: str) -> ChatPromptwire:
    return ChatPromptwire(model="langfuse/gpt-4o", prompt_id=prompt_id)


LIST = ChatPromptwire(model="langfuse", prompt_id="goodbye", llm=FakeListChatModel(responses=["x"]))
BAD: dict[str, tuple[Any, Any, type[PromptwireError], str]] = {
    "nothing": (ChatPromptwire(model="gpt-4o"), [], ConfigurationError, "nothing to send"),
    "no id": (ChatPromptwire(model="langfuse/gpt-4o"), "Hi", ConfigurationError, "needs a prompt_id"),
    "variables, no id": (ChatPromptwire(model="gpt-4o"), {**ADA, "messages": "Hi"}, ConfigurationError, "prompt_id"),
    "placeholder": (on_gateway("slots"), [], MissingVariablesError, "examples"),
    "placeholders": (on_gateway("two"), [], MissingVariablesError, "a, b"),
    "variable": (on_gateway("welcome"), {"name": "A"}, MissingVariablesError, "place"),
    "setting": (on_gateway("odd"), [], PromptConfigError, "'temperature'"),
    "no model": (ChatPromptwire(prompt_id="goodbye", model="langfuse"), ADA, ConfigurationError, "names a model"),
    "no tools": (
        LIST.bind_tools([weather]),
        ADA,
        ConfigurationError,
        "FakeListChatModel can't call tools; give another",
    ),
    "no schemas": (LIST.with_structured_output({"title": "A"}), ADA, ConfigurationError, "FakeListChatModel"),
}


@pytest.mark.parametrize("case", BAD)
async def test_it_is_refused(case: str, ask: Any, openai: FakeOpenAI) -> None:
    model, given, error, says = BAD[case]
    with pytest.raises(error, match=says):
        await ask(model, given)
    assert openai.count == 0


async def test_a_prompt_of_another_provider_on_a_fixed_llm(openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    model = on_openai(prompt_id="claude")
    says = r"anthropic/claude-haiku-4-5, which .*'claude'.* names, can't run on the fixed llm=.*llm=<factory>"
    with pytest.raises(PromptConfigError, match=says):
        model.invoke([])
    with pytest.raises(PromptConfigError, match=says):
        await model.ainvoke([])
    assert (openai.count, anthropic.count) == (0, 0)
    assert on_openai(prompt_id="claude", ignore_prompt_model=True).invoke([]).content == "[gpt-4o] Hi"


def test_instructions_alone_are_sent_and_noted_once(openai: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    model = ChatPromptwire(model="langfuse/gpt-4o", prompt_id="persona", prompt_variables={"who": "Eve"})
    for _ in range(2):
        model.invoke([])
    assert openai.requests[-1].json["messages"] == [{"role": "system", "content": "You are Eve."}]
    noted = [record for record in caplog.records if "has no user turn" in record.getMessage()]
    assert [record.levelno for record in noted] == [logging.WARNING]
    model.invoke("Hi")
    assert len([record for record in caplog.records if "has no user turn" in record.getMessage()]) == 1


def test_instructions_alone_on_anthropics_wire(anthropic: FakeAnthropic) -> None:
    model = ChatPromptwire(
        model="langfuse/anthropic/claude-haiku-4-5", prompt_id="persona", prompt_variables={"who": "E"}
    )
    model.invoke([])
    assert anthropic.requests[-1].json["messages"] == [{"role": "user", "content": "You are E."}]


def test_a_prompt_without_messages_is_not_said_to_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    model = ChatPromptwire(model="gpt-4o", prompt_id="empty", resolver=Resolver(MemoryBackend({"empty": []})))
    with pytest.raises(ConfigurationError, match="nothing to send"):
        model.invoke([])
    assert caplog.records == []


def test_what_auto_leaves_out_is_noted_once(openai: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    model = ChatPromptwire(model="langfuse/gpt-4o", prompt_id="welcome", prompt_variables=ADA)
    for _ in range(2):
        model.invoke("My question")
    noted = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(noted) == 1
    for word in ("prepend", "input_variable", "text_role", "welcome"):
        assert word in noted[0]
    assert "My question" not in noted[0]


def test_nothing_of_a_variable_is_traced(recorder: Any, openai: FakeOpenAI) -> None:
    model = ChatPromptwire(
        model="langfuse/gpt-4o", prompt_id="welcome", prompt_variables={**ADA, "unused": "canary-1"},
        configurable_keys=("prompt_variables",),
    )  # fmt: skip
    config: Any = {"callbacks": [recorder], "configurable": {"prompt_variables": {"unused": "canary-2"}}}
    bound = model.bind(prompt_variables={"unused": "canary-3"})
    for asked in (model, bound, bound.bind_tools([weather])):
        asked.invoke("Hi", config, prompt_variables={"unused": "canary-4"})
        list(asked.stream("Hi", config, prompt_variables={"unused": "canary-4"}))
    assert recorder.count["llm_start"] == 6
    assert "canary" not in repr((recorder.traced, recorder.llm_metadata))


def test_anthropics_own_refusal_of_instructions_alone(anthropic: FakeAnthropic) -> None:
    llm = ChatAnthropic(model="claude-haiku-4-5")  # type: ignore[call-arg]
    model = ChatPromptwire(model="langfuse", prompt_id="persona", prompt_variables={"who": "Eve"}, llm=llm)
    with (
        pytest.warns(UserWarning, match="only system message"),
        pytest.raises(Exception, match="at least one message is required"),
    ):
        model.invoke([])
