"""The public contract tests, on every backend that ships."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptwire import Prompt, PromptRef
from promptwire.backends.files import FilesBackend
from promptwire.backends.http import Http
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.frozen import thaw
from promptwire.testing import FakeLangfuse
from promptwire.testing.contract import SEEDS, BackendContract


class TestMemory(BackendContract):
    def open(self) -> MemoryBackend:
        backend = MemoryBackend()
        for seed in SEEDS:
            assert backend.publish(seed.id, seed.content, labels=seed.labels, config=seed.config) == seed.version
        return backend


class TestFiles(BackendContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open(self) -> FilesBackend:
        for seed in SEEDS:
            path = self.folder / f"{seed.id}@{seed.version}.yaml"
            path.parent.mkdir(exist_ok=True)
            body: dict[str, Any] = {"labels": list(seed.labels), "template_format": "mustache"}
            config = dict(seed.config)
            config.pop("api_base", None)  # a file has no key for it
            if model := config.pop("model", None):
                body["model"] = model
            body["params"] = config
            body |= {"text": seed.content} if isinstance(seed.content, str) else {"messages": _messages(seed.content)}
            path.write_text(yaml.safe_dump(body))
        return FilesBackend(self.folder)


class TestLangfuse(BackendContract):
    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with FakeLangfuse() as server:
            for name, value in server.env.items():
                monkeypatch.setenv(name, value)
            for seed in SEEDS:
                server.publish(seed.id, thaw(seed.content), labels=seed.labels, config=seed.config)
            yield

    def open(self) -> LangfuseBackend:
        return LangfuseBackend()


def _messages(content: Sequence[Mapping[str, Any]]) -> list[object]:
    return [{"placeholder": m["name"]} if m.get("type") == "placeholder" else dict(m) for m in content]


def test_a_contract_needs_a_backend() -> None:
    with pytest.raises(NotImplementedError):
        BackendContract().open()


def test_a_backend_that_finds_everything_is_found_out() -> None:
    class Careless(MemoryBackend):
        def fetch(self, ref: PromptRef, http: Http) -> Prompt:
            return Prompt(ref.id, text="x", version=1)

    class Contract(BackendContract):
        def open(self) -> MemoryBackend:
            return Careless()

    with pytest.raises(AssertionError):
        Contract().test_unknown_ids()
