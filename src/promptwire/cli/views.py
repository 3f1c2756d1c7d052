"""A prompt as JSON, and as people read it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptwire.frozen import thaw
from promptwire.masking import masked
from promptwire.messages import stored_messages
from promptwire.prompts import Prompt


def as_json(prompt: Prompt, source: str | None = None) -> dict[str, Any]:
    """All there is of it, keys masked: whoever needs them has the backend, and ``pull``."""
    content = {"text": prompt.text} if prompt.text is not None else {"messages": stored_messages(prompt.messages or ())}
    told = {
        "id": prompt.id,
        "backend": prompt.backend,
        "version": prompt.version,
        "labels": list(prompt.labels),
        "tags": list(prompt.tags),
        "model": prompt.model,
        "provider": prompt.provider,
        "params": prompt.settings(),
        "config": thaw(prompt.config),
        "variables": list(prompt.variables),
        "placeholders": list(prompt.placeholders),
        "template_format": prompt.dialect,
        **content,
        "content_hash": prompt.content_hash,
        **({} if source is None else {"source": source}),
    }
    return masked(told)  # type: ignore[no-any-return]


def as_text(prompt: Prompt) -> str:
    """What it is, then its messages."""
    sent = prompt.settings()
    ignored = {key: value for key, value in prompt.config.items() if key not in {*sent, "model", "provider"}}
    facts = {
        "version": prompt.version,
        "labels": ", ".join(prompt.labels),
        "tags": ", ".join(prompt.tags),
        "model": "/".join(filter(None, (prompt.provider, prompt.model))),
        "settings": _pairs(sent),
        "not sent": _pairs(ignored),
        "variables": ", ".join(prompt.variables),
        "slots": ", ".join(prompt.placeholders),
        "template": prompt.dialect,
    }
    head = [f"{prompt.backend}:{prompt.id}", *(f"  {key:<11}{value}" for key, value in facts.items() if value)]
    told = stored_messages(prompt.messages or ()) if prompt.text is None else [{"role": "text", "content": prompt.text}]
    return "\n".join((*head, *_blocks(told)))


def messages_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """Messages one below the other; a single one is its text alone, fit for a pipe."""
    if len(messages) == 1 and isinstance(content := messages[0].get("content"), str):
        return content
    return "\n".join(_blocks(messages)).lstrip("\n")


def _blocks(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in map(masked, messages):
        yield ""
        if message.get("type") == "placeholder":
            yield f"[{message.get('name')}: messages go here]"
            continue
        rest = {key: value for key, value in message.items() if key not in {"role", "content"} and value}
        yield f"[{message['role']}]"
        content = message.get("content")
        if content is not None:
            yield content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
        if rest:
            yield json.dumps(rest, indent=2, ensure_ascii=False)


def _pairs(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in masked(settings).items())
