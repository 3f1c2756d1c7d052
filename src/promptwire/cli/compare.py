"""``promptwire compare``."""

import json
from pathlib import Path
from typing import Any

import click

from promptwire.cli.exits import FINDINGS, INTERRUPTED, OK
from promptwire.cli.options import Reference, Session, complete_prompts, session
from promptwire.cli.output import complain, on_terminal, say_json, say_table
from promptwire.comparison import compare
from promptwire.comparison.result import Comparison
from promptwire.display.comparisons import TOTALS, answers, totals
from promptwire.errors import ConfigurationError, raise_bare

_SCORERS = ("exact", "regex", "json_schema")
_ROW = ("case", "column", "model", "score", "latency", "prompt_tokens", "completion_tokens", "cost", "error", "text")


@click.command("compare")
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...", shell_complete=complete_prompts)
@click.option(
    "--cases", required=True, type=click.Path(exists=True, dir_okay=False), metavar="FILE",
    help="JSON Lines: the variables of a case on each, and what is 'expected'.",
)  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Run on this model; may be given repeatedly.")
@click.option("--scorer", type=click.Choice(_SCORERS), help="Compare each answer with its case's 'expected'.")
@click.option(
    "--schema", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Score answers by a JSON schema."
)
@click.option("--price", "prices", multiple=True, metavar="MODEL=IN,OUT", help="Dollars per million tokens.")
@click.option("--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Calls at once.")
@session
def command(
    *,
    session: Session,
    prompts: tuple[str, ...],
    cases: str,
    models: tuple[str, ...],
    scorer: str | None,
    schema: str | None,
    prices: tuple[str, ...],
    concurrency: int,
) -> int:
    """Run versions, labels or models over a file of cases, side by side."""
    if scorer and schema:
        raise click.UsageError("give --scorer or --schema, not both")
    made = compare(
        *(_subject(session, text) for text in prompts),
        cases=Path(cases),
        models=list(models) or None,
        scorer=_schema(schema) if schema else scorer,
        prices=dict(map(_price, prices)),
        concurrency=concurrency,
        resolver=session.resolver,
    )
    _show(made, as_json=session.as_json)
    failed = sum(total.failed for total in made.totals())
    if failed:
        complain(f"{failed} of {len(made.cells)} calls failed")
    return INTERRUPTED if not made.complete else FINDINGS if failed else OK


def _subject(session: Session, text: str) -> str:
    reference = Reference.read(text)
    return f"{session.backend_of(reference)}:{reference.ref}" if session.backend else text


def _schema(path: str) -> Any:
    try:
        schema = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise_bare(ConfigurationError(f"{path} can't be read as a JSON schema: {type(error).__name__}"))
    if not isinstance(schema, dict):
        raise ConfigurationError(f"{path} is no JSON schema: it holds {type(schema).__name__}")
    return schema


def _price(text: str) -> tuple[str, tuple[float, float]]:
    model, _, both = text.partition("=")
    try:
        read, made = map(float, both.split(","))
    except ValueError:
        raise click.UsageError(f"--price {text}: write MODEL=IN,OUT, as in gpt-4o=2.5,10") from None
    return model, (read, made)


def _show(made: Comparison, *, as_json: bool) -> None:
    """For a person totals and answers side by side, for a program a row for each answer."""
    rows = list(made.rows())
    if as_json:
        say_json(rows)
    elif on_terminal():
        say_table([name.upper() for name in TOTALS], totals(made))
        say_table(["CASE", *(column.name for column in made.columns)], answers(made))
    else:
        say_table(_ROW, [[row[name] for name in _ROW] for row in rows])
