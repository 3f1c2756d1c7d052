"""The group of all commands: what ``promptwire --help`` shows without importing any of them."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from promptwire.cli.exits import INTERRUPTED, MEANINGS, OK, USAGE, exit_code
from promptwire.cli.options import environment
from promptwire.errors import MissingVariablesError, PromptwireError

COMMANDS = {
    "list": ("listing", "List the prompts of a backend."),
    "show": ("show", "Show a prompt, or with --history its versions."),
    "render": ("render", "Fill in a prompt's variables; calls no model and needs no key for one."),
    "run": ("run", "Run a prompt on its model and print the answer."),
    "diff": ("diff", "Compare two prompts by message and by setting."),
    "compare": ("compare", "Run versions, labels or models over a file of cases, side by side."),
    "pull": ("pull", "Copy a backend's prompts into a folder of files."),
    "push": ("push", "Put the prompts of a folder into a backend."),
    "check": ("check", "Check the prompts of a folder: templates, settings, variables, models."),
    "lock": ("lock", "Write prompts.lock, a committed copy of prompts, or --check it."),
    "stubs": ("stubs", "Print Python types of the locked prompts: promptwire stubs > prompt_types.py."),
    "invalidate": ("invalidate", "Have every process that shares the store fetch a prompt anew, or all."),
    "serve": ("serve", "Serve managed prompts to any client of OpenAI's API."),
    "demo": ("demo", "Watch one prompt drive three front doors, change, and survive an outage."),
    "doctor": ("doctor", "Tell what is installed, which backends answer and which keys are set."),
}


class Main(click.Group):
    """Imports a command when it is called, and ends every error as one line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's hook
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's hook
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"promptwire.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's hook
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and leave the process with the exit code that a command returned."""
        options["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, **options)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "promptwire"
            code = _failed(f"{error.format_message().rstrip('.')}. See {path} --help", error.exit_code)
        except click.ClickException as error:
            code = _failed(error.format_message(), USAGE)
        except PromptwireError as error:
            code = _failed(_for_terminals(error), exit_code(error))
        except click.Abort:
            code = _failed("interrupted", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else OK)


def _for_terminals(error: PromptwireError) -> str:
    """Its message, with the command line's way to give what is missing."""
    if isinstance(error, MissingVariablesError):
        return f"{str(error).partition('. Pass ')[0]}. Give them by --var NAME=VALUE or --vars FILE"
    return str(error)


def _failed(message: str, code: int) -> int:
    from promptwire.cli.output import complain

    complain(message)
    return code


@click.group(
    cls=Main,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(package_name="promptwire")
@environment
@click.pass_context
def main(ctx: click.Context) -> None:
    """Prompts that a team manages elsewhere, by their prompt_id.

    A prompt is named as ID, ID@3 (a version), ID@staging (a label) or BACKEND:ID. Without BACKEND it is looked for in
    what PROMPTWIRE_BACKEND names, else in the folder ./prompts. Output is a table on a terminal, else one row a line
    with tabs between; --json gives all there is.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
