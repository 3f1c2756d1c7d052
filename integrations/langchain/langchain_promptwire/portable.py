"""OpenAI's parameters, which prompts hold, as LangChain's chat models of any provider take them."""

from collections.abc import Mapping
from typing import Any


def lacking(settings: Mapping[str, Any], provider: str) -> list[str]:
    """Of a prompt's settings, those that the provider's chat model has no word for."""
    form = settings.get("response_format") or {}
    return ["response_format"] if provider == "anthropic" and form.get("type") == "json_object" else []


def portable(params: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """The parameters in words that every provider's chat model knows, where there are such."""
    made = dict(params)
    if "max_completion_tokens" in made:  # ChatOpenAI itself writes the newer name
        made["max_tokens"] = made.pop("max_completion_tokens")
    if "tool_choice" in made:
        made["tool_choice"] = _tool_choice(made["tool_choice"])
    return _anthropic(made) if provider == "anthropic" else made


def _tool_choice(choice: Any) -> Any:
    match choice:
        case "required":
            return "any"
        case {"type": "function", "function": {"name": name}}:
            return name
        case _:
            return choice


def _anthropic(params: dict[str, Any]) -> dict[str, Any]:
    """What ``ChatAnthropic`` would send as it is, in its API's words."""
    if user := params.pop("user", None):
        params.setdefault("metadata", {"user_id": user})
    if params.get("service_tier") == "default":
        params["service_tier"] = "standard_only"
    if params.get("tool_choice") == "none":
        params["tool_choice"] = {"type": "none"}
        params.pop("parallel_tool_calls", None)
    if not params.get("tools"):  # without any, ChatAnthropic hands it to the SDK, which has no such argument
        params.pop("parallel_tool_calls", None)
    return params
