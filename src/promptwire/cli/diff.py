"""``promptwire diff``."""

from collections.abc import Iterable
from dataclasses import asdict

import click

from promptwire.cli.exits import FINDINGS, OK
from promptwire.cli.options import Reference, Session, complete_prompts, session
from promptwire.cli.output import on_terminal, say, say_json
from promptwire.differences import compare
from promptwire.prompts import Prompt
from promptwire.unseen import readable

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command("diff")
@click.argument("before", metavar="A", shell_complete=complete_prompts)
@click.argument("after", metavar="B", shell_complete=complete_prompts)
@click.option("--exit-zero", is_flag=True, help="Exit 0 even if they differ.")
@session
def command(session: Session, before: str, after: str, *, exit_zero: bool) -> int:
    """Compare two prompts by message and by setting."""
    old, new = (session.find(Reference.read(text))[0] for text in (before, after))
    differences = compare(old, new)
    if session.as_json:
        say_json({"before": _name(old), "after": _name(new), **asdict(differences)})
    else:
        _say_lines(differences.unified(_name(old), _name(new)).split("\n")[:-1])
    return FINDINGS if differences and not exit_zero else OK


def _say_lines(lines: Iterable[str]) -> None:
    for line in lines:
        if on_terminal():
            click.echo(click.style(readable(line), fg=_COLOURS.get(line[:1])))
        else:
            say(line)


def _name(prompt: Prompt) -> str:
    version = "" if prompt.version is None else f"@{prompt.version}"
    return f"{prompt.backend}:{prompt.id}{version}"
