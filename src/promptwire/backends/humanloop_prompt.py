"""A prompt as Humanloop writes it: the answer of its API, and one version of an export."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from promptwire.backends import PromptVersion
from promptwire.backends.times import read_time
from promptwire.errors import PromptConfigError
from promptwire.prompts import Prompt

# What tells of the record, not of the model call; the counters among them change with every use.
_RECORD = frozenset(
    {
        "template", "linked_tools", "inputs", "id", "path", "name", "directory_id", "type", "version_id", "status",
        "environments", "tags", "created_at", "created_by", "updated_at", "last_used_at", "version_logs_count",
        "total_logs_count", "evaluators", "evaluator_aggregates", "raw_file_content",
    }
)  # fmt: skip
_PROVIDERS = {"openai_azure": "azure", "google": "gemini"}
_DIALECTS = {None: "humanloop", "default": "humanloop", "jinja": "jinja"}
_FUNCTION = ("name", "description", "strict", "parameters")


def is_record(body: object) -> TypeGuard[dict[str, Any]]:
    """Whether it has a prompt's shape: a template, or none and a model to send the caller's messages to."""
    if not isinstance(body, dict):
        return False
    template = body.get("template")
    return isinstance(template, str | list) or (template is None and isinstance(body.get("model"), str))


def parse_prompt(body: dict[str, Any], prompt_id: str, where: str) -> Prompt:
    """A record as a prompt; of what the vendor leaves blank nothing remains."""
    kind = body.get("type")
    if kind not in {None, "prompt"}:
        raise PromptConfigError(f"{where}: it is a Humanloop {kind}; only prompts are read")
    template = body.get("template")
    return Prompt(
        prompt_id,
        text=template if isinstance(template, str) else None,
        messages=None if isinstance(template, str) else tuple(map(_message, template or ())),
        backend="humanloop",
        version=body.get("version_id"),
        labels=environments(body),
        tags=texts(body.get("tags")),
        config=_config(body, where),
        dialect=_dialect(body.get("template_language"), where),
    )


def parse_version(body: Mapping[str, Any], labels: tuple[str, ...] | None = None) -> PromptVersion:
    """A record's line in the prompt's history; ``labels`` stand for its own environments."""
    author = body.get("created_by")
    if isinstance(author, dict):
        author = author.get("full_name") or author.get("email_address")
    said = (body.get(key) for key in ("version_description", "commit_message", "version_name"))
    version = body.get("version_id")
    return PromptVersion(
        version if isinstance(version, str) else None,
        environments(body) if labels is None else labels,
        author if isinstance(author, str) else None,
        read_time(body.get("created_at")),
        next((text for text in said if isinstance(text, str) and text), None),
    )


def environments(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the environments that a version is deployed to."""
    found = body.get("environments")
    return texts([item.get("name") for item in found if isinstance(item, dict)]) if isinstance(found, list) else ()


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list, or nothing."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _dialect(language: object, where: str) -> str:
    if isinstance(language, str | None) and language in _DIALECTS:
        return _DIALECTS[language]
    raise PromptConfigError(f"{where}: template_language is 'default' or 'jinja', not {language!r:.40}")


def _config(body: Mapping[str, Any], where: str) -> dict[str, Any]:
    config = {key: value for key, value in body.items() if key not in _RECORD}
    provider = config.get("provider")
    if isinstance(provider, str):
        config["provider"] = _PROVIDERS.get(provider, provider)
    config["tools"] = [_tool(tool) for key in ("tools", "linked_tools") for tool in _listed(body, key, where)]
    return config


def _listed(body: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = body.get(key)
    if value is not None and not isinstance(value, list):
        raise PromptConfigError(f"{where}: config key {key!r} must be a list, not {type(value).__name__}")
    return value or []


def _tool(tool: Any) -> Any:
    """A bare function without its blanks; a linked tool's id and version are no provider's business."""
    if not isinstance(tool, dict) or "type" in tool:
        return tool
    return {key: tool[key] for key in _FUNCTION if tool.get(key) is not None}


def _message(item: Any) -> Any:
    """A message without its blanks, under the names that wires know."""
    if not isinstance(item, dict):
        return item
    message = _filled(item)
    if "content" in item:
        message.setdefault("content", None)
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    if "thinking" in message:
        message["thinking_blocks"] = message.pop("thinking")
    if message.get("role") == "tool":
        message.pop("name", None)  # a result is known by its tool_call_id; OpenAI's API has no other field
    return message


def _filled(value: Any) -> Any:
    """Without nulls in objects, deeply."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items() if item is not None}
    return [_filled(item) for item in value] if isinstance(value, list) else value
