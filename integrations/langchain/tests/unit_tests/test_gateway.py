"""``ChatPromptwireGateway`` on the wire."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage

from langchain_promptwire import ChatPromptwireGateway
from promptwire.errors import ConfigurationError, GatewayError
from promptwire.testing import Answer, FakeOpenAI, LoopbackServer, Received

IMAGE = "data:image/png;base64,aGk="


def gateway(**given: Any) -> ChatPromptwireGateway:
    return ChatPromptwireGateway(**{"model": "gpt-4o-mini", **given})


def test_parts_and_params(openai: FakeOpenAI) -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    ]
    model = gateway(temperature=0.5, max_tokens=9, stop=["."], model_kwargs={"seed": 1})
    model.invoke([SystemMessage("S"), HumanMessage(parts)], top_p=0.5, temperature=0.7, stop=["!"])  # type: ignore[arg-type]
    request = openai.requests[-1].json
    plain = {"type": "image_url", "image_url": {"url": IMAGE}}
    assert request.pop("messages") == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [*parts[:2], plain]},
    ]
    assert request == {
        "model": "gpt-4o-mini", "temperature": 0.7, "max_tokens": 9, "stop": ["!"], "seed": 1, "top_p": 0.5,
    }  # fmt: skip


def test_the_answer_tells_of_itself(openai: FakeOpenAI) -> None:
    answer = gateway().invoke("Hi there")
    assert answer.response_metadata.items() >= {
        "model_name": "gpt-4o-mini", "model_provider": "openai", "finish_reason": "stop",
    }.items()  # fmt: skip
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 6
    assert answer.usage_metadata["input_token_details"] == {"audio": 0, "cache_read": 0}


async def test_a_stream_tells_it_once(openai: FakeOpenAI) -> None:
    whole = gateway().invoke("Hi there")
    chunks = [chunk async for chunk in gateway().astream("Hi there")]
    for read in (chunks, list(gateway().stream("Hi there"))):
        joined = read[0]
        for chunk in read[1:]:
            joined = joined + chunk
        assert isinstance(joined, AIMessageChunk)
        assert (joined.content, joined.usage_metadata) == (whole.content, whole.usage_metadata)
        assert joined.response_metadata["finish_reason"] == "stop"
        assert joined.response_metadata["model_name"] == "gpt-4o-mini"
        assert [chunk.chunk_position for chunk in read] == [None] * (len(read) - 1) + ["last"]
        assert read[-1].usage_metadata == whole.usage_metadata
        assert len(read) > 2


class Host(LoopbackServer):
    """Counts usage in every chunk, as some hosts do."""

    def answer(self, request: Received) -> Answer:
        chunks = [
            {"choices": [{"delta": {"content": text}}], "usage": {"completion_tokens": count}}
            for text, count in (("a", 1), ("b", 2))
        ]
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        return Answer(200, b"", {"Content-Type": "text/event-stream"}, iter(events))


def test_a_host_that_counts_in_every_chunk() -> None:
    with Host() as host:
        read = list(gateway(model="m", base_url=host.url).stream("Hi"))
    totals = [chunk.usage_metadata["total_tokens"] for chunk in read if chunk.usage_metadata]
    assert ("".join(str(chunk.content) for chunk in read), totals) == ("ab", [2])


@pytest.mark.usefixtures("openai")
def test_a_stream_is_of_the_first_choice() -> None:
    assert "".join(str(chunk.content) for chunk in gateway().stream("Hi", n=2)) == "[gpt-4o-mini] Hi"


@pytest.mark.usefixtures("openai")
def test_streaming_switched_off() -> None:
    assert gateway(disable_streaming=True).invoke("Hi", stream=True).content == "[gpt-4o-mini] Hi"


def test_strict_schemas(openai: FakeOpenAI) -> None:
    schema = {"title": "J", "type": "object", "properties": {}}
    gateway().with_structured_output(schema, method="json_schema", strict=True).invoke("Hi")
    assert openai.requests[-1].json["response_format"]["json_schema"]["strict"] is True


@pytest.mark.usefixtures("openai")
def test_several_loops_in_a_row() -> None:
    model = gateway()
    for _ in range(3):
        assert asyncio.run(model.ainvoke("Hi")).content == "[gpt-4o-mini] Hi"


def test_several_choices(openai: FakeOpenAI) -> None:
    (found,) = gateway().generate([[HumanMessage("Hi")]], n=2).generations
    assert [one.text for one in found] == ["[gpt-4o-mini] Hi"] * 2
    assert found[1].message.usage_metadata is None  # type: ignore[union-attr]


def test_bad_arguments_of_a_call_are_kept() -> None:
    with FakeOpenAI(reply=[[{"id": "a", "name": "look", "arguments": "{broken"}]]) as server:
        answer = gateway(api_key=server.api_key, base_url=server.url).invoke("Hi")
    assert [call["args"] for call in answer.invalid_tool_calls] == ["{broken"]
    assert not answer.tool_calls


def test_the_key_goes_to_its_own_host_alone(openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        gateway().invoke("Hi")
    assert gateway(api_key=openai.api_key, base_url=openai.url).invoke("Hi").content == "[gpt-4o-mini] Hi"


@pytest.mark.parametrize("stream", [False, True])
def test_the_providers_refusal(stream: bool, openai: FakeOpenAI) -> None:
    openai.fail(400)
    with pytest.raises(GatewayError) as caught:
        list(gateway().stream("Hi")) if stream else gateway().invoke("Hi")
    assert caught.value.status_code == 400


def test_a_stream_that_breaks_off(openai: FakeOpenAI) -> None:
    openai.fail_stream(after=2)
    with pytest.raises(GatewayError):
        list(gateway().stream("Hi there"))


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": ["text"]},
        {"choices": [{}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"tool_calls": [{}]}}]},
        {"choices": [{"message": {"content": "x"}}], "usage": 5},
    ],
)
def test_odd_answers(body: dict[str, Any], openai: FakeOpenAI) -> None:
    openai.fail(200, body=body)
    with pytest.raises(GatewayError, match="not a chat completion"):
        gateway().invoke("Hi")


@pytest.mark.usefixtures("openai")
def test_unknown_arguments() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'temperature'"):
        gateway(temperatur=1)
    with pytest.raises(ConfigurationError, match="model"):
        ChatPromptwireGateway()  # type: ignore[call-arg]


@pytest.mark.usefixtures("openai")
def test_content_that_the_wire_lacks() -> None:
    with pytest.raises(ConfigurationError, match="human message"):
        gateway().invoke([HumanMessage([{"type": "image", "source": {}, "image": {}}])])


def test_reasoning_is_not_sent_back(openai: FakeOpenAI) -> None:
    blocks: list[Any] = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hello"}]
    gateway().invoke([HumanMessage("Hi"), AIMessage(blocks), HumanMessage("Again")])
    assert openai.requests[-1].json["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]
