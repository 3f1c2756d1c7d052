"""What the first use costs: the import, the first prompt and the first model call, each in a fresh process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import ROOT, VARIABLES, Report, interleave, serving
from benchmarks.peers import CALL, PYTHON, litellm_is_there

_MEASURED = """
import resource, sys, time
def held():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before, start = held(), time.perf_counter()
{code}
print(time.perf_counter() - start, held() - before)
"""
_FIRST_PROMPT = f"import promptwire; promptwire.resolve('text', backend='langfuse', variables={VARIABLES!r})"
_SDK_PROMPT = f"import langfuse; text = langfuse.Langfuse().get_prompt('text').compile(**{VARIABLES!r})"
_FIRST_CALL = f"import promptwire; promptwire.completion(**{CALL!r})"
_SDK_CALL = f"""
{_SDK_PROMPT}
import openai
openai.OpenAI().chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": text}}])
"""
_LITELLM_CALL = f"import litellm; litellm.completion(**{CALL!r}, messages=[])"


def _fresh(code: str, python: str | Path = sys.executable) -> Callable[[], tuple[float, float]]:
    """Seconds and bytes that ``code`` takes in a new process, beyond the bare interpreter's."""

    def sample() -> tuple[float, float]:
        command = [str(python), "-c", _MEASURED.format(code=code)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        seconds, size = done.stdout.splitlines()[-1].split()
        return float(seconds), float(size)

    return sample


def measure(report: Report) -> None:
    subjects = {
        "import promptwire": _fresh("import promptwire"),
        "import langfuse": _fresh("import langfuse"),
        "our prompt": _fresh(_FIRST_PROMPT),
        "langfuse's prompt": _fresh(_SDK_PROMPT),
        "our call": _fresh(_FIRST_CALL),
        "both SDKs' call": _fresh(_SDK_CALL),
    }
    pairs = {
        "import vs langfuse": ("import promptwire", "import langfuse"),
        "first prompt vs langfuse": ("our prompt", "langfuse's prompt"),
        "first call vs both SDKs": ("our call", "both SDKs' call"),
    }
    if not report.quick and litellm_is_there(report):
        subjects["LiteLLM's call"] = _fresh(_LITELLM_CALL, PYTHON)
        pairs["first call vs LiteLLM"] = ("our call", "LiteLLM's call")
    samples = interleave(subjects, 2 if report.quick else 7)
    for name, pair in pairs.items():
        ours, peer = (zip(*samples[side], strict=True) for side in pair)
        for what, unit, a, b in zip(("time", "memory"), ("s", "B"), ours, peer, strict=True):
            report.compare(f"{name}: {what}", a, b, unit, at_most=0.5)


def main() -> None:
    report = Report.of_arguments("The first use, in a fresh process", ["promptwire", "langfuse", "openai"])
    with serving():
        measure(report)
    report.finish()


if __name__ == "__main__":
    main()
