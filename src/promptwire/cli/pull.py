"""``promptwire pull``."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from promptwire.backends import PromptSummary
from promptwire.backends.files import FilesBackend
from promptwire.backends.files_copies import Placed, place
from promptwire.cli.exits import FINDINGS, OK, exit_code
from promptwire.cli.options import Reference, Session, complete_prompts, session
from promptwire.cli.output import complain, say_table
from promptwire.errors import ConfigurationError, PromptNotFoundError, PromptwireError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

Choice = tuple[str | None, str | None]
"""A version or a label."""

AT_ONCE = 8
LONG = 20


@dataclass(slots=True)
class Wanted:
    """One prompt to copy: the versions asked for, and what was fetched of them, or the error."""

    id: str
    refs: list[PromptRef] = field(default_factory=list)
    is_named: bool = True
    fetched: list[Prompt] = field(default_factory=list)
    default: Prompt | None = None
    error: PromptwireError | None = None


@click.command("pull")
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...", shell_complete=complete_prompts)
@click.option("--version", "versions", multiple=True, metavar="VERSION", help="This version; may be repeated.")
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="The version that bears it; may be repeated.")
@click.option("--all", "every", is_flag=True, help="All versions.")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False), metavar="FOLDER", help="Where to; ./prompts unless set."
)
@click.option("--force", is_flag=True, help="Overwrite what was edited here.")
@session
def command(
    *,
    session: Session,
    prompts: tuple[str, ...],
    versions: tuple[str, ...],
    labels: tuple[str, ...],
    folder: str | None,
    every: bool,
    force: bool,
) -> int:
    """Copy a backend's prompts into a folder of files.

    PROMPT may be a reference, or a pattern like 'support/*'; without any, all prompts are copied. Without --version,
    --label and --all it is the version that is meant by default, which becomes NAME.yaml; other versions become
    NAME@3.yaml. Can be repeated: what is there already stays as it is, and so does what was edited here, unless --force
    is given.
    """
    files = FilesBackend(folder)
    references = [Reference.read(text) for text in prompts]
    source = _source(session, references, files)
    chosen = [(version, None) for version in versions] + [(None, label) for label in labels]
    wanted = list(_wanted(session, source, [reference.ref for reference in references], chosen, every=every))
    rows: list[tuple[object, ...]] = []
    codes: list[int] = []
    for one in _with_progress(_fetched(session, source, wanted), len(wanted)):
        try:
            rows += [_row(placed, files) for placed in _placed(one, files, force=force)]
        except PromptwireError as error:
            complain(str(error))
            codes.append(exit_code(error))
    say_table(("ID", "VERSION", "LABELS", "STATE", "FILE"), rows, as_json=session.as_json)
    if any(row[3] == "kept" for row in rows):
        complain("kept are files that were edited here or are not of that origin; --force overwrites them")
        codes.append(FINDINGS)
    return codes[0] if codes else OK


def _source(session: Session, references: Sequence[Reference], files: FilesBackend) -> str:
    names = {session.backend_of(reference) for reference in references} or {session.backend_name}
    if len(names) > 1:
        raise click.UsageError(f"pull copies from one backend at a time, not from {' and '.join(sorted(names))}")
    name = names.pop()
    if name == files.name and FilesBackend().identity == files.identity:
        raise click.UsageError(f"pull copies into {files.folder.root}: name the backend to copy from by --backend")
    return name


def _wanted(
    session: Session, source: str, refs: Sequence[PromptRef], chosen: Sequence[Choice], *, every: bool
) -> Iterator[Wanted]:
    """The prompts that are named; patterns, and versions by the dozen, need the backend's list."""
    patterns = [ref for ref in refs if set(ref.id) & set("*?[")]
    listed: dict[str, PromptSummary] = {}
    if every or patterns or not refs:
        listed = {summary.id: summary for summary in session.askable(source)}
    for ref in refs:
        if ref not in patterns:
            yield _one(ref, listed, chosen, every=every)
    for pattern in patterns if refs else [PromptRef("*")]:
        for name in listed:
            if fnmatchcase(name, pattern.id):
                one = _one(replace(pattern, id=name), listed, chosen, every=every)
                one.is_named = False
                yield one


def _one(ref: PromptRef, listed: dict[str, PromptSummary], chosen: Sequence[Choice], *, every: bool) -> Wanted:
    wanted = Wanted(ref.id)
    if ref.version is not None or ref.label is not None:
        wanted.refs.append(ref)
    wanted.refs += [PromptRef(ref.id, version, label) for version, label in chosen]
    if every and ref.id in listed:
        wanted.refs += [PromptRef(ref.id, version=version) for version in listed[ref.id].versions]
    if every or not wanted.refs:
        wanted.refs.insert(0, PromptRef(ref.id))
    return wanted


def _fetched(session: Session, source: str, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
    """Each with its versions, oldest first; several are asked for at once, and an interrupt waits for none."""

    async def fetch(some: Sequence[Wanted]) -> None:
        await asyncio.gather(*(_fetch(session, source, one) for one in some))

    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        asyncio.run(fetch(some))
        yield from some


async def _fetch(session: Session, source: str, wanted: Wanted) -> None:
    found: dict[object, Prompt] = {}
    for ref in wanted.refs:
        try:
            prompt = await session.resolver.aget_prompt(
                ref.id, backend=source, label=ref.label, version=ref.version, timeout=session.timeout
            )
        except PromptNotFoundError as error:
            wanted.error = wanted.error or error  # a prompt need not have every label
            continue
        except PromptwireError as error:
            wanted.error = error
            return
        prompt = found.setdefault(prompt.version, prompt)
        if ref.version is None and ref.label is None:
            wanted.default = prompt
    try:
        wanted.fetched = await _oldest_first(session, source, wanted.id, found)
    except PromptwireError as error:
        wanted.error = error
        return
    if found:
        wanted.error = None


async def _oldest_first(session: Session, source: str, prompt_id: str, found: dict[object, Prompt]) -> list[Prompt]:
    """By number; where versions have none, by the prompt's history."""
    if len(found) < 2 or all(isinstance(version, int) for version in found):
        return sorted(found.values(), key=lambda prompt: prompt.version if isinstance(prompt.version, int) else 0)
    try:
        told = await session.resolver.ahistory(prompt_id, backend=source, timeout=session.timeout)
    except ConfigurationError:  # it keeps none: as they were asked for
        return list(found.values())
    order = {version.version: place for place, version in enumerate(reversed(told))}
    return sorted(found.values(), key=lambda prompt: order.get(prompt.version, len(order)))


def _placed(wanted: Wanted, files: FilesBackend, *, force: bool) -> list[Placed]:
    if wanted.error is not None and (wanted.is_named or not isinstance(wanted.error, PromptNotFoundError)):
        raise wanted.error
    return place(files, wanted.id, wanted.fetched, wanted.default, force=force)


def _row(placed: Placed, files: FilesBackend) -> tuple[object, ...]:
    path = Path(placed.path).relative_to(files.folder.root).as_posix()
    return placed.prompt.id, placed.prompt.version, placed.prompt.labels, placed.state, path


def _with_progress(items: Iterable[Wanted], length: int) -> Iterator[Wanted]:
    """A bar on stderr, where a person sees it and has time to."""
    if length < LONG or not sys.stderr.isatty():
        yield from items
        return
    bar: Any = click.progressbar(items, length=length, label="pull", file=sys.stderr)
    with bar:
        yield from bar
