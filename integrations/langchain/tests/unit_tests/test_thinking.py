"""What Anthropic's models think goes into LangChain's messages, and signed back into the next request."""

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tools import tool

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import ConfigurationError
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.anthropic_model import sign, thought

CLAUDE = "claude-haiku-4-5"
HIDDEN = {"type": "redacted_thinking", "data": "opaque"}
RESOLVER = Resolver(MemoryBackend({"persona": [{"role": "system", "content": "Be kind."}]}))

pytestmark = pytest.mark.usefixtures("anthropic")


@tool
def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def gateway(**given: Any) -> ChatPromptwireGateway:
    named = {"model": f"anthropic/{CLAUDE}", "model_kwargs": {"reasoning_effort": "low"}}
    return ChatPromptwireGateway(**{**named, **given})


def router(**given: Any) -> ChatPromptwire:
    return ChatPromptwire(
        model=f"anthropic/{CLAUDE}", prompt_id="persona", resolver=RESOLVER,
        model_kwargs={"reasoning_effort": "low"}, **given,
    )  # fmt: skip


MODELS = {"gateway": gateway, "router": router}


def assistants(server: FakeAnthropic) -> list[Any]:
    return [turn["content"] for turn in server.requests[-1].json["messages"] if turn["role"] == "assistant"]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("made", MODELS)
async def test_a_loop_of_tools_keeps_its_thoughts(made: str, version: str, ask: Any, anthropic: FakeAnthropic) -> None:
    model = MODELS[made](output_version=version).bind_tools([weather])
    turns: list[BaseMessage] = [HumanMessage("Rome's weather")]
    answer = await ask(model, turns)
    (call,) = answer.tool_calls
    said = "They say: Rome's weather"
    signed = {"type": "thinking", "thinking": said, "signature": sign(said)}
    blocks = [{k: v for k, v in block.items() if k != "index"} for block in answer.content_blocks]
    assert blocks[0] == {"type": "reasoning", "reasoning": said, "extras": {"signature": sign(said)}}
    assert (blocks[1]["type"], blocks[1]["name"], blocks[1]["args"]) == ("tool_call", "weather", call["args"])
    assert len(blocks) == 2
    if version == "v1":
        assert answer.content == answer.content_blocks
    last = await ask(model, [*turns, answer, weather.invoke(call)])
    assert last.text.startswith(f"[{CLAUDE}] sunny in")
    use = {"type": "tool_use", "id": call["id"], "name": "weather", "input": call["args"]}
    assert assistants(anthropic) == [[signed, use]]


async def test_every_kind_of_thought_survives(ask: Any) -> None:
    script: list[Any] = [HIDDEN, thought("first"), thought(""), {"type": "text", "text": "Hello"}]
    with FakeAnthropic(reply=[script]) as server:
        model = gateway(api_key=server.api_key, base_url=server.url)
        answer = await ask(model, "Hi")
        model.invoke([HumanMessage("Hi"), answer, HumanMessage("Again")])
        assert assistants(server) == [script]
        assert (answer.text, StrOutputParser().invoke(answer)) == ("Hello", "Hello")


def test_a_stream_of_text_alone_is_of_texts() -> None:
    chunks = list(gateway(model_kwargs={}).stream("Hi there"))
    assert all(isinstance(chunk.content, str) for chunk in chunks)
    assert gateway(model_kwargs={}).invoke("Hi").content == f"[{CLAUDE}] Hi"


async def test_text_before_a_call_is_not_lost(ask: Any) -> None:
    use = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
    script: Any = [{"type": "text", "text": "Let me see"}, use]
    with FakeAnthropic(reply=[script]) as server:
        model = gateway(api_key=server.api_key, base_url=server.url, model_kwargs={}).bind_tools([weather])
        answer = await ask(model, "Hi")
        assert [block["type"] for block in answer.content_blocks] == ["text", "tool_call"]
        assert (answer.text, [call["name"] for call in answer.tool_calls]) == ("Let me see", ["weather"])
        model.invoke([HumanMessage("Hi"), answer, ToolMessage("sun", tool_call_id="a")])
        assert assistants(server) == [script]


@pytest.mark.parametrize(
    "spoken",
    [
        AIMessage("Hello", additional_kwargs={"thinking_blocks": [thought("hm")], "reasoning_content": "hm"}),
        AIMessage([thought("hm"), {"type": "text", "text": "Hello"}]),  # type: ignore[list-item]
        AIMessage(
            [{"type": "reasoning", "reasoning": "hm", "extras": {"signature": sign("hm")}},
             {"type": "text", "text": "Hello"}],
            response_metadata={"output_version": "v1", "model_provider": "anthropic"},
        ),
    ],
)  # fmt: skip
def test_thoughts_in_every_shape_go_back(spoken: AIMessage, anthropic: FakeAnthropic, openai: FakeOpenAI) -> None:
    turns = [HumanMessage("Hi"), spoken, HumanMessage("Again")]
    gateway().invoke(turns)
    assert assistants(anthropic) == [[thought("hm"), {"type": "text", "text": "Hello"}]]
    # Another maker's model never sees them.
    ChatPromptwireGateway(model="gpt-4o").invoke(turns)
    assert [message["content"] for message in openai.requests[-1].json["messages"]] in (
        ["Hi", "Hello", "Again"],
        ["Hi", [{"type": "text", "text": "Hello"}], "Again"],
    )


def test_anothers_signed_reasoning_stays_at_home(anthropic: FakeAnthropic) -> None:
    blocks: list[Any] = [
        {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "of another maker"}},
        {"type": "reasoning", "reasoning": "unsigned"},
        {"type": "text", "text": "Hello"},
    ]
    spoken = AIMessage(blocks, response_metadata={"output_version": "v1", "model_provider": "google_genai"})
    gateway().invoke([HumanMessage("Hi"), spoken, HumanMessage("Again")])
    assert assistants(anthropic) == ["Hello"]


def test_chat_anthropic_and_the_gateway_read_each_other(anthropic: FakeAnthropic) -> None:
    theirs = ChatAnthropic(model=CLAUDE, max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1024})  # type: ignore[call-arg]
    for first, second in ((gateway(), theirs), (theirs, gateway())):
        answer = first.invoke("Hi")
        assert isinstance(answer.content, list)
        second.invoke([HumanMessage("Hi"), answer, HumanMessage("Again")])
        assert assistants(anthropic)[0][0] == thought("They say: Hi")


async def test_the_counts_of_thoughts_and_cached_tokens(ask: Any) -> None:
    cached: Any = [{"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}]
    for details in ({"cache_creation": 10, "cache_read": 0}, {"cache_creation": 0, "cache_read": 10}):
        answer = await ask(gateway(), [HumanMessage(cached)])
        assert answer.usage_metadata["input_token_details"] == details
        assert answer.usage_metadata["output_token_details"] == {"reasoning": 3}


@pytest.mark.parametrize("content", ["Hello", [{"type": "text", "text": "Hello"}]])
def test_thoughts_that_are_none(content: Any, openai: FakeOpenAI) -> None:
    """Of a prompt they fail no call; the caller's are named."""
    odd = {"role": "assistant", "content": content, "thinking_blocks": "x"}
    resolver = Resolver(MemoryBackend({"p": [odd, {"role": "user", "content": "Hi"}]}))
    ChatPromptwire(model="gpt-4o", prompt_id="p", resolver=resolver).invoke([])
    assert openai.requests[-1].json["messages"][0]["content"] == content
    with pytest.raises(ConfigurationError, match="a ai message holds content"):
        gateway().invoke([AIMessage(content, additional_kwargs={"thinking_blocks": "x"}), HumanMessage("Hi")])
