"""The proxy: managed prompts for any client of OpenAI's API, configured by LiteLLM's file (extra ``proxy``)."""

import os
import sys

from promptwire import log
from promptwire.errors import ConfigurationError


def serve(
    config: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    prompt_id: str | None = None,
    host: str = "127.0.0.1",
    port: int = 4000,
    detailed_debug: bool = False,
    check: bool = False,
) -> int:
    """Serve until SIGTERM or SIGINT; answers the exit code.

    Give either a ``config`` file, or the one ``model`` that is to run under any requested name, with a ``prompt_id``
    if it has one. ``port`` 0 takes a free one; the line that says it is ready names it. ``check`` validates and
    returns. Raises ``ConfigurationError``, for a file with its line and key.
    """
    if detailed_debug:
        log.set_verbose()
    else:
        log.configure_from_environment()
    from promptwire.proxy.config import read_config, single_model

    if (config is None) == (model is None):
        raise ConfigurationError("the proxy serves a config file or one model: give either --config or --model")
    if prompt_id is not None and model is None:
        raise ConfigurationError("--prompt-id is for --model; in a config file, prompt_id is a key of litellm_params")
    first = read_config(config) if config is not None else single_model(str(model), prompt_id)
    for note in first.notes:
        log.logger.warning("%s", note)
    if check:
        sys.stdout.write(f"{first.where}: {first.summary}\n")
        return 0
    try:
        from promptwire.proxy.server import run
    except ImportError as error:
        raise ConfigurationError(
            f"the proxy needs {error.name}, which is not installed: pip install 'promptwire[proxy]'"
        ) from error
    return run(first, config, host, port)
