"""The demo, as a newcomer runs it: no key, no network, one terminal of 80 columns."""

import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest

from promptwire.testing import FakeLangfuse, FakeOpenAI

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo.py"


def run(*command: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, env={**inherited, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told() -> str:
    return run("-m", "promptwire", "demo")


def test_a_variable_without_a_value_is_empty() -> None:
    shown = run("-m", "promptwire", "demo", "--var", "company", "--var", "customer=Ann", "--var", "question=1 = 1?")
    assert "Ann asks: 1 = 1?" in shown


def test_it_tells_its_story(told: str) -> None:
    assert told.count("[gpt-4o-mini] Ann asks: Where is my parcel?") == 3
    assert told.count("to the same request.") == 2
    assert '+  "model": "gpt-4o",' in told
    assert '+  "temperature": 0.2' in told
    first, second = re.findall(r"source=stale after ([\d.]+) ms", told)
    assert float(second) < float(first)
    assert "sk-" not in told


def test_it_fits_a_terminal_and_a_page(told: str) -> None:
    assert max(map(len, told.splitlines())) <= 80
    assert len(DEMO.read_text().splitlines()) <= 60


def test_it_runs_against_a_project_of_ones_own() -> None:
    with FakeLangfuse() as langfuse, FakeOpenAI(api_key="sk-mine") as model:
        langfuse.publish("mine", "Hello {{who}}")
        told = run(
            str(DEMO), "--prompt-id", "mine", "--var", "who=Ann", **langfuse.env,
            OPENAI_API_KEY=model.api_key, OPENAI_BASE_URL=model.url,
        )  # fmt: skip
        assert model.count == 3
    assert told.count("Hello Ann") >= 3
    assert "Version 2" not in told


def test_the_readme_shows_what_it_prints(told: str) -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text().replace("\u00a0", " ")
    shown = {re.sub(r"\d+", "#", row) for row in re.findall(r">([^<]+)</text>", picture)}
    printed = {re.sub(r"\d+", "#", escape(row)) for row in told.splitlines() if row}
    assert printed <= shown, "run docs/picture.py"
