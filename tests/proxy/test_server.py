"""The server as a process: its door, its signals, its config read anew."""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from promptwire.errors import ConfigurationError
from promptwire.proxy import serve
from promptwire.proxy.__main__ import main
from promptwire.proxy.config import read_config
from promptwire.proxy.server import is_loopback
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.proxy.conftest import Running, Start, config_of, entry, serving

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is to be refused
MESSAGES = [{"role": "user", "content": "one two"}]


def write(path: Path, *names: str, **settings: Any) -> Path:
    data = {"model_list": [entry(name, "gpt-4o") for name in names], "general_settings": settings}
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(data))
    fresh.replace(path)
    return path


@contextmanager
def process(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """``python -m promptwire.proxy``, and its address once it serves."""
    command = [sys.executable, "-m", "promptwire.proxy", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            for line in running.stderr:
                if " at http://" in line:
                    break
            yield running, line.rpartition(" at ")[2].strip()
        finally:
            running.kill()
            running.communicate()  # what else it said is watched for keys


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_stream_finish(openai: FakeOpenAI, number: signal.Signals) -> None:
    gate = openai.gate(after=2)
    body = {"model": "any", "messages": MESSAGES, "stream": True}
    with process("--model", "gpt-4o") as (running, url), httpx.Client(trust_env=False, timeout=20) as client:
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            assert gate.wait_for(1)
            running.send_signal(number)
            if number == signal.SIGTERM:
                ready = f"{url}/health/readiness"
                wait_for(lambda: httpx.get(ready, trust_env=False).status_code == 503)
                assert httpx.get(ready, trust_env=False).json()["error"]["code"] == "draining"
                late = httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": False}, trust_env=False)
                assert late.status_code == 200
            gate.release()
            assert answer.read().endswith(b"data: [DONE]\n\n")
        assert running.wait(15) == 0


def wait_for(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"


def test_sighup_reloads(openai: FakeOpenAI, tmp_path: Path) -> None:
    path = write(tmp_path / "config.yaml", "one")
    with process("--config", str(path)) as (running, url):
        write(path, "two")
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        assert any("reloaded" in line and "two" in line for line in running.stderr)
        assert models(url) == ["two"]


def models(url: str) -> list[str]:
    return [model["id"] for model in httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]]


class TestReload:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return write(tmp_path / "config.yaml", "one")

    @pytest.fixture
    def proxy(self, start: Start, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
        monkeypatch.setattr("promptwire.proxy.server.LOOK_SECONDS", 0.01)
        with serving(read_config(path), path) as running:
            yield running

    def test_a_changed_file_is_taken(self, proxy: Running, path: Path, until: Callable[..., None]) -> None:
        write(path, "two", "three")
        until(lambda: models(proxy.url) == ["two", "three"])
        write(path, "two", master_key="sk-new")
        until(lambda: proxy.http.get("/v1/models").status_code == 401)
        assert 'reloads_total{outcome="done"} 2.0' in metrics(proxy, "sk-new")

    @pytest.mark.parametrize("text", ["model_list: []", "model_list: [", "x" * 10])
    def test_a_broken_file_changes_nothing_and_says_why(
        self, proxy: Running, path: Path, until: Callable[..., None], caplog: pytest.LogCaptureFixture, text: str
    ) -> None:
        path.write_text(text)
        until(lambda: "not reloaded" in caplog.text)
        assert "config.yaml" in caplog.text
        assert models(proxy.url) == ["one"]
        assert 'reloads_total{outcome="kept"}' in metrics(proxy)
        write(path, "two")
        until(lambda: models(proxy.url) == ["two"])

    def test_a_file_that_is_gone_changes_nothing(self, proxy: Running, path: Path) -> None:
        path.unlink()
        proxy.service.reload_if_changed()
        assert models(proxy.url) == ["one"]

    def test_a_file_that_did_not_change_is_not_read(self, proxy: Running) -> None:
        before = proxy.service.config
        proxy.service.reload_if_changed()
        assert proxy.service.config is before

    def test_a_request_under_way_is_not_touched(
        self, proxy: Running, path: Path, openai: FakeOpenAI, until: Callable[..., None]
    ) -> None:
        gate = openai.hang()
        found: list[int] = []
        call = threading.Thread(target=lambda: found.append(proxy.chat("one", messages=MESSAGES).status_code))
        call.start()
        assert gate.wait_for(1)
        write(path, "two")
        until(lambda: models(proxy.url) == ["two"])
        gate.release()
        call.join()
        assert found == [200]

    def test_notes_are_logged_and_prompts_stay_cached(
        self, proxy: Running, path: Path, langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number, expected in enumerate(["fresh", "cached", "cached"]):
            data = {"model_list": [entry("m", "langfuse/gpt-4o", rpm=number)]}
            path.write_text(yaml.safe_dump(data))
            proxy.service.reload()
            assert proxy.chat("m", prompt_id="farewell").headers["x-prompt-source"] == expected
        assert "litellm_params.rpm: is not used by Promptwire" in caplog.text

    def test_one_model_has_no_file_to_reload(self, start: Start) -> None:
        proxy = start()
        before = proxy.service.config
        proxy.service.reload()
        proxy.service.reload_if_changed()
        assert proxy.service.config is before


def metrics(proxy: Running, key: str = "x") -> str:
    return proxy.http.get("/metrics", headers={"authorization": f"Bearer {key}"}).text


class TestTheDoor:
    def test_check_validates_and_returns(self, openai: FakeOpenAI, tmp_path: Path) -> None:
        path = write(tmp_path / "config.yaml", "one")
        done = CliRunner().invoke(main, ["--config", str(path), "--check"])
        assert (done.exit_code, done.output) == (0, f"{path}: 1 model (one), 0 notes\n")
        path.write_text("model_list: []")
        done = CliRunner().invoke(main, ["--config", str(path), "--check"])
        assert done.exit_code == 1
        assert f"{path}, line 1: model_list" in done.output

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({}, "give either --config or --model"),
            ({"config": "x", "model": "y"}, "give either --config or --model"),
            ({"config": "x", "prompt_id": "y"}, "--prompt-id is for --model"),
            ({"config": "nix.yaml"}, "nix.yaml: can't be read"),
            ({"model": "xai/x"}, "--model: model: model xai/x needs a key: set XAI_API_KEY"),
            ({"model": "gpt-4o", "host": EVERYWHERE}, "--host 0.0.0.0 can be reached from other machines"),
        ],
    )
    def test_what_cant_be_served(self, openai: FakeOpenAI, given: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            serve(**given)
        assert words in str(caught.value)

    @pytest.mark.parametrize("module", ["uvicorn", "starlette", "orjson", "prometheus_client", "httptools"])
    def test_a_missing_extra_is_named(self, openai: FakeOpenAI, module: str) -> None:
        code = f"import sys; sys.modules['{module}'] = None; from promptwire.proxy.__main__ import main; main()"
        command = [sys.executable, "-c", code, "--model", "gpt-4o"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert f"the proxy needs {module}" in done.stderr
        assert "pip install 'promptwire[proxy]'" in done.stderr

    def test_a_missing_module_is_an_error_of_ours(self, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "promptwire.proxy.server", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'promptwire\[proxy\]'"):
            serve(model="gpt-4o")

    def test_it_runs_as_a_module(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["promptwire.proxy", "--help"])
        monkeypatch.delitem(sys.modules, "promptwire.proxy.__main__")
        with pytest.raises(SystemExit):
            runpy.run_module("promptwire.proxy", run_name="__main__")
        assert "--detailed-debug" in capsys.readouterr().out

    def test_notes_are_logged(self, openai: FakeOpenAI, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"model_list": [entry("m", "gpt-4o", rpm=1)]}))
        assert serve(path, check=True) == 0
        assert "litellm_params.rpm: is not used by Promptwire" in caplog.text

    def test_not_ready_while_it_drains(self, start: Start) -> None:
        proxy = start()
        proxy.service.draining = True
        assert proxy.http.get("/health/readiness").status_code == 503
        proxy.server.drain()  # a second signal is nothing new
        assert not proxy.server.should_exit

    def test_a_call_that_outlives_the_grace_is_ended(
        self, start: Start, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("promptwire.proxy.server.GRACE_SECONDS", 0.2)
        gate = openai.hang()
        config = read_config_of(entry("m", "gpt-4o"))
        with serving(config) as proxy:
            failed: list[Exception] = []
            call = threading.Thread(target=outcome, args=(proxy, failed))
            call.start()
            assert gate.wait_for(1)
        call.join()
        assert openai.wait_for_hang_ups()

    def test_a_port_in_use(self, start: Start) -> None:
        with pytest.raises(ConfigurationError, match="can't be listened at: is it in use"):
            serve(model="gpt-4o", port=start().server.port)

    @pytest.mark.parametrize(
        ("number", "debug"), [(signal.SIGTERM, True), (signal.SIGINT, False)], ids=["terminated", "interrupted"]
    )
    def test_it_serves_until_a_signal(
        self, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, debug: bool
    ) -> None:
        """In this process, on the main thread, as the command line does."""
        from promptwire import set_verbose
        from promptwire.proxy import server

        monkeypatch.setattr(server, "DRAIN_SECONDS", 0.05)
        before = signal.getsignal(number)
        startup = server.Server.startup
        asked: list[int] = []

        async def begin(self: server.Server, sockets: Any = None) -> None:
            await startup(self, sockets)
            url = f"http://127.0.0.1:{self.port}/v1/models"
            threading.Thread(target=ask, args=(url,)).start()

        def ask(url: str) -> None:
            asked.append(httpx.get(url, trust_env=False).status_code)
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)  # a second one is nothing new

        monkeypatch.setattr(server.Server, "startup", begin)
        try:
            assert serve(model="gpt-4o", port=0, detailed_debug=debug) == 0
        finally:
            set_verbose(False)
        assert asked == [200]
        assert signal.getsignal(number) is before

    def test_with_a_key_it_may_be_reached_from_elsewhere(self, openai: FakeOpenAI, tmp_path: Path) -> None:
        path = write(tmp_path / "config.yaml", "one", master_key="sk-master")
        with serving(read_config(path), host=EVERYWHERE) as proxy:
            assert proxy.http.get("/v1/models").status_code == 401


def read_config_of(*entries: dict[str, Any]) -> Any:
    return config_of({"model_list": list(entries)})


def outcome(proxy: Running, failed: list[Exception]) -> None:
    try:
        proxy.chat("m", messages=MESSAGES)
    except httpx.HTTPError as error:
        failed.append(error)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), (EVERYWHERE, False), ("::", False),
     ("192.0.2.1", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, *, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_the_whole_request_is_shown_without_its_keys(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    from promptwire import set_verbose

    set_verbose()
    try:
        start(entry("m", "gpt-4o", api_key="sk-canary")).chat("m", messages=MESSAGES)
    finally:
        set_verbose(False)
    assert "POST Request Sent from Promptwire" in caplog.text
    assert "one two" in caplog.text
    assert "canary" not in caplog.text


def test_the_document_of_the_routes_is_served(start: Start) -> None:
    served = start().http.get("/openapi.json").json()
    assert served["info"]["title"] == "Promptwire proxy"
    assert json.dumps(served)
