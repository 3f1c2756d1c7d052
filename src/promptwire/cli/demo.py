"""``promptwire demo``."""

import runpy
import sys
from pathlib import Path

import click


@click.command("demo", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Watch one prompt drive three front doors, change, and survive an outage."""
    script = _examples() / "demo.py"
    before, sys.argv = sys.argv, ["promptwire demo", *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except ImportError as error:
        raise click.ClickException(
            f"the demo needs both integrations, and {error.name} is missing: "
            "pip install langchain-promptwire llama-index-llms-promptwire"
        ) from error
    finally:
        sys.argv = before


def _examples() -> Path:
    """In a wheel the examples lie in the package, in a checkout at its root."""
    package = Path(__file__).parents[1]
    inside = package / "examples"
    return inside if inside.is_dir() else package.parents[1] / "examples"
