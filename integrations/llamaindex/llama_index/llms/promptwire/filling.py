"""A managed prompt as messages of LlamaIndex's, which remember where they are from."""

from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.llms.promptwire.convert import PromptMessage, from_prompt
from llama_index.llms.promptwire.events import Resolved
from llama_index.llms.promptwire.links import followed

from promptwire.errors import PromptwireError, raise_bare, unfillable
from promptwire.gateway.answers import PromptInfo, describe
from promptwire.messages import Placeholder, close_slots, fill_slot, slot_error
from promptwire.search import Found


class SendsPrompts:
    """An LLM that can send any part of a prompt as it is stored."""


class KnowsPrompts(SendsPrompts):
    """One that recognises ``ManagedMessages`` too, and tells of their prompt itself."""


class ManagedMessages(list[ChatMessage]):
    """What a managed template was filled in to, and the prompt that it came from."""

    def __init__(self, messages: Iterable[ChatMessage], found: Found, resolved: Resolved) -> None:
        super().__init__(messages)
        self.found = found
        self.resolved = resolved

    def of(self, messages: Iterable[ChatMessage]) -> "ManagedMessages":
        """Other messages of the same prompt."""
        return ManagedMessages(messages, self.found, self.resolved)

    def whole(self) -> list[ChatMessage]:
        """The messages for an LLM that reads blocks. Raises ``TemplateError`` for a part that has none."""
        return [one.whole() if isinstance(one, PromptMessage) else one for one in self]


def filled(
    found: Found, values: Mapping[str, Any], missing: str, text_role: str, *, label: str | None, whole: bool
) -> tuple[PromptInfo, list[ChatMessage]]:
    """The prompt with its variables and placeholders filled in; ``whole`` is as in ``from_prompt``."""
    prompt, source = found
    slots = {name: values[name] for name in prompt.placeholders if values.get(name) is not None}
    texts = {name: value for name, value in values.items() if name not in prompt.placeholders}
    rendered = prompt.render(texts, missing=missing, text_role=text_role, source=source)
    empty = [one for one in rendered.items if isinstance(one, Placeholder) and one.name not in slots]
    close_slots(empty, prompt.where, keep=missing == "keep")
    info = followed(describe(rendered, label))
    messages: list[ChatMessage] = []
    for item in rendered.items:
        if not isinstance(item, Placeholder):
            messages.append(from_prompt(item, prompt.where, whole=whole, origin=info))
        elif item.name in slots:
            messages += _turns(item.name, slots[item.name], prompt.where, whole=whole)
    return info, messages


def _turns(name: str, given: Any, where: str, *, whole: bool) -> list[ChatMessage]:
    """What was given for a placeholder: messages, or the text that some engines make of a history."""
    try:
        return _read(name, given, where, whole=whole)
    except PromptwireError:
        raise
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable(where, error))


def _read(name: str, given: Any, where: str, *, whole: bool) -> list[ChatMessage]:
    if isinstance(given, str):
        return [ChatMessage(role=MessageRole.USER, content=given)] if given.strip() else []
    if isinstance(given, list | tuple) and all(isinstance(one, ChatMessage) for one in given):
        return list(given)
    messages = fill_slot(given)
    if messages is None:
        raise slot_error(name, given, where)
    return [from_prompt(one, where, whole=whole) for one in messages]
