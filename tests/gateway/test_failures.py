"""Model calls that fail: what is tried again, what the error says, and what it doesn't."""

import asyncio
import gc
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from promptwire import GatewayError, acompletion
from promptwire.gateway.driver import MAX_PAUSE
from promptwire.testing import Answer, FakeOpenAI, LoopbackServer, Received

CALL: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "canary prompt"}]}


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(
    ("status", "retried"),
    [(status, True) for status in (408, 409, 429, 500, 502, 503, 504)]
    + [(status, False) for status in (301, 307, 400, 401, 403, 404, 413, 422)],
)
async def test_which_statuses_are_tried_again(ask: Any, openai: FakeOpenAI, status: int, *, retried: bool) -> None:
    openai.fail(status)
    for retries, tries in ((None, 3), (0, 1), (1, 2)):
        before = openai.count
        with pytest.raises(GatewayError, match=rf"^openai/gpt-4o: the provider answered {status} ?") as caught:
            await ask(**CALL, max_retries=retries)
        assert openai.count - before == (tries if retried else 1)
        assert caught.value.status_code == status
        assert caught.value.body
        assert "Fake failure" not in str(caught.value)


@pytest.mark.usefixtures("_no_pauses")
async def test_a_retry_can_succeed(ask: Any, openai: FakeOpenAI) -> None:
    openai.fail(500, times=1)
    openai.fail(429, times=1)
    assert (await ask(**CALL)).choices[0].finish_reason == "stop"
    assert len(await ask.chunks(**CALL)) > 2
    assert [request.body for request in openai.requests[:3]] == [openai.requests[0].body] * 3


@pytest.mark.parametrize(
    ("header", "slept"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("86400", MAX_PAUSE),
        ("inf", MAX_PAUSE),
        ("nan", 0.5),
        ("soon", 0.5),
        (formatdate(0, usegmt=True), 0.0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", 0.5),
        (None, 0.5),
    ],
)
async def test_retry_after_is_honoured(
    ask: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, header: str | None, slept: float
) -> None:
    pauses: list[float] = []

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("random.uniform", lambda low, high: 1.0)
    monkeypatch.setattr("promptwire.gateway.driver.time", SimpleNamespace(sleep=pauses.append))  # others do sleep
    monkeypatch.setattr("promptwire.gateway.driver.asyncio.sleep", asleep)
    openai.fail(429, retry_after=header, times=1)
    openai.fail(503, times=1)
    await ask(**CALL)
    assert pauses == [slept, 1.0]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else gets it, and never listened at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_a_refused_connection_is_tried_again(ask: Any, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    def draw(low: float, high: float) -> float:
        drawn.append(low)
        return 0.0

    monkeypatch.setattr("random.uniform", draw)
    with pytest.raises(GatewayError, match=r"^openai/gpt-4o: could not connect; check the base URL") as caught:
        await ask(**CALL, api_base=f"http://127.0.0.1:{closed_port}/v1", api_key="sk-test")
    assert len(drawn) == 2
    assert (caught.value.status_code, caught.value.body) == (None, None)


@pytest.mark.parametrize("after", [0, 5])
async def test_what_may_have_been_carried_out_is_not_sent_again(ask: Any, openai: FakeOpenAI, after: int) -> None:
    await ask(**CALL)
    openai.drop(after)
    with pytest.raises(GatewayError, match=r"^openai/gpt-4o: the connection broke off"):
        await ask(**CALL)
    assert openai.count == 2


class Broken(LoopbackServer):
    """Answers with an error, of which only a part arrives."""

    def answer(self, request: Received) -> Answer:
        return Answer(500, b"it is brok", {"Content-Type": "text/plain"})


async def test_an_error_that_breaks_off(ask: Any) -> None:
    with Broken() as server:
        server.drop(3)
        with pytest.raises(GatewayError, match=r"^openai/gpt-4o: the connection broke off"):
            await ask(**CALL, api_base=server.url)
        assert server.count == 1


async def test_timeouts(ask: Any, openai: FakeOpenAI) -> None:
    openai.hang()
    started = time.monotonic()
    with pytest.raises(GatewayError, match=r"^openai/gpt-4o: timed out"):
        await ask(**CALL, timeout=0.1)
    openai.heal()
    openai.hang(after=2)
    stream = await ask(**CALL, timeout=0.1, stream=True)
    with pytest.raises(GatewayError, match=r"^openai/gpt-4o: timed out"):
        await ask.rest(stream)
    assert openai.count == 2
    assert time.monotonic() - started < 10


class Endless(LoopbackServer):
    """Answers with spaces, for as long as somebody reads them."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def answer(self, request: Received) -> Answer:
        return Answer(self.status, b"", {"Content-Type": "application/json"}, itertools.repeat(b" " * 100_000))


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_answer_that_never_ends(ask: Any, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr("promptwire.inflate.MAX_ANSWER", 2_000_000)
    with Endless(status) as server:
        with pytest.raises(GatewayError, match=r"^openai/gpt-4o: its answer is larger than 2 MB"):
            await ask(**CALL, api_base=server.url, api_key="sk-canary-endless")
        assert await asyncio.to_thread(server.wait_for_hang_ups)
        assert server.count == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>canary</html>", "not JSON; is the base URL right?"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a chat completion"),
        ("null", "not a chat completion"),
        ("{}", "not a chat completion"),
        ('{"choices": {"canary": 1}}', "not a chat completion"),
        ('{"choices": []}', "not a chat completion"),
        ('{"choices": [null]}', "not a chat completion"),
        ('{"choices": [{}]}', "not a chat completion"),
        ('{"choices": [{"message": 5}]}', "not a chat completion"),
        ('{"error": {"message": "canary"}}', "not a chat completion"),
    ],
)
async def test_garbage(ask: Any, openai: FakeOpenAI, body: str, words: str) -> None:
    openai.garbage(body)
    with pytest.raises(GatewayError, match=f"^openai/gpt-4o: the provider's answer is {words}") as caught:
        await ask(**CALL)
    assert caught.value.status_code == 200
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"error": {"type": "t", "code": "c_1", "param": "messages"}}, " (t, c_1, messages)"),
        ({"error": {"message": "canary", "type": "a canary", "code": 5}}, ""),
        ({"error": {"code": "sktestkey"}}, ""),
        ({"error": "canary"}, ""),
        ({"detail": "canary"}, ""),
        ([], ""),
        ("canary", ""),
        ("[" * 100_000, ""),
    ],
)
async def test_errors_name_the_codes_and_no_words(ask: Any, openai: FakeOpenAI, body: object, codes: str) -> None:
    openai.fail(400, body=body)
    with pytest.raises(GatewayError) as caught:
        await ask(**CALL, api_key="sktestkey")
    assert str(caught.value) == f"openai/gpt-4o: the provider answered 400{codes}; .body has its words"


LOOPS = """
import asyncio, gc, sys
from promptwire import acompletion

call = dict(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])

async def several():
    answers = await asyncio.gather(*[acompletion(**call) for _ in range(5)])
    stream = await acompletion(**call, stream=True)
    return [answer.choices[0].message.content for answer in answers], await anext(stream)

for _ in range(3):
    said, chunk = asyncio.run(several())
    assert said == ["[gpt-4o] Hi"] * 5 and chunk.object == "chat.completion.chunk"
if "bare" in sys.argv:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(acompletion(**call)).choices
        loop.close()
gc.collect()
"""


@pytest.mark.parametrize("arguments", [["-Werror", "-c", LOOPS], ["-c", LOOPS, "bare"]], ids=["run", "bare"])
def test_loops_end_without_a_word(openai: FakeOpenAI, arguments: list[str]) -> None:
    """Also those that are closed bare, with a session that can't be closed any more."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert openai.count == (21 if "bare" in arguments else 18)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the loop's own sockets, which went with it
def test_sessions_of_closed_loops_are_forgotten(openai: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(acompletion(**CALL)).choices
        loop.close()
    asyncio.run(acompletion(**CALL))
    gc.collect()
    assert caplog.messages == []
