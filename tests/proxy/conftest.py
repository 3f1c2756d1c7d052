"""Fixtures of the proxy's tests: a proxy on loopback, on a thread of its own, before fake providers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from promptwire.proxy.config import Config, parse_config
from promptwire.proxy.server import Server
from promptwire.proxy.service import Service
from promptwire.proxy.source import Source
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

Start = Callable[..., "Running"]

MESSAGES = [{"role": "user", "content": "hi"}]


class Running:
    """A proxy that serves; ``http`` is a client of it."""

    def __init__(self, server: Server, http: httpx.Client) -> None:
        self.server = server
        self.service = server.service
        self.http = http
        self.url = f"http://127.0.0.1:{server.port}"

    def chat(self, model: str = "clerk", **body: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json={"model": model, **body})


@contextmanager
def serving(config: Config, path: Path | None = None, host: str = "127.0.0.1") -> Iterator[Running]:
    server = Server(Service(config, path), host, 0)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run()
        except BaseException as error:  # noqa: BLE001 - the test is to see it
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            assert thread.is_alive(), failures
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=20) as http:
            yield Running(server, http)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
        assert not failures, failures


def config_of(data: Any) -> Config:
    return parse_config(Source("config.yaml", data if isinstance(data, str) else yaml.safe_dump(data)))


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}}


def still_serves(proxy: Running) -> None:
    assert proxy.chat("plain", messages=MESSAGES).status_code == 200


@pytest.fixture
def start(openai: FakeOpenAI, anthropic: FakeAnthropic, langfuse: FakeLangfuse) -> Iterator[Start]:
    """Starts proxies with these entries; without any, ``clerk`` runs prompts and ``plain`` is a model."""
    with ExitStack() as stack:

        def begin(*entries: dict[str, Any], path: Path | None = None, **settings: Any) -> Running:
            listed = list(entries) or [entry("clerk", "langfuse/gpt-4o"), entry("plain", "gpt-4o")]
            data = {"model_list": listed, "general_settings": settings}
            return stack.enter_context(serving(config_of(data), path))

        yield begin


@pytest.fixture
def proxy(start: Start) -> Running:
    return start()
