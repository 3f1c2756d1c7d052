"""The examples in the docstrings run, in their order."""

import inspect
import re
import textwrap
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway, ManagedPromptTemplate
from promptwire.testing import FakeLangfuse, FakeOpenAI

_BLOCK = re.compile(r"^ +```python\n(.*?)^ +```$", re.MULTILINE | re.DOTALL)


class Joke(BaseModel):
    text: str


def get_weather(place: str) -> str:
    """Say what the weather is like."""
    return f"fine in {place}"


@pytest.mark.parametrize("documented", [ChatPromptwire, ChatPromptwireGateway, ManagedPromptTemplate])
def test_examples(documented: type, openai: FakeOpenAI, langfuse: FakeLangfuse) -> None:
    history = {"type": "placeholder", "name": "history"}
    langfuse.publish("support/reply", [history, {"role": "user", "content": "Hi, {{name}} here"}])
    langfuse.unpublish("welcome")
    langfuse.publish("welcome", [{"role": "system", "content": "You welcome {{name}}."}])
    blocks = _BLOCK.findall((inspect.getdoc(documented) or "") + "\n")
    assert blocks
    given: dict[str, Any] = {**globals(), "ChatOpenAI": ChatOpenAI}
    for block in blocks:
        exec(textwrap.dedent(block), given)  # noqa: S102 - our own


def test_sections_are_in_langchains_order() -> None:
    wanted = (
        "Setup", "Key init args", "Instantiate", "Invoke", "Stream", "Async", "Tool calling", "Structured output",
        "Token usage", "Response metadata",
    )  # fmt: skip
    assert re.findall(r"^(\w[\w ]+):$", inspect.getdoc(ChatPromptwire) or "", re.MULTILINE) == list(wanted)
