"""What the command line costs before it does anything: whole processes, beside click's own."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.harness import ROOT, Report, interleave

LIMIT = 0.08

_CLICK = "import click\n@click.group()\ndef main(): pass\nmain(['--help'], prog_name='x')"


def _process(command: Sequence[str]) -> Callable[[], float]:
    """Seconds from the start of a process to its end."""

    def sample() -> float:
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - started

    return sample


def measure(report: Report) -> None:
    ours = (sys.executable, "-m", "promptwire")
    folder = str(ROOT / "examples" / "prompts")
    samples = interleave(
        {
            "bare": _process((sys.executable, "-c", "pass")),
            "click": _process((sys.executable, "-c", _CLICK)),
            "help": _process((*ours, "--help")),
            "check": _process((*ours, "check", folder)),
        },
        report.rounds,
    )
    report.bound("promptwire --help", min(samples["help"]), LIMIT, "s", min(samples["click"]))
    report.compare("promptwire --help vs click", samples["help"], samples["click"], at_most=1.3, best=True)
    report.compare("promptwire check vs python", samples["check"], samples["bare"], best=True)


def main() -> None:
    report = Report.of_arguments("The command line, from start to end of a process", ["promptwire", "click"])
    measure(report)
    report.finish()


if __name__ == "__main__":
    main()
