"""What a prompt may set, which model runs, and who wins where both say something (DESIGN 4.1-4.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptwire.errors import PromptConfigError, raise_bare, unfillable
from promptwire.frozen import is_json

Check = Callable[[Any], bool]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_json(value)


def _whole(value: object) -> bool:
    return _number(value) and value % 1 == 0  # type: ignore[operator]


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _object(value: object) -> bool:
    return isinstance(value, Mapping) and is_json(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


# The parameters that a prompt may set, and what each must be. Everything else in a prompt's config stays
# readable in `prompt.config` and is never sent: whoever edits a prompt must not redirect the caller's key.
PROMPT_PARAMS: dict[str, tuple[str, Check]] = {
    "temperature": ("a number", _number),
    "top_p": ("a number", _number),
    "max_tokens": ("a whole number", _whole),
    "max_completion_tokens": ("a whole number", _whole),
    "stop": ("a text or a list of texts", _either(_text, _list_of(_text))),
    "seed": ("a whole number", _whole),
    "presence_penalty": ("a number", _number),
    "frequency_penalty": ("a number", _number),
    "response_format": ("a JSON object", _object),
    "tools": ("a list of JSON objects", _list_of(_object)),
    "tool_choice": ("a text or a JSON object", _either(_text, _object)),
    "parallel_tool_calls": ("true or false", _flag),
    "reasoning_effort": ("a text or a whole number", _either(_text, _whole)),
    "logit_bias": ("a JSON object", _object),
    "logprobs": ("true or false", _flag),
    "top_logprobs": ("a whole number", _whole),
    "n": ("a whole number", _whole),
    "user": ("a text", _text),
    "metadata": ("a JSON object", _object),
    "verbosity": ("a text", _text),
    "service_tier": ("a text", _text),
}

SCHEMA_REPLACES = ("tools", "tool_choice", "parallel_tool_calls", "response_format")
"""What of a prompt's settings gives way to a schema that a caller wants the answer in."""

# Setting one of these takes the others' lower-ranked values back: providers answer 400 to both.
_SUPERSEDES: dict[str, tuple[str, ...]] = {
    "max_tokens": ("max_completion_tokens",),
    "max_completion_tokens": ("max_tokens",),
    "tools": ("tool_choice", "parallel_tool_calls"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a prompt's config says of the model call, checked and without the vendors' blanks."""

    model: str | None
    provider: str | None
    params: dict[str, object]


def read_config(config: Mapping[str, object], where: str) -> Settings:
    """Pick out of a prompt's config what may be sent; ``PromptConfigError`` names a key of the wrong type."""
    params: dict[str, object] = {}
    for key, (wanted, check) in PROMPT_PARAMS.items():
        value = config.get(key)
        if _blank(key, value):
            continue
        if not check(value):
            raise PromptConfigError(f"{where}: config key {key!r} must be {wanted}, not {type(value).__name__}")
        params[key] = _normal(key, value, where)
    return Settings(_name(config, "model", where), _name(config, "provider", where), params)


def _blank(key: str, value: object) -> bool:
    """Vendors write "not set" in many ways: null, ``max_tokens: -1``, ``tools: []``, ``stop: ""``."""
    if value is None or (isinstance(value, str | list | tuple | Mapping) and not value):
        return True
    return key in {"max_tokens", "max_completion_tokens"} and value == -1 and not isinstance(value, bool)


def _normal(key: str, value: Any, where: str) -> object:
    if key == "tools":
        return [_tool(tool, where) for tool in value]
    return int(value) if PROMPT_PARAMS[key][1] is _whole else value


def _tool(tool: Mapping[str, object], where: str) -> Mapping[str, object]:
    """A bare function definition is wrapped as OpenAI's API wants it."""
    if "type" in tool:
        return tool
    if not isinstance(tool.get("name"), str):
        raise PromptConfigError(f"{where}: config key 'tools' holds a tool without a name")
    return {"type": "function", "function": tool}


def _name(config: Mapping[str, object], key: str, where: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise PromptConfigError(f"{where}: config key {key!r} must be a text, not {type(value).__name__}")
    return value.strip() or None


def merge_params(*layers: Mapping[str, object]) -> dict[str, object]:
    """Merge parameters, the later layer winning; ``None`` is "not given"."""
    merged: dict[str, object] = {}
    for layer in layers:
        for key, value in layer.items():
            if value is None:
                continue
            for rival in _SUPERSEDES.get(key, ()):
                if layer.get(rival) is None:
                    merged.pop(rival, None)
            merged[key] = value
    return merged


def merge_variables(*layers: Mapping[str, object] | None) -> dict[str, object]:
    """Merge prompt variables key by key, the later layer winning."""
    merged: dict[str, object] = {}
    try:
        for layer in layers:
            if layer:
                merged.update(layer)
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable("prompt_variables", error))
    return merged


def nearest(name: str, known: Sequence[str]) -> str:
    """``" (did you mean 'x'?)"`` for an error message, or nothing."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
