"""Messages between OpenAI's dicts, which prompts hold, and LangChain's classes: nothing is lost there and back."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

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
    convert_to_openai_messages,
)

from promptwire.compose import Turn
from promptwire.errors import ConfigurationError

# Where a message made of a dict keeps it, if making a dict of the message again would not give the same.
_ORIGINAL = "openai_message"
_TOOL_BLOCKS = ("tool_use", "function_call", "tool_call")


def to_langchain(message: Mapping[str, Any], *, exact: bool = True) -> BaseMessage:
    """A message dict as LangChain's class; roles that it has none for become a ``ChatMessage``.

    Not ``exact`` is for a dict that holds parts in LangChain's form, which OpenAI's wire would refuse.
    """
    try:
        made = _made(message)
    except (ValueError, TypeError, LookupError, AttributeError):
        made = ChatMessage(role=message["role"], content=message.get("content") or "")
    if exact and to_openai([made]) != [message]:
        made.additional_kwargs[_ORIGINAL] = message
    return made


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


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """What goes over OpenAI's wire; raises ``ConfigurationError`` for content that it has no shape for."""
    sent: list[dict[str, Any]] = []
    for message in messages:
        original = message.additional_kwargs.get(_ORIGINAL)
        sent.extend(_dicts(message) if original is None else [original])
    return sent


def _dicts(message: BaseMessage) -> list[dict[str, Any]]:
    # "block" for lists: "string" would join a list of text parts into one text.
    form = "string" if isinstance(message.content, str) else "block"
    try:
        dicts = convert_to_openai_messages([message], text_format=cast("Any", form))
    except (ValueError, TypeError, LookupError) as error:
        raise ConfigurationError(f"a {message.type} message holds content that OpenAI's wire can't carry") from error
    for made in dicts:
        if made["role"] == "tool":
            made.pop("name", None)
        elif "name" in made:
            made["name"] = re.sub(r"[\s<|\\/>]+", "_", made["name"])
        if isinstance(message, AIMessage) and made["role"] == "assistant":
            _finish_assistant(made, message)
        elif made["content"] == []:
            made["content"] = ""
    return dicts


def _finish_assistant(made: dict[str, Any], message: AIMessage) -> None:
    """Calls that were not valid stay, since their results follow; reasoning is not sent back."""
    calls = [*made.get("tool_calls", ()), *map(_invalid, message.invalid_tool_calls)]
    if calls:
        made["tool_calls"] = calls
    content = made["content"]
    if isinstance(content, list):
        content = [part for part in content if part.get("type") in {"text", "refusal"}]
    made["content"] = content or (None if calls else "")


def _invalid(call: InvalidToolCall) -> dict[str, Any]:
    return {
        "type": "function",
        "id": call["id"],
        "function": {"name": call["name"] or "", "arguments": call["args"] or ""},
    }


def turn(message: BaseMessage) -> Turn:
    """A message as ``compose`` sees it."""
    content = message.content
    blocks = [] if isinstance(content, str) else [_block(block) for block in content]
    calls_tools = isinstance(message, AIMessage) and bool(
        message.tool_calls
        or message.invalid_tool_calls
        or message.additional_kwargs.get("function_call")
        or any(block.get("type") in _TOOL_BLOCKS for block in blocks)
    )
    return Turn(_role(message), content if isinstance(content, str) else blocks, message, calls_tools)


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
    return {name: _plain(value) for name, value in variables.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(item, BaseMessage) for item in value):
        return to_openai(convert_to_messages(value))
    return value
