"""``promptwire doctor``."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

from promptwire.backends import known_backends
from promptwire.cli.exits import FINDINGS, OK
from promptwire.cli.options import Session, session
from promptwire.cli.output import say_table
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.gateway.hosts import all_providers

PACKAGES = {
    "langchain-promptwire": "pip install langchain-promptwire",
    "llama-index-llms-promptwire": "pip install llama-index-llms-promptwire",
    "rich": "pip install 'promptwire[cli]'",
    "starlette": "pip install 'promptwire[proxy]'",
    "redis": "pip install 'promptwire[redis]'",
}

Row = tuple[str, str, str, str]


@click.command("doctor")
@session
def command(session: Session) -> int:
    """Tell what is installed, which backends answer and which keys are set.

    Exits 1 if a backend that is set up doesn't answer, or the one meant by default isn't set up. No key is printed.
    """
    rows = [*_installed(), *_backends(session), *_keys()]
    say_table(("WHAT", "NAME", "STATE", "DETAIL"), rows, as_json=session.as_json)
    return FINDINGS if any(state == "failed" for _, _, state, _ in rows) else OK


def _installed() -> Iterator[Row]:
    yield "package", "promptwire", "ok", version("promptwire")
    yield "package", "python", "ok", platform.python_version()
    for name, command in PACKAGES.items():
        try:
            yield "package", name, "ok", version(name)
        except PackageNotFoundError:
            yield "package", name, "not there", command


def _backends(session: Session) -> Iterator[Row]:
    """What each backend answers; one without a key, a folder or members is not set up."""
    for name in sorted(known_backends() - {"memory"}):
        is_meant = name == session.backend_name
        try:
            listed = session.resolver.list_prompts(backend=name, timeout=session.timeout)
        except ConfigurationError as error:
            yield "backend", name, "failed" if is_meant else "not set up", str(error)
        except PromptwireError as error:
            yield "backend", name, "failed", str(error)
        else:
            yield "backend", name, "ok", f"{len(listed)} prompts{', meant by default' if is_meant else ''}"


def _keys() -> Iterator[Row]:
    for provider in all_providers().values():
        if os.environ.get(provider.key_variable):
            yield "key", provider.key_variable, "set", f"for {provider.name}"
        elif provider.name == "openai":
            yield "key", provider.key_variable, "not set", "for openai, the provider where none is named"
