"""Variables of any class: a numpy array is its text, and of one that raises comes an error that doesn't say it."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pytest
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire

from promptwire import ConfigurationError, Resolver
from promptwire.backends.memory import MemoryBackend

CANARY = "canary-value"
SLOT = [{"type": "placeholder", "name": "name"}, {"role": "user", "content": "Hi"}]
RESOLVER = Resolver(MemoryBackend({"p": "Hi {{name}}", "slot": SLOT}))


class Variables(dict[str, Any]):
    """Raises when it is read."""

    def keys(self) -> NoReturn:
        raise ValueError(CANARY)

    __iter__ = __len__ = items = keys


class Text(str):
    """Raises when it is read."""

    __slots__ = ()

    def strip(self, _: str | None = None, /) -> NoReturn:
        raise ValueError(CANARY)

    __len__ = __bool__ = strip


def chat(prompt_id: str | None = "p", **given: Any) -> Promptwire:
    return Promptwire(model="gpt-4o", prompt_id=prompt_id, resolver=RESOLVER, **given)


def template(prompt_id: str = "p") -> ManagedPromptTemplate:
    return ManagedPromptTemplate(prompt_id, resolver=RESOLVER)


VARIABLES: dict[str, Callable[[Any], Any]] = {
    "per call": lambda given: chat().chat([], prompt_variables=given),
    "bound": lambda given: chat().bind(prompt_variables=given),
    "constructor": lambda given: chat(prompt_variables=given),
    "without an id": lambda given: chat(None).chat([], prompt_variables=given),
}


@pytest.mark.parametrize("door", VARIABLES)
def test_variables_that_cannot_be_read_are_one_error(door: str) -> None:
    with pytest.raises(ConfigurationError, match="prompt_variables") as one:
        VARIABLES[door](Variables(name="x"))
    assert CANARY not in repr((one.value.args, one.value.__context__))


def test_what_is_given_for_a_slot_and_raises_is_one_error() -> None:
    with pytest.raises(ConfigurationError, match=r"memory prompt 'slot'.* its value raised ValueError") as one:
        template("slot").format_messages(name=Text("x"))
    assert CANARY not in repr((one.value.args, one.value.__context__))


def test_a_text_that_raises_when_it_is_looked_at_is_filled_in() -> None:
    assert template().format(name=Text("x")) == "Hi x"


def test_an_array_is_its_text() -> None:
    assert template().format(name=np.array([1, 2])) == "Hi [1 2]"


def test_an_array_is_no_list_of_messages() -> None:
    for fill in (template("slot").format_messages, template("slot").format):
        with pytest.raises(ConfigurationError, match=r"takes a list of message dicts .* not ndarray"):
            fill(name=np.array([1, 2]))
    with pytest.raises(ConfigurationError, match="not ndarray"):
        RESOLVER.resolve("slot", variables={"name": np.array([1, 2])})
