"""Whose key goes where: every pairing of the caller's provider and the prompt's."""

from collections.abc import Iterator

import pytest

import promptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.gateway.hosts import PROVIDERS
from promptwire.testing import Answer, LoopbackServer, Received

NAMES = sorted(PROVIDERS)
EXPLICIT = "sk-explicit-of-the-caller"


class Recorder(LoopbackServer):
    """Refuses everything, and remembers with what it was asked."""

    def answer(self, request: Received) -> Answer:
        return Answer(418, b"{}")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Recorder]]:
    running = {name: Recorder() for name in NAMES}
    for server in running.values():
        server.start()
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture(autouse=True)
def _environment(servers: dict[str, Recorder], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in PROVIDERS.items():
        monkeypatch.setenv(row.base_variable, f"{servers[name].url}/v1")
        monkeypatch.setenv(row.key_variable, f"sk-env-{name}")


def asked(servers: dict[str, Recorder], before: dict[str, int]) -> list[tuple[str, Received]]:
    return [(name, request) for name in NAMES for request in servers[name].requests[before[name] :]]


@pytest.mark.parametrize("theirs", NAMES)
@pytest.mark.parametrize("callers", NAMES)
def test_an_explicit_key_never_reaches_another_provider(
    callers: str, theirs: str, servers: dict[str, Recorder]
) -> None:
    backend = MemoryBackend()
    backend.publish("p", "Hello", config={"model": "some-model", "provider": theirs})
    before = {name: servers[name].count for name in NAMES}
    with pytest.raises(promptwire.GatewayError):
        promptwire.completion(
            model=f"{callers}/m", prompt_id="p", api_key=EXPLICIT, max_retries=0, resolver=promptwire.Resolver(backend),
            extra_headers={"x-callers": "sk-in-a-header"},
        )  # fmt: skip
    [(name, request)] = asked(servers, before)
    assert name == theirs
    assert ("x-callers" in request.headers) == (callers == theirs)
    keys = " ".join(value for header, value in request.headers.items() if header not in {"host", "content-length"})
    assert (EXPLICIT in keys) == (callers == theirs)
    assert (f"sk-env-{theirs}" in keys) == (callers != theirs)


@pytest.mark.parametrize("theirs", NAMES)
def test_an_explicit_base_url_is_the_callers_alone(theirs: str, servers: dict[str, Recorder]) -> None:
    """Where the caller names a host, the prompt's model runs there whole; its provider field still leaves it."""
    callers = "groq" if theirs != "groq" else "openai"
    backend = MemoryBackend()
    backend.publish("whole", "Hello", config={"model": f"{theirs}/some-model"})
    backend.publish("leaves", "Hello", config={"model": "some-model", "provider": theirs})
    resolver = promptwire.Resolver(backend)
    for prompt_id, where in (("whole", "azure" if theirs != "azure" else "xai"), ("leaves", theirs)):
        elsewhere = servers["azure" if theirs != "azure" else "xai"]
        before = {name: servers[name].count for name in NAMES}
        with pytest.raises(promptwire.GatewayError):
            promptwire.completion(
                model=f"{callers}/m",
                prompt_id=prompt_id,
                api_base=f"{elsewhere.url}/v1",
                max_retries=0,
                resolver=resolver,
            )
        [(name, request)] = asked(servers, before)
        assert name == where
        if prompt_id == "whole":
            assert request.json["model"] == f"{theirs}/some-model"


def test_without_a_key_of_its_own_nothing_is_sent(
    servers: dict[str, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY")
    backend = MemoryBackend()
    backend.publish("p", "Hello", config={"model": "llama", "provider": "groq"})
    before = {name: servers[name].count for name in NAMES}
    with pytest.raises(
        promptwire.ConfigurationError, match=r"set GROQ_API_KEY.*openai's and is not sent there"
    ) as info:
        promptwire.completion(model="openai/m", prompt_id="p", api_key=EXPLICIT, resolver=promptwire.Resolver(backend))
    assert EXPLICIT not in str(info.value)
    assert asked(servers, before) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_nothing(status: int, servers: dict[str, Recorder]) -> None:
    with LoopbackServer() as door:
        door.redirect(f"{servers['xai'].url}/v1/chat/completions", status=status)
        before = {name: servers[name].count for name in NAMES}
        with pytest.raises(promptwire.GatewayError):
            promptwire.completion(
                model="openai/m", messages=[{"role": "user", "content": "x"}], api_key=EXPLICIT, api_base=door.url
            )
        assert door.count == 1
        assert asked(servers, before) == []
