"""What others have named, in errors and logs: it begins no line of its own, and drives no terminal."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import promptwire
from promptwire import BackendUnavailableError, PromptwireError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI
from promptwire.unseen import UNSEEN

NAME = "x\nCRITICAL:root:forged\x1b]0;owned\x07\x9b\u202ey"
Publish = Callable[..., Resolver]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publish]:
    backend = MemoryBackend()

    def published(content: Any, **config: Any) -> Resolver:
        backend.publish("p", content, config=config)
        return Resolver(backend)

    with FakeOpenAI() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield published


def call(resolver: Resolver, **given: Any) -> object:
    return promptwire.completion(model="gpt-4o", prompt_id="p", resolver=resolver, max_retries=0, **given)


def placeholder(publish: Publish, _: Path) -> object:
    return publish([{"type": "placeholder", "name": NAME}]).resolve("p")


def variable(publish: Publish, _: Path) -> object:
    return publish("Hi").resolve("p", variables={NAME: 1})


def model_not_allowed(publish: Publish, _: Path) -> object:
    return call(publish("Hi", model=NAME), allowed_models=("gpt-4o",))


def model_without_key(publish: Publish, _: Path) -> object:
    return call(publish("Hi", model=NAME, provider="mistral"))


def model_refused(publish: Publish, _: Path) -> object:
    with FakeOpenAI() as refusing:
        refusing.fail(404)
        return call(publish("Hi", model=NAME), api_base=refusing.url, api_key=refusing.api_key)


def version_and_a_stores_error(_: Publish, __: Path) -> object:
    class Failing:
        shared = False

        def get(self, *_: object) -> None:
            raise OSError(NAME)

        put = drop = get

    resolver = Resolver(MemoryBackend(), store=Failing())
    return resolver.find("p", version="CRITICAL\x9b\u202e")


def held_back(_: Publish, __: Path) -> object:
    backend = MemoryBackend()
    backend.publish("held", "fine")
    resolver = Resolver(backend, cache_ttl=0, contracts={"held": ()})
    resolver.get_prompt("held")
    backend.publish("held", [{"type": "placeholder", "name": NAME}])
    return resolver.get_prompt("held")


def jinja(_: Publish, folder: Path) -> object:
    name = repr(NAME).replace("'", '"')
    (folder / "j.yaml").write_text(f"text: '{{{{ x[{name}] }}}}'", "utf-8")
    return Resolver("files", store=False).resolve("j", variables={"x": {}})


def file_in_a_listing(_: Publish, folder: Path) -> object:
    (folder / "CRITICAL\x9b\u202e.yaml").write_text("text: [", "utf-8")
    return Resolver("files", store=False).list_prompts()


def request_shown(publish: Publish, _: Path) -> object:
    return call(publish(f"CRITICAL {NAME}"))


def third_partys_record(_: Publish, __: Path) -> None:
    logging.getLogger("promptwire").warning("%(name)s", {"name": NAME})


def third_partys_error(_: Publish, __: Path) -> object:
    class OwnError(BackendUnavailableError):
        def __init__(self, what: str) -> None:
            self.what = what

    raise OwnError(NAME)


DOORS = [
    placeholder, variable, model_not_allowed, model_without_key, model_refused, version_and_a_stores_error,
    held_back, jinja, file_in_a_listing, request_shown, third_partys_record, third_partys_error,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_names_are_told_on_one_line_and_readably(
    door: Callable[[Publish, Path], object],
    publish: Publish,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    caplog.set_level(logging.DEBUG, "promptwire")
    told = ""
    try:
        door(publish, tmp_path)
    except PromptwireError as error:
        told = str(error)
    told += "".join(f"\n{record.getMessage()}" for record in caplog.records if record.name == "promptwire")
    assert "CRITICAL" in told
    assert "\nCRITICAL" not in told
    assert UNSEEN.findall(told) == []
