"""OpenAI's parameters as the body of a request to Anthropic's API."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.gateway.anthropic.content import Block, shaped
from promptwire.gateway.anthropic.messages import Conversation
from promptwire.gateway.anthropic.parameters import LACKS, thinks_at_an_effort
from promptwire.gateway.anthropic.schema import closed
from promptwire.gateway.anthropic.tools import forces, tool_settings, with_json_answer

MAX_TOKENS = 4096
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Tokens to think with, for the models that take no effort: LiteLLM's numbers, and their doubles."""

# What asks for no more than the API does anyway.
_IDLE: dict[str, object] = {
    "frequency_penalty": 0, "logit_bias": {}, "logprobs": False, "metadata": {}, "modalities": ["text"], "n": 1,
    "presence_penalty": 0, "store": False, "top_logprobs": 0,
}  # fmt: skip
_MAPPED = LACKS | {
    "max_completion_tokens", "max_tokens", "output_config", "parallel_tool_calls", "reasoning_effort",
    "response_format", "safety_identifier", "service_tier", "stop", "stream_options", "thinking", "tool_choice",
    "tools", "user",
}  # fmt: skip
_SAMPLING = ("temperature", "top_k", "top_p")


def build_body(
    model: str, messages: Sequence[object], params: Mapping[str, object], *, stream: bool
) -> dict[str, object]:
    """The body. Raises ``ConfigurationError`` for what the API has no word for."""
    given = {key: value for key, value in params.items() if value is not None}
    lacking = sorted(name for name in LACKS & given.keys() if given[name] != _IDLE.get(name))
    if lacking:
        raise ConfigurationError(f"Anthropic's API has no {' and no '.join(lacking)}: leave it out of the call")
    talk = Conversation(messages)
    body: dict[str, object] = {"model": model, "messages": talk.messages}
    if talk.system:
        body["system"] = talk.system
    with shaped("a parameter of the call"):
        body |= _settings(given, model, talk)
    return {**body, "stream": True} if stream else body


def _settings(given: Mapping[str, Any], model: str, talk: Conversation) -> dict[str, Any]:
    made = {key: value for key, value in given.items() if key not in _MAPPED} | _renamed(given)
    tools = tool_settings(given, talk.tools_called)
    thinking = given.get("thinking") or _thinking(given.get("reasoning_effort"), model)
    if thinking.get("type") == "enabled" and (forces(tools) or talk.goes_on_without_thinking):
        thinking = {}  # the API refuses both
    if thinking:
        made["thinking"] = thinking
    thinks = thinking.get("type") in {"enabled", "adaptive"}
    if thinks:  # sampling is the API's then: it refuses any other than its own
        made = {key: value for key, value in made.items() if key not in _SAMPLING}
    if _format(given) == "json_object":
        tools = with_json_answer(tools, thinking=thinks)
    output = {**given.get("output_config", {}), **_output(given, thinking)}
    if output:
        made["output_config"] = output
    return {**made, **tools, "max_tokens": _max_tokens(given, thinking.get("budget_tokens", 0))}


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "stop" in given:
        made["stop_sequences"] = [given["stop"]] if isinstance(given["stop"], str) else list(given["stop"])
    user = given.get("user") or given.get("safety_identifier")
    if user:
        made["metadata"] = {"user_id": user}
    if "service_tier" in given:
        made["service_tier"] = {"default": "standard_only"}.get(given["service_tier"], given["service_tier"])
    return made


def _thinking(effort: Any, model: str) -> Block:
    """For a whole number, that budget. Where thoughts are left out unless asked for, their summary is asked for."""
    if effort is None:
        return {}
    if effort == "none":
        return {"type": "disabled"}
    if isinstance(effort, str) and thinks_at_an_effort(model):
        return {"type": "adaptive", "display": "summarized"}
    return {"type": "enabled", "budget_tokens": BUDGETS[effort] if isinstance(effort, str) else effort}


def _output(given: Mapping[str, Any], thinking: Block) -> Block:
    made: Block = {}
    effort = given.get("reasoning_effort")
    if effort and thinking.get("type") == "adaptive":
        made["effort"] = "low" if effort == "minimal" else effort
    if _format(given) == "json_schema":
        schema = given["response_format"]["json_schema"].get("schema") or {"type": "object"}
        made["format"] = {"type": "json_schema", "schema": closed(schema)}
    return made


def _format(given: Mapping[str, Any]) -> str:
    kind = given.get("response_format", {"type": "text"})["type"]
    if kind not in {"text", "json_object", "json_schema"}:
        raise ConfigurationError(f"Anthropic's wire has no response_format of type {kind!r}")
    return str(kind)


def _max_tokens(given: Mapping[str, Any], budget: int) -> int:
    """Above the budget of thinking tokens, which count as well."""
    limit: int = next((given[key] for key in ("max_completion_tokens", "max_tokens") if key in given), MAX_TOKENS)
    return limit if limit > budget else limit + budget
