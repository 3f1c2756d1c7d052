"""The pages' shell: each line runs before fake servers, or, where it would install something, names what exists.

Their Python is run by Sybil, and the console blocks of docs/cli.md by docs/console.py.
"""

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from urllib.request import urlopen

import pytest

from docs.peers import PEERS, free_port
from promptwire.testing import FakeLangfuse, FakeOpenAI, embedded, publish_file

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("integrations/*/README.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROXY = (ROOT / "docs" / "proxy.md").read_text("utf-8")
LITELLM = ROOT / ".venv-litellm" / "bin" / "python"
VARIABLES = "company: ACME\ncustomer: Ann\nquestion: Why?\nkey: A\n"


def fenced(text: str, language: str = "") -> list[str]:
    """The code blocks of a language; of none, those that show what is printed."""
    return [
        code for said, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if said == language
    ]


CONFIG = fenced(PROXY, "yaml")[0]


def commands(block: str) -> Iterator[str]:
    """One after the other; a line goes on that ends in a backslash or inside of a quotation."""
    begun = ""
    for line in block.replace("\\\n", " ").splitlines():
        begun = f"{begun}\n{line}".strip()
        with suppress(ValueError):
            if shlex.split(begun, comments=True):
                yield begun
            begun = ""
    assert begun == ""


BLOCKS = [(page, block) for page in PAGES for block in fenced(page.read_text("utf-8"), "sh")]


def names_what_exists(command: str) -> bool:
    """For what a test can't run: its make targets, folders, extras and files are there."""
    program, *words = shlex.split(command, comments=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if program == "make":
        return f"\n{words[0]}:" in (ROOT / "Makefile").read_text("utf-8")
    if program == "pip":
        extras = set(re.findall(r"\[(\w+)\]", command))
        return extras <= set(project["optional-dependencies"]) and all(
            (ROOT / word).is_dir() or re.fullmatch(r"(\.|promptwire)\[\w+\]", word) for word in words[1:]
        )
    return (words[-2], words[-1] in PEERS) == ("docs/peers.py", True)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Path]:
    """A folder as a reader has it: servers named by the environment, a config, and variables."""
    with embedded() as langfuse:
        assert langfuse is not None
        publish_file(langfuse, ROOT / "examples" / "prompts", "support/reply", version=1)
        langfuse.publish("persona", [{"role": "system", "content": "You answer for {{company}}."}])
        langfuse.publish("hello", [{"role": "user", "content": "Say hi to {{key}}"}], config={"temperature": 0.3})
        (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
        (tmp_path / "wrong.yaml").write_text(CONFIG.replace("prompt_id", "promt_id"), "utf-8")
        (tmp_path / "vars.yaml").write_text(VARIABLES, "utf-8")
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        yield tmp_path


def ran(command: str, folder: Path, port: int = 0) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):4000", f"127.0.0.1:{port}", command)
    command = re.sub(r"\| source\b", "> /dev/null", command)  # fish's word
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def serving(folder: Path, *words: str, before: tuple[str, ...] = ()) -> Iterator[int]:
    """``promptwire serve`` with these words, until it answers; stopped, it must exit with 0."""
    port = free_port()
    settings = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    env = {**os.environ, **settings, **dict(word.split("=", 1) for word in before if "=" in word)}
    around = [str(Path(sys.executable).parent / word) for word in before if "=" not in word]
    command = [*around, sys.executable, "-m", "promptwire", "serve", *words, "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            while process.poll() is None:
                try:
                    urlopen(f"http://127.0.0.1:{port}/health/readiness").close()
                    break
                except OSError:
                    time.sleep(0.05)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield port
        finally:
            process.send_signal(2)
            process.communicate()  # what it said is watched for keys
    assert process.returncode == 0


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=lambda given: given.name if isinstance(given, Path) else "")
def test_each_line_of_shell_runs(page: Path, block: str, shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTWIRE_MASTER_KEY", "sk-made-up")
    for command in commands(block):
        words = shlex.split(command, comments=True)
        if words[0] in {"make", "pip", "uv"}:
            assert names_what_exists(command), command
        elif "serve" in words and "--check" not in words:
            start = words.index("promptwire")
            with serving(shell, *words[start + 2 :], before=tuple(words[:start])):
                pass
        elif words[0] == "curl" and which("curl"):
            with serving(shell, "--config", "examples/proxy.yaml") as port:
                answer = ran(f"{command} --fail --silent", shell, port)
            assert "Ann asks: Why?" in answer.stdout, answer
        elif words[0] == "docker":
            assert (ROOT / words[words.index("--file") + 1]).is_file()
        elif words[0] != "curl":
            done = ran(command, shell)
            assert done.returncode == 0, (command, done.stdout)


def pattern(shown: str) -> str:
    """What a page shows, as a pattern: an ellipsis, and what is another one on every run, may be anything."""
    shown = re.sub(r"(date: ).+|(content-length: |req_|chatcmpl-|\"created\":)\d+", r"\1\2…", shown)
    return re.sub(r"\s*…\s*", ".*", re.escape(shown.strip()).replace(r"\ ", " ").replace(r"\…", "…"))


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_the_proxys_page_shows_what_is_answered(shell: Path) -> None:
    blocks = [block for block in fenced(PROXY) if block.startswith("$ ")]
    assert len(blocks) == 4
    with serving(shell, "--config", "config.yaml") as port:
        for block in blocks:
            command = re.match(r"\$ ((?:.*\\\n)*(?:.*,\n)*.*)\n", block)
            assert command is not None
            done = ran(command[1].replace("\\\n", " "), shell, port)
            assert re.fullmatch(pattern(block[command.end() :]), done.stdout.strip(), re.DOTALL), done


def test_the_proxys_python_runs(shell: Path) -> None:
    [code] = fenced(PROXY, "py")
    with serving(shell, "--config", "config.yaml") as port:
        done = python(code.replace(":4000/", f":{port}/"))
    assert done.stdout == "[gpt-3.5-turbo] Say hi to this is used\n", done.stderr


def python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_what_is_before_promptwire_runs(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_TRACING_ENABLED", "false")  # else it waits at its end for what it has to tell
    [code] = fenced((ROOT / "docs" / "from-langfuse.md").read_text("utf-8"), "py")
    asked = 'print(chain.invoke({"company": "ACME", "customer": "Ann", "question": "Why?"}).content)'
    done = python(f"{code}\n{asked}")
    assert "Ann asks: Why?" in done.stdout, done.stderr


def test_what_is_before_in_litellm_is_python() -> None:
    [code] = fenced((ROOT / "docs" / "from-litellm.md").read_text("utf-8"), "py")
    compile(code, "from-litellm.md", "exec")


@pytest.mark.skipif(not LITELLM.exists(), reason="LiteLLM is in an environment of its own, which make bench sets up")
def test_what_is_before_in_litellm_runs_and_sends_the_callers_messages_after_the_prompts(tmp_path: Path) -> None:
    [code] = fenced((ROOT / "docs" / "from-litellm.md").read_text("utf-8"), "py")
    with FakeLangfuse() as langfuse, FakeOpenAI() as openai:
        publish_file(langfuse, ROOT / "examples" / "prompts", "support/reply", version=1)
        bare = {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        environment = {**bare, **langfuse.env, **openai.env}
        subprocess.run([str(LITELLM), "-c", code], check=True, env=environment, cwd=tmp_path, timeout=300)
    assert [request.json["messages"] for request in openai.requests] == [
        [
            {"role": "system", "content": "You answer the customers of ACME. Be brief."},
            {"role": "user", "content": "Ann asks: Where is my parcel?"},
            {"role": "user", "content": "Please answer in one sentence."},
        ]
    ]
