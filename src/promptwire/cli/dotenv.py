"""A file of ``NAME=VALUE`` lines, read into the environment when it is asked for."""

import os
import re
from pathlib import Path

import click

from promptwire.errors import raise_bare

_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^'"].*?)?)"""
    r"\s*(?:(?<=\s)#.*)?",
    re.ASCII,
)


def load(path: str) -> None:
    """Set what isn't set yet. A line that is no assignment is a usage error, which quotes nothing of it."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise_bare(click.UsageError(f"--env-file {path} can't be read as UTF-8 text"))
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            name, value = _read(line, f"--env-file {path}, line {number}")
            os.environ.setdefault(name, value)


def _read(line: str, where: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None or "\0" in line:
        raise click.UsageError(f"{where} is not NAME=VALUE; a value with blanks or # goes in quotes")
    if (double := match["double"]) is not None:
        return match["name"], re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), double)
    return match["name"], match["single"] if match["single"] is not None else match["plain"] or ""
