"""What the tests of all three packages run under: loopback only, nobody's keys, no clock on Hypothesis."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

if TYPE_CHECKING:
    from tests.doubles.canaries import Canaries

_SETTINGS = ("PROMPTWIRE_", "LANGFUSE_", "HUMANLOOP_", "OPENAI_", "ANTHROPIC_", "AZURE_", "LANGSMITH_", "LANGCHAIN_")
_LOOPBACK = (None, "", "127.0.0.1", "localhost", b"127.0.0.1", b"localhost")
_lookup = socket.getaddrinfo


def _loopback_lookup(host: bytes | str | None, *args: Any, **kwargs: Any) -> object:
    """Asks nobody about a foreign name: pytest-socket sees connections, not look-ups."""
    if host not in _LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, "the tests look up loopback only")
    return _lookup(host, *args, **kwargs)


def pytest_configure(config: pytest.Config) -> None:
    """Runs before any test module is imported, so that none sees the developer's environment.

    But for tests against the providers themselves, which ``INTEGRATION_TESTS=1`` says are to run.
    """
    config.addinivalue_line("markers", "shows_keys(why): what looks like a key may be shown here")
    settings.register_profile("promptwire", deadline=None)
    settings.load_profile("promptwire")
    if os.environ.get("INTEGRATION_TESTS") == "1":
        return
    for name in list(os.environ):
        if name.startswith(_SETTINGS) or name.lower().endswith(("_api_key", "_proxy")):
            del os.environ[name]
    asyncio.set_event_loop(None)  # else LlamaIndex's asyncio_run makes one, and leaves it open
    socket.getaddrinfo = _loopback_lookup  # type: ignore[assignment]


@pytest.fixture(scope="session")
def _watched() -> Iterator["Canaries"]:
    from tests.doubles.canaries import watching

    with watching() as canaries:
        yield canaries
    _judge(canaries)


def _judge(canaries: "Canaries", *, may_show: bool = False) -> None:
    """On what was seen since it was called last, which begins before a test's own fixtures do."""
    seen, canaries.seen = canaries.seen, []
    if seen and not may_show:
        pytest.fail("a key was shown: " + "; ".join(seen[:5]))


@pytest.fixture(autouse=True)
def _no_key_is_shown(request: pytest.FixtureRequest, _watched: "Canaries") -> Iterator[None]:
    """Over the whole suite: a test that shows a key, wherever, fails, but one that says why it may."""
    yield
    _watched.end()
    folder = request.node.funcargs.get("tmp_path") if hasattr(request.node, "funcargs") else None
    if folder is not None:
        _watched.look_through(folder)
    _judge(_watched, may_show=request.node.get_closest_marker("shows_keys") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test left on its output is looked at, too."""
    report = yield
    if item.get_closest_marker("shows_keys") is None and report.passed and "tests.doubles.canaries" in sys.modules:
        from tests.doubles.canaries import Canaries

        looked = Canaries()
        looked.look("output", report.capstdout + report.capstderr)
        if looked.seen:
            report.outcome = "failed"
            report.longrepr = "a key was shown: " + looked.seen[0]
    return report


@pytest.fixture(scope="module")
def readers_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a reader of a page has: prompts in Langfuse, a model, and a folder of their own to try things in."""
    from promptwire.testing import embedded, publish_file

    with embedded() as langfuse:
        assert langfuse is not None
        publish_file(langfuse, Path(__file__).parent / "examples" / "prompts", "support/reply", version=1)
        langfuse.publish("welcome", [{"role": "system", "content": "You welcome {{name}}."}])
        langfuse.publish("persona", [{"role": "system", "content": "You answer the customers of {{company}}."}])
        with contextlib.chdir(tmp_path_factory.mktemp("reader")), _own_providers():
            yield


@contextlib.contextmanager
def _own_providers() -> Iterator[None]:
    """A page may set OpenTelemetry up, which a process can do once: here, once a page."""
    from opentelemetry import trace
    from opentelemetry.metrics import _internal as metrics
    from opentelemetry.util._once import Once

    with pytest.MonkeyPatch.context() as patch:
        for api, kind in ((trace, "TRACER"), (metrics, "METER")):
            patch.setattr(api, f"_{kind}_PROVIDER", None)
            patch.setattr(api, f"_{kind}_PROVIDER_SET_ONCE", Once())
        yield


# The pages' Python runs, block after block, as a reader would run it.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/notebooks/*.md"],  # made of notebooks, which tests run as such
    fixtures=["readers_servers"],
).pytest()
