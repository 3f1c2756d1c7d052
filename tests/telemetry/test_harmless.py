"""Telemetry fails no call, and costs nothing where nobody has set it up."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import Answer as Wire
from promptwire.testing import FakeLangfuse, FakeOpenAI, LoopbackServer, Received
from tests.doubles.telemetry import Telemetry
from tests.gateway.conftest import Ask

CALL: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


class Broken:
    """Raises whatever it is asked for, from a given step on."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        if name == self._step:
            raise RuntimeError("canary-words")
        return lambda *_, **__: self


@pytest.mark.parametrize(
    "step", ["get_tracer", "start_span", "is_recording", "set_attributes", "end", "get_meter", "create_counter", "add"]
)
async def test_a_provider_that_fails_fails_no_call_and_is_told_of_once(
    step: str, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    if step in {"get_meter", "create_counter", "add"}:
        telemetry.measure(Broken(step))
    else:
        telemetry.trace(Broken(step))
    resolver = Resolver(MemoryBackend({"p": "Hi"}))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert (await ask(**CALL)).choices[0].message.content == "[gpt-4o] Hi"
            assert len(await ask.chunks(**CALL)) > 1
            await ask(model="gpt-4o", prompt_id="p", resolver=resolver)
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry raised RuntimeError; more of its errors are not told of"
    ]


class Odd(LoopbackServer):
    """Answers what OpenAI's API never would."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self._body = body

    def answer(self, request: Received) -> Wire:
        return Wire.of_json(200, self._body)


MESSAGE = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": "many", "model": 5, "id": None},
        {"usage": {"prompt_tokens": "3", "completion_tokens": True, "prompt_tokens_details": []}},
        {"choices": [{**MESSAGE, "index": {}, "finish_reason": {}}]},
        {"choices": [{**MESSAGE, "index": [], "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": [5, {"type": "text"}], "tool_calls": 7}}]},
    ],
)
async def test_an_odd_answer_is_told_as_far_as_it_is_understood(
    odd: dict[str, Any], ask: Ask, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    with Odd({"object": "chat.completion", "choices": [MESSAGE], **odd}) as server:
        assert await ask(**CALL, api_base=server.url, api_key="k")
    told = telemetry.told()
    assert told["gen_ai.request.model"] == "gpt-4o"
    assert not {"gen_ai.response.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} & told.keys()


async def test_choices_without_a_number_are_told(ask: Ask, telemetry: Telemetry) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    choices = [MESSAGE, {**MESSAGE, "index": None, "finish_reason": "length"}]
    with Odd({"object": "chat.completion", "choices": choices, "usage": usage}) as server:
        assert await ask(**CALL, api_base=server.url, api_key="k")
    told = telemetry.told()
    assert told["gen_ai.response.finish_reasons"] == ("stop", "length")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 4)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", "x" * 100_000, object()])
async def test_an_odd_variable_fails_no_call_that_captures_content(
    value: Any, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    resolver = Resolver(MemoryBackend({"p": "Hi {{unseen}} {{seen}}"}))
    variables = {"seen": "Ann", "unseen": value}
    if value == "\ud800":
        variables = {"seen": "Ann", "unseen": ""}
    await ask(model="gpt-4o", prompt_id="p", prompt_variables=variables, resolver=resolver)
    assert telemetry.told()["gen_ai.prompt.variable.seen"] == "Ann"


async def test_odd_messages_cost_a_call_that_captures_content_no_more_than_their_own_telling(
    ask: Ask, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    messages = [{"role": "assistant", "content": None, "tool_calls": 7}]
    with Odd({"object": "chat.completion", "choices": [MESSAGE]}) as server:
        await ask(model="gpt-4o", messages=messages, api_base=server.url, api_key="k")
    told = telemetry.told()
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.input.messages" not in told


PROGRAM = """
import sys
{before}
from promptwire import completion, Resolver
from promptwire.backends.memory import MemoryBackend
resolver = Resolver(MemoryBackend({{"p": "Hi"}}))
for _ in range(2):
    completion(model="gpt-4o", prompt_id="p", resolver=resolver)
    assert len(list(completion(model="gpt-4o", prompt_id="p", resolver=resolver, stream=True)))
    resolver.find("p")
found = sorted(name for name in sys.modules if name.startswith(("opentelemetry", "promptwire.telemetry")))
import json
print(json.dumps([found, bool(resolver._typed.slots)]))
"""


@pytest.mark.parametrize("imported", [False, True])
def test_without_a_provider_nothing_of_it_is_loaded_and_the_quick_path_stays(
    *, imported: bool, openai: FakeOpenAI
) -> None:
    before = "import opentelemetry.trace, opentelemetry.metrics" if imported else ""
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM.format(before=before)], check=True, capture_output=True, text=True,
        env=openai.env,
    )  # fmt: skip
    found, quick = json.loads(done.stdout)
    ours = ["promptwire.telemetry"] + [f"promptwire.telemetry.{name}" for name in ("counts", "operations", "switch")]
    assert [name for name in found if name.startswith("promptwire")] == ours
    assert any(name.startswith("opentelemetry") for name in found) == imported
    assert quick


def test_with_a_provider_a_pickled_resolver_counts_on(telemetry: Telemetry, langfuse: FakeLangfuse) -> None:
    import pickle

    twin = pickle.loads(pickle.dumps(Resolver("langfuse")))  # noqa: S301 - our own
    twin.find("greeting")
    assert [count for _, count in telemetry.points("promptwire.prompt.resolutions")] == [1]
