"""The fake's own model: an echo that calls tools and fills schemas."""

import json
import re
from collections.abc import Mapping
from itertools import takewhile

from promptwire.testing.instances import Instances, quoted
from promptwire.testing.openai_reply import Spoken, bounded, text_of, tool_call
from promptwire.testing.wire import Json

_SHORTEST_NOUN = 5


def echo(request: Mapping[str, Json]) -> Spoken:
    """The answer to a valid request, the same each time."""
    text = _last_text(request)
    functions = _chosen(request, text)
    if functions:
        calls = tuple(_call(function, at, request, text) for at, function in enumerate(functions))
        # The API ends a call that was forced by name with "stop".
        return Spoken(None, calls, "stop" if _forced_name(request) else "tool_calls")
    form = request.get("response_format", {"type": "text"})
    answer = f"[{request['model']}] {text}"
    if form["type"] == "json_schema":
        return Spoken(_dumps(Instances(form["json_schema"].get("schema", {"type": "object"}), text).make()))
    if form["type"] == "json_object":
        return Spoken(_dumps(dict.fromkeys(quoted(text), "text") or {"answer": answer}))
    return bounded(answer, request)


def _chosen(request: Mapping[str, Json], text: str) -> list[dict[str, Json]]:
    """The functions to call: the forced one, else those that the user mentions, else the first if one must be."""
    functions = [tool["function"] for tool in request.get("tools", ()) if tool["type"] == "function"]
    choice = request.get("tool_choice", "auto")
    last = request["messages"][-1]["role"]
    if last == "tool" or choice == "none":
        return []
    forced = _forced_name(request)
    if forced is not None:
        return [function for function in functions if function["name"] == forced]
    mode = choice if isinstance(choice, str) else choice.get("allowed_tools", {}).get("mode")
    wanted = [function for function in functions if last == "user" and mentions(text, function["name"])]
    if not wanted and mode == "required":
        return functions[:1]
    return wanted[:1] if request.get("parallel_tool_calls") is False else wanted


def _forced_name(request: Mapping[str, Json]) -> str | None:
    choice = request.get("tool_choice")
    return choice.get("function", {}).get("name") if isinstance(choice, dict) else None


def mentions(text: str, name: str) -> bool:
    """Whether the text holds the name, or for one like ``get_weather`` the noun at its end."""
    _, _, noun = name.rpartition("_")
    by_noun = noun != name and len(noun) >= _SHORTEST_NOUN and re.search(rf"\b{noun}\b", text, re.IGNORECASE)
    return name in text or bool(by_noun)


def _call(function: Mapping[str, Json], at: int, request: Mapping[str, Json], text: str) -> dict[str, Json]:
    arguments = Instances(function.get("parameters") or {"type": "object"}, text).make()
    return tool_call({"name": function["name"], "arguments": arguments}, at, request)


def _last_text(request: Mapping[str, Json]) -> str:
    """The running tool results, else the last user message, else whatever came last."""
    messages = request["messages"]
    results = [text_of(one) for one in takewhile(lambda one: one["role"] == "tool", reversed(messages))]
    if results:
        return " ".join(reversed(results))
    return next((text_of(one) for one in reversed(messages) if one["role"] == "user"), text_of(messages[-1]))


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
