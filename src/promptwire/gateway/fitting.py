"""What of a call's parameters a provider takes (DESIGN 4.3)."""

import logging
from collections.abc import Mapping
from typing import Any

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.gateway.hosts import Provider, find_provider
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver


def settings_for(prompt: Prompt, provider: str, resolver: Resolver, *, level: int = logging.WARNING) -> dict[str, Any]:
    """What the prompt sets, without what the provider lacks; that is noted once per prompt and resolver."""
    settings = prompt.settings()
    row = find_provider(provider)
    lacking = sorted(row.lacks & settings.keys()) if row else []
    for name in lacking:
        del settings[name]
    if lacking and resolver.first_time((prompt.backend, prompt.id, provider, *lacking)):
        log.logger.log(level, "%s sets %s, which %s lacks: left out", prompt.where, ", ".join(lacking), provider)
    return settings


def fitted(row: Provider | None, params: Mapping[str, object], *, stream: bool) -> Mapping[str, object]:
    """The parameters under the provider's names. Raises ``ConfigurationError`` for one that it lacks."""
    if row is None or not (row.lacks or row.renames):
        return params
    given = {row.renames.get(name, name): value for name, value in params.items() if value is not None}
    lacking = sorted(name for name in row.lacks & given.keys() if not (name == "n" and given[name] == 1))
    if lacking:
        raise ConfigurationError(f"{row.name} takes no {', '.join(lacking)}; leave it out, or give another model")
    if stream and "stream_options" in row.lacks:
        given["stream_options"] = None
    return given
