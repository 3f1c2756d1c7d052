"""The proxy beside LiteLLM's, and beside a bare pass-through on its own stack; with ``--soak``, under long load."""

import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.harness import VARIABLES, Report, interleave, serving
from benchmarks.load import KEY, Load, expect_200, post, times
from benchmarks.peers import PYTHON, body, litellm_is_there
from benchmarks.processes import Proxy, free_port, running
from benchmarks.soak import Soak, take_seconds

AT_ONCE = 20
CONFIG = """\
model_list:
  - model_name: clerk
    litellm_params:
      model: langfuse/gpt-4o
      prompt_id: text
      api_base: {url}
      api_key: os.environ/OPENAI_API_KEY
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_base: {url}
      api_key: os.environ/OPENAI_API_KEY
  - model_name: broken
    litellm_params:
      model: openai/broken
      api_base: {url}
      api_key: os.environ/OPENAI_API_KEY
  - model_name: silent
    litellm_params:
      model: openai/silent
      api_base: {url}
      api_key: os.environ/OPENAI_API_KEY
general_settings:
  master_key: {key}
"""
MANAGED = json.dumps({"model": "clerk", "messages": [], "prompt_variables": VARIABLES}).encode()


def ours(config: str, port: int) -> list[str | Path]:
    return [sys.executable, "-m", "promptwire.proxy", "--config", config, "--port", str(port)]


def theirs(config: str, port: int) -> list[str | Path]:
    command = PYTHON.with_name("litellm")
    return [command, "--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]


def measure(report: Report, url: str, config: str) -> None:
    with ExitStack() as stack:
        port = free_port()
        bare = stack.enter_context(running([sys.executable, "-m", "benchmarks.bare_proxy", str(port), url], port))
        port = free_port()
        mine = stack.enter_context(running(ours(config, port), port))
        _beside_bare(report, mine, bare)
        if litellm_is_there(report):
            port = free_port()
            peer = stack.enter_context(running(theirs(config, port), port))
            report.versions["litellm"] = _version()
            _beside_litellm(report, mine, peer, int(url.rpartition(":")[2]))


def _beside_bare(report: Report, mine: Proxy, bare: Proxy) -> None:
    number = 1_000 if report.quick else 3_000
    subjects = {
        "managed": lambda: _cpu(mine, MANAGED, number),
        "passed": lambda: _cpu(mine, body(), number),
        "bare": lambda: _cpu(bare, body(), number),
    }
    samples = interleave(subjects, report.rounds)
    for name, what in (("managed", "a managed prompt"), ("passed", "no prompt")):
        report.compare(f"CPU, {what} vs bare", samples[name], samples["bare"], at_most=1.6)


def _beside_litellm(report: Report, mine: Proxy, peer: Proxy, upstream: int) -> None:
    few = 60 if report.quick else 300
    rates = interleave(
        {"ours": lambda: _rate(mine, few * 10), "peer": lambda: _rate(peer, few)}, 2 if report.quick else 5
    )
    report.compare(f"requests, {AT_ONCE} at once", rates["ours"], rates["peer"], "/s", at_least=25)
    subjects = {
        "direct": lambda: _p50(upstream, body(), few, "/chat/completions"),
        "ours": lambda: _p50(mine.port, MANAGED, few),
        "peer": lambda: _p50(peer.port, MANAGED, few),
    }
    waits = interleave(subjects, 2 if report.quick else 5)
    added = {
        name: [one - base for one, base in zip(waits[name], waits["direct"], strict=True)] for name in ("ours", "peer")
    }
    report.compare("p50 added to a call", added["ours"], added["peer"], at_most=0.1)
    report.bound("start-up", mine.start_up, peer.start_up / 4, "s", peer.start_up)
    report.bound("memory at the start", mine.memory, peer.memory / 4, "B", peer.memory)
    report.bound("memory after the load", mine.resident(), peer.resident() / 4, "B", peer.resident())


def _load(port: int, content: bytes, number: int, at_once: int, path: str = "/v1/chat/completions") -> Load:
    load = Load(port, times(post(content, port, path), number), expect_200)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load.rate = runner.run(load.run(at_once))
    return load


def _cpu(proxy: Proxy, content: bytes, number: int) -> float:
    """Seconds of the server's CPU per request."""
    before = proxy.cpu()
    _load(proxy.port, content, number, AT_ONCE)
    return (proxy.cpu() - before) / number


def _rate(proxy: Proxy, number: int) -> float:
    return _load(proxy.port, MANAGED, number, AT_ONCE).rate


def _p50(port: int, content: bytes, number: int, path: str = "/v1/chat/completions") -> float:
    return median(_load(port, content, number, 1, path).seconds)


def _version() -> str:
    command = [str(PYTHON), "-c", "import importlib.metadata as m; print(m.version('litellm'))"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    seconds = take_seconds(sys.argv)
    report = Report.of_arguments("The proxy", ["promptwire", "starlette", "uvicorn", "aiohttp"])
    with serving() as server, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(CONFIG.format(url=server.url, key=KEY))
        file.flush()
        if seconds is None:
            measure(report, server.url, file.name)
        else:
            port = free_port()
            with running(ours(file.name, port), port) as proxy:
                asyncio.run(Soak(report, proxy, seconds).run())
    report.finish()


if __name__ == "__main__":
    main()
