"""What every backend must do, as tests to inherit.

class TestMine(BackendContract):
    def open(self) -> Backend:
        store = MyStore()
        for seed in SEEDS:
            store.save(seed.id, seed.content, version=seed.version, labels=seed.labels, config=seed.config)
        return MyBackend(store)
"""

import asyncio
import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from promptwire.backends import Backend
from promptwire.errors import PromptNotFoundError, PromptwireError
from promptwire.prompts import Prompt
from promptwire.publishing import Pushed
from promptwire.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Seed:
    """A prompt version that the backend under test is to hold, published in the order of ``SEEDS``."""

    id: str
    version: int
    content: str | Sequence[Mapping[str, Any]]
    labels: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


SEEDS = (
    Seed("greeting", 1, "Hello {{name}}!", ("staging",)),
    Seed("greeting", 2, "Good day, {{name}} of {{place}}.", ("production",), {"model": "gpt-4o", "temperature": 0.5}),
    Seed(
        "team/support reply",
        1,
        [
            {"role": "system", "content": "You help {{company}}."},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "content": "{{question}}"},
        ],
        ("production",),
        {"model": "gpt-4o-mini", "api_base": "http://127.0.0.1:9", "max_tokens": 50},
    ),
)

STRANGE_IDS = ("nothing", "a?b#c", "100% sure", "naïve/ünï", "x" * 300, "greeting@2x", "a&label=staging", "%2e%2e/x")


class BackendContract:
    """Subclass it as ``Test…``, implement ``open``; switch off what the vendor doesn't have."""

    has_versions = True
    has_labels = True
    has_placeholders = True
    default_version = 2
    """The version of ``greeting`` that neither label nor version means."""

    def open(self) -> Backend:
        """A new backend that holds ``SEEDS``."""
        raise NotImplementedError

    def named(self, version: int) -> int | str:
        """What the vendor calls a seed's version."""
        return version

    def resolver(self, **options: Any) -> Resolver:
        """A resolver over a new backend."""
        return Resolver(self.open(), **options)

    def test_text(self) -> None:
        rendered = self.resolver().resolve("greeting", variables={"name": "Ann", "place": "Ulm"})
        assert rendered.messages == [{"role": "user", "content": "Good day, Ann of Ulm."}]
        assert rendered.prompt.version == self.named(self.default_version)
        assert (rendered.model, rendered.params) == ("gpt-4o", {"temperature": 0.5})
        assert rendered.prompt.variables == ("name", "place")

    def test_chat(self) -> None:
        history = [{"role": "user", "content": "{{company}}?"}, {"role": "assistant", "content": "Yes."}]
        if not self.has_placeholders:
            history = []
        rendered = self.resolver().resolve(
            "team/support reply", variables={"company": "ACME", "question": "When?", "history": history}
        )
        assert rendered.messages == [
            {"role": "system", "content": "You help ACME."},
            *history,
            {"role": "user", "content": "When?"},
        ]
        assert rendered.prompt.placeholders == (("history",) if self.has_placeholders else ())

    def test_what_may_not_be_sent_is_not_a_parameter(self) -> None:
        prompt = self.resolver().get_prompt("team/support reply")
        assert prompt.settings() == {"max_tokens": 50}
        assert "api_base" not in prompt.params

    def test_both_colours_agree(self) -> None:
        resolver = self.resolver()
        assert asyncio.run(resolver.aget_prompt("greeting")) == resolver.get_prompt("greeting")

    def test_version(self) -> None:
        if self.has_versions:
            prompt = self.resolver().get_prompt("greeting", version=self.named(1))
            assert (prompt.text, prompt.version) == ("Hello {{name}}!", self.named(1))

    def test_label(self) -> None:
        if self.has_labels:
            prompt = self.resolver().get_prompt("greeting", label="staging")
            assert prompt.text == "Hello {{name}}!"
            assert "staging" in prompt.labels

    def test_unknown_ids(self) -> None:
        resolver = self.resolver()
        for prompt_id in STRANGE_IDS:
            error = _error_of(lambda: resolver.get_prompt(prompt_id))  # noqa: B023 - called at once
            assert isinstance(error, PromptNotFoundError), prompt_id
            assert resolver.get_prompt("greeting").backend in str(error)

    def test_unknown_version_and_label(self) -> None:
        resolver = self.resolver()
        if self.has_versions:
            assert isinstance(
                _error_of(lambda: resolver.get_prompt("greeting", version=self.named(99))), PromptNotFoundError
            )
        if self.has_labels:
            assert isinstance(_error_of(lambda: resolver.get_prompt("greeting", label="nobody")), PromptNotFoundError)

    def test_hostile_ids(self) -> None:
        resolver = self.resolver()
        for prompt_id in ("..", ".", "../greeting", "team/../greeting", "", " ", "a\0b", "a\nb"):
            error = _error_of(lambda: resolver.get_prompt(prompt_id))  # noqa: B023 - called at once
            assert isinstance(error, PromptwireError), prompt_id

    def test_list(self) -> None:
        listed = self.resolver().list_prompts()
        assert [summary.id for summary in listed] == ["greeting", "team/support reply"]
        if self.has_versions:
            assert sorted(listed[0].versions, key=str) == [self.named(1), self.named(2)]
        if self.has_labels:
            assert {"production", "staging"} <= set(listed[0].labels)

    def test_history(self) -> None:
        backend = self.open()
        if hasattr(backend, "history") and self.has_versions:
            resolver = Resolver(backend)
            told = resolver.history("greeting")
            assert asyncio.run(resolver.ahistory("greeting")) == told
            assert [version.version for version in told] == [self.named(2), self.named(1)]
            assert resolver.history("greeting", limit=1) == told[:1]
            assert not self.has_labels or ["production" in version.labels for version in told] == [True, False]
            for version in told:
                assert version.created_at is None or version.created_at.tzinfo is not None
            assert isinstance(_error_of(lambda: resolver.history("nothing")), PromptNotFoundError)

    def test_what_is_there_is_not_pushed_again(self) -> None:
        backend = self.open()
        if hasattr(backend, "create"):
            resolver = Resolver(backend)
            for version in (1, 2):
                pushed = resolver.push(resolver.get_prompt("greeting", version=self.named(version)))
                assert pushed == Pushed("greeting", self.named(version), created=False)
            chat = resolver.get_prompt("team/support reply")
            assert asyncio.run(resolver.apush(chat)).created is False
            assert len(resolver.list_prompts()[0].versions) == 2

    def test_a_push_moves_no_label_that_is_not_named(self) -> None:
        backend = self.open()
        if hasattr(backend, "create"):
            resolver = Resolver(backend)
            before = resolver.get_prompt("greeting", label="production")
            changed = replace(before, text="{{name}}!", version=None)
            assert resolver.push(changed, dry_run=True) == Pushed("greeting", None, created=True)
            pushed = resolver.push(changed, message="shorter")
            assert pushed == Pushed("greeting", self.named(3), created=True)
            assert resolver.get_prompt("greeting", label="production").version == before.version
            assert resolver.get_prompt("greeting", label="latest").text == "{{name}}!"
            assert resolver.history("greeting")[0].message in {None, "shorter"}

            assert resolver.push(changed, labels=["production"]).labels == ("production",)
            assert resolver.push(changed, labels=["production"]) == Pushed("greeting", self.named(3), created=False)
            assert resolver.get_prompt("greeting", label="production").version == self.named(3)
            assert "production" not in resolver.get_prompt("greeting", version=self.named(2)).labels

    def test_many_threads(self) -> None:
        resolver = self.resolver()
        with ThreadPoolExecutor(8) as pool:
            prompts = list(pool.map(lambda _: resolver.get_prompt("greeting"), range(32)))
        assert len({id(prompt) for prompt in prompts}) == 1

    def test_an_answer_keeps_its_hash(self) -> None:
        backend = self.open()
        hashes = {Resolver(backend).get_prompt("greeting").content_hash for _ in range(2)}
        assert len(hashes) == 1

    def test_identity(self) -> None:
        backend = self.open()
        assert hash((backend.name, backend.identity)) == hash((backend.name, backend.identity))
        assert copy.deepcopy(backend).identity == backend.identity

    def test_prompts_are_immutable_and_pickle(self) -> None:
        resolver = self.resolver()
        prompt = resolver.get_prompt("team/support reply")
        twin: Prompt = pickle.loads(pickle.dumps(prompt))  # noqa: S301 - made a moment ago
        assert (twin, twin.content_hash) == (prompt, prompt.content_hash)
        resolver.resolve("team/support reply", variables={"company": "", "question": ""}).messages[0]["content"] = "x"
        prompt.settings()["max_tokens"] = 1
        assert resolver.get_prompt("team/support reply") == twin

    def test_pickle(self) -> None:
        assert pickle.loads(pickle.dumps(self.resolver()))  # noqa: S301 - made a moment ago


def _error_of(call: Callable[[], object]) -> PromptwireError | None:
    try:
        call()
    except PromptwireError as error:
        return error
    return None
