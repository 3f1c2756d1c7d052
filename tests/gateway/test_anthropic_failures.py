"""Refusals, overload and broken streams over Anthropic's wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from promptwire.errors import GatewayError
from promptwire.gateway.anthropic.wire import AnthropicWire
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.wire_calls import WAYS, WireCalls

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def server() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def over(server: FakeAnthropic, way: str, **options: Any) -> WireCalls:
    return WireCalls(AnthropicWire(), server.url, server.api_key, way, **options)


@pytest.mark.parametrize("status", [400, 401, 429])
def test_refusals(server: FakeAnthropic, way: str, status: int) -> None:
    server.fail(status)
    kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
    with pytest.raises(GatewayError, match=kinds[status]) as caught:
        over(server, way)(HI)
    assert (caught.value.status_code, f"Fake failure {status}" in str(caught.value.body)) == (status, True)


def test_an_overloaded_server_is_asked_again(server: FakeAnthropic, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
    server.overload(times=1)
    assert over(server, way, retries=1).said(HI)["content"] == "[claude-sonnet-5-5] Hi"
    server.overload()
    with pytest.raises(GatewayError, match="overloaded_error") as caught:
        over(server, way)(HI)
    assert caught.value.status_code == 529


@pytest.mark.parametrize("way", WAYS[2:])
def test_a_stream_that_ends_in_an_error(server: FakeAnthropic, way: str) -> None:
    server.fail_stream("overloaded_error", times=1)
    with pytest.raises(GatewayError, match="overloaded_error") as caught:
        over(server, way)(HI)
    assert (caught.value.status_code, "Fake failure" in str(caught.value.body)) == (529, True)
    server.fail_stream("strange_error", times=1)
    with pytest.raises(GatewayError, match="answered with an error;") as caught:
        over(server, way)(HI)
    assert caught.value.status_code is None


@pytest.mark.parametrize("way", WAYS[2:])
@pytest.mark.parametrize("events", [1, 4, 6])
def test_a_stream_that_breaks_off(server: FakeAnthropic, way: str, events: int) -> None:
    server.drop(events, times=1)
    with pytest.raises(GatewayError, match="broke off"):
        over(server, way)(HI)
