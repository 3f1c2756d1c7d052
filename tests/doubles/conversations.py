"""Conversations written in words.

Of the prompt: S, D, U and A are a system, developer, user and assistant message, C calls tools, T is a tool's result,
and [name] an open placeholder. Of the caller: the same in small letters, with a number to tell them apart, and e is a
user message with nothing in it. Q asks the caller's question, once it was taken. S+s1 is the system message with s1
appended.
"""

from promptwire.compose import Composed, Turn
from promptwire.messages import Placeholder

ROLES = {
    "s": "system",
    "d": "developer",
    "u": "user",
    "q": "user",
    "e": "user",
    "a": "assistant",
    "c": "assistant",
    "t": "tool",
}

PromptItem = dict[str, object] | Placeholder


class Item:
    """A message of some framework's: nothing about it is known, or may be touched."""

    def __init__(self, word: str) -> None:
        self.word = word


def prompt_of(words: str) -> list[PromptItem]:
    return [
        Placeholder(word[1:-1]) if word.startswith("[") else {"role": ROLES[word[0].lower()], "content": word}
        for word in words.split()
    ]


def turns_of(words: str) -> list[Turn]:
    return [
        Turn(ROLES[word[0]], " \n" if word[0] == "e" else word, Item(word), calls_tools=word[0] == "c")
        for word in words.split()
    ]


def words_of(composed: Composed) -> str:
    words = [m.word if isinstance(m, Item) else str(m["content"]) for m in composed.messages]  # type: ignore[index]
    return " ".join(word.replace("\n\n", "+") for word in words)
