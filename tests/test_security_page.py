"""The security page: each of its lines names tests, and each of them is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"
SUITES = ("tests", "integrations/langchain/tests", "integrations/llamaindex/tests")
ROW = re.compile(r"^\|(?P<attempt>[^|]+)\|(?P<stop>[^|]+)\|(?P<tests>[^|]+)\|$")
NAME = re.compile(r"`(test_\w+)`")


@cache
def defined() -> frozenset[str]:
    """The names of all tests of the suite."""
    trees = [ast.parse(path.read_text("utf-8")) for suite in SUITES for path in (ROOT / suite).rglob("test_*.py")]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds))


def rows() -> list[tuple[str, str]]:
    """Attempt and tests of each line of the page's tables."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    matches = [ROW.match(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    cells = [(match["attempt"].strip(), match["tests"].strip()) for match in matches if match]
    return [(attempt, tests) for attempt, tests in cells if attempt not in {"they try to", "---"}]


@pytest.mark.parametrize(("attempt", "tests"), rows(), ids=[attempt[:60] for attempt, _ in rows()])
def test_a_line_of_the_page_has_its_tests(attempt: str, tests: str) -> None:
    named = NAME.findall(tests)
    assert named, f"no test tries it: {attempt}"
    assert [name for name in named if name not in defined()] == []
    assert ", ".join(f"`{name}`" for name in named) == tests


def test_every_kind_of_attacker_has_lines_and_what_is_left_is_said() -> None:
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == [
        "The prompt's editor", "The end user", "A client of the proxy", "The network, and servers that lie",
        "Another tenant of the process", "Who supplies the code",
    ]  # fmt: skip
    assert all(section.count("\n| ") >= 4 for section in sections)
    assert "What nothing here stops" in sections[1]
