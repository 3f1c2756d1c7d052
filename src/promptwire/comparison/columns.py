"""What is compared: each prompt, in one version for the whole comparison, on each model."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promptwire.errors import ConfigurationError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef
from promptwire.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Column:
    """A prompt on a model; ``None`` is the prompt's own."""

    name: str
    prompt: Prompt
    model: str | None


async def acolumns(subjects: Sequence[Any], models: Sequence[str] | None, resolver: Resolver) -> list[Column]:
    """Every subject on every model, under names of their own. Raises the errors of ``get_prompt``."""
    check_models(models)
    found = await asyncio.gather(*(_find(subject, resolver) for subject in subjects))
    columns = [
        Column(name if model is None else f"{name} on {model}", prompt, model)
        for name, prompt in found
        for model in models or (None,)
    ]
    if len({column.name for column in columns}) < len(columns):
        raise ConfigurationError("two of the things to compare are the same prompt on the same model")
    return columns


def check_models(models: Sequence[str] | None) -> None:
    """Raises ``ConfigurationError`` for what is no list of model strings."""
    if isinstance(models, str) or not all(isinstance(model, str) for model in models or ()):
        raise ConfigurationError("models is a list of model strings; one model is a list of one")


async def _find(subject: Any, resolver: Resolver) -> tuple[str, Prompt]:
    if isinstance(subject, Prompt):
        return str(PromptRef(subject.id, subject.version)), subject
    if not isinstance(subject, str | PromptRef):
        raise ConfigurationError(f"what is compared are references like 'id@3' and prompts, not {subject!r:.60}")
    ref = PromptRef.parse(subject) if isinstance(subject, str) else subject
    return str(subject), await resolver.aget_prompt(ref.id, version=ref.version, label=ref.label)
