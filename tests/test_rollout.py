"""Gradual rollout: sticky, spread by weight, the same in every process, and growing without moving anybody back."""

from __future__ import annotations

import asyncio
import hashlib
import math
import subprocess
import sys
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.llms.promptwire import Promptwire

import promptwire
from langchain_promptwire import ChatPromptwire
from promptwire import ConfigurationError, PromptNotFoundError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.calls import PromptCall
from promptwire.rollout import choose_label
from promptwire.testing import FakeOpenAI

if TYPE_CHECKING:
    from tests.conftest import Door

WEIGHTS = {"production": 90, "candidate": 10}
LABELS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
MANY = st.dictionaries(LABELS, st.floats(0.001, 1000), min_size=1, max_size=6)
KEYS = st.text(max_size=20) | st.integers()


@pytest.fixture
def resolver() -> Resolver:
    backend = MemoryBackend()
    for label in WEIGHTS:
        backend.publish("greeting", f"{label} {{{{name}}}}", labels=[label])
    return Resolver(backend)


def test_the_choice_is_the_one_that_is_documented() -> None:
    def time(label: str, weight: float) -> float:
        drawn = int.from_bytes(hashlib.sha256(f"support/reply\0{label}\0user-7".encode()).digest()[:8], "big")
        return -math.log((drawn + 1) / (2**64 + 1)) / weight

    expected = "production" if time("production", 90) < time("candidate", 10) else "candidate"
    assert choose_label("support/reply", WEIGHTS, "user-7") == expected
    # Written down, so that no later version sends anybody elsewhere.
    chosen = [choose_label("support/reply", {"a": 1, "b": 2, "c": 3}, key) for key in range(12)]
    assert "".join(map(str, chosen)) == "accabcacabbb"


def test_other_processes_choose_alike_whatever_their_hash_seed() -> None:
    script = "from promptwire.rollout import choose_label\n"
    script += f"print(*[choose_label('x', {WEIGHTS}, key) for key in range(200)])"
    told = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {" ".join(str(choose_label("x", WEIGHTS, key)) for key in range(200)) + "\n"}


@given(MANY, KEYS, st.randoms(use_true_random=False))
def test_the_order_and_the_scale_of_the_weights_do_not_matter(weights: dict[str, float], key: Any, random: Any) -> None:
    names = list(weights)
    random.shuffle(names)
    chosen = choose_label("x", weights, key)
    assert chosen in weights
    assert choose_label("x", {name: weights[name] for name in names}, key) == chosen
    assert choose_label("x", {name: weight * 8 for name, weight in weights.items()}, key) == chosen
    assert choose_label("x", MappingProxyType({**weights, "never": 0}), key) == chosen


@given(MANY, KEYS, st.floats(1, 100))
def test_raising_a_labels_weight_never_moves_anybody_away_from_it(
    weights: dict[str, float], key: Any, factor: float
) -> None:
    chosen = choose_label("x", weights, key)
    assert chosen is not None
    others = {name: weight / factor for name, weight in weights.items() if name != chosen}
    assert choose_label("x", {**weights, chosen: weights[chosen] * factor}, key) == chosen
    assert choose_label("x", {**others, chosen: weights[chosen]}, key) == chosen


def test_a_growing_rollout_only_ever_moves_users_to_the_candidate() -> None:
    before: set[int] = set()
    for percent in (0, 1, 5, 10, 25, 50, 90, 100):
        weights = {"production": 100 - percent, "candidate": percent}
        now = {user for user in range(3000) if choose_label("x", weights, user) == "candidate"}
        assert before <= now
        assert abs(len(now) - 30 * percent) < 150  # five standard deviations
        before = now


def test_each_label_has_its_share_and_prompts_are_independent() -> None:
    weights = {"a": 1, "b": 2, "c": 5}
    both = Counter((choose_label("x", weights, key), choose_label("y", weights, key)) for key in range(8000))
    for one, share in weights.items():
        for other, other_share in weights.items():
            expected = 8000 * share / 8 * other_share / 8
            assert abs(both[one, other] - expected) < 6 * math.sqrt(expected)


def test_without_a_key_each_call_draws_anew() -> None:
    drawn = Counter(choose_label("x", WEIGHTS) for _ in range(2000))
    assert 1650 < drawn["production"] < 1950
    assert drawn["production"] + drawn["candidate"] == 2000


def test_an_id_chooses_alike_with_and_without_its_backends_prefix() -> None:
    for key in range(50):
        assert choose_label("langfuse:x", WEIGHTS, key) == choose_label("x", WEIGHTS, key)


@pytest.mark.parametrize("key", ["", "\0", "\ud800", "x" * 10_000, 0, -1, 10**50, "production\0x"])
def test_any_text_and_number_is_a_key(key: Any) -> None:
    assert choose_label("x", WEIGHTS, key) == choose_label("x", dict(reversed(WEIGHTS.items())), key)


BAD: dict[str, tuple[Any, Any, str]] = {
    "nothing": ({}, None, "at least one label has a weight above 0"),
    "zeros": ({"a": 0, "b": 0.0}, None, "at least one label"),
    "negative": ({"a": 1, "b": -1}, None, "the weight of label 'b' is a number"),
    "not a number": ({"a": float("nan")}, None, "not nan"),
    "infinite": ({"a": float("inf")}, None, "not inf"),
    "huge": ({"a": 10**400}, None, "from 0 to 1e9"),
    "a flag": ({"a": True}, None, "not True"),
    "a text": ({"a": "90"}, None, "not '90'"),
    "no weight": ({"a": None}, None, "not None"),
    "an empty label": ({" ": 1}, None, "a label is a text"),
    "a label of another kind": ({1: 1}, None, "a label is a text"),
    "a list": (["a", "b"], None, "a label is a text"),
    "a key of another kind": (WEIGHTS, 1.5, "rollout_key is a text or a whole number, not float"),
    "a flag as a key": (WEIGHTS, True, "not bool"),
}


@pytest.mark.parametrize(("label", "key", "message"), BAD.values(), ids=BAD)
def test_what_is_no_rollout_is_refused(label: Any, key: Any, message: str, door: Door, resolver: Resolver) -> None:
    for call in (door.find, door.resolve):
        with pytest.raises(ConfigurationError, match=message):
            call(resolver, "greeting", label=label, rollout_key=key)


def test_a_version_beside_weights_is_refused(door: Door, resolver: Resolver) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        door.find(resolver, "greeting", label=WEIGHTS, version=1)


def test_a_resolver_serves_the_chosen_label_from_its_cache_and_tells_it(door: Door, resolver: Resolver) -> None:
    seen = set()
    for key in range(60):
        expected = choose_label("greeting", WEIGHTS, key)
        rendered = door.resolve(resolver, "greeting", variables={"name": "Ada"}, label=WEIGHTS, rollout_key=key)
        assert rendered.label == expected
        assert rendered.messages == [{"role": "user", "content": f"{expected} Ada"}]
        assert door.find(resolver, "greeting", label=WEIGHTS, rollout_key=key)[0] is rendered.prompt
        assert rendered.source == ("fresh" if expected not in seen else "cached")
        seen.add(expected)
    assert seen == set(WEIGHTS)
    assert door.resolve(resolver, "greeting", variables={"name": "x"}, label="candidate").label == "candidate"
    assert door.resolve(resolver, "greeting", variables={"name": "x"}).label is None


def test_a_label_that_does_not_exist_is_an_error_for_those_it_was_chosen_for(door: Door, resolver: Resolver) -> None:
    weights = {"production": 1, "gone": 1}
    keys = {choose_label("greeting", weights, key): key for key in range(50)}
    assert door.find(resolver, "greeting", label=weights, rollout_key=keys["production"])[0].version == 1
    with pytest.raises(PromptNotFoundError, match="'gone'"):
        door.find(resolver, "greeting", label=weights, rollout_key=keys["gone"])


def test_a_call_keeps_the_label_that_it_drew() -> None:
    call = PromptCall(prompt_id="x", label=WEIGHTS)
    assert call.label in WEIGHTS
    assert {call.options().get("label") for _ in range(20)} == {call.label}
    assert PromptCall(prompt_id="x", label="a", rollout_key="b").label == "a"


def _ask(front: str, resolver: Resolver, openai: FakeOpenAI, key: Any) -> dict[str, Any]:
    """What an answer of a front door tells of its prompt."""
    own: dict[str, Any] = {
        "model": "openai/gpt-4o", "prompt_id": "greeting", "prompt_variables": {"name": "Ada"}, "resolver": resolver,
        "prompt_label": WEIGHTS, "api_key": openai.api_key, "base_url": openai.url,
    }  # fmt: skip
    match front:
        case "completion":
            return vars_of(promptwire.completion(**own, rollout_key=key).prompt)
        case "acompletion":
            return vars_of(asyncio.run(promptwire.acompletion(**own, rollout_key=key)).prompt)
        case "langchain":
            return dict(ChatPromptwire(**own, rollout_key=key).invoke([]).response_metadata)
        case "langchain, per call":
            return dict(ChatPromptwire(**own).invoke([], rollout_key=key).response_metadata)
        case "llama_index":
            return dict(Promptwire(**own, rollout_key=key).chat([]).additional_kwargs)
        case _:
            return dict(Promptwire(**own).chat([], rollout_key=key).additional_kwargs)


def vars_of(info: Any) -> dict[str, Any]:
    return {name: getattr(info, name) for name in ("prompt_label", "prompt_version")}


@pytest.mark.parametrize(
    "front",
    ["completion", "acompletion", "langchain", "langchain, per call", "llama_index", "llama_index, per call"],
)
def test_every_front_door_asks_for_the_chosen_label_and_tells_it(front: str, resolver: Resolver) -> None:
    seen = set()
    with FakeOpenAI() as openai:
        for key in ("user-1", "user-2", 3, *range(10, 30)):
            expected = choose_label("greeting", WEIGHTS, key)
            told = _ask(front, resolver, openai, key)
            assert told["prompt_label"] == expected
            assert told["prompt_version"] == list(WEIGHTS).index(expected) + 1  # type: ignore[arg-type]
            assert openai.requests[-1].json["messages"][0]["content"] == f"{expected} Ada"
            assert "rollout_key" not in openai.requests[-1].json
            seen.add(expected)
    assert seen == set(WEIGHTS)
