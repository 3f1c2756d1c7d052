"""The span of a model call: what it says, when it ends, and what it never says."""

import gc
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from langfuse import Langfuse, propagate_attributes
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr

from promptwire import GatewayError, PromptNotFoundError, PromptwireError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.telemetry import Telemetry
from tests.gateway.conftest import Ask

VALUE = "canary-value"
GREETING: dict[str, Any] = {
    "model": "langfuse/gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": VALUE}, "max_retries": 0
}  # fmt: skip
LINK = {"langfuse.observation.prompt.name": "greeting", "langfuse.observation.prompt.version": 1}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.mark.parametrize("stream", [False, True])
async def test_one_span_says_which_prompt_ran_on_which_model(
    *, stream: bool, ask: Ask, telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI
) -> None:
    langfuse.publish("greeting", "Hello {{name}}", config={"model": "gpt-4o-mini", "stop": ["END"]})
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    options = {**GREETING, "temperature": 0, "max_tokens": 50, "seed": 7, "n": 2, **usage}
    made = await (ask.chunks(**options) if stream else ask(**options))
    assert len(made) > 1
    (span,) = telemetry.calls
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-4o-mini", SpanKind.CLIENT, StatusCode.UNSET)
    told = dict(span.attributes)
    assert 0 <= told.pop("promptwire.prompt.age") < 60
    assert len(told.pop("promptwire.prompt.content_hash")) == 64
    assert told.pop("gen_ai.response.id").startswith("chatcmpl-")
    if stream:
        assert told.pop("gen_ai.request.stream") is True
        assert 0 < told.pop("gen_ai.response.time_to_first_chunk") < 60
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.prompt.name": "greeting",
        "gen_ai.prompt.version": "2",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.temperature": 0.0,
        "gen_ai.response.finish_reasons": ("stop", "stop"),
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 6,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "langfuse.observation.prompt.name": "greeting",
        "langfuse.observation.prompt.version": 2,
        "llm.prompt_template.version": "2",
        "openinference.span.kind": "LLM",
        "prompt.id": "greeting",
        "prompt.vendor": "langfuse",
        "promptwire.prompt.backend": "langfuse",
        "promptwire.prompt.source": "fresh",
        "server.address": "127.0.0.1",
        "server.port": urlsplit(openai.url).port,
    }


async def test_a_plain_call_has_no_prompt(ask: Ask, telemetry: Telemetry, openai: FakeOpenAI) -> None:
    await ask(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stop="END", temperature=None)
    told = telemetry.told()
    assert told["gen_ai.request.stop_sequences"] == ("END",)
    assert [name for name in told if "prompt" in name or name == "gen_ai.request.temperature"] == []


async def test_label_source_and_link_of_what_is_not_langfuses(
    ask: Ask, telemetry: Telemetry, openai: FakeOpenAI
) -> None:
    resolver = Resolver(MemoryBackend({"p": "Hi"}))
    for extra in ({}, {"prompt_id": "gone", "prompt_label": "candidate", "fallback": "Hello"}):
        await ask(**{"model": "gpt-4o", "prompt_id": "p", "resolver": resolver, **extra})
    kept, fallen = (dict(span.attributes) for span in telemetry.calls)
    assert (kept["promptwire.prompt.source"], fallen["promptwire.prompt.source"]) == ("fresh", "fallback")
    assert fallen["promptwire.prompt.label"] == "candidate"
    assert "promptwire.prompt.age" in kept
    unknown = {"promptwire.prompt.age", "gen_ai.prompt.version", "llm.prompt_template.version"}
    assert not unknown & fallen.keys()
    assert not LINK.keys() & (kept.keys() | fallen.keys())


@pytest.mark.parametrize("stream", [False, True])
async def test_another_wire_is_told_alike(
    *, stream: bool, ask: Ask, telemetry: Telemetry, anthropic: FakeAnthropic
) -> None:
    options: dict[str, Any] = {"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]}
    await (ask.chunks(**options) if stream else ask(**options))
    told = telemetry.told()
    assert (told["gen_ai.provider.name"], told["gen_ai.response.finish_reasons"]) == ("anthropic", ("stop",))
    assert told["gen_ai.usage.input_tokens"] > 0


@pytest.mark.parametrize(
    ("provider", "told"), [("azure", "azure.ai.openai"), ("mistral", "mistral_ai"), ("groq", "groq")]
)
def test_providers_have_the_conventions_names(
    provider: str, told: str, telemetry: Telemetry, openai: FakeOpenAI
) -> None:
    from promptwire import completion

    at: Any = {"api_base": "https://127.0.0.1", "api_key": "k", "max_retries": 0}
    with pytest.raises(GatewayError):
        completion(model=f"{provider}/m", messages=[{"role": "user", "content": "Hi"}], **at)
    found = telemetry.told()
    assert (found["gen_ai.provider.name"], found["server.port"]) == (told, 443)


def test_an_address_that_is_none_is_not_told(telemetry: Telemetry) -> None:
    from promptwire import completion

    with pytest.raises(PromptwireError):
        completion(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], api_base="http:///v1", api_key="k")
    assert not {"server.address", "server.port"} & telemetry.told().keys()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error_type", "says"), [(429, "429", "the provider answered 429"), (None, "GatewayError", "connect")]
)
async def test_a_call_that_fails_says_why(
    status: int | None, error_type: str, says: str, *, stream: bool, ask: Ask, telemetry: Telemetry,
    openai: FakeOpenAI, langfuse: FakeLangfuse,
) -> None:  # fmt: skip
    openai.stop() if status is None else openai.fail(status)
    with pytest.raises(GatewayError):
        await ask(**GREETING, stream=stream)
    (span,) = telemetry.calls
    assert (span.attributes["error.type"], span.status.status_code) == (error_type, StatusCode.ERROR)
    assert says in span.status.description
    assert span.events == ()


async def test_a_stream_that_breaks_off_says_so(
    ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, langfuse: FakeLangfuse
) -> None:
    openai.fail_stream(after=2)
    stream = await ask(**GREETING, stream=True)
    assert telemetry.calls == []
    with pytest.raises(GatewayError):
        await ask.rest(stream)
    (span,) = telemetry.calls
    assert (span.attributes["error.type"], span.status.status_code) == ("GatewayError", StatusCode.ERROR)
    assert span.attributes["gen_ai.response.model"] == "gpt-4o-mini"


@pytest.mark.parametrize("way", ["close", "unread", "drop", "lost"])
async def test_a_stream_that_is_left_ends_its_span_without_an_error(
    way: str, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, langfuse: FakeLangfuse
) -> None:
    stream = await ask(**GREETING, stream=True)
    if way not in {"unread", "lost"}:
        await ask.next(stream)
    assert telemetry.calls == []
    if way == "lost":
        del stream
        gc.collect()
        assert [span.status.status_code for span in telemetry.calls] == [StatusCode.UNSET]
        return
    if way == "drop":
        chunks = stream._chunks  # noqa: SLF001 - as the collector would
        await chunks.aclose() if ask.is_async else chunks.close()
    else:
        await ask.close(stream)
    (span,) = telemetry.calls
    assert (span.status.status_code, "error.type" in span.attributes) == (StatusCode.UNSET, False)
    await ask.close(stream)
    assert len(telemetry.calls) == 1


async def test_what_fails_before_the_model_is_asked_is_no_model_call(
    ask: Ask, telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI
) -> None:
    with pytest.raises(PromptNotFoundError):
        await ask(**{**GREETING, "prompt_id": "gone"})
    assert telemetry.spans == []


@pytest.mark.parametrize("stream", [False, True])
async def test_its_place_is_in_the_callers_trace_and_the_http_clients_is_in_it(
    *, stream: bool, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, langfuse: FakeLangfuse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    current: list[Any] = []
    monkeypatch.setattr("promptwire.log.show_request", lambda _: current.append(trace.get_current_span()))
    with telemetry.start("around") as around:
        answer = await ask(**GREETING, stream=stream)
        assert trace.get_current_span() is around
        if stream:
            await ask.next(answer)
            assert trace.get_current_span() is around
            await ask.rest(answer)
    (span,) = telemetry.calls
    assert span.parent.span_id == around.get_span_context().span_id
    assert current[0].get_span_context().span_id == span.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


async def test_no_value_message_or_key_is_told(
    ask: Ask, telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE, "event_only")
    await ask(**GREETING, user="canary-user", extra_headers={"X-Team": "canary-header"})
    openai.fail(400)
    with pytest.raises(GatewayError):
        await ask(**GREETING)
    shown = "".join(span.to_json() for span in telemetry.spans)
    assert "gpt-4o-mini" in shown
    assert [word for word in ("canary", openai.api_key, langfuse.secret_key, "Hello") if word in shown] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", ["true", "SPAN_ONLY", "span_and_event"])
async def test_content_is_told_to_who_asks_for_it(
    asked: str, *, stream: bool, ask: Ask, telemetry: Telemetry, langfuse: FakeLangfuse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(CAPTURE, asked)
    langfuse.publish("chat", [{"role": "user", "content": "{{name}} {{count}}"}, {"type": "placeholder", "name": "x"}])
    calls = [{"name": "look", "arguments": {"at": 1}}]
    with FakeOpenAI(reply=[calls, "Done."]) as openai:
        tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
        turns = [
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "seen"},
            {"role": "user", "content": [
                {"type": "text", "text": "And?"}, {"type": "image_url", "image_url": {"url": "https://127.0.0.1/i"}}]},
        ]  # fmt: skip
        variables = {"name": VALUE, "count": 3, "x": turns, "other": "unused"}
        options = {**GREETING, "prompt_id": "chat", "prompt_variables": variables, "tools": tools}
        for _ in range(2):
            made = {**options, "api_base": openai.url, "api_key": openai.api_key}
            await (ask.chunks(**made) if stream else ask(**made))
    asking, done = (dict(span.attributes) for span in telemetry.calls)
    assert {name: text for name, text in done.items() if ".variable" in name or "template" in name} == {
        "gen_ai.prompt.variable.name": VALUE,
        "gen_ai.prompt.variable.count": "3",
        "llm.prompt_template.template": '[{"role": "user", "content": "{{name}} {{count}}"}, '
        '{"type": "placeholder", "name": "x"}]',
        "llm.prompt_template.variables": f'{{"name": "{VALUE}", "count": 3}}',
        "llm.prompt_template.version": "1",
    }
    assert done["gen_ai.input.messages"] == (
        f'[{{"role": "user", "parts": [{{"type": "text", "content": "{VALUE} 3"}}]}}, '
        '{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "look", "arguments": "{}"}]}, '
        '{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "seen"}]}, '
        '{"role": "user", "parts": [{"type": "text", "content": "And?"}, {"type": "image_url"}]}]'
    )
    assert done["gen_ai.output.messages"] == (
        '[{"role": "assistant", "parts": [{"type": "text", "content": "Done."}], "finish_reason": "stop"}]'
    )
    assert '"name": "look", "arguments": "{\\"at\\": 1}"' in asking["gen_ai.output.messages"]
    assert '"finish_reason": "tool_calls"' in asking["gen_ai.output.messages"]
    shown = "".join(span.to_json() for span in telemetry.spans)
    assert [word for word in (openai.api_key, langfuse.secret_key, "unused") if word in shown] == []


def test_a_text_prompts_template_is_its_text(
    telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptwire import completion

    monkeypatch.setenv(CAPTURE, "true")
    completion(**GREETING)
    assert telemetry.told()["llm.prompt_template.template"] == "Hello {{name}}"


JINJA = """{{ user.name }} {{ user["card"]["last"] | upper }} {% for one in orders.open %}{{ one.id }}{% endfor %}
{{ whole.a }} {{ whole | length }} {{ called.get("a") }} {{ items[0].x }} {{ (made or {}).x }} {{ user.name.first }}"""


async def test_of_a_variable_only_what_the_text_reads_is_told(
    ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as its paths tell; a name that stands alone, or calls a method, is the whole value."""
    monkeypatch.setenv(CAPTURE, "true")
    backend = MemoryBackend()
    backend.publish("p", JINJA, dialect="jinja")
    variables: dict[str, Any] = {
        "user": {"name": "Ann", "card": {"last": SecretStr("4242"), "full": "unread"}, "password": "unread"},
        "orders": {"open": [{"id": 1, "total": 2}], "closed": "unread"}, "whole": {"a": 1, "b": 2},
        "called": {"a": 1, "b": 2}, "items": [{"x": 1}, {"y": 2}], "other": "unread",
    }  # fmt: skip
    await ask(model="gpt-4o", prompt_id="p", prompt_variables=variables, resolver=Resolver(backend), missing="keep")
    told = {name.rpartition(".")[2]: text for name, text in telemetry.told().items() if ".variable." in name}
    expected: dict[str, Any] = {
        "user": {"name": "Ann", "card": {"last": "**********"}}, "orders": {"open": [{"id": 1, "total": 2}]},
        "whole": {"a": 1, "b": 2}, "called": {"a": 1, "b": 2}, "items": [{"x": 1}, {"y": 2}],
    }  # fmt: skip
    assert {name: json.loads(text) for name, text in told.items()} == expected
    assert json.loads(telemetry.told()["llm.prompt_template.variables"]) == expected
    assert "unread" not in "".join(span.to_json() for span in telemetry.spans)


@pytest.mark.parametrize("dialect", ["mustache", "jinja"])
async def test_a_path_into_what_is_no_mapping_reads_nothing(
    dialect: str, ask: Ask, telemetry: Telemetry, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE, "true")
    content = [{"type": "text", "text": "{{user.key}} {{x}}"}, {"type": "image_url", "image_url": {"url": "{{at}}"}}]
    backend = MemoryBackend()
    backend.publish(
        "p", [{"role": "user", "content": content}, {"type": "placeholder", "name": "history"}], dialect=dialect
    )
    values = {"user": "unread", "user.key": "key", "x": "X", "at": "https://127.0.0.1/i"}
    await ask(model="gpt-4o", prompt_id="p", prompt_variables=values, resolver=Resolver(backend), missing="keep")
    read: dict[str, Any] = {"user": {}} if dialect == "jinja" else {"user.key": "key"}
    assert json.loads(telemetry.told()["llm.prompt_template.variables"]) == {**read, "x": "X", "at": values["at"]}


@pytest.fixture
def sdk(langfuse: FakeLangfuse, telemetry: Telemetry) -> Iterator[Callable[[], list[Any]]]:
    """Langfuse's own SDK, as the provider of the process; what it would send."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    made = Langfuse(
        public_key=f"pk-lf-{uuid4()}",  # the SDK keeps a client per key, and a port may come again
        secret_key=langfuse.secret_key, base_url=langfuse.url,
        tracer_provider=provider, span_exporter=exporter,
    )  # fmt: skip
    telemetry.trace(provider)

    def exported() -> list[Any]:
        made.flush()
        return list(exporter.get_finished_spans())

    yield exported
    made.shutdown()


async def test_langfuses_sdk_sends_it_linked_whatever_is_propagated_around(
    ask: Ask, sdk: Callable[[], list[Any]], openai: FakeOpenAI
) -> None:
    with propagate_attributes(prompt={"name": "around", "version": 9}, user_id="u1"):
        await ask(**GREETING)
    (span,) = sdk()
    assert {name: span.attributes[name] for name in LINK} == LINK
    assert span.attributes["user.id"] == "u1"


@pytest.mark.parametrize("why", ["off", "suppressed", "no provider", "not imported"])
async def test_nobody_is_told_who_does_not_want_to_know(
    why: str, *, ask: Ask, telemetry: Telemetry, langfuse: FakeLangfuse, openai: FakeOpenAI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    token = None
    if why == "off":
        monkeypatch.setenv("PROMPTWIRE_OTEL", "OFF")
    elif why == "suppressed":
        token = context.attach(context.set_value("suppress_instrumentation", True))  # noqa: FBT003 - the API's signature
    elif why == "not imported":
        for name in ("trace", "metrics"):
            monkeypatch.delitem(sys.modules, f"opentelemetry.{name}")
    else:
        telemetry.trace(None)
        telemetry.measure(None)
    await ask(**GREETING)
    await ask.chunks(**GREETING)
    if token is not None:
        context.detach(token)
    assert telemetry.spans == []
    assert telemetry.points("gen_ai.client.operation.duration") == []


def test_traced_alone_nothing_is_measured(telemetry: Telemetry, openai: FakeOpenAI) -> None:
    from promptwire import completion

    telemetry.measure(None)
    completion(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert telemetry.told()["gen_ai.response.finish_reasons"] == ("stop",)
    assert telemetry.points("gen_ai.client.operation.duration") == []


def test_measured_alone_the_callers_own_span_stays_the_current_one(
    telemetry: Telemetry, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptwire import completion

    telemetry.trace(None)
    current: list[Any] = []
    monkeypatch.setattr("promptwire.log.show_request", lambda _: current.append(trace.get_current_span()))
    with telemetry.start("around") as around:
        completion(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    assert current == [around]
