"""The parameters that Chat Completions takes, as a table of checks."""

from promptwire.testing.checks import (
    Check,
    anything,
    array,
    boolean,
    either,
    mapping,
    nullable,
    number,
    one_of,
    record,
    string,
    tagged,
)

_text = string()
_name = string(r"[a-zA-Z0-9_-]+", longest=64, shortest=1)
_author = string(r"[^\s<|\\/>]+", longest=64)
_explicit_cache = {"prompt_cache_breakpoint": record({"mode": one_of("explicit")})}
_TEXT_PART = record({"type": one_of("text"), "text": _text}, _explicit_cache)
_IMAGE_PART = record(
    {
        "type": anything,
        "image_url": record(
            {"url": string(r"(https?://|data:image/)\S+")}, {"detail": one_of("auto", "low", "high", "original")}
        ),
    },
    _explicit_cache,
)
_AUDIO_PART = record(
    {"type": anything, "input_audio": record({"data": _text, "format": one_of("wav", "mp3")})}, _explicit_cache
)
_FILE_PART = record(
    {"type": anything, "file": record({}, {"file_data": _text, "file_id": _text, "filename": _text})}, _explicit_cache
)
_REFUSAL_PART = record({"type": anything, "refusal": _text})


def _content(**parts: Check) -> Check:
    """A text, or parts of these types."""
    return either(str, _text, array(tagged("type", parts), shortest=1))


_texts = _content(text=_TEXT_PART)
_TOOL_CALL = tagged(
    "type",
    {
        "function": record(
            {"id": _text, "type": anything, "function": record({"name": _name, "arguments": _text})},
        ),
        "custom": record({"id": _text, "type": anything, "custom": record({"name": _name, "input": _text})}),
    },
)
_FUNCTION_CALL = record({"name": _name, "arguments": _text})
MESSAGE = tagged(
    "role",
    {
        "system": record({"role": anything, "content": _texts}, {"name": _author}),
        "developer": record({"role": anything, "content": _texts}, {"name": _author}),
        "user": record(
            {
                "role": anything,
                "content": _content(text=_TEXT_PART, image_url=_IMAGE_PART, input_audio=_AUDIO_PART, file=_FILE_PART),
            },
            {"name": _author},
        ),
        "assistant": record(
            {"role": anything},
            {
                "content": nullable(_content(text=_TEXT_PART, refusal=_REFUSAL_PART)),
                "name": _author,
                "refusal": nullable(_text),
                "tool_calls": array(_TOOL_CALL, shortest=1, longest=128),
                "function_call": nullable(_FUNCTION_CALL),
                "audio": nullable(record({"id": _text})),
            },
        ),
        "tool": record({"role": anything, "content": _texts, "tool_call_id": _text}),
        "function": record({"role": anything, "content": nullable(_text), "name": _name}),
    },
)

_FUNCTION = record(
    {"name": _name}, {"description": _text, "parameters": mapping(anything), "strict": nullable(boolean)}
)
_CUSTOM_FORMAT = tagged(
    "type",
    {
        "text": record({"type": anything}),
        "grammar": record(
            {"type": anything, "grammar": record({"definition": _text, "syntax": one_of("lark", "regex")})}
        ),
    },
)
_TOOL = tagged(
    "type",
    {
        "function": record({"type": anything, "function": _FUNCTION}),
        "custom": record(
            {"type": anything, "custom": record({"name": _name}, {"description": _text, "format": _CUSTOM_FORMAT})}
        ),
    },
)
_TOOL_CHOICE = either(
    str,
    one_of("none", "auto", "required"),
    tagged(
        "type",
        {
            "function": record({"type": anything, "function": record({"name": _name})}),
            "custom": record({"type": anything, "custom": record({"name": _name})}),
            "allowed_tools": record(
                {
                    "type": anything,
                    "allowed_tools": record({"mode": one_of("auto", "required"), "tools": array(mapping(anything))}),
                }
            ),
        },
    ),
)
_RESPONSE_FORMAT = tagged(
    "type",
    {
        "text": record({"type": anything}),
        "json_object": record({"type": anything}),
        "json_schema": record(
            {
                "type": anything,
                "json_schema": record(
                    {"name": _name}, {"description": _text, "schema": mapping(anything), "strict": nullable(boolean)}
                ),
            }
        ),
    },
)
_MODERATED = nullable(record({"mode": one_of("score", "block")}))
_PLACE = record({}, {"city": _text, "country": _text, "region": _text, "timezone": _text})

PARAMETERS: dict[str, Check] = {
    "audio": nullable(
        record(
            {
                "format": one_of("wav", "aac", "mp3", "flac", "opus", "pcm16"),
                "voice": either(str, _text, record({"id": _text})),
            }
        )
    ),
    "frequency_penalty": nullable(number(-2, 2)),
    "function_call": either(str, one_of("none", "auto"), record({"name": _name})),
    "functions": array(record({"name": _name}, {"description": _text, "parameters": mapping(anything)}), shortest=1),
    "logit_bias": nullable(mapping(number(-100, 100, whole=True))),
    "logprobs": nullable(boolean),
    "max_completion_tokens": nullable(number(1, whole=True)),
    "max_tokens": nullable(number(1, whole=True)),
    "metadata": nullable(mapping(string(longest=512), longest=16)),
    "modalities": nullable(array(one_of("text", "audio"))),
    "moderation": nullable(
        record({"model": _text}, {"policy": nullable(record({}, {"input": _MODERATED, "output": _MODERATED}))})
    ),
    "n": nullable(number(1, 128, whole=True)),
    "parallel_tool_calls": boolean,
    "prediction": nullable(record({"type": one_of("content"), "content": _texts})),
    "presence_penalty": nullable(number(-2, 2)),
    "prompt_cache_key": nullable(_text),
    "prompt_cache_options": record({}, {"mode": one_of("implicit", "explicit"), "ttl": one_of("30m")}),
    "prompt_cache_retention": nullable(one_of("in_memory", "24h")),
    "reasoning_effort": nullable(one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "response_format": _RESPONSE_FORMAT,
    "safety_identifier": nullable(_text),
    "seed": nullable(number(-(2**63), 2**63 - 1, whole=True)),
    "service_tier": nullable(one_of("auto", "default", "flex", "scale", "priority", "fast")),
    "stop": nullable(either(str, _text, array(_text, longest=4))),
    "store": nullable(boolean),
    "stream": nullable(boolean),
    "stream_options": nullable(record({}, {"include_usage": boolean, "include_obfuscation": boolean})),
    "temperature": nullable(number(0, 2)),
    "tool_choice": _TOOL_CHOICE,
    "tools": array(_TOOL, shortest=1, longest=128),
    "top_logprobs": nullable(number(0, 20, whole=True)),
    "top_p": nullable(number(0, 1)),
    "user": _text,
    "verbosity": nullable(one_of("low", "medium", "high")),
    "web_search_options": record(
        {},
        {
            "search_context_size": one_of("low", "medium", "high"),
            "user_location": nullable(record({"type": one_of("approximate"), "approximate": _PLACE})),
        },
    ),
}
REQUEST = record({"model": string(shortest=1), "messages": array(MESSAGE, shortest=1)}, PARAMETERS)
