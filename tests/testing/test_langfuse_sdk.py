"""The fake Langfuse, driven by the official SDK."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from langfuse import Langfuse
from langfuse.api import NotFoundError

from promptwire.testing import FakeLangfuse

CHAT = [{"role": "system", "content": "You are {{persona}}"}, {"type": "placeholder", "name": "history"}]


@pytest.fixture
def server() -> Iterator[FakeLangfuse]:
    with FakeLangfuse() as server:
        yield server


@pytest.fixture
def sdk(server: FakeLangfuse) -> Iterator[Langfuse]:
    # The SDK keeps one client per public key for the whole process, and a port may come again.
    key = f"pk-lf-{uuid4()}"
    sdk = Langfuse(public_key=key, secret_key=server.secret_key, base_url=server.url, tracing_enabled=False)
    yield sdk
    sdk.shutdown()


def test_text_by_label_and_version(server: FakeLangfuse, sdk: Langfuse) -> None:
    server.publish("team/hi there", "Hi {{name}}", config={"model": "gpt-4o"}, tags=["t"])
    server.publish("team/hi there", "Hello {{name}}", labels=["staging"])
    prompt = sdk.get_prompt("team/hi there")
    assert (prompt.version, prompt.compile(name="Ada"), prompt.config) == (1, "Hi Ada", {"model": "gpt-4o"})
    assert sdk.get_prompt("team/hi there", label="staging").version == 2
    assert sdk.get_prompt("team/hi there", version=1).labels == ["production"]
    assert server.requests[0].path == "/api/public/v2/prompts/team%2Fhi%20there"


def test_chat(server: FakeLangfuse, sdk: Langfuse) -> None:
    server.publish("chat", CHAT)
    history = [{"role": "user", "content": "hi"}]
    compiled = sdk.get_prompt("chat", type="chat").compile(persona="Ada", history=history)
    assert compiled == [{"role": "system", "content": "You are Ada"}, *history]


def test_missing_prompts_and_fallbacks(sdk: Langfuse) -> None:
    with pytest.raises(NotFoundError):
        sdk.get_prompt("nope", max_retries=0)
    prompt = sdk.get_prompt("nope", fallback="spare", max_retries=0)
    assert (prompt.is_fallback, prompt.compile()) == (True, "spare")


def test_create_update_list_delete(sdk: Langfuse) -> None:
    created = sdk.create_prompt(name="p", prompt="one", labels=["production"], tags=["a"], commit_message="m")
    assert (created.version, created.labels) == (1, ["production", "latest"])
    sdk.create_prompt(name="p", prompt="two")
    sdk.update_prompt(name="p", version=2, new_labels=["production"])
    assert sdk.get_prompt("p").prompt == "two"
    listed = sdk.api.prompts.list(limit=5)
    assert [(one.name, one.versions, one.tags) for one in listed.data] == [("p", [1, 2], ["a"])]
    assert listed.meta.total_items == 1
    sdk.api.prompts.delete("p", version=2)
    assert sdk.api.prompts.get("p", label="latest").version == 1


def test_checks_its_credentials(sdk: Langfuse) -> None:
    assert sdk.auth_check()
