"""The values of prompt variables, from options, files and stdin."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from promptwire.backends.folder import read_yaml
from promptwire.errors import PromptConfigError, raise_bare


def read_variables(pairs: Sequence[str], files: Sequence[str]) -> dict[str, Any]:
    """The later wins: files in order, then ``NAME=VALUE`` pairs."""
    values: dict[str, Any] = {}
    for path in files:
        values |= _read(path)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--var takes NAME=VALUE; {name!r} has no '='" if name else "--var takes NAME=VALUE")
        values[name.strip()] = value
    return values


def _read(path: str) -> dict[str, Any]:
    name = "stdin" if path == "-" else path
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise_bare(click.UsageError(f"--vars {name} can't be read as UTF-8 text"))
    values = parse(text, f"--vars {name}")
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise click.UsageError(f"--vars {name} is a mapping of variables' names to their values")
    return values


def parse(text: str, where: str) -> Any:
    """JSON, or plain YAML."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return read_yaml(text, where)
    except PromptConfigError as error:
        raise click.UsageError(str(error)) from error
