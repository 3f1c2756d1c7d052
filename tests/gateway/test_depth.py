"""Tools nested so deeply that Python's stack ends: one error of ours, wherever it comes to that."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import promptwire
from promptwire import BackendError, ConfigurationError, Prompt, PromptConfigError, Resolver
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI


def tools(depth: int) -> list[dict[str, Any]]:
    """One whose parameters nest objects."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return [{"type": "function", "function": {"name": "f", "parameters": schema}}]


def nested(calls: int, call: Callable[[], Any]) -> Any:
    """Made by as many calls within calls."""
    return nested(calls - 1, call) if calls else call()


def left(frames: int) -> int:
    """How many calls leave so many frames."""
    depth, frame = 0, sys._getframe()  # noqa: SLF001 - the only way to count
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    return sys.getrecursionlimit() - depth - frames


def test_a_prompt_that_cannot_be_read() -> None:
    """Where it is made."""
    with pytest.raises(PromptConfigError, match=r"^memory prompt 'p': it is nested too deeply"):
        Prompt("p", text="x", backend="memory", config={"tools": tools(5_000)})


@pytest.mark.usefixtures("openai")
@pytest.mark.parametrize("depth", [100, 240, 300, 400, 440, 480, 5_000])
async def test_a_prompt_servers_answer(ask: Any, plain: Any, depth: int) -> None:
    """Too deep for the parser, for the prompt, or for neither: that is the Python version's to say."""
    schema = '{"type": "object", "properties": {"a": ' * depth + "{}" + "}}" * depth
    tool = f'{{"type": "function", "function": {{"name": "f", "parameters": {schema}}}}}'
    body = f'{{"name": "p", "prompt": "x", "version": 1, "config": {{"tools": [{tool}]}}}}'
    plain.reply = replace(plain.reply, body=body.encode())
    resolver = Resolver(LangfuseBackend("pk-lf-deep", "sk-lf-deep", plain.url))
    ended = "answered"
    try:
        await ask(model="openai/gpt-4o", prompt_id="p", resolver=resolver)
    except (PromptConfigError, BackendError) as error:
        ended = str(error)
    assert re.search(r"^answered$|^langfuse prompt 'p' \(version 1\): it is nested too deeply|not JSON", ended)


@pytest.mark.parametrize("frames", [150, 230, 310])
@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"])
def test_a_prompt_that_cannot_be_sent_from_so_deep_a_stack(model: str, frames: int, openai: FakeOpenAI) -> None:
    backend = MemoryBackend()
    backend.publish("p", "x", config={"tools": tools(100)})
    resolver = Resolver(backend)
    resolver.get_prompt("p")
    with pytest.raises(PromptConfigError, match=r"^memory prompt 'p' \(version 1\): it is nested too deeply"):
        nested(
            left(frames),
            lambda: promptwire.completion(model=model, prompt_id="p", resolver=resolver, api_key="sk-canary-deep"),
        )
    assert openai.count == 0


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"])
async def test_a_callers_own(ask: Any, model: str) -> None:
    with pytest.raises(ConfigurationError, match="must be plain JSON values"):
        await ask(
            model=model, messages=[{"role": "user", "content": "x"}], tools=tools(5_000), api_key="sk-canary-deep"
        )
