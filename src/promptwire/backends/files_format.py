"""Prompts as YAML files: what is written reads back equal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from promptwire.backends import PromptVersion
from promptwire.frozen import thaw
from promptwire.messages import Placeholder
from promptwire.params import PROMPT_PARAMS
from promptwire.prompts import Prompt

_NAMED = ("model", "provider", "tools", "response_format")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a prompt: what its YAML says, and the prompt that it makes."""

    path: Path
    text: str
    body: Mapping[str, Any]
    prompt: Prompt

    @property
    def number(self) -> int:
        """Its version; 0 without one."""
        return int(self.prompt.version or 0)

    @property
    def source(self) -> Mapping[str, Any]:
        """What it is a copy of, or nothing."""
        source = self.body.get("source")
        return source if isinstance(source, dict) else {}

    def told(self) -> PromptVersion:
        """Its line in the prompt's history."""
        changed = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        message = self.body.get("message")
        return PromptVersion(
            self.prompt.version, self.prompt.labels, None, changed, message if isinstance(message, str) else None
        )

    def relabelled(self, labels: Iterable[str]) -> str:
        """Its text with other labels; comments are lost."""
        return dump({**self.body, "labels": list(labels)})


def body_of(
    prompt: Prompt,
    number: int | None,
    labels: Iterable[str],
    *,
    message: str | None = None,
    source: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a prompt's file says."""
    config: dict[str, Any] = thaw(prompt.config)
    named = {key: config.pop(key) for key in _NAMED if key in config}
    params = {key: config.pop(key) for key in PROMPT_PARAMS if key in config}
    optional = {
        "version": number,
        "labels": list(labels),
        "tags": list(prompt.tags),
        "message": message,
        "params": params,
        "config": config,
        "partials": thaw(prompt.partials),
    }
    body = {key: value for key, value in optional.items() if value} | named | {"template_format": prompt.dialect}
    if prompt.text is not None:
        body["text"] = prompt.text
    else:
        body["messages"] = [
            {"placeholder": item.name} if isinstance(item, Placeholder) else thaw(item)
            for item in prompt.messages or ()
        ]
    return body if source is None else {**body, "source": dict(source)}


def dump(body: Mapping[str, Any]) -> str:
    """The YAML of a file; texts of several lines are written as such."""
    import yaml

    written: str = yaml.dump(
        dict(body), Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=2**31, default_flow_style=False
    )
    return written


@cache
def _dumper() -> type[Any]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without aliases, which the reader refuses, and with block texts where they read back the same."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's
            return True

    def text(dumper: Any, value: str) -> Any:
        """YAML folds other line ends than its own, but in double quotes."""
        odd = any(char in value for char in "\r\x85\u2028\u2029\ufeff")
        style = '"' if odd else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
