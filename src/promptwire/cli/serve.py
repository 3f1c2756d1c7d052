"""``promptwire serve``."""

import importlib
from typing import Any

import click

from promptwire.cli.options import DEBUG, DEBUG_HELP, env_file


@click.command("serve")
@click.option("--config", "-c", type=click.Path(dir_okay=False), help="LiteLLM's config file.")
@click.option("--model", metavar="MODEL", help="Serve this model under any requested name.")
@click.option("--prompt-id", metavar="ID", help="With --model: the prompt that it runs.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=4000, show_default=True, help="0 takes a free one.")
@click.option("--check", is_flag=True, help="Validate the config and exit.")
@click.option(*DEBUG, is_flag=True, help=DEBUG_HELP)
@env_file
def command(**options: Any) -> int:
    """Serve managed prompts to any client of OpenAI's API."""
    try:
        proxy = importlib.import_module("promptwire.proxy")
    except ImportError as error:
        raise click.ClickException("serve needs the extra 'proxy': pip install 'promptwire[proxy]'") from error
    code: int = proxy.serve(options.pop("config"), **options)
    return code
