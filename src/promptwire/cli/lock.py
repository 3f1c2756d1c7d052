"""``promptwire lock``."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import click

from promptwire.cli.exits import FINDINGS, OK, UPSTREAM
from promptwire.cli.options import Reference, Session, complete_prompts, session
from promptwire.cli.output import complain, say, say_json, say_table
from promptwire.errors import PromptNotFoundError
from promptwire.lock import Locked, read_lock, take_lock, write_lock
from promptwire.lock_check import Finding, check_lock
from promptwire.refs import PromptRef
from promptwire.resolver import Resolver

LOCK = "prompts.lock"
HINT = "To lock the others without it, name them, or give --backend for all that it serves"


@click.command("lock")
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...", shell_complete=complete_prompts)
@click.option("--label", metavar="LABEL", help="Lock the versions that bear it, of all prompts that have one.")
@click.option("--file", "path", type=click.Path(dir_okay=False), default=LOCK, show_default=True, metavar="FILE")
@click.option("--check", "checks", is_flag=True, help="Write nothing; exit 1 if a prompt is not what was locked.")
@session
def command(*, session: Session, prompts: tuple[str, ...], label: str | None, path: str, checks: bool) -> int:
    """Write prompts.lock, a committed copy of prompts, or --check it.

    PROMPT may be a reference, or a pattern like 'support/*'. Without any, the prompts of the lock that is there are
    locked anew, and without a lock all that the backend serves by default. Resolver(store='prompts.lock') runs on it
    when the backend fails, and with frozen=True on nothing else.
    """
    resolver = Resolver(timeout=session.timeout, store=False)
    if checks:
        if prompts or label:
            raise click.UsageError("--check compares the whole lock: leave out PROMPT and --label")
        return _check(session, resolver, path)
    try:
        entries = _taken(session, resolver, prompts, label, path)
    except PromptNotFoundError as error:
        raise (error if prompts else PromptNotFoundError(f"{error}. {HINT}")) from None
    write_lock(path, entries)
    rows = [(entry.ref.id, entry.backend, entry.ref.label, entry.prompt.version) for entry in entries]
    say_table(("ID", "BACKEND", "LABEL", "VERSION"), rows, as_json=session.as_json)
    return OK


def _taken(
    session: Session, resolver: Resolver, prompts: tuple[str, ...], label: str | None, path: str
) -> tuple[Locked, ...]:
    if not prompts and label is None and session.backend is None and Path(path).exists():
        known = read_lock(path)
        by_backend = {entry.backend: [one.ref for one in known if one.backend == entry.backend] for entry in known}
    else:
        references = [Reference.read(text, label=label) for text in prompts]
        by_backend = {session.backend_of(one): [] for one in references} or {session.backend_name: []}
        for name, refs in by_backend.items():
            mine = [one.ref for one in references if session.backend_of(one) == name]
            refs.extend(_listed(session, resolver, name, mine, label))
    return tuple(one for name, refs in by_backend.items() for one in take_lock(resolver, refs, backend=name))


def _listed(
    session: Session, resolver: Resolver, backend: str, refs: list[PromptRef], label: str | None
) -> Iterator[PromptRef]:
    """The references that are named; patterns, and none at all, need the backend's list."""
    patterns = [ref.id for ref in refs if set(ref.id) & set("*?[")] or ([] if refs else ["*"])
    yield from (ref for ref in refs if ref.id not in patterns)
    if not patterns:
        return
    wanted = label or resolver.open_backend(backend).default_label
    for summary in session.askable(backend, resolver):
        if any(fnmatchcase(summary.id, pattern) for pattern in patterns) and wanted in {None, *summary.labels}:
            yield PromptRef(summary.id, label=label)


def _check(session: Session, resolver: Resolver, path: str) -> int:
    entries = read_lock(path)
    findings = check_lock(entries, resolver)
    if session.as_json:
        say_json([_record(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.message}\n{finding.diff}".rstrip())
    complain(f"{len(entries)} checked, {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return _code(findings)


def _record(finding: Finding) -> dict[str, object]:
    told = {"prompt": str(finding.locked), "kinds": finding.kinds, "message": finding.message, "diff": finding.diff}
    return {name: value for name, value in told.items() if value}


def _code(findings: tuple[Finding, ...]) -> int:
    """A change is a finding, whatever else could not be asked."""
    kinds = {kind for finding in findings for kind in finding.kinds}
    if kinds - {"unknown"}:
        return FINDINGS
    return UPSTREAM if kinds else OK
