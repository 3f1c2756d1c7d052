"""The proxy's spans: one for each model call, in the trace of the client that asked for it."""

from typing import Any

import httpx
import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode

from promptwire.gateway.sse import EventReader
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.telemetry import Telemetry
from tests.proxy.conftest import Running, Start, entry

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
GREETING: dict[str, Any] = {"prompt_id": "greeting", "prompt_variables": {"name": "canary-value"}}
MESSAGES = [{"role": "user", "content": "Hi"}]


def chat(proxy: Running, model: str = "clerk", headers: Any = None, **body: Any) -> httpx.Response:
    return proxy.http.post("/v1/chat/completions", json={"model": model, **body}, headers=headers or CALLER)


def ended(telemetry: Telemetry, until: Any, count: int = 1) -> list[Any]:
    """The spans of model calls; the last byte of an answer can be there before the end of its span."""
    until(lambda: len(telemetry.calls) == count)
    return telemetry.calls


@pytest.mark.parametrize("stream", [False, True])
def test_the_callers_trace_goes_on_with_the_prompts_call(
    *, stream: bool, proxy: Running, telemetry: Telemetry, until: Any
) -> None:
    usage: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    assert chat(proxy, **GREETING, **usage).status_code == 200
    (span,) = ended(telemetry, until)
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    told = dict(span.attributes)
    assert told["langfuse.observation.prompt.name"] == told["gen_ai.prompt.name"] == "greeting"
    assert (told["langfuse.observation.prompt.version"], told["llm.prompt_template.version"]) == (1, "1")
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("gpt-4o-mini", "gpt-4o-mini")
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 3)
    assert (told["promptwire.prompt.source"], told.get("gen_ai.request.stream", False)) == ("fresh", stream)
    assert "canary" not in span.to_json()
    ((_, seconds),) = telemetry.points("gen_ai.client.operation.duration")
    assert seconds > 0


@pytest.mark.parametrize("stream", [False, True])
def test_another_wires_answer_is_told_alike(
    *, stream: bool, start: Start, telemetry: Telemetry, until: Any, anthropic: FakeAnthropic
) -> None:
    proxy = start(entry("claude", "anthropic/claude-sonnet-4-5"))
    assert chat(proxy, "claude", messages=MESSAGES, stream=stream).status_code == 200
    (span,) = ended(telemetry, until)
    assert span.attributes["gen_ai.provider.name"] == "anthropic"
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.prompt.name" not in span.attributes


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-junk"}, {"traceparent": "é" * 100}, {"baggage": "a=b"}])
def test_without_a_callers_trace_one_begins(
    headers: dict[str, str], proxy: Running, telemetry: Telemetry, until: Any
) -> None:
    raw = {name: value.encode() for name, value in {"x-other": "1", **headers}.items()}
    assert chat(proxy, headers=raw, **GREETING).status_code == 200
    (span,) = ended(telemetry, until)
    assert span.parent is None


class Copying(SpanProcessor):
    """Puts baggage on spans, as those of vendors do."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attributes(baggage.get_all(parent_context))


def test_a_caller_writes_nothing_onto_the_operators_spans(proxy: Running, telemetry: Telemetry, until: Any) -> None:
    telemetry.tracers.add_span_processor(Copying())
    assert chat(proxy, headers={**CALLER, "baggage": "langfuse_user_id=victim"}, **GREETING).status_code == 200
    (span,) = ended(telemetry, until)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert "langfuse_user_id" not in span.attributes


def test_an_event_that_never_ends_is_not_held(
    start: Start, telemetry: Telemetry, until: Any, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = list[int]()
    feed = EventReader.feed

    def noted(self: EventReader, data: bytes) -> Any:
        fed.append(len(data))
        return feed(self, data)

    monkeypatch.setattr(EventReader, "feed", noted)
    plain.reply = type(plain.reply)(200, b"data: " + b"x" * 20_000_000, {"Content-Type": "text/event-stream"})
    proxy = start(entry("plain", "openai/m", api_base=plain.url, api_key="k"))
    chat(proxy, "plain", messages=MESSAGES, stream=True)
    (span,) = ended(telemetry, until)
    assert span.status.status_code == StatusCode.ERROR
    assert sum(fed) < 11_000_000


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_the_provider_is_told(
    *, stream: bool, proxy: Running, telemetry: Telemetry, until: Any, openai: FakeOpenAI
) -> None:
    openai.fail(429)
    assert chat(proxy, **GREETING, stream=stream).status_code == 429
    (span,) = ended(telemetry, until)
    assert (span.attributes["error.type"], span.status.status_code) == ("429", StatusCode.ERROR)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_none_is_told(
    *, stream: bool, start: Start, telemetry: Telemetry, until: Any, plain: Any
) -> None:
    plain.reply = type(plain.reply)(200, b"<html>", {"Content-Type": "text/html"})
    proxy = start(entry("plain", "openai/m", api_base=plain.url, api_key="k"))
    assert chat(proxy, "plain", messages=MESSAGES, stream=stream).status_code == 502
    (span,) = ended(telemetry, until)
    assert span.attributes["error.type"] == "200"


def test_a_broken_body_is_forwarded_and_its_span_ends(
    start: Start, telemetry: Telemetry, until: Any, plain: Any
) -> None:
    plain.reply = type(plain.reply)(200, b'{"choices": [', {"Content-Type": "application/json"})
    proxy = start(entry("plain", "openai/m", api_base=plain.url, api_key="k"))
    assert chat(proxy, "plain", messages=MESSAGES).content == b'{"choices": ['
    (span,) = ended(telemetry, until)
    assert "gen_ai.response.model" not in span.attributes


def test_an_error_within_a_stream_is_told_of_although_it_is_forwarded(
    proxy: Running, telemetry: Telemetry, until: Any, openai: FakeOpenAI
) -> None:
    openai.fail_stream(after=1)
    text = chat(proxy, **GREETING, stream=True).text
    assert "The server had an error" in text
    (span,) = ended(telemetry, until)
    assert (span.attributes["error.type"], span.status.status_code) == ("GatewayError", StatusCode.ERROR)


def test_a_client_that_leaves_ends_the_span(
    proxy: Running, telemetry: Telemetry, until: Any, openai: FakeOpenAI
) -> None:
    gate = openai.gate()
    with httpx.Client(base_url=proxy.url, trust_env=False) as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json={"model": "plain", "messages": MESSAGES}, timeout=0.3)
    (span,) = ended(telemetry, until)
    gate.release()
    assert span.attributes["error.type"] == "CancelledError"
    assert span.status.status_code == StatusCode.ERROR


def test_what_never_reaches_a_model_is_no_model_call(
    proxy: Running, telemetry: Telemetry, langfuse: FakeLangfuse
) -> None:
    assert chat(proxy, prompt_id="gone").status_code == 404
    assert chat(proxy, messages=5).status_code == 400
    assert telemetry.spans == []
    assert [told["error.type"] for told, _ in telemetry.points("promptwire.prompt.resolutions")] == [
        "PromptNotFoundError"
    ]


def test_under_an_instrumented_server_the_span_is_inside_that_ones(
    proxy: Running, telemetry: Telemetry, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What instruments ASGI has continued the caller's trace already."""
    from promptwire.proxy.chat import Chat

    served = Chat.__call__

    async def instrumented(self: Chat, *args: Any) -> None:
        with telemetry.start("POST"):
            await served(self, *args)

    monkeypatch.setattr(Chat, "__call__", instrumented)
    chat(proxy, **GREETING)
    until(lambda: len(telemetry.spans) == 2)
    inner, outer = telemetry.spans
    assert (inner.parent.span_id, outer.name) == (outer.context.span_id, "POST")
