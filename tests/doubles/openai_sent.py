"""What reached OpenAI's double."""

from typing import Any

from promptwire.testing import FakeOpenAI


def sent(openai: FakeOpenAI) -> list[Any]:
    """The texts of the last call's messages."""
    return [message["content"] for message in openai.requests[-1].json["messages"]]
