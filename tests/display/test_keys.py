"""Whoever edits a prompt may have put a key into it: no display and no ``repr`` shows one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from IPython.lib.pretty import pretty

from promptwire import Prompt, PromptVersion, Resolver, playground
from promptwire.backends.memory import MemoryBackend
from promptwire.comparison.columns import Column
from promptwire.comparison.result import Cell, Comparison
from promptwire.gateway.answers import answer
from promptwire.history import History
from promptwire.publishing import Pushed
from tests.display.leaky import KEY, config, messages
from tests.doubles.kernel import comms


def leaky(number: int) -> Prompt:
    key = f"{KEY}-{number}"
    fields: dict[str, Any] = {"config": config(number), "version": number, "partials": {"api_key": key, "key": key}}
    return Prompt("leaky", messages=messages(number), **fields)


def compared() -> Comparison:
    cell = Cell("Yes?", answer({"choices": [{"message": {"content": "Yes?"}}]}, None))
    case = {"name": "Ann", "login": {"password": f"{KEY}-3"}}
    return Comparison((Column("leaky@1", leaky(1), None),), (case,), {(0, 0): cell})


def played() -> Any:
    """Two sides, and what the browser was told of them."""
    return playground(leaky(1), leaky(2), resolver=Resolver(MemoryBackend()), variables={"name": "Ann"})


def shown(thing: Any) -> list[str]:
    """All ways in which it is seen; of a widget what the browser gets, too."""
    data = thing._repr_mimebundle_()
    if isinstance(data, tuple):
        state = json.dumps(thing.get_state(), default=str)
        return [state, repr(thing), *(data[0][kind] for kind in ("text/plain", "text/markdown", "text/html"))]
    assert set(data) == {"text/plain", "text/markdown", "text/html"}
    printed: Any = pretty
    return [*data.values(), thing._repr_html_(), repr(thing), f"{thing}", printed([thing])]


# What each of them says of the prompt, so that a display that says nothing is no pass.
DISPLAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "prompt": (lambda: leaky(1), "metadata"),
    "rendered": (lambda: leaky(1).render({"name": "Ann"}), "leaky"),
    "differences": (lambda: leaky(1).diff(leaky(2)), "metadata"),
    "history": (lambda: History("leaky", [PromptVersion(1)]), ""),
    "pushed": (lambda: Pushed("leaky", 1, created=True), "leaky"),
    "comparison": (compared, "Yes?"),
    "playground": (played, ""),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_no_display_shows_a_key(name: str) -> None:
    make, said = DISPLAYS[name]
    with comms():
        pictures = shown(make())
    assert [text for text in pictures if KEY in text] == []
    assert all(said in text for text in pictures)


@pytest.mark.parametrize("make", [lambda: leaky(1), lambda: leaky(1).render({"name": "Ann"}), played])
@pytest.mark.parametrize("setting", ["metadata", "response_format", "tool_choice", "file_id", "tool_calls"])
def test_what_holds_a_key_is_shown_without_it(make: Callable[[], Any], setting: str) -> None:
    with comms():
        data = make()._repr_mimebundle_()
    lines = (data[0] if isinstance(data, tuple) else data)["text/plain"].splitlines()
    assert [line for line in lines if setting in line and "*****" in line]


def test_the_data_stay_as_they_are() -> None:
    prompt = leaky(1)
    assert prompt.params["metadata"]["api_key"] == f"{KEY}-1"
    assert prompt.settings()["tools"][0]["function"]["access_token"] == f"{KEY}-1"
    assert [case["login"] for case in compared().rows()] == [{"password": f"{KEY}-3"}]


def test_messages_that_differ_in_a_key_alone_are_told_to_differ() -> None:
    one, two = (Prompt("leaky", messages=messages(number)) for number in (1, 2))
    told = one.diff(two)
    assert [message.title for message in told.messages] == ["message 1 (user)", "message 2 (assistant)"]
    assert told.unified().count("-*****\n+*****\n") == 2
    assert KEY not in told.unified()
