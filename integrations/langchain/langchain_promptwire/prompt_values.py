"""What a managed prompt hands on: its messages, and the settings that they alone don't carry."""

from collections.abc import Mapping
from typing import Any, Self, cast

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.messages.base import get_msg_title_repr
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from pydantic import PrivateAttr

from langchain_promptwire.messages import to_langchain
from promptwire.compose import text_of
from promptwire.errors import ConfigurationError, PromptwireError, raise_bare, unfillable
from promptwire.frozen import thaw
from promptwire.gateway.answers import PromptInfo, describe
from promptwire.messages import Placeholder, close_slots
from promptwire.prompts import Prompt
from promptwire.rendered import RenderedPrompt
from promptwire.search import Found


class ManagedPromptValue(ChatPromptValue):
    """The messages of a managed prompt; a ``ChatPromptwire`` finds in it the model and parameters that go with them."""

    _managed: tuple[Prompt, PromptInfo] | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, messages: list[BaseMessage], rendered: RenderedPrompt, label: str | None) -> Self:
        """The messages, and the prompt that they came from."""
        value = cls(messages=messages)
        value._managed = rendered.prompt, describe(rendered, label)
        return value

    @classmethod
    def lc_id(cls) -> list[str]:
        """Traces keep, and read back, the messages alone."""
        return ChatPromptValue.lc_id()


def carried_by(given: object) -> tuple[Prompt, PromptInfo] | None:
    """The prompt that a chain's earlier step rendered, and what may be told of it."""
    return given._managed if isinstance(given, ManagedPromptValue) else None  # noqa: SLF001 - its own module


def fill(
    found: Found, label: str | None, values: Mapping[str, Any], *, missing: str, text_role: str
) -> ManagedPromptValue:
    """Render the prompt; messages for a placeholder stay the objects that they are."""
    prompt, source = found
    slots = {name: values[name] for name in prompt.placeholders if values.get(name) is not None}
    texts = {**values, **dict.fromkeys(slots)}
    rendered = prompt.render(texts, missing=missing, text_role=text_role, source=source)
    left = [item for item in rendered.items if isinstance(item, Placeholder) and item.name not in slots]
    close_slots(left, prompt.where, keep=missing == "keep")
    messages: list[BaseMessage] = []
    for item in rendered.items:
        if not isinstance(item, Placeholder):
            messages.append(to_langchain(item))
        elif item.name in slots:
            messages.extend(_read(slots[item.name], f"{prompt.where}: placeholder {item.name!r}"))
    return ManagedPromptValue.of(messages, rendered, label)


def _read(given: Any, slot: str) -> list[BaseMessage]:
    try:
        return [_message(one) for one in _listed(given, slot)]
    except (ValueError, TypeError, NotImplementedError, LookupError):
        raise_bare(ConfigurationError(f"{slot} was given something that is no message"))
    except PromptwireError:
        raise
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable(slot, error))


def _listed(given: Any, slot: str) -> list[Any] | tuple[Any, ...]:
    listed = given.to_messages() if isinstance(given, PromptValue) else given
    if not isinstance(listed, list | tuple):
        raise ConfigurationError(f"{slot} takes a list of messages, not {type(given).__name__}")
    return listed


def _message(given: Any) -> BaseMessage:
    if isinstance(given, Mapping) and isinstance(given.get("role"), str):
        return to_langchain(thaw(given))
    return convert_to_messages([cast("Any", given)])[0]


def pretty(prompt: Prompt, text_role: str, *, html: bool) -> str:
    """The prompt's messages as they are stored, as LangChain prints templates."""
    stored = prompt.messages or [{"role": text_role, "content": prompt.text}]
    return "\n\n".join(
        _titled("Messages Placeholder", item.name, html)
        if isinstance(item, Placeholder)
        else _titled(f"{item['role'].title()} Message", text_of(thaw(item.get("content"))), html)
        for item in stored
    )


def _titled(title: str, text: str, bold: bool) -> str:
    return f"{get_msg_title_repr(title, bold=bold)}\n\n{text}"
