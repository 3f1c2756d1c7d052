"""The watch over the suite's keys bites: a test that lets one be seen fails, wherever it is seen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.shows_keys("it plants them")

ROOT = Path(__file__).parents[1]
KEY = "sk-" + "planted-here"
FIXTURES = ("tmp_path", "capsys", "capfd")
LEAKS = {
    "print(KEY)": "output",
    "logging.getLogger('promptwire').warning('the key is %s', KEY)": "log of promptwire",
    "logging.getLogger('langchain_promptwire').error(KEY)": "log of langchain_promptwire",
    "with contextlib.suppress(Exception): raise ConfigurationError(f'wrong: {KEY}')": "ConfigurationError",
    "with contextlib.suppress(Exception): raise GatewayError('refused', body=f'not {KEY}')": "GatewayError",
    "with contextlib.suppress(Exception): raise ConfigurationError('wrong') from OSError(KEY)": "ConfigurationError",
    "KEPT.append(GatewayError('refused', body=KEY))": "GatewayError",
    "logging.getLogger('promptwire').error('it broke', exc_info=OSError(KEY))": "log of promptwire",
    "logging.getLogger('promptwire').warning('it failed', extra={'given': {'a': KEY}})": "log of promptwire",
    "with contextlib.suppress(Exception): raise ConfigurationError('wrong') from UnicodeDecodeError('utf-8',"
    " KEY.encode(), 0, 1, 'x')": "ConfigurationError",
    "print('sk-' + '1')": "output",
    "print('hl-' + 'a')": "output",
    "pickle.dumps({'a': KEY})": "pickle of dict",
    "(tmp_path / 'x.prompt').write_text(KEY)": "file x.prompt",
    "CANARIES.look('Redis', KEY)": "Redis",
    "with tracer().start_as_current_span('s') as span: span.set_attribute('a', KEY)": "span s",
    "print('redis://default:' + KEY + '@127.0.0.1')": "output",
    "print('lf-whsec' + '_planted')": "output",
    "print('hl_sk' + '_planted')": "output",
    "print('cGstbGYtMTIzNDpzay1sZi0xMjM0')": "output",
    "CliRunner().invoke(click.Command('c', callback=lambda: click.echo(KEY)))": "command",
    "CliRunner().invoke(click.Command('c', callback=lambda: click.echo(KEY, err=True)))": "command",
    "print(KEY); capsys.readouterr()": "captured output",
    "os.write(2, KEY.encode()); capfd.readouterr()": "captured output",
    "subprocess.run([sys.executable, '-c', SAYS], capture_output=True)": "subprocess",
    "subprocess.Popen([sys.executable, '-c', SAYS], stdout=subprocess.PIPE).communicate()": "subprocess",
    "pickle.dump({'a': KEY}, io.BytesIO())": "pickle",
    "pickle.Pickler(io.BytesIO()).dump({'a': KEY})": "pickle",
    "measured(KEY).get_metrics_data()": "metrics",
    "Prompt('p', text=KEY)._repr_html_()": "display",
    "playground(Prompt('p', text=KEY), resolver=Resolver(MemoryBackend()))._repr_mimebundle_()": "display",
    "playground(Prompt('p', text=KEY), resolver=Resolver(MemoryBackend())).get_state()": "widget",
    "ran(f'print({KEY!r})')": "notebook",
    "logging.getLogger('uvicorn.error').error(KEY)": "log of uvicorn.error",
    "logging.getLogger('asyncio').error('it broke', exc_info=OSError(KEY))": "log of asyncio",
    "DiskStore(tempfile.mkdtemp()).put(StoreKey('x', 'x', PromptRef('p')), Prompt('p', text=KEY), 60, 0)": "file ",
    "replace_text(Path(tempfile.mkdtemp(), 'prompts.lock'), KEY)": "file prompts.lock",
    "answered(KEY)": "answer",
    "sent(KEY)": "Redis",
}
TEMPLATE = """
import contextlib, io, logging, os, pickle, subprocess, sys, tempfile
from pathlib import Path
import click, nbformat, pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from promptwire import ConfigurationError, GatewayError, Prompt, PromptRef, Resolver, playground
from promptwire.backends.folder import replace_text
from promptwire.backends.memory import MemoryBackend
from promptwire.stores import StoreKey
from promptwire.stores.disk import DiskStore
from tests.doubles.canaries import CANARIES
from tests.doubles.redis_server import EXECUTABLE, RedisServer
from tests.proxy.conftest import config_of, entry, serving

KEY = "sk-" + "planted-here"
SAYS = "print('sk-' + 'planted-here')"
KEPT = []

def tracer():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return provider.get_tracer("t")

def measured(key):
    reader = InMemoryMetricReader()
    MeterProvider([reader]).get_meter("m").create_counter("c").add(1, {"a": key})
    return reader

def ran(code):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook).execute()

def answered(key):
    with serving(config_of({"model_list": [entry(key, "gpt-4o", api_key="a")]})) as proxy:
        proxy.http.get("/v1/models")

def sent(key):
    if EXECUTABLE is None:
        CANARIES.look("Redis", key)
        return
    server = RedisServer()
    server.start()
    client = server.client()
    client.set("a", key)
    client.delete("a")
    server.clean()

def test_clean(tmp_path):
    (tmp_path / ".env").write_text(KEY)
    assert KEY

def test_masked_before_it_is_seen():
    error = GatewayError("refused", body=KEY)
    error.body = "*****"
    KEPT.append(error)

@pytest.mark.shows_keys("to see that it may")
def test_allowed():
    print(KEY)
    pickle.dumps(KEY)
    KEPT.append(GatewayError("refused", body=KEY))

def test_anothers_error():
    KEPT.clear()
"""


def run(source: str, folder: Path) -> str:
    """What pytest says of a file of tests under the suite's own conftest."""
    folder.joinpath("test_planted.py").write_text(source)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-q", "-n0",
            "-p", "conftest", "-p", "no:cacheprovider", "--no-cov", "-rA", str(folder / "test_planted.py"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000"}, cwd=folder, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of all of them."""
    leaks = [
        f"def test_leak_{number}({', '.join(name for name in FIXTURES if name in code)}):\n    {code}"
        for number, code in enumerate(LEAKS)
    ]
    return run("\n".join([TEMPLATE, *leaks, ""]), tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("number", range(len(LEAKS)), ids=LEAKS)
def test_a_key_that_is_shown_fails_the_test(number: int, told: str) -> None:
    where = list(LEAKS.values())[number]
    ended = rf"^(FAILED|ERROR) test_planted.py::test_leak_{number} - .*a key was shown: .*{where}"
    assert re.search(ended, told, re.MULTILINE), told


@pytest.mark.parametrize("name", ["clean", "masked_before_it_is_seen", "allowed", "anothers_error"])
def test_one_that_shows_none_or_may_passes(name: str, told: str) -> None:
    assert f"PASSED test_planted.py::test_{name}" in told
    assert f"ERROR test_planted.py::test_{name}" not in told
