"""Tools, and how one is chosen, in OpenAI's terms."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from promptwire.gateway.anthropic.content import with_cache

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool

_MODES = {"any": "required", "auto": "auto", "none": "none", "required": "required"}


def to_tool(tool: Tool, strict: bool | None) -> dict[str, Any]:
    """A provider's own tool is sent as it is; Anthropic's ``cache_control`` stays."""
    if isinstance(tool, dict):
        kind = tool.get("type")
        finished = kind in tool and strict is None
        if finished or (isinstance(kind, str) and kind != "function" and not tool.keys() & {"input_schema", "title"}):
            return tool
    marked = tool if isinstance(tool, dict) else getattr(tool, "extras", None) or {}
    return with_cache(convert_to_openai_tool(tool, strict=strict), marked)


def to_choice(choice: dict[str, Any] | str | bool | None, tools: Sequence[dict[str, Any]]) -> dict[str, object]:
    """The parameters that say which of the tools may or must be called."""
    if not choice:
        return {}
    if isinstance(choice, dict):
        return _of_dict(choice)
    names = {tool["function"]["name"] for tool in tools if "function" in tool}
    if isinstance(choice, str) and (choice in names or choice not in _MODES):
        return {"tool_choice": _named(choice)}
    return {"tool_choice": "required" if choice is True else _MODES[choice]}


def _of_dict(choice: dict[str, Any]) -> dict[str, object]:
    """Anthropic's form as OpenAI's; OpenAI's as it is."""
    kind = choice.get("type", "")
    if kind != "tool" and kind not in _MODES:
        return {"tool_choice": choice}
    made: dict[str, object] = {"tool_choice": _MODES.get(kind) or _named(choice.get("name"))}
    return {**made, "parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else made


def _named(name: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name}}
