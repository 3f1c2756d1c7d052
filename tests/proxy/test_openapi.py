"""The proxy against its own OpenAPI document: no bad input makes it fail, and every answer is as documented."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from promptwire.proxy.app import build_app
from promptwire.proxy.service import Service
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic
from tests.proxy.conftest import Running, config_of, entry, serving

DOCUMENT: dict[str, Any] = json.loads((files("promptwire.proxy") / "openapi.json").read_text())
SECRET = "lf-whsec_test"

schema = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS: Any = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def proxy() -> Iterator[Running]:
    """One for the whole attack: what a request breaks, the next one meets."""
    with (
        FakeOpenAI() as openai,
        FakeAnthropic() as anthropic,
        FakeLangfuse() as langfuse,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**openai.env, **anthropic.env, **langfuse.env}.items():
            patch.setenv(name, value)
        langfuse.publish("greeting", "Hello {{name}}")
        langfuse.publish("farewell", "Bye")
        entries = [
            entry("plain", "gpt-4o"), entry("claude", "anthropic/claude-sonnet-4-5"),
            entry("clerk", "langfuse/gpt-4o"), entry("fixed", "langfuse/gpt-4o", prompt_id="farewell"),
        ]  # fmt: skip
        settings = {"langfuse_webhook_secret": SECRET}
        with serving(config_of({"model_list": entries, "general_settings": settings})) as running:
            yield running


def _aimed(case: "Case[Any]", number: int) -> None:
    """Half of the requests name a model and a prompt that are there, or few would get past the look-up."""
    names = ("plain", "claude", "clerk", "fixed")
    if isinstance(case.body, dict) and number % 2:
        if "chat" in case.path:
            case.body["model"] = names[number % 4]
        if number % 3 == 0 and "chat" in case.path:
            case.body["prompt_id"] = "greeting"
    if case.path_parameters and number % 2:
        case.path_parameters["prompt_id"] = "greeting"


@schema.parametrize()
@settings(
    max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_bad_input_is_a_failure_of_the_server(case: "Case[Any]", proxy: Running) -> None:
    _aimed(case, len(str(case.body)))
    case.call_and_validate(base_url=proxy.url, checks=CHECKS, timeout=20)
    assert proxy.http.get("/health/readiness").status_code == 200


def test_the_document_has_every_route(proxy: Running) -> None:
    app: Any = build_app(Service(proxy.service.config))
    served = {
        (method, route.path.replace(":path", ""))
        for route in app._app.routes  # noqa: SLF001 - what the guard stands before
        for method in route.methods - {"HEAD"}
    }
    assert served == {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
