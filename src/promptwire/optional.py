"""Libraries that a user brings, for what only some users want."""

import importlib
from typing import Any

from promptwire.errors import ConfigurationError


def needed(module: str) -> Any:
    """An optional library, or ``ConfigurationError`` with the command that installs it."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"this needs {package}: pip install {package}") from error
