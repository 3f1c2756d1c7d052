"""What is settled before a call: metadata, ``prime`` and ``pin``."""

import copy
import pickle
from typing import Any

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import TextNode
from llama_index.core.utils import get_tokenizer
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from promptwire import PromptNotFoundError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeLangfuse, FakeOpenAI


async def prime(llm: Promptwire, colour: str) -> Promptwire:
    return await llm.aprime() if colour == "async" else llm.prime()


async def pin(llm: Promptwire, colour: str) -> Promptwire:
    return await llm.apin() if colour == "async" else llm.pin()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


def model_of(llm: Promptwire) -> tuple[str, int, int]:
    told = llm.metadata
    return told.model_name, told.context_window, told.num_output


async def test_prime_tells_of_the_model_that_the_prompt_names(
    colour: str, library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI
) -> None:
    delegate = OpenAI(model="gpt-4", api_key="sk-x", api_base=openai.url, max_tokens=7)
    llm = Promptwire(llm=delegate, prompt_id="tuned", resolver=resolver)
    assert model_of(llm) == ("gpt-4", 8192, 7)
    assert await prime(llm, colour) is llm
    size = len(get_tokenizer()("Hello {{name}}"))
    assert model_of(llm) == ("gpt-4o", 128000 - size, 50)
    assert model_of(llm.bind(prompt_id="persona")) == ("gpt-4", 8192, 7)
    assert openai.count == 0


async def test_prime_makes_the_factorys_llm(colour: str, library: MemoryBackend) -> None:
    library.publish("big", "Hi", config={"model": "claude-x"})

    def make(*, provider: str, model: str) -> LLM:
        return PromptwireGateway(model=f"{provider}/{model}", context_window=200_000)

    llm = Promptwire(llm_factory=make, prompt_id="big", resolver=Resolver(library))
    assert model_of(llm) == ("unknown", 3900, 256)
    await prime(llm, colour)
    assert model_of(llm) == ("claude-x", 199_999, 256)


async def test_fields_overrule_what_is_known(colour: str, resolver: Resolver) -> None:
    stated: dict[str, Any] = {
        "context_window": 900,
        "num_output": 5,
        "is_function_calling_model": False,
        "model_name": "mine",
    }
    llm = Promptwire(llm=MockLLM(), prompt_id="persona", resolver=resolver, **stated)
    assert {name: getattr(llm.metadata, name) for name in stated} == stated
    await prime(llm, colour)
    size = len(get_tokenizer()("You are {{name}}."))
    assert {name: getattr(llm.metadata, name) for name in stated} == {**stated, "context_window": 900 - size}


async def test_prime_without_a_prompt_or_a_model(colour: str, resolver: Resolver, mock: Any) -> None:
    plain = await prime(Promptwire(llm=mock(), max_tokens=9), colour)
    assert (plain.metadata.num_output, plain.metadata.context_window) == (9, 3900)
    with pytest.raises(PromptNotFoundError):
        await prime(Promptwire(llm=mock(), prompt_id="nowhere", resolver=resolver), colour)


def test_the_engine_packs_into_what_the_prompt_leaves(library: MemoryBackend, mock: Any) -> None:
    """A 600-token managed system prompt is none of LlamaIndex's business, but takes its place in the window."""
    library.publish("long", [{"role": "system", "content": "word " * 600}])
    sent: list[int] = []

    def answer(messages: Any, **_: Any) -> ChatMessage:
        sent.append(len(get_tokenizer()("\n".join(one.content for one in messages))))
        return ChatMessage("ok", role="assistant")

    index = SummaryIndex([TextNode(text="fact " * 3000)])
    llm = Promptwire(
        llm=mock(response_generator=answer), prompt_id="long", resolver=Resolver(library), context_window=1500
    )  # fmt: skip
    asking: dict[str, Any] = {"response_mode": "tree_summarize", "embed_model": MockEmbedding(8)}
    index.as_query_engine(llm=llm.prime(), **asking).query("What?")
    assert max(sent) <= 1500 - 256
    sent.clear()
    index.as_query_engine(llm=llm.bind(prompt_id="long"), **asking).query("What?")
    assert max(sent) > 1500 - 256


class Unresolved(Resolver):
    """Fails whoever looks for a prompt."""

    def find(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("looked for a prompt")

    afind = find


def test_what_engines_and_callbacks_ask_of_an_llm_resolves_nothing() -> None:
    llm = Promptwire(model="gpt-4o", prompt_id="x", resolver=Unresolved()).bind(seed=3, model="groq/x")
    assert llm.metadata.model_name == "x"
    told = (llm.to_payload(), llm.to_dict(), llm.to_json(), repr(llm), copy.deepcopy(llm), llm.class_name())
    assert all(told)
    assert llm.as_structured_llm(type("Out", (Promptwire,), {})).metadata == llm.metadata
    llm._log_template_data(PromptTemplate("{a}"), a=1)  # noqa: SLF001 - what predict does first


async def test_a_pin_stays_with_one_version(
    colour: str, library: MemoryBackend, persona: Promptwire, openai: FakeOpenAI
) -> None:
    pinned = await pin(persona, colour)
    assert (pinned.prompt_version, persona.prompt_version) == (1, None)
    library.publish("persona", [{"role": "system", "content": "You were {{name}}."}])
    said = {}
    fresh = persona.bind()
    fresh._resolver = Resolver(library)  # noqa: SLF001 - whose cache is empty
    for name, llm in (("pinned", pinned), ("bound", pinned.bind(seed=1)), ("fresh", fresh)):
        answer = llm.chat([ChatMessage("Hi")])
        said[name] = (openai.requests[-1].json["messages"][0]["content"], answer.additional_kwargs["prompt_version"])
    assert said == {"pinned": ("You are Ada.", 1), "bound": ("You are Ada.", 1), "fresh": ("You were Ada.", 2)}


async def test_a_pin_stays_with_the_content(colour: str, monkeypatch: pytest.MonkeyPatch, openai: FakeOpenAI) -> None:
    """A prompt composed of others changes under its version when one of these does; and an outage is no matter."""
    with FakeLangfuse() as langfuse:
        for name, value in langfuse.env.items():
            monkeypatch.setenv(name, value)
        langfuse.publish("part", "Old")
        langfuse.publish(
            "whole", "@@@langfusePrompt:name=part|label=production@@@ {{what}}", labels=["production", "b"]
        )
        llm = Promptwire(
            model="langfuse/gpt-4o", prompt_id="whole", prompt_label="b", resolver=Resolver(cache_ttl=0)
        )  # fmt: skip
        pinned = await pin(llm, colour)
        langfuse.publish("part", "New")
        assert llm.complete("", prompt_variables={"what": "way"}).text == "[gpt-4o] New way"
        asked = langfuse.count
        assert pinned.complete("", prompt_variables={"what": "way"}).text == "[gpt-4o] Old way"
        assert langfuse.count == asked
    answer = pinned.complete("", prompt_variables={"what": "way"})
    told = {key: value for key, value in answer.additional_kwargs.items() if key.startswith("prompt_")}
    del told["prompt_tokens"]
    assert told == {
        "prompt_id": "whole", "prompt_version": 1, "prompt_label": None, "prompt_backend": "langfuse",
        "prompt_source": "cached",
    }  # fmt: skip


async def test_a_pin_is_of_one_prompt(
    colour: str, library: MemoryBackend, resolver: Resolver, persona: Promptwire, openai: FakeOpenAI
) -> None:
    pinned = await pin(persona, colour)
    library.publish("persona", "v2 {{name}}", labels=["staging"])
    for call, wanted in (
        ({"prompt_id": "greeting"}, "Hello Ada"),
        ({"prompt_version": 2}, "v2 Ada"),
        ({"prompt_label": "staging"}, "v2 Ada"),
        ({"prompt_version": 1}, "Hi"),
        ({"prompt_id": "persona"}, "Hi"),
    ):
        pinned.chat([ChatMessage("Hi")], **call)
        assert openai.requests[-1].json["messages"][-1]["content"] == wanted
        pinned.bind(**call).chat([ChatMessage("Hi")])
        assert openai.requests[-1].json["messages"][-1]["content"] == wanted


async def test_a_pin_knows_its_metadata_and_travels(colour: str, resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = Promptwire(model="gpt-4", prompt_id="tuned", prompt_variables={"name": "Ada"}, resolver=resolver)
    pinned = await pin(llm, colour)
    assert (llm.metadata.model_name, pinned.metadata.model_name) == ("gpt-4", "gpt-4o")
    unpickled = pickle.loads(pickle.dumps(pinned))  # noqa: S301 - our own
    for twin in (unpickled, copy.deepcopy(pinned)):
        twin._resolver = Unresolved()  # noqa: SLF001 - it is not to be asked
        assert twin.metadata == pinned.metadata
        assert twin.chat([]).message.content == "[gpt-4o] Hello Ada"


async def test_a_pin_of_a_prompt_without_versions_and_of_none(
    colour: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, openai: FakeOpenAI
) -> None:
    (tmp_path / "hi.yaml").write_text("text: Old")
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    llm = Promptwire(model="files/gpt-4o", prompt_id="hi", resolver=Resolver())
    pinned = await pin(llm, colour)
    (tmp_path / "hi.yaml").write_text("text: New text")
    assert llm.complete("").text == "[gpt-4o] New text"
    assert pinned.complete("").text == "[gpt-4o] Old"
    nothing = await pin(Promptwire(model="gpt-4o"), colour)
    assert nothing.complete("Hi").text == "[gpt-4o] Hi"
    fallen = await pin(Promptwire(model="files/gpt-4o", prompt_id="no", resolver=Resolver(), fallback="F"), colour)
    answer = fallen.complete("")
    assert (answer.text, answer.additional_kwargs["prompt_source"]) == ("[gpt-4o] F", "fallback")
