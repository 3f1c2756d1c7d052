"""``PromptwireGateway``: its settings, its streams, and answers that are none."""

import asyncio
import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from promptwire import ConfigurationError, GatewayError
from promptwire.testing import FakeOpenAI

USER = {"role": "user", "content": "Q"}
PIECES = [
    {"role": "assistant", "content": "", "reasoning_content": "Let me "},
    {"reasoning": "think"},
    {"content": "I "},
    {"content": None, "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "add"}}]},
    {"tool_calls": [
        {"index": 1, "id": "b", "function": {"name": "shout", "arguments": '{"t'}},
        {"index": 0, "id": "a", "function": {"arguments": '{"a": 1}'}},
    ]},
    {"content": "call", "tool_calls": [{"index": 1, "function": {"name": None, "arguments": 'ext": "x"}'}}]},
]  # fmt: skip


async def test_a_stream_grows(openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": piece}]} for piece in PIECES]
    chunks += [
        {"choices": [{"index": 1, "delta": {"content": "another"}}]},
        {"choices": [], "usage": {"total_tokens": 3}},
    ]
    chunks.insert(-1, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    openai.fail(200, body=events)
    gateway = PromptwireGateway(model="gpt-4o")
    answers = list(gateway.stream_chat([ChatMessage("Q")]))
    later = [one async for one in await gateway.astream_chat([ChatMessage("Q")])]
    assert [one.model_dump() for one in later] == [one.model_dump() for one in answers]
    assert [one.message.content or "" for one in answers] == ["", "", "I ", "I ", "I ", *["I call"] * 4]
    assert [one.delta for one in answers] == ["", "", "I ", "", "", "call", "", "", ""]
    assert [one.additional_kwargs.get("thinking_delta") for one in answers[:3]] == ["Let me ", "think", None]
    last = answers[-1]
    assert last.message.blocks[0] == ThinkingBlock(content="Let me think")
    calls = [(call.tool_id, call.tool_name, call.tool_kwargs) for call in gateway.get_tool_calls_from_response(last)]
    assert calls == [("a", "add", {"a": 1}), ("b", "shout", {"text": "x"})]
    assert [call["function"]["arguments"] for call in last.message.additional_kwargs["tool_calls"]] == [
        '{"a": 1}', '{"text": "x"}'
    ]  # fmt: skip
    assert (last.raw, last.additional_kwargs) == (chunks[-1], {"total_tokens": 3})
    assert [len(gateway.get_tool_calls_from_response(one, error_on_no_tool_call=False)) for one in answers] == [
        0, 0, 0, 1, 2, 2, 2, 2, 2
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [{"choices": []}, {"choices": [7]}, {"choices": [{"message": {"tool_calls": {"a": 1}}}]}, {"choices": 7}, [], "x"],
)
async def test_answers_of_another_shape(body: Any, openai: FakeOpenAI) -> None:
    openai.fail(200, body=body)
    gateway = PromptwireGateway(model="gpt-4o")
    with pytest.raises(GatewayError):
        gateway.complete("Q")
    with pytest.raises(GatewayError):
        await gateway.acomplete("Q")


def test_streams_that_break_off(openai: FakeOpenAI) -> None:
    openai.fail_stream(after=2)
    answers = PromptwireGateway(model="gpt-4o").stream_chat([ChatMessage("Q")])
    with pytest.raises(GatewayError):
        list(answers)


async def test_a_stream_left_early_ends_its_request() -> None:
    with FakeOpenAI(reply="word " * 2000) as server:
        server.drip(0.0001)
        llm = Promptwire(model="gpt-4o", base_url=server.url, api_key=server.api_key)
        answers = llm.stream_chat([ChatMessage("Q")])
        next(answers)
        answers.close()
        later = await llm.astream_chat([ChatMessage("Q")])
        await anext(later)
        await later.aclose()
        assert await asyncio.to_thread(server.wait_for_hang_ups, 2)


def test_its_own_settings(openai: FakeOpenAI) -> None:
    gateway = PromptwireGateway(
        model="openai/gpt-4o", temperature=0.4, max_tokens=30, context_window=99, additional_kwargs={"seed": 1}
    )
    gateway.complete("Q", temperature=0, timeout=5, max_retries=0)
    assert openai.requests[-1].json == {
        "model": "gpt-4o", "messages": [USER], "temperature": 0, "max_tokens": 30, "seed": 1
    }  # fmt: skip
    gateway.complete("Q", extra_headers={"X-Team": "a"})
    assert openai.requests[-1].headers["x-team"] == "a"
    assert "extra_headers" not in openai.requests[-1].json
    known = gateway.metadata
    assert (known.model_name, known.context_window, known.num_output) == ("gpt-4o", 99, 30)
    assert known.is_function_calling_model
    with pytest.raises(ConfigurationError, match=r"'temperatur' .did you mean 'temperature'"):
        gateway.complete("Q", temperatur=1)
    with pytest.raises(ConfigurationError, match="model: Field required"):
        PromptwireGateway()


def test_retries_and_keys(openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    openai.fail(503, times=1, retry_after=0)
    assert PromptwireGateway(model="gpt-4o").complete("Q").text == "[gpt-4o] Q"
    openai.fail(503, times=1)
    with pytest.raises(GatewayError, match="503"):
        PromptwireGateway(model="gpt-4o", max_retries=0).complete("Q")
    openai.heal()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        PromptwireGateway(model="gpt-4o").complete("Q")
