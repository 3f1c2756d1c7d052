"""A comparison's figure."""

from typing import Any

import pytest

from promptwire import Prompt, Resolver
from promptwire.testing import FakeOpenAI
from tests.comparison.conftest import Compare

PNG = b"\x89PNG\r\n"


async def test_it_shows_itself_without_pyplot(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    made = await run("ask@1", "ask@candidate", [{"question": "Why?"}], resolver=prompts, scorer=lambda *_: 0)
    figure = made.plot()
    assert figure._repr_png_().startswith(PNG)
    first, *_ = figure.axes
    assert first.get_title() == "mean score"  # known, if bad
    assert [label.get_text() for label in first.get_yticklabels()] == ["ask@1", "ask@candidate"]
    assert [text.get_text() for text in first.texts] == ["0", "0"]


async def test_small_costs_are_said_in_digits(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    prices = {"gpt-4o-mini": (0.15, 0.6)}
    made = await run("ask@1", [{"question": "Why?"}], resolver=prompts, prices=prices)
    cost = made.totals()[0].cost
    assert cost is not None
    assert 0 < cost < 1e-4
    said = [text.get_text() for axes in made.plot().axes for text in axes.texts if axes.get_title() == "dollars"]
    assert [float(text) for text in said] == [pytest.approx(cost, rel=0.01)]
    assert "e" not in said[0]
    shown = made._repr_mimebundle_()["text/plain"]
    assert f"{cost:.6f}"[:7] in shown
    assert "1 case\n" in shown


async def test_a_column_that_failed_has_no_bar(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    failing = Prompt("failing", text="{{nothing}}")
    options: dict[str, Any] = {"resolver": prompts, "scorer": lambda *_: 0, "models": ["gpt-4o-mini"]}
    figure = (await run("ask@1", failing, [{"question": "Why?"}], **options)).plot()
    said = {axes.get_title(): [text.get_text() for text in axes.texts] for axes in figure.axes}
    assert said["mean score"] == ["0", "\N{EN DASH}"]
    assert {labels[1] for labels in said.values()} == {"\N{EN DASH}"}
    assert {axes.patches[1].get_width() for axes in figure.axes} == {0}


async def test_names_are_no_formulas(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    names = ["$x$ or $y", "a^$b\\q$"]
    made = await run(*(Prompt(name, text=name) for name in names), [{}], resolver=prompts, models=["gpt-4o-mini"])
    figure = made.plot()
    assert figure._repr_png_().startswith(PNG)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [c.name for c in made.columns]
    assert names[1] in made.columns[1].name


async def test_what_nobody_answered_has_an_empty_figure(run: Compare, prompts: Resolver, openai: FakeOpenAI) -> None:
    openai.fail(400)
    made = await run("ask@1", [{"question": "Why?"}], resolver=prompts)
    figure = made.plot()
    assert list(figure.axes[0].texts) == []
    assert figure._repr_png_().startswith(PNG)
