"""LiteLLM's config file: ``model_list`` and ``general_settings``, as far as they have to do with prompts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptwire.backends import known_backends
from promptwire.errors import ConfigurationError
from promptwire.params import nearest
from promptwire.proxy.entries import (
    PROMPT_KEYS,
    RENDERING_KEYS,
    Entry,
    backend_options,
    build,
    from_environment,
    read_params,
)
from promptwire.proxy.source import Key, Source
from promptwire.proxy.table import Table

MAX_ENTRIES = 1000
_SECTIONS = ("model_list", "general_settings", "litellm_settings")
_SETTINGS = ("master_key", "langfuse_webhook_secret")


@dataclass(frozen=True, slots=True)
class Config:
    """What the proxy is to serve, and to whom."""

    where: str
    table: Table
    master_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people."""
        names, notes = self.table.names, len(self.notes)
        return f"{len(names)} model{'s' * (len(names) != 1)} ({', '.join(names)}), {notes} note{'s' * (notes != 1)}"


def read_config(path: str | os.PathLike[str]) -> Config:
    """Read and check the file. Raises ``ConfigurationError`` that names file, line and key."""
    return parse_config(Source.of_file(Path(path)))


def parse_config(source: Source) -> Config:
    """The config that a file's data comes to."""
    data = source.data
    if not isinstance(data, dict):
        raise source.error((), "is a mapping with a model_list")
    notes = [_note(source, (name,), _SECTIONS) for name in data if name not in _SECTIONS]
    notes += [_note(source, ("litellm_settings", name), ()) for name in data.get("litellm_settings") or ()]
    settings = data.get("general_settings") or {}
    if not isinstance(settings, dict):
        raise source.error(("general_settings",), "is a mapping")
    notes += [_note(source, ("general_settings", name), _SETTINGS) for name in settings if name not in _SETTINGS]
    entries, more = _entries(source, data.get("model_list"))
    return Config(
        source.name,
        Table(entries),
        _secret(source, settings, "master_key"),
        _secret(source, settings, "langfuse_webhook_secret"),
        (*notes, *more),
    )


def single_model(model: str, prompt_id: str | None) -> Config:
    """The config of one model under any requested name."""
    source = Source("--model", "")
    params: dict[str, Any] = {"model": model} if prompt_id is None else {"model": model, "prompt_id": prompt_id}
    entry, notes = build(model, params, source, ())
    return Config(source.name, Table([entry], any_name=True), notes=tuple(notes))


def _note(source: Source, key: Key, known: tuple[str, ...]) -> str:
    name = str(key[-1])
    if close := nearest(name, known):
        raise source.error(key, f"is unknown{close}")
    return str(source.error(key, "is not used by Promptwire"))


def _secret(source: Source, settings: Mapping[str, Any], name: str) -> str | None:
    key = ("general_settings", name)
    value = from_environment(source, key, settings.get(name))
    if value is None:
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
        raise source.error(key, "is a text of printable ASCII characters")
    return value


def _entries(source: Source, listed: Any) -> tuple[list[Entry], list[str]]:
    if not isinstance(listed, list) or not listed:
        raise source.error(("model_list",), "is a list of entries with model_name and litellm_params")
    raw: list[tuple[str, dict[str, Any]]] = []
    notes: list[str] = []
    for number, item in enumerate(listed):
        name, params, more = _entry(source, ("model_list", number), item)
        raw.append((name, params))
        notes += more
    built: list[Entry] = []
    for number, (name, _) in enumerate(raw):
        for params in _followed(source, raw, number, ()):
            entry, more = build(name, params, source, ("model_list", number, "litellm_params"))
            built.append(entry)
            notes += more
            if len(built) > MAX_ENTRIES:
                raise source.error(("model_list", number), f"with it the list has more than {MAX_ENTRIES} deployments")
    return built, notes


def _entry(source: Source, key: Key, item: Any) -> tuple[str, dict[str, Any], list[str]]:
    if not isinstance(item, dict):
        raise source.error(key, "is a mapping with model_name and litellm_params")
    known = ("model_name", "litellm_params")
    notes = [_note(source, (*key, name), known) for name in item if name not in known]
    name = item.get("model_name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise source.error((*key, "model_name"), "is a text")
    if "*" in name:
        raise source.error((*key, "model_name"), "holds a wildcard; `serve --model` runs one model under any name")
    params, more = read_params(source, (*key, "litellm_params"), item.get("litellm_params"))
    return name, params, notes + more


def _followed(
    source: Source, raw: list[tuple[str, dict[str, Any]]], number: int, seen: tuple[int, ...]
) -> list[dict[str, Any]]:
    """An entry's params over those of each entry that its ``langfuse/<name>`` points to; what it says itself wins."""
    name, params = raw[number]
    backend, _, rest = params["model"].partition("/")
    pointed = [other for other, (known, _) in enumerate(raw) if known == rest and rest != name]
    if backend not in known_backends() or not pointed:
        return [params]
    if number in seen:
        raise source.error(("model_list", number, "litellm_params", "model"), "points to itself by other entries")
    found: list[dict[str, Any]] = []
    for other in pointed:
        for below in _followed(source, raw, other, (*seen, number)):
            first, _, its_rest = below["model"].partition("/")
            model = its_rest if first in known_backends() else below["model"]
            left = {key: value for key, value in below.items() if key not in _OWN and key not in backend_options()}
            found.append({**left, **params, "model": f"{backend}/{model}"})
        if len(found) > MAX_ENTRIES:
            raise ConfigurationError(f"{source.name}: its entries point to more than {MAX_ENTRIES} deployments")
    return found


# What an entry says of its prompt is no part of what another one runs on.
_OWN = frozenset({*PROMPT_KEYS, *RENDERING_KEYS, "langfuse_webhook_secret"})
