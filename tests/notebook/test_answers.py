"""The playground's answers: how a run is told as it goes on, what stops or fails it, and what of it is shown."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from promptwire import Resolver
from promptwire.testing import Answer, FakeOpenAI, Received
from promptwire.testing.openai_stream import event
from tests.conftest import in_environment, wait_until
from tests.doubles.kernel import Comm, send, tell
from tests.notebook.conftest import play, ran, said

KEY = "sk-canary-0123456789"


def test_the_model_that_is_picked_beats_the_prompts_own(prompts: Resolver, openai: FakeOpenAI) -> None:
    widget = play("ask@1", resolver=prompts, models=["gpt-4o"], variables={"question": "Why?"}, temperature=0)
    assert widget.drawn["panes"][0]["own"] == "gpt-4o-mini"
    ran(widget)
    tell(widget, picked=[{"version": "0", "model": "gpt-4o"}])
    ran(widget)
    assert [request.json["model"] for request in openai.requests] == ["gpt-4o-mini", "gpt-4o"]
    assert {request.json["temperature"] for request in openai.requests} == {0}
    assert widget.results[0].choices[0].message.content == "[gpt-4o] Briefly: Why?"
    assert widget.results[0].prompt.prompt_version == 1


def test_a_prompt_without_a_model_takes_the_calls_or_the_first(prompts: Resolver, openai: FakeOpenAI) -> None:
    values = {"question": "Why?", "tone": "kind"}
    assert play("ask@2", resolver=prompts, models=["gpt-4o"]).picked[0]["model"] == "gpt-4o"
    widget = ran(play("ask@2", resolver=prompts, model="gpt-4o-mini", models=["gpt-4o"], variables=values))
    assert widget.drawn["panes"][0]["own"] == "gpt-4o-mini"
    assert said(widget) == "[gpt-4o-mini] Why?"
    assert "names a model" in said(ran(play("ask@2", resolver=prompts, variables=values)))


def test_a_missing_variable_is_told_as_everywhere(prompts: Resolver, openai: FakeOpenAI) -> None:
    widget = ran(play("ask@1", resolver=prompts))
    assert widget.answers[0]["error"]["title"] == "MissingVariablesError"
    assert widget.answers[0]["error"]["facts"] == [["missing", "question"]]
    assert openai.count == 0


def test_an_answer_is_told_as_it_comes(prompts: Resolver, openai: FakeOpenAI) -> None:
    gate = openai.gate(after=2)
    widget = play("ask@1", resolver=prompts, variables={"question": "Why?"})
    widget.run()
    wait_until(lambda: widget.answers[0]["state"] == "streaming")
    wait_until(lambda: widget.answers[0]["answer"] is not None)
    assert said(widget) == "[gpt-4o-mini]"
    gate.release()
    widget.wait(10)
    assert said(widget) == "[gpt-4o-mini] Briefly: Why?"
    assert dict(widget.answers[0]["answer"]["facts"])["tokens"] == "3 in, 3 out"


class Paced(FakeOpenAI):
    """Speaks a word every two milliseconds."""

    def answer(self, request: Received) -> Answer:
        answer = super().answer(request)
        return replace(answer, pieces=self.paced(answer.pieces or iter(())))

    def paced(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            time.sleep(0.002)
            yield piece


def test_an_answer_is_told_no_faster_than_an_eye_follows(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_environment(Paced(reply="word " * 200), monkeypatch):
        started = time.monotonic()
        widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}))
        seconds = time.monotonic() - started
    told = [data for data in cast("Comm", widget.comm).log if "answers" in data.get("state", {})]
    assert widget.results[0].choices[0].message.content == "word " * 200
    assert 4 < len(told) <= 4 + 30 * seconds


@pytest.mark.parametrize("after", [0, 2])
def test_stop_ends_the_request(prompts: Resolver, openai: FakeOpenAI, after: int) -> None:
    openai.hang(after=after)
    widget = play("ask@1", resolver=prompts, variables={"question": "Why?"})
    send(widget, {"type": "run"})
    assert openai.wait_for(1)
    if after:
        wait_until(lambda: widget.answers[0]["answer"])
    for _ in range(2):
        send(widget, {"type": "stop"})
        assert widget.answers[0]["state"] == "stopped"
    assert openai.wait_for_hang_ups(1)
    widget.wait(10)
    assert widget.answers[0]["state"] == "stopped"
    openai.heal()
    assert said(ran(widget)) == "[gpt-4o-mini] Briefly: Why?"


def test_run_while_running_is_one_run(prompts: Resolver, openai: FakeOpenAI) -> None:
    gate = openai.gate()
    widget = play("ask@1", resolver=prompts, variables={"question": "Why?"})
    for _ in range(3):
        send(widget, {"type": "run"})
    assert openai.wait_for(1)
    gate.release()
    widget.wait(10)
    assert openai.count == 1
    assert ran(widget).answers[0]["state"] == "done"
    assert openai.count == 2


def test_closing_ends_the_request_and_what_comes_later_does_nothing(prompts: Resolver, openai: FakeOpenAI) -> None:
    openai.hang(after=1)
    widget = play("ask@1", resolver=prompts, variables={"question": "Why?"})
    widget.run()
    assert openai.wait_for(1)
    widget.close()
    assert openai.wait_for_hang_ups(1)
    widget.wait(10)
    widget.run()
    assert openai.count == 1


def test_stop_and_wait_without_a_run_do_nothing(prompts: Resolver) -> None:
    widget = play("ask@1", resolver=prompts)
    widget.wait()
    send(widget, {"type": "stop"})
    assert widget.answers == []


@pytest.mark.parametrize(("fault", "title"), [("fail", "GatewayError"), ("fail_stream", "GatewayError")])
def test_a_failing_model_is_an_error_in_its_pane(prompts: Resolver, openai: FakeOpenAI, fault: str, title: str) -> None:
    openai.fail(400) if fault == "fail" else openai.fail_stream(after=2)
    widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}))
    told = widget.answers[0]
    assert (told["state"], told["error"]["title"]) == ("failed", title)
    assert (told["answer"] is None) == (fault == "fail")


def test_whatever_a_call_raises_ends_it(prompts: Resolver, openai: FakeOpenAI) -> None:
    class Vault:
        def get_secret_value(self) -> str:
            raise RuntimeError(f"sealed: {KEY}")

    widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}, api_key=Vault()))
    assert widget.answers[0]["state"] == "failed"
    assert "RuntimeError" in said(widget)
    assert KEY not in said(widget)


def test_tools_that_a_model_asks_for_are_shown(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [{"name": "look", "arguments": {"q": "parcel"}}, {"name": "wait", "arguments": {}}]
    tools = [{"type": "function", "function": {"name": name}} for name in ("look", "wait")]
    with in_environment(FakeOpenAI(reply=[calls]), monkeypatch):
        widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}, tools=tools))
    assert said(widget) == '\nlook({"q": "parcel"})\nwait({})'


def test_a_model_that_asks_for_very_many_tools_is_cut(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    with in_environment(FakeOpenAI(reply=[[{"name": "look", "arguments": {}}] * 130]), monkeypatch):
        widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}, tools=tools))
    assert len({call.id for call in widget.results[0].choices[0].message.tool_calls}) == 128


class Odd(FakeOpenAI):
    """Says what no provider should."""

    def __init__(self, *chunks: Any) -> None:
        super().__init__()
        self._chunks = chunks

    def answer(self, request: Received) -> Answer:
        said = {"choices": [{"index": 0, "delta": {"content": "Yes"}}]}
        return replace(
            super().answer(request), pieces=iter([event(said), *map(event, self._chunks), b"data: [DONE]\n\n"])
        )


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [3]},
        {"choices": [{"index": "one", "delta": {"content": "x"}}]},
        {"choices": [{"index": 1, "delta": "x"}]},
        {"choices": [{"delta": {"tool_calls": [{"index": "x"}, 3]}}]},
        {"choices": [{"delta": {"content": ["x"], "refusal": {}}, "finish_reason": {"why": 1}}]},
        {"usage": "many", "model": 4, "choices": []},
        {"usage": {"prompt_tokens": {}, "completion_tokens": []}, "choices": None},
        {"model": "\ud800\u202e<b>", "choices": []},
    ],
)
def test_an_odd_answer_ends_the_run_and_keeps_what_was_said(
    prompts: Resolver, monkeypatch: pytest.MonkeyPatch, chunk: Any
) -> None:
    with in_environment(Odd(chunk), monkeypatch):
        widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}))
    assert widget.answers[0]["state"] in {"done", "failed"}
    assert said(widget).startswith("Yes")
    json.dumps(widget.answers, ensure_ascii=False).encode()


def test_no_key_reaches_the_browser(prompts: Resolver, openai: FakeOpenAI) -> None:
    openai.fail(401, body={"error": {"message": f"Incorrect API key: {KEY}"}})
    widget = ran(play("ask@1", resolver=prompts, variables={"question": "Why?"}, api_key=KEY, api_base=openai.url))
    assert openai.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = json.dumps([cast("Comm", widget.comm).log, widget._repr_mimebundle_()[0], repr(widget)], default=str)
    assert "gpt-4o-mini" in shown
    assert KEY not in shown
