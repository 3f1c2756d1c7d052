"""Which provider runs a call, and with whose key."""

from typing import Any

import pytest

from promptwire import Prompt
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import PROVIDERS, Provider
from promptwire.gateway.providers import CallerModel, Choice, check_path, choose, parse_model, split_provider

BACKENDS = frozenset({"langfuse", "files", "memory"})
OTHERS = (
    Provider("acme", "https://acme.example/v1", "ACME_API_KEY", "ACME_BASE_URL", owns=("acme-",)),
    Provider("depot", "https://depot.example/v1", "DEPOT_API_KEY", "DEPOT_BASE_URL", aggregator=True),
    Provider("own", None, "OWN_API_KEY", "OWN_BASE_URL"),
)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in OTHERS:
        monkeypatch.setitem(PROVIDERS, provider.name, provider)
    for name in ("openai", "acme", "depot"):
        monkeypatch.setenv(PROVIDERS[name].key_variable, f"env-{name}")


def prompt(model: str | None, provider: str | None = None) -> Prompt:
    return Prompt("p", text="hi", backend="langfuse", config={"model": model, "provider": provider})


@pytest.mark.parametrize(
    ("model", "parsed"),
    [
        ("gpt-4o", (None, "openai", "gpt-4o")),
        ("openai/gpt-4o", (None, "openai", "gpt-4o")),
        ("langfuse/gpt-4o", ("langfuse", "openai", "gpt-4o")),
        ("langfuse/acme/acme-1", ("langfuse", "acme", "acme-1")),
        ("files/depot/openai/gpt-oss-120b", ("files", "depot", "openai/gpt-oss-120b")),
        ("langfuse/openai/ft:gpt-4o:org::id", ("langfuse", "openai", "ft:gpt-4o:org::id")),
        ("langfuse", ("langfuse", "openai", None)),
        ("langfuse/", ("langfuse", "openai", None)),
        ("langfuse-large", (None, "openai", "langfuse-large")),
        ("acme", (None, "openai", "acme")),
        ("", (None, "openai", None)),
        (None, (None, "openai", None)),
    ],
)
def test_model_strings(model: str | None, parsed: tuple[str | None, str, str | None]) -> None:
    said = parse_model(model, BACKENDS)
    assert (said.backend, said.provider, said.model) == parsed


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "langfsue/gpt-4o",
            r"no provider 'langfsue' \(did you mean 'langfuse'\?\); known are acme, anthropic, azure",
        ),
        ("langfuse/opanai/gpt-4o", r"no provider 'opanai' \(did you mean 'openai'\?\)"),
        ("langfuse/zzz/x", r"no provider 'zzz'; known .* With api_base= any host"),
        ("/gpt-4o", "no provider ''"),
        ("openai/", "'openai/' names a provider, and no model of it"),
    ],
)
def test_unknown_providers(model: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        choose(parse_model(model, BACKENDS), None)


def test_a_host_of_ones_own_takes_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_model("meta/llama-3", BACKENDS, api_base="http://127.0.0.1/v1").model == "meta/llama-3"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1/v1")
    assert parse_model("langfuse/meta/llama-3", BACKENDS).model == "meta/llama-3"
    assert split_provider("openai/") == (None, "openai/")


KEY = {"api_key": "explicit"}
BASE = {"api_base": "https://host.example/v1/"}
CALLERS: dict[str, dict[str, Any]] = {
    "first party": {"model": "openai/gpt-4o", **KEY},
    "aggregator": {"model": "depot/some/model", **KEY},
    "api_base": {"model": "openai/x", **KEY, **BASE},
}
PROMPTS = {
    "field": prompt("acme/acme-1", "acme"),
    "prefix": prompt("acme/big"),
    "first party": prompt("acme-1"),
    "neutral": prompt("llama-3"),
}
ACME = ("acme", "env-acme", "https://acme.example/v1")
OPENAI = ("openai", "explicit", "https://api.openai.com/v1")
DEPOT = ("depot", "explicit", "https://depot.example/v1")
HOST = ("openai", "explicit", "https://host.example/v1")


@pytest.mark.parametrize(
    ("caller", "named", "target"),
    [
        ("first party", "field", (*ACME, "acme-1")),
        ("first party", "prefix", (*ACME, "big")),
        ("first party", "first party", (*ACME, "acme-1")),
        ("first party", "neutral", (*OPENAI, "llama-3")),
        ("aggregator", "field", (*ACME, "acme-1")),
        ("aggregator", "prefix", (*DEPOT, "acme/big")),
        ("aggregator", "first party", (*DEPOT, "acme-1")),
        ("aggregator", "neutral", (*DEPOT, "llama-3")),
        ("api_base", "field", (*ACME, "acme-1")),
        ("api_base", "prefix", (*HOST, "acme/big")),
        ("api_base", "first party", (*HOST, "acme-1")),
        ("api_base", "neutral", (*HOST, "llama-3")),
    ],
)
def test_an_explicit_key_is_its_providers_alone(caller: str, named: str, target: tuple[str, str, str, str]) -> None:
    chosen = choose(parse_model(backends=BACKENDS, **CALLERS[caller]), PROMPTS[named])
    assert (chosen.provider, chosen.api_key, chosen.api_base, chosen.model) == target
    kept = choose(parse_model(backends=BACKENDS, **CALLERS[caller]), PROMPTS[named], ignore_prompt_model=True)
    assert kept.api_key == "explicit"


@pytest.mark.parametrize("given", [KEY, BASE, {**KEY, **BASE}])
def test_without_the_other_providers_own_key_nothing_is_sent(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACME_API_KEY")
    caller = parse_model("langfuse/gpt-4o", BACKENDS, **given)
    with pytest.raises(ConfigurationError, match=r"acme/acme-1, which langfuse prompt 'p' names, needs a key: ") as got:
        choose(caller, PROMPTS["field"])
    assert "set ACME_API_KEY." in str(got.value)
    assert ("openai's and is not sent there" in str(got.value)) == ("api_key" in given)
    assert "explicit" not in str(got.value)


def test_the_other_providers_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:1/v1/")
    caller = parse_model("openai/gpt-4o", BACKENDS, **KEY, **BASE)
    assert choose(caller, PROMPTS["field"]).api_base == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("OWN_API_KEY", "env-own")
    with pytest.raises(ConfigurationError, match="own needs a base URL: set OWN_BASE_URL"):
        choose(caller, prompt("x", "own"))
    monkeypatch.setenv("OWN_BASE_URL", "http://127.0.0.1:2")
    assert choose(caller, prompt("x", "own")).api_key == "env-own"


def test_a_host_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert choose(parse_model("llama-3", BACKENDS, **BASE), None).api_key is None
    with pytest.raises(ConfigurationError, match=r"openai/gpt-4o needs a key: set OPENAI_API_KEY, or pass api_key=\."):
        choose(parse_model("gpt-4o", BACKENDS), None)


UNMISTAKABLE = {
    "gpt-4.1": "openai", "o3-mini": "openai", "chatgpt-4o-latest": "openai", "ft:gpt-4o:x": "openai",
    "acme-2": "acme", "mistral": "depot", "o2": "depot",
}  # fmt: skip


@pytest.mark.parametrize(("model", "provider"), UNMISTAKABLE.items())
def test_unmistakable_names(model: str, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Provider("depot", "https://depot.example/v1", "DEPOT_API_KEY", "DEPOT_BASE_URL")
    monkeypatch.setitem(PROVIDERS, "depot", plain)
    assert choose(parse_model("depot/x", BACKENDS, **KEY), prompt(model)).provider == provider


def test_a_providers_name_that_is_not_in_the_table() -> None:
    with pytest.raises(
        PromptConfigError, match=r"langfuse prompt 'p' names provider 'zzz'; known are acme, anthropic, azure"
    ):
        choose(parse_model("gpt-4o", BACKENDS), prompt("x", "zzz"))
    assert choose(CallerModel(None, "elsewhere", "x"), prompt("gpt-4o")).provider == "openai"


@pytest.mark.parametrize(
    ("model", "patterns", "allowed"),
    [
        ("gpt-4o", ["openai/*"], True),
        ("gpt-4o", ["gpt-4*"], True),
        ("gpt-4o", ["openai/gpt-4o-mini", "openai/gpt-4o"], True),
        ("gpt-4o", [], False),
        ("gpt-4o", ["GPT-4o"], False),
        ("acme/acme-1", ["acme-1"], False),
        ("acme/acme-1", ["acme/*"], True),
        ("depot/openai/gpt-4o", ["openai/*"], False),
        ("openai/acme/acme-1", ["acme/*"], False),
        ("openai/acme/acme-1", ["openai/*"], True),
    ],
)
def test_allowed_models(model: str, patterns: list[str], *, allowed: bool) -> None:
    named = prompt(*reversed(model.split("/", 1))) if model.startswith(("depot", "openai/")) else prompt(model)
    for said, which in ((parse_model(model, BACKENDS), None), (parse_model("own/x", BACKENDS), named)):
        if allowed:
            assert choose(said, which, allowed_models=patterns).model in model
        else:
            with pytest.raises((ConfigurationError, PromptConfigError), match="is not among allowed_models"):
                choose(said, which, allowed_models=patterns)


def test_one_text_is_no_list_of_patterns() -> None:
    with pytest.raises(ConfigurationError, match="allowed_models is a list"):
        choose(parse_model("gpt-4o", BACKENDS), None, allowed_models="zzz/*")


def test_keys_are_not_shown() -> None:
    caller = parse_model("gpt-4o", BACKENDS, "canary", "https://canary.example")
    assert "canary" not in repr(caller) + repr(choose(caller, None))


def test_a_callers_provider_without_a_row() -> None:
    with pytest.raises(ConfigurationError, match="there is no provider 'nobody'; known are acme"):
        choose(CallerModel(None, "nobody", "m", "key"), None)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("ft:gpt-4o:org::id", "openai"), ("llama3:8b", "ollama"), ("anthropic/claude-3.5", "openrouter"),
        ("accounts/f/models/m#accounts/f/deployments/d", "fireworks"), ("gpt-4.1...", "azure"), ("@cf/x", "openai"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/m", "bedrock"), (None, "azure"),
    ],
)  # fmt: skip
def test_a_models_name_may_hold(model: str | None, provider: str) -> None:
    check_path(Choice(provider, model, prompt(model)))


LEADING = ["..", "a/../b", "a/./b", "a\\..\\b", "a\\b", "m:count?", "m#", "..%2fx", "a\nb", "a\x1bb", "a\ud800"]


@pytest.mark.parametrize("model", LEADING)
@pytest.mark.parametrize("provider", ["azure", "gemini", "fireworks", "openai", "their own"])
def test_a_prompts_model_that_could_lead_elsewhere(model: str, provider: str) -> None:
    if (model, provider) == ("m#", "fireworks"):
        return
    with pytest.raises(PromptConfigError, match=f"langfuse prompt 'p': .* is no model's name for {provider}"):
        check_path(Choice(provider, model, prompt(model)))
    check_path(Choice(provider, model))  # the caller's own affair


def test_a_deployment_has_no_slash() -> None:
    for provider in ("azure", "azure_openai"):
        with pytest.raises(PromptConfigError, match="no model's name for azure"):
            check_path(Choice(provider, "gpt-4o/x", prompt("gpt-4o/x")))
