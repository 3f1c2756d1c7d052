"""``promptwire render``."""

from typing import Any

import click

from promptwire.cli.options import Reference, Session, reference, session, variables
from promptwire.cli.output import say, say_json
from promptwire.cli.views import messages_text
from promptwire.masking import masked


@click.command("render")
@reference
@variables
@click.option("--missing", type=click.Choice(["error", "keep"]), default="error", help="Whether missing ones may stay.")
@click.option("--text-role", default="user", metavar="ROLE", help="The role of a prompt that is one text.")
@session
def command(session: Session, prompt: Reference, variables: dict[str, Any], missing: str, text_role: str) -> None:
    """Fill in a prompt's variables; calls no model and needs no key for one."""
    found, _ = session.find(prompt)
    messages = found.render(variables, missing=missing, text_role=text_role).messages
    if session.as_json:
        say_json(masked({"model": found.model, "messages": messages, "params": found.settings()}))
    else:
        say(messages_text(messages))
