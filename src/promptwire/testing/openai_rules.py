"""What Chat Completions refuses although every value by itself is well formed."""

from collections.abc import Iterable

from promptwire.testing.checks import bad_request
from promptwire.testing.openai_schema import REQUEST
from promptwire.testing.wire import Json


def check_request(body: Json) -> dict[str, Json]:
    """The body, if the API would run it; else raises the 400 that it would answer."""
    REQUEST(body, "")
    _check_options(body)
    _check_tools(body)
    _check_turns(body["messages"])
    return dict(body)


def _check_options(body: dict[str, Json]) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise bad_request(message, "stream_options")
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise bad_request("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise bad_request(message, "max_tokens", "invalid_parameter_combination")
    form = body.get("response_format", {"type": "text"})
    if form["type"] == "json_object" and "json" not in str(body["messages"]).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise bad_request(message, "messages")


def _check_tools(body: dict[str, Json]) -> None:
    if "tools" not in body:
        for key in ("tool_choice", "parallel_tool_calls"):
            if key in body:
                raise bad_request(
                    f"Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified.", key
                )
        return
    names = [tool[tool["type"]]["name"] for tool in body["tools"]]
    for at, name in enumerate(names):
        if name in names[:at]:
            where = f"tools[{at}].function.name"
            raise bad_request(f"Invalid '{where}': tool names must be unique.", where, "invalid_value")
    for at, tool in enumerate(body["tools"]):
        _check_parameters(tool, at)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] != "allowed_tools" and choice[choice["type"]]["name"] not in names:
        wanted = choice[choice["type"]]["name"]
        raise bad_request(f"Tool choice '{wanted}' not found in 'tools' parameter.", "tool_choice")


def _check_parameters(tool: dict[str, Json], at: int) -> None:
    parameters = tool.get("function", {}).get("parameters") or {"type": "object"}
    kind = parameters.get("type")
    if kind != "object":
        name, where = tool["function"]["name"], f"tools[{at}].function.parameters"
        message = f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'."
        raise bad_request(message, where, "invalid_function_parameters")


def _check_turns(messages: list[dict[str, Json]]) -> None:
    """Every tool call is answered right after it, once, and nothing else is."""
    waiting: list[str] = []
    answered: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] == "tool":
            _check_tool_result(message["tool_call_id"], waiting, answered, at)
            continue
        _check_answered(waiting, answered, at)
        waiting, answered = [], set()
        if message["role"] == "assistant":
            waiting = _calls(message, at)
    _check_answered(waiting, answered, len(messages))


def _calls(message: dict[str, Json], at: int) -> list[str]:
    ids = [call["id"] for call in message.get("tool_calls", ())]
    if len(ids) != len(set(ids)):
        raise bad_request("Duplicate value for 'tool_call_id'.", f"messages.[{at}].tool_calls")
    spoken = any(message.get(key) is not None for key in ("content", "function_call", "refusal", "audio"))
    if not ids and not spoken:
        message_ = "Invalid value for 'content': expected a string, got null."
        raise bad_request(message_, f"messages.[{at}].content")
    return ids


def _check_tool_result(call: str, waiting: Iterable[str], answered: set[str], at: int) -> None:
    where = f"messages.[{at}].role"
    if not waiting:
        message = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        )
        raise bad_request(message, where)
    if call not in waiting:
        raise bad_request(
            "Invalid parameter: 'tool_call_id' not found in 'tool_calls' of previous message.",
            f"messages.[{at}].tool_call_id",
        )
    if call in answered:
        raise bad_request("Duplicate value for 'tool_call_id'.", f"messages.[{at}].tool_call_id")
    answered.add(call)


def _check_answered(waiting: list[str], answered: set[str], at: int) -> None:
    open_calls = [call for call in waiting if call not in answered]
    if open_calls:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        )
        raise bad_request(message, f"messages.[{at}].role")
