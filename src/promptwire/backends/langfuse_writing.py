"""What of Langfuse's API tells of versions and takes new ones."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.backends import PromptVersion
from promptwire.backends.http import Http
from promptwire.backends.times import read_time
from promptwire.dialects import in_dialect
from promptwire.errors import BackendError, ConfigurationError
from promptwire.frozen import thaw
from promptwire.messages import Placeholder, stored_messages
from promptwire.prompts import Prompt

_PLACEHOLDER = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\Z")


def parse_version(body: Any, where: str) -> PromptVersion:
    """A stored version's line in the prompt's history."""
    version = body.get("version") if isinstance(body, dict) else None
    if not isinstance(version, int):
        raise BackendError(f"{where}: the server's answer is not of a prompt's shape. Is the host Langfuse's?")
    labels = body.get("labels")
    texts = [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
    author, message = (
        body[key] if isinstance(body.get(key), str) and body[key] else None for key in ("createdBy", "commitMessage")
    )
    return PromptVersion(version, tuple(texts), author, read_time(body.get("createdAt")), message)


def storable(prompt: Prompt) -> Prompt:
    """The prompt as Langfuse keeps it. Raises ``ConfigurationError`` for what it would drop or refuse."""
    if prompt.partials:
        raise ConfigurationError(f"{prompt.where}: langfuse has no partials; write their values into the text")
    for number, message in enumerate(prompt.messages or (), 1):
        where = f"{prompt.where}, message {number}"
        if isinstance(message, Placeholder):
            if not _PLACEHOLDER.match(message.name):
                raise ConfigurationError(f"{where}: langfuse's placeholders are named by letters, digits and _")
        elif set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise ConfigurationError(f"{where}: langfuse keeps of a message its role and a text, nothing else")
    if clashing := [name for name in prompt.placeholders if name in prompt.variables]:
        raise ConfigurationError(
            f"{prompt.where}: langfuse takes no placeholder of a variable's name: {', '.join(clashing)}"
        )
    return in_dialect(prompt, "mustache", "langfuse")


def creation(prompt: Prompt, labels: Sequence[str], message: str | None) -> dict[str, Any]:
    """The body of the request that makes a new version."""
    chat = prompt.text is None
    body: dict[str, Any] = {
        "name": prompt.id,
        "type": "chat" if chat else "text",
        "prompt": stored_messages(prompt.messages or ()) if chat else prompt.text,
        "config": thaw(prompt.config),
        "labels": list(labels),
    }
    if prompt.tags:
        body["tags"] = list(prompt.tags)
    if message:
        body["commitMessage"] = message
    return body


def write_json(url: str, method: str, body: Mapping[str, Any], headers: Mapping[str, str], http: Http) -> Any:
    """Write, and say what a refusal can mean."""
    try:
        return http.write_json(method, url, body, headers=headers)
    except BackendError as error:
        if error.status_code == 400:
            reasons = (
                "a version's kind, text or chat, is that of those before it; labels are of a-z, 0-9, '_', '-' and '.', "
                "up to 36; names hold no '|' and no '//'; what a prompt is composed of must be there"
            )
            error.args = (f"{http.where}: Langfuse refuses it (400). Of its rules: {reasons}",)
        raise
