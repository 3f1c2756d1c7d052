"""Behind an error of ours stands nothing that was read: parsers' own hold, or repeat, the whole text."""

import gc
import socket
import traceback
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire import GatewayError, PromptwireError, Resolver
from promptwire.backends.files import FilesBackend
from promptwire.backends.folder import read_yaml
from promptwire.lock import parse_lock, read_lock
from promptwire.proxy.source import Source
from promptwire.templates import compile_template
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.test_transport import raw

CANARY = "canary-that-was-read"
HALF = CANARY + "\ud800"
BAD: Any = [CANARY]
MESSAGES = [{"role": "user", "content": "Hi"}]


def latin(path: Path) -> Path:
    path.write_bytes(f"text: {CANARY}".encode() + b"\xff")
    return path


def anthropic_stream() -> Any:
    return list(promptwire.completion(model="anthropic/claude-x", messages=MESSAGES, stream=True, max_tokens=5))


# By the folder to work in; each raises one of ours.
READERS: dict[str, Callable[[Path], object]] = {
    "yaml": lambda _: read_yaml(f"{CANARY}: [", "x"),
    "yaml's value": lambda _: read_yaml("a: 2001-99-99", "x"),
    "lock": lambda _: parse_lock(f'{{"{CANARY}": '),
    "lock's bytes": lambda folder: read_lock(latin(folder / "x.lock")),
    "prompt's bytes": lambda folder: Resolver(FilesBackend(latin(folder / "p.yaml").parent)).find("p"),
    "config": lambda _: Source("x", f"{CANARY}: ["),
    "config's bytes": lambda folder: Source.of_file(latin(folder / "x")),
    "template": lambda _: compile_template(f"{{{{ {CANARY} | }}}}", "jinja"),
    "message": lambda _: promptwire.completion(model="gpt-4o", messages=[{"role": "user", "content": HALF}]),
    "parameter": lambda _: promptwire.completion(model="gpt-4o", messages=MESSAGES, extra_body={CANARY: {1}}),
    "field": lambda _: ChatPromptwire(model="gpt-4o", prompt_variables=BAD),
    "slot": lambda _: ChatPromptwire(model="gpt-4o").invoke([{"content": CANARY}]),
    "anthropic's index": lambda _: anthropic_stream(),
}  # fmt: skip


@pytest.fixture
def providers(openai: FakeOpenAI, anthropic: FakeAnthropic, langfuse: FakeLangfuse) -> FakeOpenAI:
    event = f'{{"type": "content_block_stop", "index": "{CANARY}"}}'
    anthropic.garbage(f"data: {event}\n\n")
    return openai


@pytest.mark.parametrize("reader", READERS)
def test_what_was_read_is_not_behind_the_error(reader: str, providers: FakeOpenAI, tmp_path: Path) -> None:
    with pytest.raises(PromptwireError) as caught:
        READERS[reader](tmp_path)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_models_answer_is_not_behind_the_error(openai: FakeOpenAI, *, stream: bool) -> None:
    openai.garbage(f"data: {CANARY}\n\n")
    with pytest.raises(GatewayError, match="not JSON") as caught:
        list(promptwire.completion(model="gpt-4o", messages=MESSAGES, stream=stream))

    async def read() -> list[Any]:
        answer: Any = await promptwire.acompletion(model="gpt-4o", messages=MESSAGES, stream=stream)
        return [chunk async for chunk in answer]

    with pytest.raises(GatewayError, match="not JSON") as others:
        await read()
    for error in (caught.value, others.value):
        assert (error.__cause__, error.__context__) == (None, None)


def test_a_prompt_servers_answer_is_not_behind_the_error(langfuse: FakeLangfuse) -> None:
    langfuse.garbage(CANARY)
    with pytest.raises(promptwire.BackendError, match="not JSON") as caught:
        Resolver("langfuse").find("greeting")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("answer", [f"HTTP/1.1 200 OK\r\n{CANARY} x\r\n\r\n", f"{CANARY}\r\n\r\n"])
async def test_a_broken_head_is_not_behind_the_error(answer: str) -> None:
    """HTTP libraries quote the line that they can't read."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer.encode())

    with raw(serve) as url:
        call: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES, "api_base": url, "api_key": "k"}
        with pytest.raises(GatewayError, match="broke off") as caught:
            promptwire.completion(**call)
        with pytest.raises(GatewayError, match="broke off") as others:
            await promptwire.acompletion(**call)
    for error in (caught.value, others.value):
        assert CANARY not in "".join(traceback.format_exception(error)).replace('canary-that-was-read"', "")
        assert error.__cause__ is not None
        assert (error.__cause__.__cause__, error.__cause__.__context__) == (None, None)


async def test_an_error_that_is_kept_keeps_no_answer(openai: FakeOpenAI) -> None:
    """Neither by what stands behind it nor by the frames of its traceback."""
    openai.garbage("x" * 20_000_000)
    kept: list[GatewayError] = []
    tracemalloc.start()
    try:
        for _ in range(2):
            with pytest.raises(GatewayError, match="not JSON") as caught:
                promptwire.completion(model="gpt-4o", messages=MESSAGES)
            kept.append(caught.value)
            with pytest.raises(GatewayError, match="not JSON") as others:
                await promptwire.acompletion(model="gpt-4o", messages=MESSAGES)
            kept.append(others.value)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 30_000_000  # the fake's own, and a socket's
    finally:
        tracemalloc.stop()
    assert [error.__traceback__ is None for error in kept] == [False] * 4


def test_raising_leaves_no_cycle() -> None:
    def refused() -> weakref.ref[PromptwireError]:
        try:
            read_yaml("[", "x")
        except PromptwireError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()
