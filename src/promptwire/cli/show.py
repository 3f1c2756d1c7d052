"""``promptwire show``."""

from datetime import datetime

import click

from promptwire.cli.options import Reference, Session, reference, session
from promptwire.cli.output import say, say_json, say_table
from promptwire.cli.views import as_json, as_text

LIMIT = 20


@click.command("show")
@reference
@click.option("--history", is_flag=True, help="List its versions instead, the newest first.")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="With --history: how many.")
@session
def command(session: Session, prompt: Reference, limit: int, *, history: bool) -> None:
    """Show a prompt, or with --history its versions."""
    if history:
        _history(session, prompt, limit)
        return
    found, source = session.find(prompt)
    if session.as_json:
        say_json(as_json(found, source))
    else:
        say(as_text(found))


def _history(session: Session, prompt: Reference, limit: int) -> None:
    if prompt.ref.version is not None or prompt.ref.label is not None:
        raise click.UsageError("--history is of all versions; leave the version or label out")
    told = session.resolver.history(
        prompt.ref.id, backend=session.backend_of(prompt), limit=limit, timeout=session.timeout
    )
    rows = [
        (
            version.version,
            version.labels,
            version.author,
            _date(version.created_at, as_json=session.as_json),
            version.message,
        )
        for version in told
    ]
    say_table(("VERSION", "LABELS", "AUTHOR", "DATE", "MESSAGE"), rows, as_json=session.as_json)


def _date(date: datetime | None, *, as_json: bool) -> str | None:
    """In full for programs, to the minute and in local time for people."""
    if date is None:
        return None
    return date.isoformat() if as_json else date.astimezone().isoformat(" ", "minutes")
