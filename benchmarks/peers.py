"""The peers that more than one benchmark calls: raw clients with our own bytes, and LiteLLM in its environment."""

import json
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any

from benchmarks.harness import ROOT, VARIABLES, Report
from benchmarks.server import CONFIG, TEXT

PYTHON = ROOT / ".venv-litellm" / "bin" / "python"
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
CALL: dict[str, Any] = {"model": "langfuse/gpt-4o", "prompt_id": "text", "prompt_variables": VARIABLES}


def body(**more: object) -> bytes:
    """What ``completion(**CALL)`` sends."""
    text = TEXT + "text"
    for name, value in VARIABLES.items():
        text = text.replace("{{" + name + "}}", value)
    sent = {"model": CONFIG["model"], "messages": [{"role": "user", "content": text}], **CONFIG, **more}
    return json.dumps(sent, separators=(",", ":")).encode()


class LiteLLM:
    """The child that measures LiteLLM on demand."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers
        self.versions: dict[str, str] = json.loads(answers.readline())

    def measure(self, what: str, number: int) -> Callable[[], float]:
        """A sample of LiteLLM's seconds per call."""

        def sample() -> float:
            print(json.dumps([what, number]), file=self._requests, flush=True)
            return float(self._answers.readline())

        return sample


def litellm_is_there(report: Report) -> bool:
    """Whether LiteLLM's environment could be set up; if not, the report says so."""
    there = PYTHON.exists()
    if not there:
        report.notes.append("LiteLLM is left out: `make bench` has not been able to install it in .venv-litellm.")
    return there


@contextmanager
def litellm(report: Report) -> Generator[LiteLLM | None]:
    """LiteLLM, ready; or ``None`` where it can't be had."""
    if not litellm_is_there(report):
        yield None
        return
    command = [str(PYTHON), "-m", "benchmarks.litellm_peer", json.dumps(CALL)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101 - as above
        peer = LiteLLM(process.stdin, process.stdout)
        report.versions["litellm"] = f"{peer.versions['litellm']} (its langfuse {peer.versions['langfuse']})"
        yield peer
        process.stdin.close()
