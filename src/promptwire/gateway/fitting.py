"""What of a call's parameters a provider takes (DESIGN 4.3)."""

import logging
from collections.abc import Mapping
from typing import Any

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.gateway.hosts import Provider, find_provider
from promptwire.gateway.providers import Choice, Target
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver

# Values that ask for what a host does anyway: no reason to refuse a call.
_NEUTRAL: dict[str, object] = {"n": 1, "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0}


def settings_for(
    prompt: Prompt, chosen: Choice | Target, resolver: Resolver, *, level: int = logging.WARNING
) -> dict[str, Any]:
    """What the prompt sets, without what the chosen provider lacks; that is noted once per prompt and resolver."""
    settings = prompt.settings()
    row = find_provider(chosen.provider)
    lacking = sorted(row.lacking(chosen.model) & settings.keys()) if row else []
    for name in lacking:
        del settings[name]
    if lacking and resolver.first_time((prompt.backend, prompt.id, chosen.provider, *lacking)):
        log.logger.log(level, "%s sets %s, which %s lacks: left out", prompt.where, ", ".join(lacking), chosen.provider)
    return settings


def fitted(row: Provider | None, model: str, params: Mapping[str, object], *, stream: bool) -> Mapping[str, object]:
    """The parameters under the provider's names. Raises ``ConfigurationError`` for one that it lacks."""
    lacks = row.lacking(model) if row else frozenset[str]()
    if row is None or not (lacks or row.renames):
        return params
    given = {row.renames.get(name, name): value for name, value in params.items() if value is not None}
    lacking = sorted(lacks & given.keys())
    for name in lacking:
        if given.pop(name) != _NEUTRAL.get(name, given):
            raise ConfigurationError(f"{row.name} takes no {name} for {model}; leave it out, or give another model")
    if stream and "stream_options" in lacks:
        given["stream_options"] = None
    return given
