"""A call that no handler hears of opens no run of its own: whoever does listen, wherever it was set, misses nothing."""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.globals import set_debug
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tracers.context import collect_runs
from langchain_openai import ChatOpenAI

from langchain_promptwire import ChatPromptwire
from promptwire.testing import FakeOpenAI

pytestmark = pytest.mark.usefixtures("openai", "langfuse")

Ask = Callable[..., Awaitable[Any]]


def chat(model: str = "langfuse/gpt-4o", **given: Any) -> ChatPromptwire:
    return ChatPromptwire(model=model, prompt_id="welcome", prompt_variables={"name": "Ada", "place": "Rome"}, **given)


async def test_the_llms_own_callbacks(ask: Ask, recorder: Any) -> None:
    model = chat(llm=ChatOpenAI(model="gpt-4o", callbacks=[recorder], tags=["llms"], metadata={"llms": 1}))
    told = {"tags": ["calls"], "metadata": {"calls": 2}}
    await ask(model, [], told)
    assert recorder.count["llm_start"] == recorder.count["llm_end"] == 1
    metadata = recorder.llm_metadata[0]
    assert (metadata["prompt_id"], metadata["llms"], metadata["calls"]) == ("welcome", 1, 2)
    assert "'llms'" in recorder.traced[0]
    assert "'calls'" in recorder.traced[0]


async def test_a_tracer_set_in_the_context(ask: Ask) -> None:
    run_id = uuid.uuid4()
    with collect_runs() as runs:
        await ask(chat(), [], {"run_id": run_id, "run_name": "mine"})
    (root,) = runs.traced_runs
    assert (root.run_type, root.name, root.id) == ("chain", "mine", run_id)
    assert [(run.run_type, run.name) for run in root.child_runs] == [("llm", "ChatPromptwireGateway")]


async def test_usage_counted_in_the_context(ask: Ask) -> None:
    with get_usage_metadata_callback() as usage:
        answers = [await ask(chat(llm=llm), []) for llm in (None, ChatOpenAI(model="gpt-4o", stream_usage=True))]
    spent = sum(answer.usage_metadata["total_tokens"] for answer in answers)
    assert sum(model["total_tokens"] for model in usage.usage_metadata.values()) == spent


@contextmanager
def debugging() -> Iterator[None]:
    set_debug(True)
    try:
        yield
    finally:
        set_debug(False)


async def test_debugging_prints_both_runs(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    with debugging():
        await ask(chat(), [])
    said = capsys.readouterr().out
    assert "[chain:ChatPromptwire] Entering Chain run" in said
    assert "[chain:ChatPromptwire > llm:ChatPromptwireGateway] Entering LLM run" in said


async def test_a_step_that_hands_no_config_on(recorder: Any) -> None:
    """The chain's handlers reach the model by the context."""
    step: Runnable[str, Any] = RunnableLambda(lambda _: chat().invoke([]))
    await step.ainvoke("x", {"callbacks": [recorder]})
    assert (recorder.count["chain_start"], recorder.count["llm_start"]) == (2, 1)


async def test_nobody_listening(ask: Ask, openai: FakeOpenAI) -> None:
    """What a config holds besides reaches the delegate all the same."""
    llm: Runnable[Any, str] = RunnableLambda(lambda _, config: str(sorted(config["configurable"])))
    model = chat("langfuse", llm=llm, ignore_prompt_model=True, ignore_prompt_params=True)
    assert await ask(model, [], {"configurable": {"thread_id": "1"}}) == "['thread_id']"
    assert openai.requests == []
