"""``promptwire check``."""

import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click

from promptwire.backends.files import SUFFIXES, FilesBackend, id_of
from promptwire.backends.folder import Folder
from promptwire.cli.exits import FINDINGS, OK
from promptwire.cli.linting import Finding, Linter
from promptwire.cli.options import Session, session, variables
from promptwire.cli.output import complain, on_terminal, say, say_table
from promptwire.contracts import Contracts
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, TemplateError


def _read_contracts(ctx: click.Context, _: click.Parameter, spec: str | None) -> Contracts:
    """An application's own: imported from the current folder, as servers import an application; completed, none."""
    if spec is None or ctx.resilient_parsing:
        return Contracts()
    module, _colon, name = spec.partition(":")
    if not module or not name:
        raise click.UsageError("--contract takes MODULE:NAME, as in prompt_types:CONTRACTS")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return Contracts(getattr(importlib.import_module(module), name))
    except ConfigurationError as error:
        raise click.UsageError(f"--contract {spec}: {error}") from error
    except Exception as error:  # it runs the application's own code, which may raise anything
        raise click.UsageError(f"--contract {spec} can't be imported: {type(error).__name__}: {error}") from error


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--contract",
    "contracts",
    metavar="MODULE:NAME",
    callback=_read_contracts,
    help="What the application gives its prompts, as in Resolver(contracts=...).",
)
@click.option("--label", metavar="LABEL", help="With --backend: the versions that bear it, of all that have one.")
@variables
@session
def command(
    *, session: Session, paths: tuple[Path, ...], contracts: Contracts, label: str | None, variables: dict[str, Any]
) -> int:
    """Check the prompts of a folder: templates, settings, variables, models.

    PATHS are files and folders, by default ./prompts; with --backend the prompts of that backend are checked. With
    --vars or --var, variables that a prompt asks for and they don't hold are findings, and so are those that no prompt
    asks for. With --contract, what an application that declares it would hold back is a finding before it is published.
    """
    linter = Linter(variables.keys() if variables else None, contracts)
    if session.backend is not None and paths:
        raise click.UsageError("check takes either PATHS or --backend")
    if session.backend is None and label is not None:
        raise click.UsageError("--label is for --backend: a folder's files are checked whatever their labels")
    checked = (
        _backend(session, session.backend, linter, label) if session.backend is not None else _files(paths, linter)
    )
    count, findings = 0, list[Finding]()
    for found in checked:
        count += 1
        findings += found
    for name in sorted(variables.keys() - linter.used):
        findings.append(Finding("--vars", None, "variable", f"variable {name!r} is asked for by no prompt"))
    if session.as_json or not on_terminal():
        say_table(("FILE", "LINE", "RULE", "MESSAGE"), map(astuple, findings), as_json=session.as_json)
    else:
        for one in findings:
            say(f"{one.file}{'' if one.line is None else f':{one.line}'}: {one.rule}: {one.message}")
    complain(f"{count} checked, {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return FINDINGS if findings else OK


def _files(paths: tuple[Path, ...], linter: Linter) -> Iterator[list[Finding]]:
    """The findings of each file."""
    roots = paths or (FilesBackend().folder.root,)
    for root in roots:
        if not root.exists():
            raise click.UsageError(f"there is no folder {root}; name one, or set PROMPTWIRE_PROMPTS_DIR")
        folder = Folder((root if root.is_dir() else root.parent).absolute(), FilesBackend.name)
        found = sorted(path for _, path in folder.walk(*SUFFIXES)) if root.is_dir() else [root.absolute()]
        for path in found:
            name = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            yield list(linter.file(folder, path, _id_of(path, folder), str(name)))


def _id_of(path: Path, folder: Folder) -> str:
    """The id that the file's prompt has in the folder of prompts, if it lies in that."""
    given = (path, FilesBackend().folder.root, folder.root)
    place, home, root = (Path(os.path.normpath(one.absolute())) for one in given)
    return id_of(place.relative_to(home if place.is_relative_to(home) else root).with_suffix("").as_posix())


def _backend(session: Session, backend: str, linter: Linter, label: str | None) -> Iterator[list[Finding]]:
    """The findings of the version of each prompt that bears the label, or is meant by default."""
    for summary in session.askable(backend):
        name = f"{backend}:{summary.id}"
        try:
            prompt = session.resolver.get_prompt(summary.id, backend=backend, label=label, timeout=session.timeout)
        except PromptNotFoundError:
            continue  # no version of it is meant
        except (TemplateError, PromptConfigError) as error:
            rule = "template" if isinstance(error, TemplateError) else "setting"
            yield [Finding(name, None, rule, str(error).partition(": ")[2])]
        else:
            yield list(linter.prompt(prompt, name))
