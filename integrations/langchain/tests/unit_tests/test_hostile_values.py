"""Variables whose own methods raise, and say the value: what comes out is one error that doesn't."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_promptwire import ChatPromptwire, ManagedPromptTemplate
from promptwire import ConfigurationError, Resolver
from promptwire.backends.memory import MemoryBackend

CANARY = "canary-value"
SLOT = [{"type": "placeholder", "name": "name"}, {"role": "user", "content": "Hi"}]
RESOLVER = Resolver(MemoryBackend({"p": "Hi {{name}}", "slot": SLOT}))


class Variables(dict[str, Any]):
    """Raises when it is read."""

    def keys(self) -> NoReturn:
        raise OSError(CANARY)

    __iter__ = __len__ = __contains__ = items = keys  # type: ignore[assignment]


class Listed(list[Any]):
    """Raises when it is read."""

    def __iter__(self) -> NoReturn:
        raise OSError(CANARY)


class Telling:
    """No content, and says what it is."""

    def __repr__(self) -> str:
        return CANARY


class Value(StringPromptValue):
    """Raises when it is asked for its messages."""

    def to_messages(self) -> NoReturn:
        raise OSError(CANARY)


def chat(prompt_id: str | None = "p", **given: Any) -> ChatPromptwire:
    return ChatPromptwire(model="gpt-4o", prompt_id=prompt_id, resolver=RESOLVER, **given)


def template(prompt_id: str = "p", **given: Any) -> ManagedPromptTemplate:
    return ManagedPromptTemplate(prompt_id, resolver=RESOLVER, **given)


VARIABLES: dict[str, Callable[[Any], Any]] = {
    "per call": lambda given: chat().invoke([], prompt_variables=given),
    "the input": lambda given: chat().invoke(given),
    "bound": lambda given: chat().bind(prompt_variables=given).invoke([]),
    "constructor": lambda given: chat(prompt_variables=given),
    "without an id": lambda given: chat(None).invoke([], prompt_variables=given),
    "a template": lambda given: template().invoke(given),
    "a template's own": lambda given: template(partial_variables=given),
}
SLOTS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda given: chat("slot").invoke([], prompt_variables={"name": given}),
    "a template": lambda given: template("slot").invoke({"name": given}),
}


@pytest.mark.parametrize("door", VARIABLES)
def test_variables_that_cannot_be_read_are_one_error(door: str) -> None:
    with pytest.raises(ConfigurationError, match=r"its value raised OSError|prompt_variables|partial_variables") as one:
        VARIABLES[door](Variables(name="x"))
    assert CANARY not in repr((one.value.args, one.value.__context__))


@pytest.mark.parametrize("door", SLOTS)
def test_a_list_that_cannot_be_read_is_one_error(door: str) -> None:
    with pytest.raises(ConfigurationError, match="its value raised OSError") as one:
        SLOTS[door](Listed([HumanMessage("Hi")]))
    assert CANARY not in repr((one.value.args, one.value.__context__))


def test_a_prompt_value_that_cannot_be_read_is_one_error() -> None:
    with pytest.raises(ConfigurationError, match=r"placeholder 'name': .* its value raised OSError"):
        template("slot").invoke({"name": Value(text="x")})


def test_a_content_that_is_none_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with pytest.raises(ConfigurationError, match="content is a text or a list of parts") as one:
        chat("slot").invoke([], prompt_variables={"name": [{"role": "user", "content": Telling()}]})
    assert CANARY not in repr((one.value.args, one.value.__context__))


@pytest.mark.parametrize("door", SLOTS)
def test_what_is_no_message_among_messages_is_one_error(door: str) -> None:
    with pytest.raises(ConfigurationError):
        SLOTS[door]([HumanMessage("Hi"), 5])
