"""``python -m promptwire.proxy``: the same as ``promptwire serve``."""

import sys

import click

from promptwire.errors import PromptwireError
from promptwire.proxy import serve


@click.command()
@click.option("--config", type=click.Path(dir_okay=False), help="LiteLLM's config file.")
@click.option("--model", help="Serve this model under any requested name.")
@click.option("--prompt-id", help="With --model: the prompt that it runs.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=4000, show_default=True)
@click.option("--detailed-debug", "--detailed_debug", is_flag=True, help="Log model requests, keys masked.")
@click.option("--check", is_flag=True, help="Validate and exit.")
def main(
    config: str | None,
    model: str | None,
    prompt_id: str | None,
    host: str,
    port: int,
    *,
    detailed_debug: bool,
    check: bool,
) -> None:
    """Serve managed prompts to any client of OpenAI's API."""
    try:
        code = serve(
            config,
            model=model,
            prompt_id=prompt_id,
            host=host,
            port=port,
            detailed_debug=detailed_debug,
            check=check,
        )
    except PromptwireError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)


if __name__ == "__main__":
    main()
