"""The watch over the suite's keys bites: a test that lets one be seen fails, wherever it is seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEY = "sk-" + "planted-here"
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
}
TEMPLATE = """
import contextlib, logging, pickle
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from promptwire import ConfigurationError, GatewayError
from tests.doubles.canaries import CANARIES

KEY = "sk-" + "planted-here"
KEPT = []

def tracer():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return provider.get_tracer("t")

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
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.shows_keys("it plants them")
def test_a_key_that_is_shown_fails_the_test(tmp_path: Path) -> None:
    leaks = "\n".join(f"def test_leak_{n}(tmp_path):\n    {code}" for n, code in enumerate(LEAKS))
    told = run(f"{TEMPLATE}\n{leaks}\n", tmp_path)
    for number, code in enumerate(LEAKS):
        ends = [line[:6] for line in told.splitlines() if f"::test_leak_{number}" in line]
        assert {"FAILED", "ERROR "} & set(ends), (code, told)
    assert told.count("a key was shown: ") >= len(LEAKS)
    for where in LEAKS.values():
        assert f"a key was shown: {where}" in told
    for name in ("clean", "masked_before_it_is_seen", "allowed", "anothers_error"):
        assert f"PASSED test_planted.py::test_{name}" in told
        assert f"ERROR test_planted.py::test_{name}" not in told
