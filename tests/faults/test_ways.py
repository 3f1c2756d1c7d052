"""The way to a host: names and certificates that are wrong, and redirects that lead the keys away."""

from __future__ import annotations

import _socket
import asyncio
import socket
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from promptwire import BackendError, BackendUnavailableError, ConfigurationError, GatewayError, Resolver, acompletion
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.testing import FakeOpenAI
from tests.doubles.tls import Certificate, TlsFront
from tests.faults.hosts import ID, VENDORS, Host
from tests.faults.table import elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Clock, Door


@pytest.fixture(params=VENDORS)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with Host(VENDORS[request.param], tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_a_redirect_is_not_followed_with_the_keys_whatever_its_status(status: int, door: Door, host: Host) -> None:
    elsewhere(host, status)
    with pytest.raises(BackendError, match=f"answered {status}; redirects are not followed") as caught:
        door.find(Resolver(host.backend()), ID)
    assert type(caught.value) is BackendError
    assert host.server.count == 1
    assert host.other.count == 0


def test_a_certificate_that_nobody_vouches_for_is_named(
    door: Door, host: Host, trusted: Certificate, clock: Clock
) -> None:
    backend = host.by_tls(trusted)
    assert door.source(Resolver(backend), ID) == "fresh"
    host.forge()
    asked = host.server.count
    with pytest.raises(BackendUnavailableError, match="could not connect, its certificate is not trusted"):
        door.find(Resolver(backend), ID)
    assert host.server.count == asked


def test_so_it_is_for_a_models_host(trusted: Certificate, tmp_path: Path) -> None:
    with FakeOpenAI() as server:
        port = int(server.env["OPENAI_BASE_URL"].split(":")[2].partition("/")[0])
        front = TlsFront(port)
        front.start(Certificate(tmp_path, "unknown"))
        call = acompletion(
            model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}], api_key="sk-canary", max_retries=0,
            api_base=f"https://127.0.0.1:{front.port}/v1",
        )  # fmt: skip
        with pytest.raises(GatewayError, match="its certificate is not trusted"):
            asyncio.run(call)
        front.stop()
        assert server.count == 0


@pytest.mark.parametrize("name", [f"{'a' * 64}.invalid", "a..invalid", "xn--a.invalid"])
def test_a_name_that_no_host_can_have_is_a_configuration_error(
    name: str, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _socket.getaddrinfo)  # the system's own, which sends none of these
    backend = LangfuseBackend("pk-lf-1", "sk-lf-canary", f"http://{name}")
    with pytest.raises(ConfigurationError, match="check the host") as caught:
        door.find(Resolver(backend), ID)
    assert "canary" not in str(caught.value)


def test_an_answer_that_was_too_large_is_not_kept_with_the_error_that_says_so(door: Door, host: Host) -> None:
    host.server.garbage("x" * 11_000_000)
    resolver = Resolver(host.backend())
    tracemalloc.start()
    try:
        for number in range(10):
            with pytest.raises(BackendError, match="larger than 10 MB"):
                door.find(resolver, f"p{number}")
        assert tracemalloc.get_traced_memory()[0] < 50_000_000, "ten of them are more than a hundred"
    finally:
        tracemalloc.stop()
