"""Coverage-guided fuzzing by atheris: ``python -m tests.fuzz.run SECONDS [TARGET ...]``, a process for each target."""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
FOUND = Path(".hypothesis")  # what breaks a promise is left there, as a file that becomes a seed


def fuzz(name: str, seconds: int) -> None:
    """Run one target in this process; atheris ends it."""
    atheris = importlib.import_module("atheris")  # a group of its own: few Pythons have it
    with atheris.instrument_imports(include=["promptwire", "jinja2", "yaml"]):
        from tests.fuzz.targets import TARGETS

    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        told = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={FOUND}/{name}-"]
        atheris.Setup([sys.argv[0], *told, corpus, str(SEEDS / name)], TARGETS[name])
        atheris.Fuzz()


def main(seconds: str, *names: str) -> int:
    """Fuzz each target for its part of the time; answers how many broke a promise."""
    chosen = names or sorted(path.name for path in SEEDS.iterdir())
    each = max(int(seconds) // len(chosen), 1)
    broken = 0
    for name in chosen:
        code = f"from tests.fuzz.run import fuzz; fuzz({name!r}, {each})"
        done = subprocess.run([sys.executable, "-c", code], check=False)
        broken += done.returncode != 0
    return broken


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
