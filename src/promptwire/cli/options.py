"""Options that several commands share; what reads them is imported when one is given, for --help needs none of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from promptwire.cli.exits import FINDINGS, OK

if TYPE_CHECKING:
    from promptwire.backends import PromptSummary
    from promptwire.prompts import Prompt
    from promptwire.refs import PromptRef
    from promptwire.resolver import Resolver

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT = 10.0


@dataclass
class Session:
    """What the options that all commands share come to."""

    backend: str | None
    timeout: float
    as_json: bool
    left_out: int = 0

    @functools.cached_property
    def resolver(self) -> Resolver:
        """One for the command."""
        from promptwire.resolver import Resolver

        return Resolver(timeout=self.timeout)

    def find(self, reference: Reference) -> tuple[Prompt, str]:
        """The prompt that is meant, and where it came from."""
        ref = reference.ref
        return self.resolver.find(
            ref.id, backend=self.backend_of(reference), label=ref.label, version=ref.version, timeout=self.timeout
        )

    def askable(self, backend: str, resolver: Resolver | None = None) -> list[PromptSummary]:
        """What a backend lists; of a name that can't be asked for is told, and a command that did the rest exits 1."""
        from promptwire.cli.output import complain
        from promptwire.errors import ConfigurationError
        from promptwire.refs import PromptRef

        found: list[PromptSummary] = []
        for summary in (resolver or self.resolver).list_prompts(backend=backend, timeout=self.timeout):
            try:
                PromptRef(summary.id)
            except ConfigurationError as error:
                complain(f"left out: {error}")
                self.left_out += 1
            else:
                found.append(summary)
        return found

    def backend_of(self, reference: Reference) -> str:
        """The backend that a reference names, else ``--backend``, else the environment's."""
        if reference.backend and self.backend and reference.backend != self.backend:
            raise click.UsageError(f"{reference.text!r} names another backend than --backend {self.backend}")
        return reference.backend or self.backend_name

    @property
    def backend_name(self) -> str:
        """``--backend``, else the environment's."""
        from promptwire.backends import default_backend_name

        return self.backend or default_backend_name()


@dataclass(frozen=True)
class Reference:
    """A prompt as people type it."""

    text: str
    backend: str | None
    ref: PromptRef

    @classmethod
    def read(cls, text: str, version: str | None = None, label: str | None = None) -> Reference:
        """``id``, ``id@3``, ``id@staging``, ``backend:id``; raises ``ConfigurationError``."""
        from promptwire.backends import backend_prefix
        from promptwire.refs import PromptRef

        backend = backend_prefix(text)
        ref = PromptRef.parse(text.removeprefix(f"{backend}:"))
        if version is not None or label is not None:
            if ref.version is not None or ref.label is not None:
                raise click.UsageError(f"{text!r} already names a version or label; leave out --version and --label")
            ref = PromptRef(ref.id, version, label)
        return cls(text, backend, ref)


def session(function: F) -> F:
    """``--backend``, ``--json``, ``--timeout`` and the environment's, handed over as one ``Session``."""

    @functools.wraps(function)
    def wrapper(*args: Any, backend: str | None, timeout: float, as_json: bool, **options: Any) -> Any:
        made = Session(backend, timeout, as_json)
        return function(*args, session=made, **options) or (FINDINGS if made.left_out else OK)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--timeout", type=click.FloatRange(0.001, 86_400), default=TIMEOUT, show_default=True, metavar="SECONDS",
            help="How long to wait for a backend.",
        ),
        click.option(
            "-b", "--backend", metavar="NAME", shell_complete=complete_backends,
            help="langfuse, humanloop, files or another.",
        ),
    ):  # fmt: skip
        wrapper = option(wrapper)
    return environment(wrapper)  # type: ignore[return-value]


def reference(function: F) -> F:
    """The argument that names a prompt, with ``--version`` and ``--label``."""

    @functools.wraps(function)
    def wrapper(*args: Any, prompt: str, version: str | None, label: str | None, **options: Any) -> Any:
        return function(*args, prompt=Reference.read(prompt, version, label), **options)

    for option in (
        click.option("--label", metavar="LABEL", help="The version that bears this label."),
        click.option("--version", metavar="VERSION", help="This version."),
        click.argument("prompt", metavar="PROMPT", shell_complete=complete_prompts),
    ):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


def variables(function: F) -> F:
    """``--var`` and ``--vars``, read into ``variables``."""

    @functools.wraps(function)
    def wrapper(*args: Any, var: tuple[str, ...], vars_: tuple[str, ...], **options: Any) -> Any:
        from promptwire.cli.variables import read_variables

        return function(*args, variables=read_variables(var, vars_), **options)

    for option in (
        click.option("--vars", "vars_", multiple=True, metavar="FILE", help="A YAML or JSON file of them; - is stdin."),
        click.option("--var", multiple=True, metavar="NAME=VALUE", help="A variable's value, as text."),
    ):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


DEBUG = ("--detailed-debug", "--detailed_debug")
DEBUG_HELP = "Log every model request to stderr, keys masked."


def environment(function: F) -> F:
    """``--env-file`` and ``--detailed-debug``, which take effect before anything else is read."""
    debug = click.option(*DEBUG, is_flag=True, is_eager=True, expose_value=False, callback=_debug, help=DEBUG_HELP)
    return env_file(debug(function))


def env_file(function: F) -> F:
    """``--env-file``."""
    return click.option(
        "--env-file", type=click.Path(exists=True, dir_okay=False), is_eager=True, expose_value=False,
        callback=_load_env, help="Read NAME=VALUE lines; what is set already stays.",
    )(function)  # fmt: skip


def _load_env(_: click.Context, __: click.Parameter, path: str | None) -> None:
    if path is not None:
        from promptwire.cli.dotenv import load

        load(path)


def _debug(_: click.Context, __: click.Parameter, on: bool) -> None:  # noqa: FBT001 - click's hook
    if on:
        from promptwire import log

        log.set_verbose()


def complete_backends(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """For the shell: the backends' names."""
    from promptwire.backends import known_backends

    return [name for name in sorted(known_backends()) if name.startswith(begun)]


def complete_prompts(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """For the shell: what ``completing`` finds."""
    from promptwire.cli.completing import references

    return references(begun, ctx.params.get("backend"))
