"""The eight endpoints, and what they send and answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

import promptwire
from promptwire import ConfigurationError, MissingVariablesError, PromptNotFoundError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI

Call = Callable[..., Awaitable[list[Any]]]

IGNORED = "<IGNORED>"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello Ada"}]}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def text_of(answer: Any) -> str:
    return answer.text if isinstance(answer, CompletionResponse) else answer.message.content


@pytest.mark.parametrize("llm_class", [Promptwire, PromptwireGateway])
def test_what_they_are(llm_class: type[FunctionCallingLLM]) -> None:
    names = [base.__name__ for base in llm_class.__mro__]
    assert BaseLLM.__name__ in names
    assert FunctionCallingLLM.__name__ in names
    assert llm_class.class_name() == llm_class.__name__


def test_it_needs_no_argument() -> None:
    assert Promptwire().metadata.is_chat_model


async def test_the_prompt_is_sent_and_the_callers_words_are_not(
    endpoint: str, call: Call, llm: Promptwire, openai: FakeOpenAI
) -> None:
    answers = await call(llm, endpoint)
    assert openai.requests[-1].json == BODY | (STREAMED if "stream" in endpoint else {})
    assert openai.count == 1
    assert text_of(answers[-1]) == "[gpt-4o-mini] Hello Ada"
    assert answers[-1].raw["usage"]["total_tokens"] == answers[-1].additional_kwargs["total_tokens"] == 6
    if "stream" in endpoint:
        assert len(answers) > 3
        assert "".join(one.delta for one in answers) == text_of(answers[-1])


async def test_every_answer_names_its_prompt(endpoint: str, call: Call, llm: Promptwire) -> None:
    for answer in await call(llm, endpoint):
        told = {key: value for key, value in answer.additional_kwargs.items() if key.startswith("prompt_")}
        del told["prompt_source"]
        told.pop("prompt_tokens", None)
        assert told == {
            "prompt_id": "greeting", "prompt_version": 1, "prompt_label": None, "prompt_backend": "memory"
        }  # fmt: skip
    again = (await call(llm, endpoint))[-1]
    assert again.additional_kwargs["prompt_source"] == "cached"


async def test_the_call_names_the_prompt(endpoint: str, call: Call, resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = Promptwire(model="gpt-4o-mini", resolver=resolver)
    answers = await call(llm, endpoint, prompt_id="greeting", prompt_variables={"name": "Bo"})
    assert openai.requests[-1].json["messages"] == [{"role": "user", "content": "Hello Bo"}]
    assert answers[-1].additional_kwargs["prompt_id"] == "greeting"


async def test_without_a_prompt_it_is_a_plain_call(endpoint: str, call: Call, openai: FakeOpenAI) -> None:
    answers = await call(Promptwire(model="gpt-4o-mini", temperature=0.5), endpoint, "Hi")
    sent = openai.requests[-1].json
    assert (sent["messages"], sent["temperature"]) == ([{"role": "user", "content": "Hi"}], 0.5)
    assert "prompt_id" not in answers[-1].additional_kwargs


async def test_a_chat_prompt_without_a_question_keeps_the_callers(
    endpoint: str, call: Call, persona: Promptwire, openai: FakeOpenAI
) -> None:
    await call(persona, endpoint, "Who are you?")
    assert openai.requests[-1].json["messages"] == [
        {"role": "system", "content": "You are Ada."},
        {"role": "user", "content": "Who are you?"},
    ]


async def test_errors_come_before_anything_is_sent(endpoint: str, llm: Promptwire, openai: FakeOpenAI) -> None:
    """With streams too: the call raises them, not the first step."""
    given = IGNORED if "complete" in endpoint else [ChatMessage(IGNORED)]
    for kwargs, error in (
        ({"prompt_id": "nowhere"}, PromptNotFoundError),
        ({"prompt_id": "tuned", "prompt_variables": {}, "prompt_version": 7}, PromptNotFoundError),
        ({"prompt_variables": "Ada"}, ConfigurationError),
        ({"prompt_label": "a", "prompt_version": 1}, ConfigurationError),
        ({"promt_id": "greeting"}, ConfigurationError),
        ({"api_key": "sk-other"}, ConfigurationError),
        ({"message_mode": "append"}, ConfigurationError),
    ):
        with pytest.raises(error):  # noqa: PT012 - the async ones raise when awaited
            answer = getattr(llm, endpoint)(given, **kwargs)
            if endpoint.startswith("a"):
                await answer
    assert openai.count == 0


@pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
async def test_streams_are_resolved_when_they_are_asked_for(
    endpoint: str, resolver: Resolver, openai: FakeOpenAI
) -> None:
    llm = Promptwire(model="gpt-4o-mini", prompt_id="greeting", resolver=resolver)
    with promptwire.variables(name="Cy"):
        answers = getattr(llm, endpoint)([])
        if endpoint == "astream_chat":
            answers = await answers
    steps = [one async for one in answers] if endpoint == "astream_chat" else list(answers)
    assert text_of(steps[-1]) == "[gpt-4o-mini] Hello Cy"


def test_nothing_to_send(openai: FakeOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="nothing to send"):
        Promptwire(model="gpt-4o").chat([])
    with pytest.raises(ConfigurationError, match="nothing to send"):
        PromptwireGateway(model="gpt-4o").chat([])


@pytest.mark.parametrize(
    "arguments",
    [{"model": "langfuse/gpt-4o"}, {"prompt_variables": {"name": "x"}}, {"prompt_label": "a"}, {"prompt_version": 1}],
)
def test_prompt_arguments_without_a_prompt(arguments: dict[str, Any], openai: FakeOpenAI) -> None:
    with pytest.raises(ConfigurationError, match="prompt_id="):
        Promptwire(**{"model": "gpt-4o", **arguments}).complete("Hi")


def test_missing_variables_are_all_named(library: MemoryBackend, llm: Promptwire, openai: FakeOpenAI) -> None:
    library.publish("two", "{{one}} {{two}}")
    with pytest.raises(MissingVariablesError) as caught:
        llm.complete("", prompt_id="two")
    assert caught.value.missing == ("one", "two")
    assert llm.complete("", prompt_id="two", missing="keep").text == "[gpt-4o-mini] {{one}} {{two}}"


def test_a_langfuse_prompt(monkeypatch: pytest.MonkeyPatch, openai: FakeOpenAI) -> None:
    with FakeLangfuse() as langfuse:
        for name, value in langfuse.env.items():
            monkeypatch.setenv(name, value)
        langfuse.publish("team/welcome", "Welcome {{name}}", config={"model": "gpt-4o", "temperature": 0.1})
        llm = Promptwire(model="langfuse/gpt-4o-mini", prompt_id="team/welcome", resolver=Resolver())
        answer = llm.complete(IGNORED, prompt_variables={"name": "Ada"})
    assert answer.text == "[gpt-4o] Welcome Ada"
    assert openai.requests[-1].json["temperature"] == 0.1
    assert answer.additional_kwargs["prompt_backend"] == "langfuse"
    assert llm.metadata.model_name == "gpt-4o-mini"


def test_three_loops_in_a_row(call: Call, llm: Promptwire, openai: FakeOpenAI) -> None:
    async def both() -> str:
        streamed = await call(llm, "astream_chat")
        return f"{text_of(streamed[-1])} {text_of((await call(llm, 'acomplete'))[0])}"

    for _ in range(3):
        assert asyncio.run(both()) == "[gpt-4o-mini] Hello Ada [gpt-4o-mini] Hello Ada"
    assert openai.count == 6
