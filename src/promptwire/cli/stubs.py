"""``promptwire stubs``."""

import click

from promptwire.cli.exits import OK
from promptwire.cli.lock import LOCK
from promptwire.cli.options import environment
from promptwire.cli.output import say
from promptwire.lock import read_lock
from promptwire.stubs import make_stubs


@click.command("stubs")
@click.option("--file", "path", type=click.Path(dir_okay=False), default=LOCK, show_default=True, metavar="FILE")
@environment
def command(path: str) -> int:
    """Print Python types of the locked prompts: promptwire stubs > prompt_types.py."""
    say(make_stubs(read_lock(path)), end="")
    return OK
