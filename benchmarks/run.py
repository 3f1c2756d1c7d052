"""All benchmarks, one after the other; a full run leaves its tables in results.md."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import HEADINGS, ROOT

SCRIPTS = (
    "resolve", "completion", "acompletion", "langchain", "llamaindex", "proxy", "imports", "command_line", "outage",
    "single_flight", "displays", "playground",
)  # fmt: skip
RESULTS = ROOT / "benchmarks" / "results.md"


def run(script: str, arguments: list[str]) -> tuple[dict[str, Any], bool]:
    """Show one benchmark's table; what it found, and whether it was content."""
    command = [sys.executable, "-m", f"benchmarks.{script}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        *table, found = [*process.stdout] or [""]
        print(*table, sep="", end="", flush=True)
    if not found:
        sys.exit(f"benchmarks.{script} failed")
    return json.loads(found), process.returncode == 0


def machine() -> str:
    """What the ratios depend on least, and are asked for first."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    return f"{os.cpu_count()} cores of {model}, {platform.system()}"


def write(found: list[dict[str, Any]]) -> None:
    lines = [f"# Results of {datetime.now(UTC):%Y-%m-%d}", "", f"{machine()}. How to read them: README.md.", ""]
    for one in found:
        versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        lines += [f"## {one['title']}", "", f"{versions}.", "", _cells(HEADINGS), _cells(["---"] * len(HEADINGS))]
        lines += [_cells(row) for row in one["rows"]] + [""]
        lines += [line for note in one["notes"] for line in (note, "")]
    RESULTS.write_text("\n".join(lines))


def _cells(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    arguments = sys.argv[1:]
    results = [run(script, arguments) for script in SCRIPTS]
    if "--quick" not in arguments:
        write([found for found, _ in results])
    sys.exit(not all(content for _, content in results))


if __name__ == "__main__":
    main()
