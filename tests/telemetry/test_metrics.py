"""The histograms of model calls, and the counters of prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import GatewayError, PromptNotFoundError, Resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.telemetry import Telemetry
from tests.gateway.conftest import Ask

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

Until = Callable[..., None]

DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
RESOLUTIONS = "promptwire.prompt.resolutions"
CALL: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two"}], "max_retries": 0}


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("stream", [False, True])
async def test_duration_and_tokens_of_each_call(
    *, stream: bool, traced: bool, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI
) -> None:
    """Also without a provider of tracers."""
    if not traced:
        telemetry.trace(None)
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    for _ in range(2):
        await (ask.chunks(**CALL, **usage) if stream else ask(**CALL))
    ((told, seconds),) = telemetry.points(DURATION)
    assert 0 < seconds < 60
    assert told.pop("server.port") > 0
    common = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o", "server.address": "127.0.0.1",
    }  # fmt: skip
    assert told == common
    tokens = {found["gen_ai.token.type"]: value for found, value in telemetry.points(TOKENS)}
    assert tokens == {"input": 6, "output": 6}
    assert len(telemetry.calls) == (2 if traced else 0)


async def test_a_failure_is_told_by_its_type(ask: Ask, telemetry: Telemetry, openai: FakeOpenAI) -> None:
    openai.fail(500)
    with pytest.raises(GatewayError):
        await ask(**CALL)
    ((told, _),) = telemetry.points(DURATION)
    assert (told["error.type"], "gen_ai.response.model" in told) == ("500", False)
    assert telemetry.points(TOKENS) == []


async def test_what_is_sampled_out_is_measured(ask: Ask, telemetry: Telemetry, openai: FakeOpenAI) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    telemetry.trace(TracerProvider(sampler=ALWAYS_OFF))
    await ask(**CALL)
    assert len(telemetry.points(DURATION)) == 1
    assert len(telemetry.points(TOKENS)) == 2


def sources(telemetry: Telemetry) -> dict[str, int]:
    """How often each source answered, an error under its type."""
    told = telemetry.points(RESOLUTIONS)
    assert {found["promptwire.prompt.backend"] for found, _ in told} == {"langfuse"}
    return {found.get("promptwire.prompt.source") or found["error.type"]: count for found, count in told}


def test_answers_are_counted_by_source(
    door: Door, telemetry: Telemetry, *, langfuse: FakeLangfuse, clock: Clock, tmp_path: Path, until: Until
) -> None:
    resolver = Resolver("langfuse", store=tmp_path, max_stale=0)
    for _ in range(3):
        door.find(resolver, "greeting")
    until(lambda: list(tmp_path.glob("*.prompt")))
    with pytest.raises(PromptNotFoundError):
        door.find(resolver, "gone")
    door.find(resolver, "gone", fallback="Hi")
    langfuse.fail(500)
    clock.ahead += 61
    assert door.source(resolver, "greeting") == "stale"
    assert door.source(Resolver("langfuse", store=tmp_path), "greeting") == "store"
    counted = {"fresh": 1, "cached": 2, "stale": 1, "store": 1, "fallback": 1, "PromptNotFoundError": 1}
    assert sources(telemetry) == counted


def test_refreshes_and_versions_held_back_are_counted(
    door: Door, telemetry: Telemetry, langfuse: FakeLangfuse, until: Until
) -> None:
    resolver = Resolver("langfuse", cache_ttl=0, contracts={"greeting": ("name",)})
    door.find(resolver, "greeting")
    langfuse.publish("greeting", "Good day {{name}}")
    door.find(resolver, "greeting")
    langfuse.publish("greeting", "{{name}} {{city}}")
    for _ in range(3):
        assert door.source(resolver, "greeting") == "stale"
    backend = {"promptwire.prompt.backend": "langfuse"}
    until(lambda: telemetry.points("promptwire.prompt.held_back") == [(backend, 1)])
    assert telemetry.points("promptwire.prompt.refreshes") == [(backend, 1)]


def test_no_attribute_is_a_clients_or_an_editors_to_choose(
    door: Door, telemetry: Telemetry, langfuse: FakeLangfuse
) -> None:
    """Else one client could make as many time series as it likes."""
    resolver = Resolver("langfuse")
    for number in range(50):
        door.find(resolver, f"made up {number}", label=f"label{number}", fallback="Hi")
    assert sources(telemetry) == {"fallback": 50}


def test_a_provider_that_comes_later_hears_of_what_is_cached_by_then(
    door: Door, telemetry: Telemetry, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    """Once it has been refreshed: until then the quick path, which counts nothing, answers."""
    telemetry.measure(None)
    resolver = Resolver("langfuse")
    for _ in range(3):
        door.find(resolver, "greeting")
    telemetry.measure(telemetry.meters)
    clock.ahead += 61
    door.find(resolver, "greeting")
    until(lambda: door.source(resolver, "greeting") == "cached")
    before = sources(telemetry)["cached"]
    door.find(resolver, "greeting")
    assert sources(telemetry)["cached"] == before + 1


def test_each_front_doors_cached_prompts_are_counted(
    telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI
) -> None:
    from llama_index.llms.promptwire import Promptwire

    from langchain_promptwire import ChatPromptwire
    from promptwire import completion

    given: Any = {"model": "langfuse/gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": "Ann"}}
    resolver = Resolver()
    completion(**given, resolver=resolver)
    ChatPromptwire(**given, resolver=resolver).invoke([])
    Promptwire(**given, resolver=resolver).complete("")
    resolver.resolve("langfuse:greeting", variables={"name": "Ann"})
    assert sources(telemetry) == {"fresh": 1, "cached": 3}
