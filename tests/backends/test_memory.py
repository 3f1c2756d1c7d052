"""Prompts held in memory."""

import copy
import pickle

import pytest

from promptwire import PromptSummary, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import PromptConfigError, PromptNotFoundError, TemplateError


def test_versions_and_labels() -> None:
    backend = MemoryBackend({"p": "one"})
    resolver = Resolver(backend)
    assert (resolver.get_prompt("p").text, resolver.find("p")[1]) == ("one", "cached")
    assert backend.publish("p", "two", labels=["staging", "production"]) == 2
    assert backend.publish("p", "three", labels=["staging"]) == 3
    assert resolver.get_prompt("p") == resolver.get_prompt("p", version=3)
    assert resolver.get_prompt("p", label="staging").version == 3
    assert resolver.get_prompt("p", label="production").version == 2
    assert resolver.get_prompt("p", version=2).labels == ("production",)
    assert resolver.get_prompt("p", version=1).text == "one"


def test_what_does_not_exist() -> None:
    backend = MemoryBackend({"p": "one"})
    resolver = Resolver(backend)
    for selector in ({"version": 2}, {"label": "staging"}):
        with pytest.raises(PromptNotFoundError, match=r"memory prompt 'p' \(.*publish\(\) it first"):
            resolver.get_prompt("p", **selector)
    with pytest.raises(PromptNotFoundError, match="memory prompt 'q'"):
        resolver.get_prompt("q")
    backend.publish("q", "now")
    assert resolver.get_prompt("q").text == "now"


def test_an_edit_is_seen_at_once() -> None:
    backend = MemoryBackend({"p": "one"})
    resolver = Resolver(backend)
    assert [resolver.find("p")[1], resolver.find("p")[1]] == ["fresh", "cached"]
    backend.publish("p", "two")
    assert resolver.find("p")[1] == "fresh"
    assert resolver.get_prompt("p").text == "two"


def test_chats_dialects_and_configs() -> None:
    backend = MemoryBackend({"chat": [{"type": "placeholder", "name": "history"}, {"role": "user", "content": "Hi"}]})
    backend.publish("jinja", "{% if a %}{{ a }}{% endif %}", dialect="jinja", config={"model": "gpt-4o", "own": 1})
    resolver = Resolver(backend)
    assert resolver.get_prompt("chat").placeholders == ("history",)
    rendered = resolver.resolve("jinja", variables={"a": "x"})
    assert (rendered.messages[0]["content"], rendered.model, rendered.params) == ("x", "gpt-4o", {})
    with pytest.raises(TemplateError, match="memory prompt 'broken' \\(version 1\\)"):
        backend.publish("broken", "{% if %}", dialect="jinja")
    with pytest.raises(PromptConfigError, match="config key 'n'"):
        backend.publish("broken", "x", config={"n": "many"})


def test_listing() -> None:
    backend = MemoryBackend({"b": "x", "a": "y"})
    backend.publish("b", "z", labels=["production"])
    assert Resolver(backend).list_prompts() == [PromptSummary("a", (1,)), PromptSummary("b", (1, 2), ("production",))]


def test_two_are_two_and_a_copy_is_the_same() -> None:
    first, second = MemoryBackend({"p": "1"}), MemoryBackend({"p": "2"})
    resolver = Resolver(first)
    assert resolver.get_prompt("p", backend=second).text == "2"
    assert resolver.get_prompt("p").text == "1"
    assert copy.deepcopy(first) is first
    sent: MemoryBackend = pickle.loads(pickle.dumps(first))  # noqa: S301
    sent.publish("p", "3")
    assert Resolver(sent).get_prompt("p").text == "3"
    assert resolver.get_prompt("p").text == "1"
