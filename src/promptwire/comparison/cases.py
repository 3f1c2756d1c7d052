"""The data set of a comparison."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptwire.errors import ConfigurationError, raise_bare, unfillable

MAX_CASES = 10_000


def read_cases(given: Any) -> list[dict[str, Any]]:
    """Rows of variables, from a list of mappings, a DataFrame, or the path of a JSON Lines file.

    Raises ``ConfigurationError`` that names the row, or the file and line.
    """
    if isinstance(given, str | Path):
        rows = _lines(Path(given))
    elif hasattr(given, "to_dict") and hasattr(given, "columns"):
        rows = given.to_dict("records")
    else:
        rows = given
    if not isinstance(rows, Sequence):
        raise ConfigurationError(f"cases are a list, a DataFrame or a JSON Lines file, not {type(given).__name__}")
    cases = [_case(row, f"case {number}") for number, row in enumerate(rows, 1)]
    if not 1 <= len(rows) <= MAX_CASES:
        raise ConfigurationError(f"a comparison has from 1 to {MAX_CASES:,} cases, not {len(rows):,}")
    return cases


def _case(row: object, where: str) -> dict[str, Any]:
    try:
        variables: dict[Any, Any] = dict(row) if isinstance(row, Mapping) else {0: row}
    except Exception as error:  # noqa: BLE001 - as unfillable says
        raise_bare(unfillable(where, error))
    if not all(isinstance(name, str) for name in variables):
        raise ConfigurationError(f"{where} is no mapping of variables' names to their values")
    return variables


def _lines(path: Path) -> list[Any]:
    rows: list[Any] = []
    try:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if line.strip():
                rows.append(_row(line, f"{path}, line {number}"))
    except (OSError, UnicodeError) as error:
        raise_bare(ConfigurationError(f"{path} can't be read as JSON Lines: {type(error).__name__}"))
    return rows


def _row(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise_bare(ConfigurationError(f"{where}: not JSON"))
