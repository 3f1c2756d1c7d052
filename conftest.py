"""What the tests of all three packages run under: loopback only, nobody's keys, no clock on Hypothesis."""

import os
import socket
from typing import Any

from hypothesis import settings

_SETTINGS = ("PROMPTWIRE_", "LANGFUSE_", "HUMANLOOP_", "OPENAI_", "ANTHROPIC_", "AZURE_", "LANGSMITH_", "LANGCHAIN_")
_LOOPBACK = (None, "", "127.0.0.1", "localhost", b"127.0.0.1", b"localhost")
_lookup = socket.getaddrinfo


def _loopback_lookup(host: bytes | str | None, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - passed on
    """Asks nobody about a foreign name: pytest-socket sees connections, not look-ups."""
    if host not in _LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, "the tests look up loopback only")
    return _lookup(host, *args, **kwargs)


def pytest_configure() -> None:
    """Runs before any test module is imported, so that none sees the developer's environment."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS) or name.lower().endswith(("_api_key", "_proxy")):
            del os.environ[name]
    socket.getaddrinfo = _loopback_lookup  # type: ignore[assignment]
    settings.register_profile("promptwire", deadline=None)
    settings.load_profile("promptwire")
