"""What an application may be made to pass as a variable: objects, cycles and numbers that can't be written."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from promptwire import (
    ConfigurationError,
    Placeholder,
    Prompt,
    PromptwireError,
    Resolver,
    TemplateError,
    compare,
    completion,
    playground,
    variables,
)
from promptwire.backends.memory import MemoryBackend
from promptwire.tracing import used_variables

CANARY = "canary-value"


class Hostile:
    """Raises whatever is asked of it, and says the value."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __str__(self) -> str:
        raise self._error

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(CANARY)


class Wrong:
    """Its text is none."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - as it says


class Mapping(dict[str, Any]):
    """Gives one thing when it is asked, and raises when it is copied."""

    def items(self) -> NoReturn:
        raise ValueError(CANARY)


def cycle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def nest(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


VALUES: dict[str, Callable[[], Any]] = {
    "ValueError": lambda: Hostile(ValueError(CANARY)),
    "TypeError": lambda: Hostile(TypeError(CANARY)),
    "KeyError": lambda: Hostile(KeyError(CANARY)),
    "RecursionError": lambda: Hostile(RecursionError(CANARY)),
    "OSError": lambda: Hostile(OSError(CANARY)),
    "no text": Wrong,
    "a number of 5,000 digits": lambda: 10**5000,
}
TURNS: dict[str, Callable[[], Any]] = {
    "a cycle": lambda: [{"role": "user", "content": cycle()}],
    "5,000 deep": lambda: [{"role": "user", "content": nest(5000)}],
    "a mapping that raises": lambda: [Mapping(role="user")],
}


@pytest.mark.parametrize("dialect", ["mustache", "humanloop", "jinja"])
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_cannot_be_written_is_an_error_that_does_not_say_it(name: str, dialect: str) -> None:
    prompt = Prompt("p", text="Hi {{ a }}", dialect=dialect)
    with pytest.raises((ConfigurationError, TemplateError), match="memory prompt 'p'") as caught:
        prompt.render({"a": VALUES[name]()})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", TURNS)
def test_turns_that_cannot_be_copied_are_one_error(name: str) -> None:
    prompt = Prompt("p", messages=[Placeholder("history")])
    with pytest.raises(PromptwireError, match=r"memory prompt 'p'.* its value raised") as caught:
        prompt.render({"history": TURNS[name]()})
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


class Unreadable(dict[str, Any]):
    """Variables that raise when they are read."""

    def keys(self) -> NoReturn:
        raise OSError(CANARY)

    __iter__ = __len__ = items = keys


RESOLVER = Resolver(MemoryBackend({"p": "Hi {{name}}"}))
PROMPT = Prompt("p", text="Hi {{name}}", partials={"other": 1})
DOORS: dict[str, Callable[[Any], Any]] = {
    "render": PROMPT.render,
    "resolve": lambda given: RESOLVER.resolve("p", variables=given),
    "completion": lambda given: completion(model="gpt-4o", prompt_id="p", prompt_variables=given, resolver=RESOLVER),
    "completion without an id": lambda given: completion(model="gpt-4o", prompt_variables=given, resolver=RESOLVER),
    "compare": lambda given: compare(PROMPT, [given], resolver=RESOLVER),
    "playground": lambda given: playground(PROMPT, variables=given, resolver=RESOLVER),
    "a playground's field": lambda given: playground(PROMPT, variables={"name": given}, resolver=RESOLVER),
}


@pytest.mark.parametrize("door", DOORS)
def test_variables_that_cannot_be_read_are_one_error(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with variables(around="us"), pytest.raises(ConfigurationError, match="its value raised OSError") as caught:
        DOORS[door](Unreadable(name="x"))
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_is_told_of_values_fails_no_call() -> None:
    prompt = Prompt("p", text="{{a}} {{b}}")
    told = used_variables(prompt, {"a": Unreadable(name="x"), "b": "b"})
    assert told == {"a": "<Unreadable>", "b": "b"}


def test_a_text_of_a_class_of_its_own_is_sent_as_a_text() -> None:
    class Word(str):
        __slots__ = ()

        def __str__(self) -> "Word":
            return Word("changed")

    (message,) = Prompt("p", text="{{a}}").render({"a": Word("w")}).messages
    assert type(message["content"]) is str
