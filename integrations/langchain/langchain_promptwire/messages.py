"""Messages between OpenAI's dicts, which prompts hold, and LangChain's classes: nothing is lost there and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
)

from langchain_promptwire.outgoing import ORIGINAL, TOOL_BLOCKS, to_openai
from promptwire.compose import Turn
from promptwire.errors import ConfigurationError, PromptwireError, raise_bare, unfillable

# Roles of messages that are a text and nothing else: most messages, and these are quickly made.
_TEXTS: dict[str, type[HumanMessage | SystemMessage | AIMessage]] = {
    "system": SystemMessage, "user": HumanMessage, "assistant": AIMessage,
}  # fmt: skip


def to_langchain(message: Mapping[str, Any], *, exact: bool = True) -> BaseMessage:
    """A message dict as LangChain's class; roles that it has none for become a ``ChatMessage``.

    Not ``exact`` is for a dict that holds parts in LangChain's form, which OpenAI's wire would refuse.
    """
    if len(message) == 2 and isinstance(text := message.get("content"), str) and message["role"] in _TEXTS:
        return _TEXTS[message["role"]](content=text)
    try:
        made = _made(message)
    except (ValueError, TypeError, LookupError, AttributeError):
        made = _as_chat_message(message)
    if exact and not _is_same(made, message):
        made.additional_kwargs[ORIGINAL] = message
    return made


def _as_chat_message(message: Mapping[str, Any]) -> ChatMessage:
    try:
        return ChatMessage(role=message["role"], content=message.get("content") or "")
    except ValueError:  # pydantic's, which shows the content
        raise_bare(ConfigurationError("a message's content is a text or a list of parts"))


def _is_same(made: BaseMessage, message: Mapping[str, Any]) -> bool:
    try:
        return to_openai([made]) == [message]
    except ConfigurationError:
        return False


def _made(message: Mapping[str, Any]) -> BaseMessage:
    fields = {key: value for key, value in message.items() if key != "tool_calls"}
    made = convert_to_messages([{**fields, "content": fields.get("content") or ""}])[0]
    if isinstance(made, AIMessage):
        made.tool_calls, made.invalid_tool_calls = read_tool_calls(message.get("tool_calls") or ())
    return made


def read_tool_calls(raw: Sequence[Mapping[str, Any]]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """OpenAI's tool calls, and apart from them those whose arguments are not a JSON object."""
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in raw:
        function = call["function"]
        text = function.get("arguments") or ""
        name, number = function.get("name") or "", call.get("id")
        try:
            arguments = json.loads(text or "{}", strict=False)
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            calls.append(ToolCall(name=name, args=arguments, id=number, type="tool_call"))
        else:
            invalid.append(
                InvalidToolCall(name=name, args=text, id=number, error="not a JSON object", type="invalid_tool_call")
            )
    return calls, invalid


def turn(message: BaseMessage) -> Turn:
    """A message as ``compose`` sees it."""
    content = message.content
    blocks = [] if isinstance(content, str) else [_block(block) for block in content]
    calls_tools = isinstance(message, AIMessage) and bool(
        message.tool_calls
        or message.invalid_tool_calls
        or message.additional_kwargs.get("function_call")
        or any(block.get("type") in TOOL_BLOCKS for block in blocks)
    )
    # Anthropic's results of tools stand in a user's message.
    role = "tool" if any(block.get("type") == "tool_result" for block in blocks) else _role(message)
    return Turn(role, content if isinstance(content, str) else blocks, message, calls_tools)


def _block(block: str | dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": block} if isinstance(block, str) else block


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get("__openai_role__", "system"))
    kinds = ((AIMessage, "assistant"), (HumanMessage, "user"), (ToolMessage, "tool"), (FunctionMessage, "tool"))
    return next((role for kind, role in kinds if isinstance(message, kind)), message.type)


def plain_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Prompt variables with LangChain's messages, which go into placeholders, as dicts."""
    try:
        return {name: _plain(value) for name, value in variables.items()}
    except PromptwireError:
        raise
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable("prompt_variables", error))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(item, BaseMessage) for item in value):
        return to_openai(convert_to_messages(value))
    return value
