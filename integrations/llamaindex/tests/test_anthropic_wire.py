"""``PromptwireGateway`` on Anthropic's wire: what goes out, what comes back, and thoughts both ways."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from promptwire import ConfigurationError, GatewayError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.anthropic_model import thought

MODEL = "anthropic/claude-sonnet-4-5"
PIXEL = b64encode(b"\x89PNG\r\n\x1a\n").decode()
PDF = b"%PDF-1.4 a document"
USER = {"role": "user", "content": "Q"}
REDACTED = {"type": "redacted_thinking", "data": "c2VhbGVk"}


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


ADD = FunctionTool.from_defaults(add)


@pytest.fixture
def gateway(anthropic: FakeAnthropic) -> PromptwireGateway:
    return PromptwireGateway(model=MODEL)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeAnthropic]]:
    servers: list[FakeAnthropic] = []

    def start(*answers: Any) -> FakeAnthropic:
        servers.append(FakeAnthropic(reply=list(answers)).start())
        for name, value in servers[-1].env.items():
            monkeypatch.setenv(name, value)
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


async def chats(llm: PromptwireGateway | Promptwire, messages: list[ChatMessage], **kwargs: Any) -> list[ChatResponse]:
    """The whole answer of each of the four chat endpoints."""
    return [
        llm.chat(messages, **kwargs),
        [*llm.stream_chat(messages, **kwargs)][-1],
        await llm.achat(messages, **kwargs),
        [one async for one in await llm.astream_chat(messages, **kwargs)][-1],
    ]


async def test_all_endpoints(
    endpoint: str, call: Any, gateway: PromptwireGateway, library: MemoryBackend, anthropic: FakeAnthropic
) -> None:
    library.publish("mine", [{"role": "system", "content": "S"}], config={"temperature": 0.2, "stop": ["X"]})
    answers = await call(Promptwire(llm=gateway, prompt_id="mine", resolver=Resolver(library)), endpoint, "Q")
    assert anthropic.requests[-1].json == {
        "model": "claude-sonnet-4-5", "system": "S", "messages": [USER], "max_tokens": 4096, "temperature": 0.2,
        "stop_sequences": ["X"], **({"stream": True} if "stream" in endpoint else {}),
    }  # fmt: skip
    last = answers[-1]
    assert (last.text if "complete" in endpoint else last.message.content) == "[claude-sonnet-4-5] Q"
    used = last.raw["usage"]
    assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"] > 0
    assert last.additional_kwargs["total_tokens"] == used["total_tokens"]
    if "stream" in endpoint:
        assert "".join(one.delta or "" for one in answers) == "[claude-sonnet-4-5] Q"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"allow_parallel_tool_calls": True}, None),
        ({"tool_required": True}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tool_choice": "add", "allow_parallel_tool_calls": True}, {"type": "tool", "name": "add"}),
        ({"tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choice(
    arguments: dict[str, Any], sent: object, gateway: PromptwireGateway, anthropic: FakeAnthropic
) -> None:
    gateway.chat_with_tools([ADD], "Hi", **arguments)
    body = anthropic.requests[-1].json
    assert body.get("tool_choice") == sent
    assert [tool["name"] for tool in body["tools"]] == ["add"]


async def test_calls_are_blocks_and_in_additional_kwargs(gateway: PromptwireGateway) -> None:
    answers = [
        gateway.chat_with_tools([ADD], "add"),
        [*gateway.stream_chat_with_tools([ADD], "add")][-1],
        await gateway.achat_with_tools([ADD], "add"),
        [one async for one in await gateway.astream_chat_with_tools([ADD], "add")][-1],
    ]
    for answer in answers:
        [block] = [one for one in answer.message.blocks if isinstance(one, ToolCallBlock)]
        [call] = answer.message.additional_kwargs["tool_calls"]
        [chosen] = gateway.get_tool_calls_from_response(answer)
        assert (
            (block.tool_call_id, block.tool_name) == (call["id"], call["function"]["name"]) == (chosen.tool_id, "add")
        )
        assert json.loads(call["function"]["arguments"]) == chosen.tool_kwargs
    assert gateway.predict_and_call([ADD], "add").sources[0].tool_name == "add"


async def test_thoughts_go_back_with_their_signatures(gateway: PromptwireGateway, anthropic: FakeAnthropic) -> None:
    """The double takes no thought that it didn't sign, nor a tool step of a thinking model without its thought."""
    question = ChatMessage("Please add")
    effort = {"reasoning_effort": "low", "tools": [ADD.metadata.to_openai_tool()]}
    for answer in await chats(gateway, [question], **effort):
        [block] = [one for one in answer.message.blocks if isinstance(one, ThinkingBlock)]
        assert block.content == "They say: Please add"
        assert block.additional_information["signature"]
        [call] = gateway.get_tool_calls_from_response(answer)
        result = ChatMessage("5", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
        gateway.chat([question, answer.message, result], **effort)
        sent = anthropic.requests[-1].json["messages"][1]["content"]
        assert [one["type"] for one in sent] == ["thinking", "tool_use"]
        assert sent[0] == thought("They say: Please add")


async def test_thinking_deltas_arrive_as_they_come(gateway: PromptwireGateway) -> None:
    answers = [*gateway.stream_chat([ChatMessage("Why is that so?")], reasoning_effort="low")]
    deltas = [one.additional_kwargs["thinking_delta"] for one in answers if "thinking_delta" in one.additional_kwargs]
    assert "".join(deltas) == "They say: Why is that so?"
    assert len([one for one in answers[-1].message.blocks if isinstance(one, ThinkingBlock)]) == 1
    grown = [
        one.message.blocks[0] for one in answers if one.message.blocks and "thinking_delta" in one.additional_kwargs
    ]
    assert [block.content for block in grown if isinstance(block, ThinkingBlock)][-1] == "They say: Why is that so?"


@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20", "ignore::pydantic.PydanticDeprecatedSince211")
@pytest.mark.parametrize("streaming", [False, True])
async def test_an_agent_that_thinks(*, streaming: bool, library: MemoryBackend, anthropic: FakeAnthropic) -> None:
    library.publish("thinker", [{"role": "system", "content": "S"}], config={"reasoning_effort": "low"})
    llm = Promptwire(model=MODEL, prompt_id="thinker", resolver=Resolver(library))
    answer = await FunctionAgent(tools=[ADD], llm=llm, streaming=streaming).run("Please add")
    assert str(answer)
    first, second = [request.json for request in anthropic.requests]
    assert first["thinking"] == second["thinking"]
    assert [one["type"] for one in second["messages"][1]["content"]] == ["thinking", "tool_use"]


async def test_unreadable_thoughts_go_back_too(scripted: Callable[..., FakeAnthropic]) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}}
    blocks, question = [REDACTED, thought("Hm"), call], ChatMessage("Q")
    effort = {"reasoning_effort": "low", "tools": [ADD.metadata.to_openai_tool()]}
    server = scripted(blocks, blocks, blocks, blocks, "3")
    gateway = PromptwireGateway(model=MODEL)
    for answer in await chats(gateway, [question], **effort):
        restored = ChatMessage.model_validate_json(answer.message.model_dump_json())  # as a memory store keeps it
        result = ChatMessage("3", role="tool", additional_kwargs={"tool_call_id": "toolu_1"})
        gateway.chat([question, restored, result], **effort)
        assert server.requests[-1].json["messages"][1]["content"] == blocks


def test_thoughts_stay_away_from_openais_wire(gateway: PromptwireGateway, openai: FakeOpenAI) -> None:
    answer = gateway.chat([ChatMessage("Q")], reasoning_effort="low")
    assert any(isinstance(block, ThinkingBlock) for block in answer.message.blocks)
    PromptwireGateway(model="gpt-4o").chat([ChatMessage("Q"), answer.message, ChatMessage("And?")])
    assert openai.requests[-1].json["messages"][1] == {"role": "assistant", "content": "[claude-sonnet-4-5] Q"}


def test_a_thought_without_a_signature_is_not_sent(gateway: PromptwireGateway, anthropic: FakeAnthropic) -> None:
    said = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="?"), TextBlock(text="A")])
    gateway.chat([ChatMessage("Q"), said, ChatMessage("And?")])
    assert anthropic.requests[-1].json["messages"][1] == {"role": "assistant", "content": "A"}


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, "title": "d.pdf"}


ENCODED = b64encode(PDF).decode()


def test_images_and_documents(tmp_path: Path, gateway: PromptwireGateway, anthropic: FakeAnthropic) -> None:
    (tmp_path / "d.pdf").write_bytes(PDF)
    blocks = [
        TextBlock(text="a"),
        ImageBlock(url=f"data:image/png;base64,{PIXEL}"),
        ImageBlock(url="https://example.com/a.png"),
        DocumentBlock(data=PDF, title="d.pdf"),
        DocumentBlock(path=tmp_path / "d.pdf", title="d.pdf"),
        DocumentBlock(url="https://example.com/d.pdf", title="d.pdf"),
        DocumentBlock(data=b"Hello, you", title="a.txt"),
    ]
    gateway.chat([ChatMessage(blocks=blocks)])
    [message] = anthropic.requests[-1].json["messages"]
    encoded = document(type="base64", media_type="application/pdf", data=ENCODED)
    assert message["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        encoded,
        encoded,
        document(type="url", url="https://example.com/d.pdf"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hello, you"},
         "title": "a.txt"},
    ]  # fmt: skip


def test_documents_on_openais_wire(openai: FakeOpenAI) -> None:
    PromptwireGateway(model="gpt-4o").chat([ChatMessage(blocks=[DocumentBlock(data=PDF, title="d.pdf")])])
    [message] = openai.requests[-1].json["messages"]
    assert message["content"] == [
        {"type": "file", "file": {"filename": "d.pdf", "file_data": f"data:application/pdf;base64,{ENCODED}"}}
    ]


@pytest.mark.parametrize(
    "block", [DocumentBlock(path="nowhere.pdf"), DocumentBlock(), ImageBlock()], ids=["no file", "nothing", "no image"]
)
def test_blocks_that_cant_be_read(block: Any, gateway: PromptwireGateway, anthropic: FakeAnthropic) -> None:
    with pytest.raises(ConfigurationError, match="block can't be read"):
        gateway.chat([ChatMessage(blocks=[block])])
    assert anthropic.count == 0


async def test_errors(gateway: PromptwireGateway, anthropic: FakeAnthropic, monkeypatch: pytest.MonkeyPatch) -> None:
    still = PromptwireGateway(model=MODEL, max_retries=0)
    anthropic.overload(times=2)
    with pytest.raises(GatewayError, match="529"):
        still.complete("Q")
    with pytest.raises(GatewayError, match="529"):
        await still.acomplete("Q")
    anthropic.fail_stream(after=3, times=2)
    with pytest.raises(GatewayError, match="overloaded_error"):
        [*still.stream_complete("Q")]
    with pytest.raises(GatewayError, match="overloaded_error"):
        [one async for one in await still.astream_complete("Q")]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-other")
    with pytest.raises(GatewayError, match=r"401 \(authentication_error\)"):
        gateway.complete("Q")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        gateway.complete("Q")


def test_a_fixed_gateway_stays_with_its_provider(library: MemoryBackend, anthropic: FakeAnthropic) -> None:
    """The prompt's model goes to the wire, and the key to the host, that the gateway was made for."""
    library.publish("other", "Hi", config={"model": "claude-opus-4-5"})
    own = PromptwireGateway(model=MODEL, api_key=anthropic.api_key, base_url=anthropic.url)
    llm = Promptwire(llm=own, prompt_id="other", resolver=Resolver(library))
    assert llm.complete("").text == "[claude-opus-4-5] Hi"
    assert llm.metadata.model_name == "claude-sonnet-4-5"
