"""Fills in what docs/cli.md shows: each ``$ command`` of its console blocks, with what it prints on a terminal.

Run it with the project's Python; a test runs the same commands and compares.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from promptwire.testing import embedded, publish_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cli.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# What is another one on every run.
CHANGING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d\+\d\d:\d\d", "2026-11-24 09:30+00:00"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:8080"),
    (r'(_ms": )[\d.]+', r"\g<1>12.3"),
    (r"(python +ok +)[\d.]+", r"\g<1>3.13.0"),
    (r"(package +(?!promptwire|python|langchain-p|llama)\S+ +ok +)[\d.]+", r"\g<1>1.0.0"),
)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    answers = iter(answered(text))
    PAGE.write_text(BLOCK.sub(lambda _: f"```console\n{next(answers)}```", text), encoding="utf-8")


def answered(text: str) -> list[str]:
    """The page's console blocks, anew: the commands run in order in one folder, against fake servers."""
    with tempfile.TemporaryDirectory() as folder, embedded() as langfuse:
        assert langfuse is not None  # noqa: S101 - asked for
        shutil.copytree(ROOT / "examples" / "prompts", Path(folder) / "prompts")
        publish_file(langfuse, Path(folder) / "prompts", "support/reply", version=1)
        langfuse.publish(
            "persona", [{"role": "system", "content": "You answer for {{company}}."}], labels=["production", "staging"]
        )
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV_")},
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb",
            "PYTHONUTF8": "1", "TZ": "UTC",
        }  # fmt: skip
        return ["".join(_answers(block, folder, environment)) for block in BLOCK.findall(text)]


def _answers(block: str, folder: str, environment: dict[str, str]) -> Iterator[str]:
    """Each command of a block, and what it prints; a line that ends in a backslash goes on."""
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)\n", block, re.MULTILINE):
        yield f"$ {command}\n"
        code, printed = on_terminal(["/bin/sh", "-c", command], folder, environment)
        yield _steady(printed)
        if code:
            yield f"(exit code {code})\n"


def on_terminal(command: list[str], folder: str, environment: dict[str, str]) -> tuple[int, str]:
    """A command's exit code, and what it prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        printed = bytearray()
        reader = threading.Thread(target=_read, args=(ours, printed))
        reader.start()
        code = process.wait(60)
        reader.join(60)
    os.close(ours)
    return code, printed.decode().replace("\r\n", "\n")


def _read(terminal: int, into: bytearray) -> None:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux' way to say that nobody writes any more
            return
        if not data:
            return
        into.extend(data)


def _steady(printed: str) -> str:
    for pattern, steady in CHANGING:
        printed = re.sub(pattern, steady, printed)
    return "".join(f"{line.rstrip()}\n" for line in printed.splitlines())


if __name__ == "__main__":
    main()
