"""Libraries that a user brings, for what only some users want."""

import importlib
from typing import Any

from promptwire.errors import ConfigurationError


def needed(module: str, install: str | None = None) -> Any:
    """An optional library, or ``ConfigurationError`` with the command that installs it, or ``install``."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"this needs {package}: pip install {install or package}") from error
