"""``promptwire push``."""

import click

from promptwire.backends.files import FilesBackend
from promptwire.cli.exits import OK, exit_code
from promptwire.cli.options import Reference, Session, session
from promptwire.cli.output import complain, say_table
from promptwire.errors import PromptwireError
from promptwire.publishing import Pushed
from promptwire.refs import PromptRef


@click.command("push")
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False), metavar="FOLDER", help="Where from; ./prompts unless set."
)
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="Move it to what is pushed; may be repeated.")
@click.option("--message", metavar="TEXT", help="What is new, for the prompt's history.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
@session
def command(
    *,
    session: Session,
    prompts: tuple[str, ...],
    folder: str | None,
    labels: tuple[str, ...],
    message: str | None,
    dry_run: bool,
) -> int:
    """Put the prompts of a folder into a backend.

    PROMPT is ID, or ID@3 for a version; without any, all prompts of the folder are pushed. A new version is made only
    where the content is new, and no label moves, 'production' neither, unless --label says so. It can be repeated.
    """
    files = FilesBackend(folder)
    if session.backend_name == files.name and FilesBackend().identity == files.identity:
        raise click.UsageError(f"push reads {files.folder.root}: name the backend to push to by --backend")
    refs = [_local(Reference.read(text)) for text in prompts]
    if not prompts:
        refs = [PromptRef(summary.id) for summary in session.resolver.list_prompts(backend=files)]
    rows: list[tuple[object, ...]] = []
    codes: list[int] = []
    for ref in refs:
        try:
            prompt = session.resolver.get_prompt(ref.id, backend=files, version=ref.version, label=ref.label)
            pushed = session.resolver.push(
                prompt, backend=session.backend_name, labels=labels, message=message, dry_run=dry_run,
                timeout=session.timeout,
            )  # fmt: skip
        except PromptwireError as error:
            complain(str(error))
            codes.append(exit_code(error))
        else:
            rows.append((pushed.id, pushed.version, pushed.labels, _state(pushed, dry_run=dry_run)))
    say_table(("ID", "VERSION", "LABELS MOVED", "STATE"), rows, as_json=session.as_json)
    return codes[0] if codes else OK


def _local(reference: Reference) -> PromptRef:
    if reference.backend:
        raise click.UsageError(f"{reference.text!r}: push names prompts of the folder; the backend is --backend")
    return reference.ref


def _state(pushed: Pushed, *, dry_run: bool) -> str:
    state = "created" if pushed.created else "labelled" if pushed.labels else "unchanged"
    return f"would be {state}" if dry_run and state != "unchanged" else state
