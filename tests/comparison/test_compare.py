"""Comparisons: every case in every column, once, and what is told of it."""

import asyncio
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import promptwire
from promptwire import ConfigurationError, GatewayError, MissingVariablesError, Prompt, PromptNotFoundError, Resolver
from promptwire.testing import FakeOpenAI
from tests.comparison.conftest import Compare
from tests.conftest import in_environment

CASES = [{"question": "Why?"}, {"question": "How?"}]
SUBJECTS = ("ask@1", "ask@candidate")


@pytest.fixture
def questions(openai: FakeOpenAI) -> Any:
    """What the model was asked, in the order it came."""
    return lambda: [request.json["messages"][-1]["content"] for request in openai.requests]


async def test_every_case_runs_in_every_column(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    made = await run(*SUBJECTS, CASES, resolver=prompts)
    texts = [[made.cells[row, at].text for at in (0, 1)] for row in (0, 1)]
    assert texts == [
        ["[gpt-4o-mini] Briefly: Why?", "[gpt-4o] At length: Why?"],
        ["[gpt-4o-mini] Briefly: How?", "[gpt-4o] At length: How?"],
    ]
    assert [column.name for column in made.columns] == list(SUBJECTS)
    assert made.complete
    assert all(cell.latency and not cell.cached for cell in made.cells.values())


async def test_models_beat_the_prompts_own(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    made = await run("ask@1", cases=CASES[:1], models=["openai/gpt-4o", "gpt-4o-mini"], resolver=prompts)
    assert [cell.text for cell in made.cells.values()] == ["[gpt-4o] Briefly: Why?", "[gpt-4o-mini] Briefly: Why?"]
    assert [column.name for column in made.columns] == ["ask@1 on openai/gpt-4o", "ask@1 on gpt-4o-mini"]


async def test_a_second_run_costs_only_what_changed(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, questions: Any
) -> None:
    await run(*SUBJECTS, CASES, resolver=prompts)
    again = await run(*SUBJECTS, [*CASES, {"question": "Where?"}], resolver=prompts)
    assert sorted(questions()[4:]) == ["At length: Where?", "Briefly: Where?"]
    assert [cell.cached for _, cell in again.cells.items()] == [True] * 4 + [False] * 2
    await run("ask@1", CASES, resolver=prompts, temperature=0)
    assert len(questions()) == 8


async def test_a_cache_of_ones_own_is_used(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    cache: dict[bytes, Any] = {}
    await run("ask@1", CASES, resolver=prompts, cache=cache)
    assert len(cache) == 2
    assert prompts.answers == {}


async def test_only_so_many_run_at_once(run: Compare, prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most, lock = [0], [0], threading.Lock()
    together = threading.Barrier(3)

    def reply(_: Any) -> str:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        together.wait(10)
        with lock:
            under_way[0] -= 1
        return "ok"

    with in_environment(FakeOpenAI(reply=reply), monkeypatch):
        made = await run("ask@1", [{"question": str(number)} for number in range(9)], resolver=prompts, concurrency=3)
    assert made.complete
    assert most == [3]


async def test_a_failing_cell_keeps_the_others(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    openai.fail(400, times=1)
    made = await run("ask@1", [*CASES, {}], resolver=prompts, concurrency=1)
    kinds = [type(cell.error) for _, cell in made.cells.items()]
    assert kinds == [GatewayError, type(None), MissingVariablesError]
    total = made.totals()[0]
    assert (total.answered, total.failed) == (1, 2)


@pytest.mark.parametrize(
    ("scorer", "scores"),
    [
        ("exact", [1.0, 0.0]),
        ("regex", [0.0, 1.0]),
        (lambda text, case: len(text) > len(case["question"]), [1.0, 1.0]),
        ({"type": "object"}, [0.0, 0.0]),
    ],
)
async def test_answers_are_scored(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, scorer: Any, scores: list[float]
) -> None:
    first = "How" if scorer == "regex" else " [gpt-4o-mini] Briefly: Why?\n"
    cases = [{**CASES[0], "expected": first}, {**CASES[1], "expected": r"Briefly: \w+"}]
    made = await run("ask@1", cases, resolver=prompts, scorer=scorer)
    assert [cell.score for _, cell in made.cells.items()] == scores
    assert made.totals()[0].score == sum(scores) / 2


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"a": 1}', True),
        ('```json\n{"a": 1}\n```', True),
        ('{"a": "x"}', False),
        ("[" * 100_000, False),
        ("no", False),
    ],
)
async def test_a_schema_judges_json(
    run: Compare, prompts: Resolver, monkeypatch: pytest.MonkeyPatch, text: str, *, fits: bool
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with in_environment(FakeOpenAI(reply=text), monkeypatch):
        one = await run("ask@1", [{"question": "?", "expected": schema}], resolver=prompts, scorer="json_schema")
        other = await run("ask@1", [{"question": "?"}], resolver=prompts, scorer=schema)
    assert one.cells[0, 0].score == other.cells[0, 0].score == float(fits)


async def test_costs_are_known_where_prices_are(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    made = await run(*SUBJECTS, CASES, resolver=prompts, prices={"gpt-4o": (2.0, 10.0)})
    small, large = made.totals()
    assert small.cost is None
    assert large.prompt_tokens is not None
    assert large.completion_tokens is not None
    assert large.cost == pytest.approx((large.prompt_tokens * 2 + large.completion_tokens * 10) / 1e6)


@pytest.mark.parametrize("kind", ["list", "frame", "path", "text"])
async def test_cases_come_in_many_forms(
    run: Compare, prompts: Resolver, tmp_path: Path, questions: Any, *, kind: str
) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text("\n\n".join(json.dumps(case) for case in CASES))
    forms: dict[str, Any] = {
        "list": CASES,
        "frame": import_module("pandas").DataFrame(CASES),
        "path": path,
        "text": str(path),
    }
    await run("ask@1", forms[kind], resolver=prompts, concurrency=1)
    assert questions() == ["Briefly: Why?", "Briefly: How?"]


async def test_prompts_need_no_backend(run: Compare, openai: FakeOpenAI, questions: Any) -> None:
    drafts = [Prompt("draft", text=f"{word} {{{{question}}}}", version=n) for n, word in enumerate(("Say", "Tell"), 1)]
    made = await run(*drafts, CASES[:1], model="gpt-4o", concurrency=1)
    assert questions() == ["Say Why?", "Tell Why?"]
    assert [column.name for column in made.columns] == ["draft@1", "draft@2"]


@pytest.mark.parametrize(
    ("subjects", "options", "said"),
    [
        ((), {}, "takes prompts"),
        (("ask@1",), {}, "takes prompts"),
        (("ask@1", "ask@1", CASES), {}, "same prompt"),
        ((3, CASES), {}, "references"),
        (("ask@1", []), {}, "from 1 to"),
        (("ask@1", 7), {}, "cases are a list"),
        (("ask@1", ["Why?"]), {}, "case 1 is no mapping"),
        (("ask@1", CASES), {"models": "gpt-4o"}, "a list of model strings"),
        (("ask@1", CASES), {"scorer": "best"}, "scorer is"),
        (("ask@1", CASES), {"scorer": "exact"}, "case 1 has none"),
        (("ask@1", CASES), {"concurrency": 0}, "concurrency"),
        (("ask@1", "missing.jsonl"), {}, "can't be read"),
        (("ask@1", CASES), {"scorr": "exact"}, r"^compare\(\) .*'scorer'\?"),
    ],
)
async def test_what_can_t_be_compared_is_refused(
    run: Compare, prompts: Resolver, subjects: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await run(*subjects, resolver=prompts, **options)


async def test_a_broken_line_is_named(run: Compare, prompts: Resolver, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"question": "Why?"}\n{"question"')
    with pytest.raises(ConfigurationError, match=r"cases\.jsonl, line 2: not JSON"):
        await run("ask@1", path, resolver=prompts)


async def test_a_prompt_that_is_not_there_ends_it(run: Compare, prompts: Resolver) -> None:
    with pytest.raises(PromptNotFoundError):
        await run("ask@1", "nowhere", CASES, resolver=prompts)


async def test_a_scorer_s_own_error_is_its_own(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    with pytest.raises(ZeroDivisionError):
        await run("ask@1", CASES, resolver=prompts, scorer=lambda *_: 1 / 0)


async def test_an_expectation_that_is_no_pattern_is_refused(
    run: Compare, prompts: Resolver, openai: FakeOpenAI
) -> None:
    with pytest.raises(ConfigurationError, match="no regular expression"):
        await run("ask@1", [{"question": "?", "expected": "[t-4"}], resolver=prompts, scorer="regex")


async def test_ambient_variables_reach_it(run: Compare, prompts: Resolver, openai: FakeOpenAI, questions: Any) -> None:
    with promptwire.variables(question="Ambient?"):
        await run("ask@1", [{"unused": 1}], resolver=prompts)
    assert questions() == ["Briefly: Ambient?"]


def test_an_interruption_keeps_what_is_done(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(body: dict[str, Any]) -> str:
        if "How?" in body["messages"][-1]["content"]:
            os.kill(os.getpid(), signal.SIGINT)
            gate.wait(10)
        return "done"

    gate = threading.Event()
    with in_environment(FakeOpenAI(reply=reply), monkeypatch):
        made = promptwire.compare("ask@1", CASES, resolver=prompts, concurrency=1)
        gate.set()
    assert not made.complete
    assert [cell.text for cell in made.cells.values()] == ["done"]
    assert "interrupted" in made._repr_mimebundle_()["text/plain"]


async def test_a_cancelled_one_keeps_what_is_done(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(body: dict[str, Any]) -> str:
        if "How?" in body["messages"][-1]["content"]:
            loop.call_soon_threadsafe(reached.set)
            gate.wait(10)
        return "done"

    loop, reached, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    with in_environment(FakeOpenAI(reply=reply), monkeypatch) as openai:
        work = asyncio.create_task(promptwire.acompare("ask@1", CASES, resolver=prompts, concurrency=1))
        await asyncio.wait_for(reached.wait(), 10)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        gate.set()
        made = await promptwire.acompare("ask@1", CASES, resolver=prompts, concurrency=1)
    assert [cell.cached for cell in made.cells.values()] == [True, False]
    asked = [request.json["messages"][-1]["content"] for request in openai.requests]
    assert asked == ["Briefly: Why?", "Briefly: How?", "Briefly: How?"]


def test_an_interruption_before_the_start_is_one(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any, **__: Any) -> Prompt:
        raise KeyboardInterrupt

    monkeypatch.setattr(prompts, "aget_prompt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        promptwire.compare("ask@1", CASES, resolver=prompts)


async def test_what_it_shows(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    openai.fail(400, times=1)
    made = await run(*SUBJECTS, CASES, resolver=prompts, prices={"gpt-4o": (2.0, 10.0)}, concurrency=1)
    text = made._repr_mimebundle_()["text/plain"]
    for said in ("2 cases", "ask@1", "ask@candidate", "[gpt-4o] At length: Why?", "GatewayError", " $", " s"):
        assert said in text
    long = await run("ask@1", [{"question": str(number)} for number in range(60)], resolver=prompts)
    assert "the first 50 cases" in long._repr_mimebundle_()["text/plain"]


async def test_it_tells_word_by_word_what_changed_in_each_case(
    run: Compare, prompts: Resolver, openai: FakeOpenAI
) -> None:
    openai.fail(400, times=1)
    made = await run(*SUBJECTS, [*CASES, *CASES[:1]], resolver=prompts, concurrency=1)
    text = made._repr_mimebundle_()["text/plain"]
    assert re.findall("── (.*)", text) == ["case 2: ask@1 → ask@candidate", "case 3: ask@1 → ask@candidate"]
    assert "\n[gpt-4o[--mini-]] [-Briefly-]{+At length+}: How?\n" in text
    assert '<ins class="pw-added">At length</ins>' in made._repr_mimebundle_()["text/html"]


async def test_it_becomes_a_frame_and_a_figure(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    made = await run(*SUBJECTS, CASES, resolver=prompts, scorer=lambda text, _: len(text))
    frame = made.to_pandas()
    assert list(frame["column"]) == [*SUBJECTS, *SUBJECTS]
    assert list(frame["question"]) == ["Why?", "Why?", "How?", "How?"]
    titles = [axes.get_title() for axes in made.plot().axes]
    assert titles == ["mean score", "seconds", "tokens made"]


@pytest.mark.parametrize("package", ["pandas", "matplotlib", "jsonschema", "rich"])
async def test_what_is_not_installed_is_named_or_done_without(
    prompts: Resolver, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    made = await promptwire.acompare("ask@1", CASES, resolver=prompts, progress=True)
    ways: dict[str, Callable[[], object]] = {
        "pandas": made.to_pandas,
        "matplotlib": made.plot,
        "jsonschema": lambda: promptwire.compare("ask@1", CASES, resolver=prompts, scorer={"type": "object"}),
    }
    if package in ways:
        with pytest.raises(ConfigurationError, match=f"pip install {package}"):
            ways[package]()


async def test_the_cache_is_bounded(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.comparison.running.MAX_KEPT", 1)
    made = await run("ask@1", CASES, resolver=prompts)
    assert made.complete
    assert len(prompts.answers) == 1


async def test_progress_is_shown_when_asked_for(
    run: Compare, prompts: Resolver, openai: FakeOpenAI, capsys: pytest.CaptureFixture[str]
) -> None:
    await run("ask@1", CASES, resolver=prompts)
    assert capsys.readouterr().err == ""
    await run("ask@1", CASES, resolver=prompts, progress=True)
    assert capsys.readouterr().out == ""
