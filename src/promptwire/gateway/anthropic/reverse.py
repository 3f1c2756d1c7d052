"""A request to Anthropic's API in OpenAI's terms, so that a conversation begun on one goes on on the other."""

from collections.abc import Iterator, Mapping
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.answer import is_thinking, thinking_keys, to_call
from promptwire.gateway.anthropic.content import Block, compact, shaped, to_parts, with_cache
from promptwire.gateway.anthropic.request import BUDGETS

_SAME = ("max_tokens", "temperature", "top_p")
_ELSEWHERE = frozenset({"cache_control", "diagnostics", "messages", "model", "stream", "system"})
_KNOWN = frozenset(
    {*_SAME, "metadata", "output_config", "service_tier", "stop_sequences", "thinking", "tool_choice", "tools"}
)


def to_openai(body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages and the parameters, without ``model`` and ``stream``.

    Raises ``ConfigurationError`` for what OpenAI's API has no word for.
    """
    with shaped("the request", "Anthropic"):
        messages = [{"role": "system", "content": _content(body["system"])}] if body.get("system") else []
        for message in body["messages"]:
            messages += _messages(message)
        return messages, _params(body)


def _messages(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message["content"]
    blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if message["role"] == "assistant":
        yield _assistant(blocks)
        return
    results = [block for block in blocks if block["type"] == "tool_result"]
    yield from map(_result, results)
    said = [block for block in blocks if block["type"] != "tool_result"]
    if said or not results:
        yield {"role": message["role"], "content": _content(said)}


def _content(content: Any) -> str | list[Block]:
    return compact(to_parts(content)) or ""


def _assistant(blocks: list[Block]) -> dict[str, Any]:
    thought = [dict(block) for block in blocks if is_thinking(block)]
    calls = [to_call(block) for block in blocks if block["type"] == "tool_use"]
    said = [block for block in blocks if block["type"] != "tool_use" and not is_thinking(block)]
    made: dict[str, Any] = {"role": "assistant", "content": _content(said) if said or not calls else None}
    if calls:
        made["tool_calls"] = calls
    return {**made, **thinking_keys(thought)}


def _result(block: Block) -> dict[str, Any]:
    made = {"role": "tool", "tool_call_id": block["tool_use_id"], "content": _content(block.get("content"))}
    return with_cache({**made, "is_error": True} if block.get("is_error") else made, block)


def _params(body: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in body.items() if value is not None and key not in _ELSEWHERE}
    lacking = sorted(given.keys() - _KNOWN)
    if lacking:
        raise ConfigurationError(f"OpenAI's API has no {' and no '.join(lacking)}: leave it out of the call")
    made = {key: given[key] for key in _SAME if key in given}
    if given.get("stop_sequences"):
        made["stop"] = list(given["stop_sequences"])
    if given.get("metadata", {}).get("user_id"):
        made["user"] = given["metadata"]["user_id"]
    if "service_tier" in given:
        made["service_tier"] = {"standard_only": "default"}.get(given["service_tier"], given["service_tier"])
    if given.get("tools"):
        made["tools"] = [_tool(tool) for tool in given["tools"]]
    return made | _choice(given.get("tool_choice") or {}) | _output(given)


def _tool(tool: Mapping[str, Any]) -> Block:
    if tool.get("type", "custom") != "custom":
        raise ConfigurationError(f"OpenAI's API has no tool of type {tool['type']!r}")
    kept = {key: tool[key] for key in ("description", "strict") if key in tool}
    return with_cache(
        {"type": "function", "function": {"name": tool["name"], **kept, "parameters": tool["input_schema"]}}, tool
    )


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    if not choice:
        return {}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    made: dict[str, Any] = {"tool_choice": {"any": "required", "tool": named}.get(choice["type"], choice["type"])}
    if choice.get("disable_parallel_tool_use"):
        made["parallel_tool_calls"] = False
    return made


def _output(given: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    config, thinking = given.get("output_config", {}), given.get("thinking", {})
    effort = _effort(config.get("effort"), thinking)
    if effort:
        made["reasoning_effort"] = effort
    if config.get("format"):
        schema = {"name": "answer", "schema": config["format"]["schema"]}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made


def _effort(effort: str | None, thinking: Mapping[str, Any]) -> str | None:
    """The effort in OpenAI's words; of a budget, the least whose own budget would hold it."""
    match thinking.get("type"):
        case "disabled":
            return "none"
        case "adaptive":
            return effort or "high"
        case "enabled":
            enough = (name for name in ("low", "medium", "high") if BUDGETS[name] >= thinking["budget_tokens"])
            return next(enough, "high")
        case _:
            return effort
