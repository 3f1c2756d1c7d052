"""Sandbox escapes and resource bombs, each by a public door: an error of ours, or harmless text, within its bounds.

``ATTACKS=all`` tries those, too, that take a second; `make fuzz` does.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from promptwire import Prompt, PromptwireError
from tests.attacks.corpus import entries, expand

ENTRIES = entries()
ALL = os.environ.get("ATTACKS") == "all"
TRIED = [number for number, entry in enumerate(ENTRIES) if ALL or not entry.get("heavy")]
SECRET = "SECRET"
# Of a process's time alone, however busy the machine: a bomb that goes off takes minutes.
SECONDS = 30.0
BYTES = 150_000_000
CALLS = {False: 1_000_000, True: 15_000_000}
# What Python shows of an object, and what an escape would bring back.
ESCAPED = (
    "<class ",
    "<function ",
    "<built-in ",
    "<module ",
    "<Macro ",
    "<generator ",
    " object at 0x",
    "root:x:",
    "uid=",
)


@pytest.fixture(scope="module")
def told() -> dict[int, dict[str, Any]]:
    """What each entry took, tried in a process that has no more than a gigabyte."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks.victim", *map(str, TRIED)],
        capture_output=True, text=True, timeout=1200 if ALL else 600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {row["entry"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.timeout(1250 if ALL else 650)  # seconds, on a machine with nothing else to do
@pytest.mark.parametrize("number", TRIED, ids=lambda number: f"{ENTRIES[number]['dialect']}-{number}")
def test_an_attack_ends_within_its_bounds(number: int, told: dict[int, dict[str, Any]]) -> None:
    entry, row = ENTRIES[number], told[number]
    assert row["outcome"] == entry["outcome"], entry["attempts"]
    assert row.get("filed", row["outcome"]) == row["outcome"]
    assert row["calls"] <= CALLS[entry.get("heavy", False)]
    assert row["peak"] <= BYTES
    assert row["seconds"] <= SECONDS
    assert "MemoryError" not in row["says"]
    if row["outcome"] == "refused":
        assert SECRET not in row["says"]
    else:
        assert len(row["roles"]) == 1
        assert not any(sign in row["says"] for sign in ESCAPED)
        assert row["length"] <= max(6_100_000, 12 * len(expand(entry["text"])))


def refusal(text: str) -> str | None:
    try:
        Prompt("p", text=text, dialect="jinja").render({"x": SECRET})
    except PromptwireError as error:
        return str(error)
    return None


def test_a_refusal_names_the_prompt_and_no_value() -> None:
    small = [expand(entry["text"]) for entry in ENTRIES if entry["dialect"] == "jinja" and not entry.get("heavy")]
    said = [message for text in small if (message := refusal(text)) is not None]
    assert len(said) > 200
    assert [message for message in said if not message.startswith("memory prompt 'p'") or SECRET in message] == []


def test_the_corpus_is_large_and_repeats_nothing() -> None:
    assert len({json.dumps(entry["text"]) + entry["dialect"] for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry["attempts"] + entry["dialect"] for entry in ENTRIES}) == len(ENTRIES)
    assert Counter(entry["dialect"] for entry in ENTRIES)["jinja"] >= 400
    assert len(TRIED) >= 500
