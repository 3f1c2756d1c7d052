"""OpenAI's tools, and how they are chosen, in Anthropic's terms."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.content import Block, with_cache
from promptwire.gateway.anthropic.schema import closed

JSON_TOOL = "json_answer"
"""What the model calls to answer with any JSON object; its input is read as the answer's text."""

_JSON_ANSWER: Block = {
    "name": JSON_TOOL,
    "description": "Gives the answer, always by this tool: the input is the whole answer, as one JSON object.",
    "input_schema": {"type": "object"},
}


def tool_settings(given: Mapping[str, Any], called: Sequence[str]) -> dict[str, Any]:
    """``tools`` and ``tool_choice``. Tools that only the conversation names are declared, and not to be called."""
    tools = [_tool(tool) for tool in given.get("tools") or ()]
    choice = _choice(given.get("tool_choice"), given.get("parallel_tool_calls"))
    if called and not tools:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in called]
        choice = {"type": "none"}
    return {key: value for key, value in (("tools", tools), ("tool_choice", choice)) if value}


def forces(settings: Mapping[str, Any]) -> bool:
    """Whether the model has to call a tool."""
    return settings.get("tool_choice", {}).get("type") in {"any", "tool"}


def with_json_answer(settings: dict[str, Any], *, thinking: bool) -> dict[str, Any]:
    """The settings, with a tool to answer by: the API's own JSON is of a given schema. Thinking can't be forced."""
    choice = settings.get("tool_choice", {"type": "auto"})
    if choice["type"] == "tool":
        return settings
    if thinking:
        choice = {"type": "auto"}
    elif choice["type"] == "none" or "tools" not in settings:
        choice = {"type": "tool", "name": JSON_TOOL}
    else:
        choice = {**choice, "type": "any"}
    return {**settings, "tools": [*settings.get("tools", ()), _JSON_ANSWER], "tool_choice": choice}


def _tool(tool: Mapping[str, Any]) -> Block:
    """A function as Anthropic's tool; a tool in Anthropic's own form is left as it is."""
    if "custom" in tool:
        raise ConfigurationError("Anthropic's API has no tools of type 'custom' with free text; give a function")
    if tool.get("type") != "function":
        return dict(tool)
    function = tool["function"]
    schema = {"type": "object", **(function.get("parameters") or {"properties": {}})}
    made: Block = {"name": function["name"], "input_schema": schema}
    if function.get("description"):
        made["description"] = function["description"]
    if function.get("strict"):
        made |= {"strict": True, "input_schema": closed(schema)}
    return with_cache(with_cache(made, function), tool)


def _choice(choice: Any, parallel: object) -> Block | None:
    made: Block
    match choice:
        case None if parallel is not False:
            return None
        case None | "auto" | "none":
            made = {"type": choice or "auto"}
        case "required":
            made = {"type": "any"}
        case {"type": "function", "function": {"name": name}}:
            made = {"type": "tool", "name": name}
        case {"type": "auto" | "any" | "none" | "tool"}:
            made = dict(choice)
        case _:
            raise ConfigurationError("tool_choice is 'auto', 'none', 'required' or names one function")
    return {**made, "disable_parallel_tool_use": True} if parallel is False and made["type"] != "none" else made
