"""Streams of ``completion()``: whole, left early, broken off."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from promptwire import GatewayError, Resolver, acompletion
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import Answer, FakeOpenAI, LoopbackServer, Received

CALL: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two"}]}


def text(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_chunks_arrive_with_usage_and_the_prompt(ask: Any, openai: FakeOpenAI) -> None:
    call = {"model": "gpt-4o", "prompt_id": "p", "resolver": Resolver(MemoryBackend({"p": "one two"}))}
    stream = await ask(**call, stream=True)
    chunks = await ask.rest(stream)
    assert text(chunks) == "[gpt-4o] one two"
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].choices == []
    assert stream.prompt.id == chunks[0].prompt.id == "p"
    assert (chunks[1].choices[0].delta.tool_calls, chunks[1].choices[0].finish_reason) == (None, None)
    assert openai.requests[0].json["stream_options"] == {"include_usage": True}
    assert await ask.rest(stream) == []


async def test_usage_can_be_left_out(ask: Any, openai: FakeOpenAI) -> None:
    chunks = await ask.chunks(**CALL, stream_options={"include_usage": False})
    assert all(chunk.usage is None for chunk in chunks)


async def test_tool_calls_stream(ask: Any, openai: FakeOpenAI) -> None:
    tool = {"type": "function", "function": {"name": "two", "parameters": {"type": "object"}}}
    chunks = await ask.chunks(**CALL, tools=[tool])
    calls = [chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices]
    assert [call[0].function.arguments for call in calls if call] == ["", "{}"]


async def test_the_request_goes_out_before_the_first_chunk(ask: Any, openai: FakeOpenAI) -> None:
    openai.fail(400)
    with pytest.raises(GatewayError, match="answered 400"):
        await ask(**CALL, stream=True)


async def test_a_stream_left_early_ends_the_request(ask: Any, openai: FakeOpenAI) -> None:
    openai.hang(after=2)
    stream = await ask(**CALL, stream=True)
    await ask.next(stream)
    await ask.close(stream)
    assert await asyncio.to_thread(openai.wait_for_hang_ups)
    assert await ask.rest(stream) == []
    await ask.close(stream)


async def test_a_stream_never_read_can_be_closed(ask: Any, openai: FakeOpenAI) -> None:
    openai.hang(after=1)
    await ask.close(await ask(**CALL, stream=True))
    assert await asyncio.to_thread(openai.wait_for_hang_ups)


async def test_streams_are_context_managers(ask: Any, openai: FakeOpenAI) -> None:
    openai.hang(after=2)
    stream = await ask(**CALL, stream=True)
    if ask.is_async:
        async with stream as entered:
            await anext(entered)
    else:
        with stream as entered:
            next(entered)
    assert await asyncio.to_thread(openai.wait_for_hang_ups)


async def test_a_cancelled_reader_ends_the_request(openai: FakeOpenAI) -> None:
    gate = openai.hang(after=2)

    async def read() -> None:
        async with await acompletion(**CALL, stream=True) as stream:
            async for _ in stream:
                pass

    reader = asyncio.create_task(read())
    assert await asyncio.to_thread(gate.wait_for)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await asyncio.to_thread(openai.wait_for_hang_ups)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_loop_may_end_in_the_middle_of_a_stream(*, newest_first: bool, openai: FakeOpenAI) -> None:
    """It closes the generators that are left all at once and in any order, and logs what they raise then."""

    async def read_one() -> list[Any]:
        left: list[Any] = []
        loops_own: Any = sys.get_asyncgen_hooks().firstiter

        def note(made: Any) -> None:
            left.append(made)
            loops_own(made)

        sys.set_asyncgen_hooks(firstiter=note)
        stream = await acompletion(**CALL, stream=True)
        await anext(stream)
        closing = [made.aclose() for made in (reversed(left) if newest_first else left)]
        assert len(closing) > 3
        return await asyncio.gather(*closing, return_exceptions=True)

    assert set(asyncio.run(read_one())) == {None}


async def first_chunks(ask: Any, stream: Any) -> tuple[list[Any], GatewayError]:
    chunks: list[Any] = []

    async def read() -> None:
        while True:
            chunks.append(await ask.next(stream))

    with pytest.raises(GatewayError, match=r"^openai/gpt-4o: ") as caught:
        await read()
    return chunks, caught.value


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda server: server.drop(after=3), "the connection broke off; check"),
        (lambda server: server.fail_stream("canary prompt", after=3), "broke the stream off with an error; .body"),
    ],
    ids=["dropped", "error event"],
)
async def test_a_stream_that_breaks_off_is_an_error(
    ask: Any, openai: FakeOpenAI, break_it: Callable[[FakeOpenAI], None], words: str
) -> None:
    break_it(openai)
    chunks, error = await first_chunks(ask, await ask(**CALL, stream=True))
    assert text(chunks) == "[gpt-4o] one"
    assert words in str(error)
    assert "canary" not in str(error)
    assert (error.body is not None) == ("error event" in words or ".body" in words)
    assert openai.count == 1


CHUNK = '{"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}'
HALF = CHUNK % ("a\u2028é😀\u0085b", "null")
LAST = CHUNK % ("c", '"stop"')


class Says(LoopbackServer):
    """Answers with these bytes."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self._body = body.encode()

    def answer(self, request: Received) -> Answer:
        return Answer(200, self._body, {"Content-Type": "text/event-stream"})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bytewise", [True, False])
async def test_lines_end_at_cr_and_lf_however_they_are_cut(ask: Any, end: str, *, bytewise: bool) -> None:
    lines = [": comment", "event: x", "data:" + HALF, "", "id: 1", "", "data: " + LAST[:20], "data: " + LAST[20:], ""]
    with Says(end.join([*lines, "data: [DONE]", "", "data: not JSON", "", ""])) as server:
        if bytewise:
            server.drip(0.0)
        chunks = await ask.chunks(**CALL, api_base=server.url)
    assert text(chunks) == "a\u2028é😀\u0085bc"


async def test_a_stream_may_end_without_done(ask: Any, openai: FakeOpenAI) -> None:
    openai.garbage(f"data: {HALF}\n\ndata: {LAST}\n\n")
    assert len(await ask.chunks(**CALL)) == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"data: {HALF}\n\n", "broke off before its end"),
        ("", "broke off before its end"),
        ('{"choices": []}', "broke off before its end"),
        ("data: {canary\n\n", "not JSON"),
        ("data: \n\n", "not JSON"),
        (f"data: {'[' * 100_000}\n\n", "not JSON"),
        ("data: 5\n\n", "not a chunk"),
        ("data: null\n\n", "not a chunk"),
        ('data: {"choices": 5}\n\n', "not a chunk"),
        ('data: {"choices": [null]}\n\n', "not a chunk"),
        ('data: {"choices": {"a": 1}}\n\n', "not a chunk"),
        ('data: {"error": "canary"}\n\n', "with an error; .body has it"),
    ],
)
async def test_garbage_in_a_stream(ask: Any, openai: FakeOpenAI, body: str, words: str) -> None:
    openai.garbage(body)
    _, error = await first_chunks(ask, await ask(**CALL, stream=True))
    assert words in str(error)
    assert "canary" not in str(error)
