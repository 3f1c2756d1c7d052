"""Checks what docs/comparison.md says of the others' public API, in an environment that has them and this project.

From the root, one at a time, as their dependencies differ: ``uv run --no-project --with . --with mlflow docs/peers.py
mlflow``; for LiteLLM, ``--with 'litellm[proxy]' --with 'langfuse<5'``. A test runs Langfuse's and LangSmith's.
"""

import inspect
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from promptwire.testing import FakeLangfuse, FakeOpenAI

Facts = Iterator[tuple[str, bool]]
NOBODY = "http://127.0.0.1:9"
ASKED: list[dict[str, str]] = [{"role": "user", "content": "Hi {{name}} and {{other}}"}]
OURS = {"role": "user", "content": "Mine"}


def langfuse() -> Facts:
    from langfuse import Langfuse

    with FakeLangfuse() as server:
        server.publish("hello", ASKED)
        keys: dict[str, Any] = {"public_key": server.public_key, "secret_key": server.secret_key}
        client = Langfuse(**keys, base_url=server.url, tracing_enabled=False)
        prompt = client.get_prompt("hello", type="chat")
    yield "c1", prompt.compile(name="Ann") == [{"role": "user", "content": "Hi Ann and {{other}}"}]
    yield "c1", prompt.get_langchain_prompt() == [("user", "Hi {name} and {other}")]
    options = inspect.signature(Langfuse.get_prompt).parameters
    yield "c2", {"version", "label", "fallback", "max_retries", "fetch_timeout_seconds"} <= set(options)
    yield "c3", not inspect.iscoroutinefunction(Langfuse.get_prompt)


def langsmith() -> Facts:
    from langchain_core.prompts import ChatPromptTemplate
    from langsmith import AsyncClient, Client
    from langsmith.prompt_cache import PromptCache
    from langsmith.utils import LangSmithConnectionError
    from urllib3 import Retry

    cache = inspect.signature(PromptCache).parameters
    yield "c4", (cache["max_size"].default, cache["ttl_seconds"].default) == (100, 300)
    client = Client(api_url=NOBODY, api_key="made up", retry_config=Retry(0))
    yield "c5", client.timeout_ms == (10_000, 60_000)
    yield "c6", _raises(LangSmithConnectionError, lambda: client.pull_prompt("hello"))
    yield "c7", inspect.iscoroutinefunction(AsyncClient.pull_prompt)
    template = ChatPromptTemplate.from_messages([("user", "Hi {name} and {other}")])
    yield "c8", _raises(KeyError, lambda: template.invoke({"name": "Ann"}))


def mlflow() -> Facts:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")
        import mlflow as peer  # type: ignore[import-not-found]
        from mlflow.entities.model_registry import PromptModelConfig  # type: ignore[import-not-found]
        from mlflow.environment_variables import (  # type: ignore[import-not-found]
            MLFLOW_HTTP_REQUEST_MAX_RETRIES as RETRIES,
        )
        from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT as TIMEOUT

        peer.genai.register_prompt("hello", ASKED[0]["content"], model_config={"model_name": "gpt-4o"})
        prompt = peer.genai.load_prompt("prompts:/hello/1")
        failure = peer.exceptions.MlflowException
        yield "c9", prompt.to_single_brace_format() == "Hi {name} and {other}"
        yield "c10", {"model_name", "temperature", "max_tokens"} <= set(PromptModelConfig.model_fields)
        yield "c10", prompt.model_config["model_name"] == "gpt-4o"
        yield "c11", _raises(failure, lambda: prompt.format(name="Ann"))
        yield "c11", prompt.format(name="Ann", allow_partial=True).template == "Hi Ann and {{other}}"
        yield "c12", not inspect.iscoroutinefunction(peer.genai.load_prompt)
        yield "c13", (TIMEOUT.default, RETRIES.default) == (120, 7)
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        peer.set_tracking_uri(NOBODY)
        yield "c14", _raises(failure, lambda: peer.genai.load_prompt("prompts:/hello@production"))


def litellm() -> Facts:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks another host
    with FakeLangfuse() as server, FakeOpenAI() as model:
        os.environ.update(server.env, OPENAI_API_KEY=model.api_key, OPENAI_BASE_URL=model.url)
        import litellm as peer  # type: ignore[import-not-found]

        server.publish("chat", ASKED, config={"temperature": 0.3})
        server.publish("text", "Hi {{name}}")
        call: dict[str, Any] = {"model": "langfuse/gpt-4o-mini", "prompt_variables": {"name": "Ann"}}
        for prompt_id in ("chat", "text", "chat"):
            peer.completion(**call, prompt_id=prompt_id, messages=[OURS])
        chat, text, _ = (json.loads(request.body)["messages"] for request in model.requests)
        yield "c15", chat == [{"role": "user", "content": "Hi Ann and {{other}}"}, OURS]
        yield "c16", text == [{"role": "system", "content": "Hi Ann"}, OURS]
        yield "c17", sum(request.path.endswith("/prompts/chat") for request in server.requests) == 1
        yield "c18", {"acompletion", "completion"} <= set(dir(peer))
        yield "c19", _on_its_proxy(model)["temperature"] == 0.3
        server.stop()
        yield "c20", _raises(Exception, lambda: peer.completion(**call, prompt_id="other", messages=[OURS]))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _on_its_proxy(model: FakeOpenAI) -> dict[str, Any]:
    """What the provider gets of a call that sets another temperature than its prompt."""
    port = free_port()
    key, address = f"sk-{secrets.token_hex(24)}", f"http://127.0.0.1:{port}"
    entry = {"model_name": "chat", "litellm_params": {"model": "langfuse/gpt-4o-mini", "prompt_id": "chat"}}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(json.dumps({"model_list": [entry], "general_settings": {"master_key": key}}))
        program = str(Path(sys.executable).with_name("litellm"))
        command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy:
            try:
                _until_it_answers(f"{address}/health/liveliness", proxy)
                body = {"model": "chat", "messages": [OURS], "prompt_variables": {"name": "Ann"}, "temperature": 0.9}
                head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
                call = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), head)  # noqa: S310
                urllib.request.urlopen(call).close()  # noqa: S310
            finally:
                proxy.terminate()
    sent: dict[str, Any] = json.loads(model.requests[-1].body)
    return sent


def _until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(url).close()  # noqa: S310
        except OSError:
            time.sleep(0.2)
        else:
            return


def _raises(kind: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


PEERS: dict[str, Callable[[], Facts]] = {
    "litellm": litellm,
    "langfuse": langfuse,
    "langsmith": langsmith,
    "mlflow": mlflow,
}

if __name__ == "__main__":
    wrong = 0
    for name in sys.argv[1:]:
        print(name, version(name))
        for fact, holds in PEERS[name]():
            print(f"  {fact} {'holds' if holds else 'DOES NOT HOLD'}", flush=True)
            wrong += not holds
    sys.exit(bool(wrong))
