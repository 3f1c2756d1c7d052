"""The table of hosts: each row's address, key and gaps, Azure's URLs, rows of third parties."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import promptwire
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import ConfigurationError
from promptwire.gateway import hosts
from promptwire.gateway.hosts import PROVIDERS, Provider
from promptwire.gateway.providers import choose, parse_model
from promptwire.testing import FakeOpenAI

HELLO = [{"role": "user", "content": "Hello"}]
ON_OPENAIS_WIRE = sorted(name for name, row in PROVIDERS.items() if row.wire == "openai")
VALUES: dict[str, Any] = {
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "metadata": {"a": "b"},
    "n": 2,
    "parallel_tool_calls": False,
    "seed": 1,
    "service_tier": "flex",
    "top_logprobs": 2,
    "user": "ann",
    "verbosity": "low",
}


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key="sk-of-the-host") as running:
        yield running


@pytest.fixture
def at_server(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> FakeOpenAI:
    for row in PROVIDERS.values():
        monkeypatch.setenv(row.base_variable, server.url)
        monkeypatch.setenv(row.key_variable, server.api_key)
    return server


@pytest.mark.parametrize("name", ON_OPENAIS_WIRE)
def test_a_host_is_called_with_its_own_key(name: str, at_server: FakeOpenAI) -> None:
    answer = promptwire.completion(model=f"{name}/vendor/model-1", messages=HELLO)
    assert answer.choices[0].message.content == "[vendor/model-1] Hello"
    assert at_server.requests[-1].path == "/v1/chat/completions"
    assert at_server.requests[-1].headers["authorization"] == "Bearer sk-of-the-host"


@pytest.mark.parametrize("name", [name for name in ON_OPENAIS_WIRE if PROVIDERS[name].needs_key])
def test_a_missing_key_names_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(ConfigurationError, match=PROVIDERS[name].key_variable):
        promptwire.completion(model=f"{name}/m", messages=HELLO)


@pytest.mark.parametrize("name", ["lm_studio", "ollama", "vllm"])
def test_a_local_server_needs_no_key_and_no_path(name: str, server: FakeOpenAI) -> None:
    server.api_key = ""
    target = choose(parse_model(f"{name}/llama3", frozenset(), None, server.url.removesuffix("/v1")), None)
    assert (target.api_base, target.api_key) == (server.url, None)
    assert choose(parse_model(f"{name}/llama3", frozenset()), None).api_base.startswith("http://localhost:")


@pytest.mark.parametrize(
    ("name", "lacking"),
    [(name, key) for name in ON_OPENAIS_WIRE for key in sorted(PROVIDERS[name].lacks & VALUES.keys())],
)
def test_what_a_host_lacks(name: str, lacking: str, at_server: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    """From a prompt it is left out, and said once; from the caller it is an error, and nothing is sent."""
    with pytest.raises(ConfigurationError, match=f"{name} takes no {lacking} for m"):
        promptwire.completion(model=f"{name}/m", messages=HELLO, **{lacking: VALUES[lacking]})
    assert at_server.count == 0
    backend = MemoryBackend()
    backend.publish("p", "Hello", config={lacking: VALUES[lacking], "temperature": 0})
    resolver = promptwire.Resolver(backend)
    with caplog.at_level(logging.WARNING, "promptwire"):
        for _ in range(2):
            promptwire.completion(model=f"{name}/m", prompt_id="p", resolver=resolver)
    assert at_server.requests[-1].json == {"model": "m", "messages": HELLO, "temperature": 0}
    assert [record.message for record in caplog.records] == [
        f"memory prompt 'p' (version 1) sets {lacking}, which {name} lacks: left out"
    ]


def test_what_every_host_does_anyway_is_no_reason_to_refuse(at_server: FakeOpenAI) -> None:
    promptwire.completion(model="groq/m", messages=HELLO, n=1, logprobs=False, extra_body={"logit_bias": None})
    assert at_server.requests[-1].json == {"model": "m", "messages": HELLO}


def test_a_host_may_have_another_name_for_a_parameter(at_server: FakeOpenAI) -> None:
    at_server.fail(400)
    with pytest.raises(promptwire.GatewayError):
        promptwire.completion(model="mistral/m", messages=HELLO, max_completion_tokens=9, seed=3, stream=True)
    sent = at_server.requests[-1].json
    assert (sent["max_tokens"], sent["random_seed"]) == (9, 3)
    assert "stream_options" not in sent


def test_bedrocks_address_holds_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(ConfigurationError, match="AWS_REGION, or AWS_BEDROCK_BASE_URL"):
        choose(parse_model("bedrock/openai.gpt-oss-20b", frozenset()), None)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    target = choose(parse_model("bedrock/openai.gpt-oss-20b", frozenset()), None)
    assert target.api_base == "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1"


@pytest.mark.parametrize(
    ("base", "version", "path", "query"),
    [
        ("", None, "/openai/deployments/my%2Fone/chat/completions", {"api-version": ["2024-10-21"]}),
        ("/", "2025-01-01", "/openai/deployments/my%2Fone/chat/completions", {"api-version": ["2025-01-01"]}),
        ("/openai", "v1", "/openai/v1/chat/completions", {}),
        ("/openai/v1", None, "/openai/v1/chat/completions", {}),
    ],
)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_azure(  # noqa: PLR0917 - pytest passes by name
    by: str,
    base: str,
    version: str | None,
    path: str,
    query: dict[str, list[str]],
    server: FakeOpenAI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.fail(404)
    given: dict[str, Any] = {
        "api_key": "sk-canary-azure",
        "api_base": server.url.removesuffix("/v1") + base,
        "api_version": version,
    }
    if by == "environment":
        for name, value in given.items():
            if value:
                monkeypatch.setenv(f"AZURE_{name.upper()}", value)
        given = {}
    with pytest.raises(promptwire.GatewayError):
        promptwire.completion(model="azure/my/one", messages=HELLO, **given)
    request = server.requests[-1]
    assert (request.path, request.query) == (path, query)
    assert request.headers["api-key"] == "sk-canary-azure"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("model", [".", ".."])
def test_a_deployment_leads_to_no_other_address(model: str, server: FakeOpenAI) -> None:
    backend = MemoryBackend()
    backend.publish("p", "Hello", config={"model": model})
    with pytest.raises(ConfigurationError, match="no deployment's name"):
        promptwire.completion(
            model="azure/mine", prompt_id="p", api_key="k", api_base=server.url, resolver=promptwire.Resolver(backend)
        )
    assert server.count == 0


def test_azure_needs_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="AZURE_API_BASE"):
        promptwire.completion(model="azure/m", messages=HELLO, api_key="k")


def test_a_prompts_model_is_the_callers_deployment() -> None:
    prompt = promptwire.Prompt("p", text="x", config={"model": "gpt-4o"})
    target = choose(parse_model("azure/mine", frozenset(), "k", "https://127.0.0.1"), prompt)
    assert (target.provider, target.model) == ("azure", "gpt-4o")


def test_third_parties_add_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_host.py").write_text(
        "from promptwire.gateway.hosts import Provider\n"
        "ROW = Provider('theirs', 'http://127.0.0.1:9/v1', 'THEIR_KEY', 'THEIR_BASE')\n"
    )
    dist = tmp_path / "their_host-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: their-host\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[promptwire.providers]\ntheirs = their_host:ROW\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    hosts._registered.cache_clear()  # noqa: SLF001 - as a new process would have it
    try:
        target = choose(parse_model("theirs/m", frozenset(), "k"), None)
        assert (target.api_base, target.model) == ("http://127.0.0.1:9/v1", "m")
        with pytest.raises(ConfigurationError, match="no provider 'theres' \\(did you mean 'theirs'"):
            parse_model("theres/m", frozenset())
    finally:
        hosts._registered.cache_clear()  # noqa: SLF001 - as a new process would have it


ADDRESSES = {
    "bedrock": ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "AWS_BEARER_TOKEN_BEDROCK"),
    "cohere": ("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "lm_studio": ("http://localhost:1234/v1", "LM_STUDIO_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": ("http://localhost:11434/v1", "OLLAMA_API_KEY"),
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": ("http://localhost:8000/v1", "VLLM_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
}


def test_the_hosts_on_openais_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys go to these addresses and no others: a changed row is a decision, made in two places."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert sorted(ADDRESSES) == ON_OPENAIS_WIRE
    for name, (address, variable) in ADDRESSES.items():
        monkeypatch.setenv(variable, f"key of {name}")
        target = choose(parse_model(f"{name}/m", frozenset()), None)
        assert (target.api_base, target.api_key) == (address, f"key of {name}")


def test_rows_are_complete() -> None:
    for name, row in PROVIDERS.items():
        assert isinstance(row, Provider)
        assert name == row.name
        assert row.key_variable.isupper()
        assert row.base_variable.isupper()
    assert list(PROVIDERS)[1:] == sorted(list(PROVIDERS)[1:]), "openai first, then by name"
