"""The environment's proxies, for prompts and for model calls alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from promptwire import BackendUnavailableError, ConfigurationError, Resolver, transport
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.exchange import Request, TransportError
from promptwire.proxies import proxy_for
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.conftest import Clock, Door, Plain

PROMPT = b'{"prompt": "Hello", "version": 1}'


def backend(url: str) -> LangfuseBackend:
    return LangfuseBackend("pk", "sk", url)


@pytest.fixture
def via(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plain]:
    """Sets the environment, ``{}`` standing for the address of a recording proxy, and starts clients anew."""

    def use(**environment: str) -> Plain:
        for name, value in environment.items():
            monkeypatch.setenv(name, value.replace("{}", plain.url.removeprefix("http://")))
        monkeypatch.setattr(transport, "_sync", type(transport._sync)())  # noqa: SLF001 - a fresh process's
        return plain

    return use


UNKNOWN = "http://prompts.example"


@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": "http://{}"}, {"http_proxy": "{}"}, {"ALL_PROXY": "http://{}"},
        {"HTTP_PROXY": "http://{}", "HTTPS_PROXY": "http://{}", "ALL_PROXY": "socks5://{}"},
        {"HTTP_PROXY": "http://{}", "NO_PROXY": "other.example,,localhost"},
        {"HTTP_PROXY": "http://{}", "NO_PROXY": "fe80::1,[fe80::2]"},
    ],
    ids=str,
)  # fmt: skip
def test_the_environments_proxy_is_used(environment: dict[str, str], door: Door, via: Callable[..., Plain]) -> None:
    proxy = via(**environment)
    assert door.find(Resolver(backend(UNKNOWN)), "x")[0].text == "Hello"
    assert door.exchange(Request("GET", f"{UNKNOWN}/y")).body == PROMPT
    assert [request.path for request in proxy.requests] == [f"{UNKNOWN}/api/public/v2/prompts/x", f"{UNKNOWN}/y"]


@pytest.mark.parametrize(
    "no_proxy", ["prompts.example", ".example", "example", "*", "a.example, http://prompts.example:80"]
)
def test_no_proxy_is_honoured(no_proxy: str, door: Door, via: Callable[..., Plain], clock: Clock) -> None:
    proxy = via(HTTP_PROXY="http://{}", NO_PROXY=no_proxy)
    with pytest.raises(BackendUnavailableError, match="could not connect"):
        door.find(Resolver(backend(UNKNOWN)), "x")
    with pytest.raises(TransportError, match="could not connect"):
        door.exchange(Request("GET", UNKNOWN))
    assert proxy.count == 0


def test_loopback_needs_no_proxy(door: Door, langfuse: FakeLangfuse, via: Callable[..., Plain]) -> None:
    proxy = via(HTTP_PROXY="http://{}")
    assert door.source(Resolver("langfuse"), "greeting") == "fresh"
    assert door.exchange(Request("GET", langfuse.url.replace("127.0.0.1", "localhost"))).status == 404
    if not door.is_async:  # there it is asked for by no name, and so is the test suite's guard's business
        with pytest.raises(TransportError, match="could not connect"):
            door.exchange(Request("GET", "http://[::1]:9/"))
    assert proxy.count == 0


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")  # httpx-aiohttp's use of aiohttp
@pytest.mark.filterwarnings("ignore:The 'proxy_auth' parameter is deprecated:DeprecationWarning")
def test_a_proxys_password_is_sent_but_never_told(door: Door, via: Callable[..., Plain]) -> None:
    proxy = via(HTTP_PROXY="http://user:hush@{}")
    door.exchange(Request("GET", UNKNOWN))
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    proxy.stop()
    with pytest.raises(TransportError) as caught:
        door.exchange(Request("GET", UNKNOWN))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks4", "ftp"])
def test_a_proxy_of_another_kind_is_a_configuration_error(scheme: str, door: Door, via: Callable[..., Plain]) -> None:
    via(ALL_PROXY=scheme + "://user:hush@{}")
    for call in (lambda: door.exchange(Request("GET", UNKNOWN)), lambda: door.find(Resolver(backend(UNKNOWN)), "x")):
        with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
            call()
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1", "http://proxy:3128"),
        ("http://api.example.com", None),
        ("https://spared.example", None),
        ("https://below.spared.example", None),
        ("https://notspared.example", "http://proxy:3128"),
        ("https://localhost:8000", None),
        ("https://[::1]:8000", None),
    ],
)
def test_the_proxy_of_one_url(monkeypatch: pytest.MonkeyPatch, url: str, expected: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "spared.example")
    assert proxy_for(url) == expected
