"""Replicas of the proxy behind a load balancer: what one of them is told, the others know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.proxy.conftest import Running, config_of, entry, serving
from tests.proxy.test_webhook import SECRET, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptwire.testing import FakeLangfuse
    from tests.doubles.redis_server import RedisServer


def replica() -> Any:
    settings = {"langfuse_webhook_secret": SECRET}
    return serving(config_of({"model_list": [entry("clerk", "langfuse/gpt-4o")], "general_settings": settings}))


def said(proxy: Running) -> tuple[str, str]:
    """Version and words."""
    answer = proxy.chat(prompt_id="farewell")
    return answer.headers["x-prompt-version"], answer.json()["choices"][0]["message"]["content"]


@pytest.mark.usefixtures("openai")
def test_a_webhook_that_one_replica_is_sent_has_the_others_answer_with_the_new_version(
    redis: RedisServer, langfuse: FakeLangfuse, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTWIRE_STORE", redis.url)
    with replica() as first, replica() as second:
        assert [said(proxy) for proxy in (first, second)] == [("1", "[gpt-4o] Bye")] * 2
        until(lambda: redis.listening() == 2)
        langfuse.publish("farewell", [{"role": "user", "content": "Goodbye"}])
        assert said(second) == ("1", "[gpt-4o] Bye")
        assert deliver(first).json() == {"dropped": 1}
        until(lambda: said(second) == ("2", "[gpt-4o] Goodbye"))
        assert said(first) == ("2", "[gpt-4o] Goodbye")
        assert sum("/farewell" in request.path for request in langfuse.requests) == 2
