"""Humanloop's prompts called as LiteLLM's users call them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import promptwire
from promptwire.testing import FakeHumanloop, FakeOpenAI


@pytest.fixture
def humanloop() -> Iterator[FakeHumanloop]:
    with FakeHumanloop() as server:
        yield server


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


def call(model: FakeOpenAI, humanloop: FakeHumanloop, **options: Any) -> Mapping[str, Any]:
    """LiteLLM's call; the JSON that the model was sent."""
    promptwire.completion(
        model="humanloop/gpt-4o-mini",
        humanloop_api_key=humanloop.api_key,
        humanloop_base_url=humanloop.url,
        api_key=model.api_key,
        api_base=model.url,
        **options,
    )
    sent: Mapping[str, Any] = model.requests[-1].json
    return sent


def test_the_call_of_litellms_users(model: FakeOpenAI, humanloop: FakeHumanloop) -> None:
    template = [{"role": "system", "content": "You are {{p}}"}, {"role": "user", "content": "{{q}}"}]
    humanloop.publish("x", template, prompt_id="pr_1", model="gpt-4o", temperature=0.5, tools=[], stop=None)
    ignored = [{"role": "user", "content": "This will be ignored"}]
    sent = call(model, humanloop, prompt_id="pr_1", prompt_variables={"p": "kind", "q": "Why?"}, messages=ignored)
    assert sent == {
        "model": "gpt-4o",
        "temperature": 0.5,
        "messages": [{"role": "system", "content": "You are kind"}, {"role": "user", "content": "Why?"}],
    }


def test_a_text_template_is_one_user_message(model: FakeOpenAI, humanloop: FakeHumanloop) -> None:
    humanloop.publish("team/x", "Say {{word}}", model=None)
    sent = call(model, humanloop, prompt_id="team/x", prompt_variables={"word": "yes"}, temperature=0.1)
    assert sent == {
        "model": "gpt-4o-mini",
        "temperature": 0.1,
        "messages": [{"role": "user", "content": "Say yes"}],
    }


def test_version_and_environment_by_the_call(model: FakeOpenAI, humanloop: FakeHumanloop) -> None:
    first = humanloop.publish("x", "one", environments=["staging"])
    humanloop.publish("x", "two", environments=["production"])
    wanted = [({"prompt_version": first}, "one"), ({"prompt_label": "staging"}, "one"), ({}, "two")]
    for options, text in wanted:
        assert call(model, humanloop, prompt_id="x", **options)["messages"][0]["content"] == text


def test_a_folder_by_the_call(model: FakeOpenAI, tmp_path: Path) -> None:
    (tmp_path / "x.prompt").write_text("---\nmodel: gpt-4o\n---\n<user>\n  Hi {{name}}\n</user>\n")
    answer: Any = promptwire.completion(
        model="humanloop/gpt-4o-mini", prompt_id="x", prompt_variables={"name": "Ann"}, humanloop_dir=str(tmp_path),
        api_key=model.api_key, api_base=model.url,
    )  # fmt: skip
    assert model.requests[-1].json["messages"] == [{"role": "user", "content": "Hi Ann"}]
    assert (answer.prompt.prompt_backend, answer.prompt.passed_over) == ("humanloop", ())
