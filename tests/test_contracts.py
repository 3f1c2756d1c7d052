"""A contract per prompt: a version that needs what the application doesn't give is held back."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pytest
from pydantic import AliasChoices, BaseModel, Field

import promptwire
from promptwire import ConfigurationError, ContractError, PromptConfigError, Resolver
from promptwire.backends.files import FilesBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.contracts import declared_names, undeclared
from promptwire.testing import FakeLangfuse, FakeOpenAI

if TYPE_CHECKING:
    from tests.conftest import Clock, Door

Until = Callable[..., None]


class Model(BaseModel):
    name: str
    tone: str = "kind"


class Schema:
    """Whatever tells of its fields by a JSON schema alone."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"properties": {"name": {}, "tone": {}}}


class Typed(TypedDict):
    name: str
    tone: NotRequired[str]


@dataclasses.dataclass
class Data:
    name: str
    tone: str


DECLARED: dict[str, Any] = {
    "a tuple": ("name", "tone"),
    "a set": {"name", "tone"},
    "a pydantic model": Model,
    "a JSON schema": Schema,
    "a TypedDict": Typed,
    "a dataclass": Data,
}


@pytest.mark.parametrize("contract", DECLARED.values(), ids=DECLARED)
def test_a_contract_is_names_or_any_class_with_fields(contract: Any) -> None:
    assert set(declared_names("greeting", contract)) == {"name", "tone"}


def test_a_fields_aliases_are_declared_too_where_they_are_texts(langfuse: FakeLangfuse) -> None:
    class Aliased(BaseModel):
        customer_id: str = Field(alias="customer-id")
        town: str = Field(validation_alias=AliasChoices("city", "place"), serialization_alias="the town")
        street: str = Field(validation_alias="the street")

    langfuse.publish("address", "{{customer-id}} {{customer_id}} {{town}} {{the town}} {{the street}}")
    assert Resolver("langfuse", contracts={"address": Aliased}).get_prompt("address").version == 1
    langfuse.publish("address", "{{customer-id}} {{city}}")
    with pytest.raises(ContractError, match="it needs city, which"):
        Resolver("langfuse", contracts={"address": Aliased}).get_prompt("address")


@pytest.mark.parametrize("contract", ["name", b"name", 5, None, (1,), object, {"name": str}])
def test_a_contract_of_another_kind_is_refused_when_the_resolver_is_made(contract: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"contracts\['greeting'\]: a contract is a tuple of names"):
        Resolver(contracts={"greeting": contract})


def test_contracts_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="contracts is a mapping"):
        Resolver(contracts=["greeting"])  # type: ignore[arg-type]


@pytest.mark.parametrize("contract", DECLARED.values(), ids=DECLARED)
def test_a_version_that_needs_more_is_held_back_and_the_last_good_one_serves(
    contract: Any, door: Door, langfuse: FakeLangfuse, *, clock: Clock, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse", contracts={"greeting": contract})
    good = door.find(resolver, "greeting")[0]
    langfuse.publish("greeting", "Hello {{name}} of {{company}}, {{city}}")
    with caplog.at_level(logging.WARNING):
        clock.ahead += 61
        assert door.find(resolver, "greeting") == (good, "stale")
        until(lambda: door.find(resolver, "greeting") == (good, "stale") and caplog.records)
        for _ in range(3):
            clock.ahead += 10_000  # whatever its age
            assert door.find(resolver, "greeting") == (good, "stale")
    (told,) = {record.getMessage() for record in caplog.records}
    assert "langfuse prompt 'greeting' (version 2) is held back: it needs company, city" in told


def test_each_version_held_back_is_told_of_once_and_a_good_one_takes_over(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = Resolver("langfuse", max_stale=0, contracts={"greeting": ("name",)})
    door.find(resolver, "greeting")
    texts = ["{{name}} {{city}}", "{{name}} {{city}}", "{{name}} {{street}}"]
    for number, text in enumerate(texts, 1):
        langfuse.publish("greeting", text)
        clock.ahead += 61
        until(lambda number=number: door.source(resolver, "greeting") == "stale" and len(caplog.records) == number)
    assert len(caplog.records) == 3
    langfuse.publish("greeting", "Bye {{name}}")
    clock.ahead += 61
    until(lambda: door.source(resolver, "greeting") == "cached")
    assert resolver.get_prompt("greeting").version == 5


def test_a_version_held_back_is_not_asked_for_more_often_than_any_other(
    door: Door, langfuse: FakeLangfuse, clock: Clock, until: Until
) -> None:
    resolver = Resolver("langfuse", max_stale=0, contracts={"greeting": ("name",)})
    door.find(resolver, "greeting")
    langfuse.publish("greeting", "{{name}} {{city}}")
    for ahead, requests in ((61, 2), (30, 2), (29, 2)):
        clock.ahead += ahead
        assert (door.source(resolver, "greeting"), langfuse.count) == ("stale", requests)
    clock.ahead += 2
    until(lambda: door.source(resolver, "greeting") == "stale" and langfuse.count == 3)


def test_without_a_last_good_version_it_is_asked_for_again_soon(
    door: Door, langfuse: FakeLangfuse, clock: Clock
) -> None:
    resolver = Resolver("langfuse", contracts={"greeting": ()})
    for ahead, requests in ((0, 1), (4, 1), (2, 2)):
        clock.ahead += ahead
        with pytest.raises(ContractError):
            door.find(resolver, "greeting")
        assert langfuse.count == requests


def test_without_a_last_good_version_the_error_names_the_difference(door: Door, langfuse: FakeLangfuse) -> None:
    langfuse.publish("greeting", " ".join(f"{{{{v{number}}}}}" for number in range(30)))
    with pytest.raises(ContractError, match=r"it needs v1, v2, .*v10, …, which its contract") as caught:
        door.find(Resolver("langfuse", contracts={"greeting": ("v0",)}), "greeting")
    assert caught.value.missing == tuple(f"v{number}" for number in range(1, 30))
    assert isinstance(caught.value, PromptConfigError)


def test_a_fallback_answers_for_a_version_held_back(door: Door, langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", contracts={"greeting": ()})
    assert door.source(resolver, "greeting", fallback="Hi") == "fallback"


def test_a_version_held_back_is_not_stored_over_the_good_one(
    door: Door, langfuse: FakeLangfuse, tmp_path: Path, until: Until
) -> None:
    contracts = {"greeting": ("name",)}
    good = Resolver("langfuse", store=tmp_path, contracts=contracts).get_prompt("greeting")
    until(lambda: list(tmp_path.glob("*.prompt")))
    langfuse.publish("greeting", "{{name}} {{city}}")
    for _ in range(2):
        assert door.find(Resolver("langfuse", store=tmp_path, contracts=contracts), "greeting") == (good, "store")
    stricter = Resolver("langfuse", store=tmp_path, contracts={"greeting": ()})
    with pytest.raises(ContractError, match=r"\(version 2\) is held back: it needs name, city"):
        door.find(stricter, "greeting")
    langfuse.stop()
    with pytest.raises(promptwire.BackendUnavailableError):
        door.find(Resolver("langfuse", store=tmp_path, contracts={"greeting": ()}), "greeting")


def test_a_broken_config_is_held_back_as_well(door: Door, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse", max_stale=0)
    good = door.find(resolver, "greeting")[0]
    langfuse.publish("greeting", "Hello {{name}}", config={"temperature": "warm"})
    clock.ahead += 61
    assert door.find(resolver, "greeting") == (good, "stale")


def test_placeholders_are_declared_like_variables_but_those_of_the_history() -> None:
    backend = MemoryBackend()
    slots = [{"type": "placeholder", "name": name} for name in ("history", "examples", "examples")]
    backend.publish("chat", [{"role": "system", "content": "{{a}} {{a}}"}, *slots])
    prompt = Resolver(backend).get_prompt("chat")
    assert undeclared(prompt, ()) == ("a", "examples")
    assert undeclared(prompt, ("a", "examples", "more")) == ()


def test_a_contract_may_be_for_one_backend_alone(langfuse: FakeLangfuse) -> None:
    memory = MemoryBackend({"greeting": "{{x}}"})
    resolver = Resolver("langfuse", contracts={"memory:greeting": ("x",), "greeting": ("name",)})
    assert resolver.get_prompt("greeting", backend=memory).variables == ("x",)
    assert resolver.get_prompt("langfuse:greeting").variables == ("name",)
    assert resolver.get_prompt("farewell").variables == ()
    with pytest.raises(ContractError):
        Resolver("langfuse", contracts={"langfuse:greeting": ()}).get_prompt("greeting")


def test_files_with_a_stamp_are_held_back_too(tmp_path: Path, door: Door) -> None:
    file = tmp_path / "greeting.yaml"

    def write(text: str, when: int) -> None:
        file.write_text(f"text: {text}")
        os.utime(file, (when, when))

    resolver = Resolver(FilesBackend(tmp_path), contracts={"greeting": ("name",)})
    write("Hello {{ name }}", 1)
    good = door.find(resolver, "greeting")[0]
    write("Hello {{ name }} of {{ company }}", 2)
    assert [door.find(resolver, "greeting") for _ in range(2)] == [(good, "stale")] * 2
    write("Bye, {{ name }}", 3)
    assert door.source(resolver, "greeting") == "fresh"


def test_contracts_survive_pickling(langfuse: FakeLangfuse) -> None:
    twin = pickle.loads(pickle.dumps(Resolver("langfuse", contracts={"greeting": Model, "farewell": ()})))  # noqa: S301
    assert twin.get_prompt("greeting").version == 1


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_completion_runs_on_the_last_good_version(colour: str, langfuse: FakeLangfuse, clock: Clock) -> None:
    resolver = Resolver("langfuse", max_stale=0, contracts={"greeting": ("name",)})
    with FakeOpenAI() as openai:
        call: dict[str, Any] = {
            "model": "langfuse/gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": "Ada"},
            "resolver": resolver, "api_key": openai.api_key, "api_base": openai.url,
        }  # fmt: skip
        for version in (1, 2):
            langfuse.publish("greeting", f"{version} {{{{name}}}}" + " {{city}}" * (version - 1))
            clock.ahead += 61
            answer = promptwire.completion(**call) if colour == "sync" else asyncio.run(promptwire.acompletion(**call))
            sent = openai.requests[-1].json["messages"][0]["content"]
            assert (answer.prompt.prompt_version, sent) == (2, "1 Ada")
    assert answer.prompt.prompt_source == "stale"
