"""``promptwire list``."""

import click

from promptwire.cli.options import Session, session
from promptwire.cli.output import complain, say_table


@click.command("list")
@click.option("--label", metavar="LABEL", help="Only prompts of which a version bears it.")
@click.option("--tag", metavar="TAG", help="Only prompts with this tag.")
@session
def command(session: Session, label: str | None, tag: str | None) -> None:
    """List the prompts of a backend."""
    listed = session.resolver.list_prompts(backend=session.backend, timeout=session.timeout)
    if not listed:
        complain(f"{session.backend_name} holds no prompts; --backend names another, PROMPTWIRE_PROMPTS_DIR a folder")
    rows = [
        (summary.id, summary.versions, summary.labels, summary.tags)
        for summary in listed
        if label in {None, *summary.labels} and tag in {None, *summary.tags}
    ]
    say_table(("ID", "VERSIONS", "LABELS", "TAGS"), rows, as_json=session.as_json)
