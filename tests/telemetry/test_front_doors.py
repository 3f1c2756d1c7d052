"""One span of the model call, whichever the front door, and in it the label that a rollout chose."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import unquote

import pytest
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler
from llama_index.llms.promptwire import Promptwire
from openinference.instrumentation import using_metadata
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_promptwire import ChatPromptwire
from promptwire import Resolver, acompletion, completion
from promptwire.rollout import choose_label
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.telemetry import Telemetry
from tests.proxy.conftest import config_of, entry, serving

# 2026-11: openinference-instrumentation-llama-index 4.6 with pydantic 2.14.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEIGHTS = {"production": 50, "candidate": 50}
USERS = {choose_label("greeting", WEIGHTS, user): user for user in map(str, range(20))}
VERSIONS = {"production": 1, "candidate": 2}
Told = dict[str, Any]


def given(label: str) -> Any:
    return {
        "model": "langfuse/gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": "canary-value"},
        "prompt_label": WEIGHTS, "rollout_key": USERS[label],
    }  # fmt: skip


def by_completion(label: str) -> Told:
    return vars_of(completion(**given(label), resolver=Resolver()).prompt)


def by_acompletion(label: str) -> Told:
    async def stream() -> Told:
        chunks = await acompletion(**given(label), resolver=Resolver(), stream=True)
        return vars_of([chunk async for chunk in chunks][-1].prompt)

    return asyncio.run(stream())


def by_langchain(label: str, callbacks: Any = None) -> Told:
    chat = ChatPromptwire(**given(label), resolver=Resolver())
    return dict(chat.invoke([], {"callbacks": callbacks}).response_metadata)


def by_langchain_stream(label: str) -> Told:
    chunks = list(ChatPromptwire(**given(label), resolver=Resolver()).stream([]))
    return {name: value for chunk in chunks for name, value in chunk.response_metadata.items()}


def by_llamaindex(label: str) -> Told:
    return dict(Promptwire(**given(label), resolver=Resolver()).complete("").additional_kwargs)


def by_proxy(label: str) -> Told:
    rolled = entry("rolled", "langfuse/gpt-4o", prompt_id="greeting", prompt_label=WEIGHTS)
    with serving(config_of({"model_list": [rolled]})) as proxy:
        answer = proxy.chat("rolled", prompt_variables={"name": "Ann"}, rollout_key=USERS[label])
    told = {name.replace("-", "_"): unquote(value) for name, value in answer.headers.items()}
    return {
        "prompt_label": told["x_prompt_label"], "prompt_version": int(told["x_prompt_version"]),
        "prompt_id": told["x_prompt_id"],
    }  # fmt: skip


def vars_of(info: Any) -> Told:
    return {name: getattr(info, name) for name in ("prompt_id", "prompt_label", "prompt_version")}


def of_ours(spans: list[Any]) -> tuple[Any, Any, Any]:
    (told,) = [dict(span.attributes) for span in spans]
    label, version = told["promptwire.prompt.label"], told["gen_ai.prompt.version"]
    assert told["langfuse.observation.prompt.version"] == int(version)
    return told["gen_ai.prompt.name"], label, int(version)


def of_openinference(spans: list[Any]) -> tuple[Any, Any, Any]:
    (told,) = [dict(span.attributes) for span in spans if span.attributes.get("openinference.span.kind") == "LLM"
               and "llm.token_count.prompt" in span.attributes]  # fmt: skip
    metadata = json.loads(told["metadata"])
    assert told["llm.prompt_template.version"] == str(metadata["prompt_version"])
    return metadata["prompt_id"], metadata["prompt_label"], metadata["prompt_version"]


@contextmanager
def openinference(package: str, telemetry: Telemetry) -> Iterator[None]:
    if package == "llama_index":
        instrumentor: Any = LlamaIndexInstrumentor()
    else:
        module = pytest.importorskip(f"openinference.instrumentation.{package}", reason="it is not installed")
        instrumentor = module.LangChainInstrumentor()
    if instrumentor._check_dependency_conflicts() is not None:  # noqa: SLF001 - else it only logs so
        pytest.skip("OpenInference instruments newer versions only")
    instrumentor.instrument(tracer_provider=telemetry.tracers)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.fixture(autouse=True)
def _rollout(langfuse: FakeLangfuse, openai: FakeOpenAI) -> None:
    langfuse.publish("greeting", "Hi {{name}}", labels=["candidate"])


@pytest.mark.parametrize("label", WEIGHTS)
@pytest.mark.parametrize(
    ("door", "instrumented", "read"),
    [
        (by_completion, None, of_ours),
        (by_acompletion, None, of_ours),
        (by_proxy, None, of_ours),
        (by_langchain, "langchain", of_openinference),
        (by_langchain_stream, "langchain", of_openinference),
        (by_llamaindex, "llama_index", of_openinference),
    ],
)
def test_a_rollouts_choice_is_in_the_answer_and_in_the_one_span(
    door: Callable[[str], Told], instrumented: str | None, read: Callable[[list[Any]], Any], label: str,
    *, telemetry: Telemetry,
) -> None:  # fmt: skip
    """Promptwire makes no span of its own where a framework's instrumentation makes one."""
    with ExitStack() as stack:
        if instrumented:
            stack.enter_context(openinference(instrumented, telemetry))
        told = door(label)
    assert (told["prompt_id"], told["prompt_label"], told["prompt_version"]) == ("greeting", label, VERSIONS[label])
    assert read(telemetry.spans) == ("greeting", label, VERSIONS[label])
    assert len(telemetry.calls) == (0 if instrumented else 1)


@pytest.mark.parametrize("label", WEIGHTS)
def test_in_langchain_langfuses_handler_tells_of_it_in_its_one_generation(
    label: str, telemetry: Telemetry, langfuse: FakeLangfuse
) -> None:
    exporter, key = InMemorySpanExporter(), f"pk-lf-doors-{label}"
    sdk = Langfuse(
        public_key=key, secret_key=langfuse.secret_key, base_url=langfuse.url, tracer_provider=TracerProvider(),
        span_exporter=exporter,
    )  # fmt: skip
    by_langchain(label, [CallbackHandler(public_key=key)])
    sdk.flush()
    spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    (generation,) = [told for told in spans if told["langfuse.observation.type"] == "generation"]
    told = generation["langfuse.observation.metadata.prompt_label"]
    assert told in {label, json.dumps(label)}  # by langfuse 4, and by 5
    assert generation["langfuse.observation.prompt.version"] == VERSIONS[label]
    assert telemetry.spans == []
    sdk.shutdown()


@pytest.mark.parametrize(("door", "package"), [(by_langchain, "langchain"), (by_llamaindex, "llama_index")])
def test_the_callers_own_metadata_stays_and_is_back_after_it(
    door: Callable[[str], Told], package: str, telemetry: Telemetry
) -> None:
    from opentelemetry import context

    with openinference(package, telemetry), using_metadata({"tenant": "ACME", "prompt_id": "mine"}):
        door("candidate")
        assert json.loads(str(context.get_value("metadata"))) == {"tenant": "ACME", "prompt_id": "mine"}
    assert of_openinference(telemetry.spans) == ("greeting", "candidate", 2)
    (told,) = [one.attributes for one in telemetry.spans if "llm.token_count.prompt" in one.attributes]
    assert json.loads(told["metadata"])["tenant"] == "ACME"


def test_metadata_that_is_none_is_no_obstacle(telemetry: Telemetry) -> None:
    from opentelemetry import context

    with openinference("llama_index", telemetry):
        for odd in ("no JSON", "[]", 5):
            token = context.attach(context.set_value("metadata", odd))
            by_llamaindex("production")
            context.detach(token)
    told = [one.attributes for one in telemetry.spans if "llm.token_count.prompt" in one.attributes]
    assert [json.loads(one["metadata"])["prompt_label"] for one in told] == ["production"] * 3


def test_without_an_instrumentation_a_framework_makes_no_span(telemetry: Telemetry) -> None:
    by_langchain("production")
    by_llamaindex("production")
    assert telemetry.spans == []
