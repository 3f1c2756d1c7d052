"""Answers as objects of a class, on all four paths, by each delegate's own means."""

import copy
import json
from collections.abc import AsyncGenerator, Callable
from importlib.metadata import version
from typing import Any

import pytest
from llama_index.core import PromptTemplate, SummaryIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.schema import TextNode
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire
from pydantic import BaseModel

import promptwire
from promptwire import PromptNotFoundError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

pytestmark = pytest.mark.filterwarnings("ignore:The 'output_format' parameter:DeprecationWarning")  # Anthropic's

OLDEST = version("llama-index-core") == "0.14.5"
PATHS = ["structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict"]
ULM: dict[str, Any] = {"name": "Ulm", "people": 126000}
TELL = PromptTemplate("Tell me of the City {place}.")


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


async def predicted(llm: LLM, path: str, *args: Any, **kwargs: Any) -> list[Any]:
    """All that a path answers."""
    answer = getattr(llm, path)(*args, **kwargs)
    if path.startswith("a"):
        answer = await answer
    if "stream" not in path:
        return [answer]
    return [one async for one in answer] if path.startswith("a") else list(answer)


def over(name: str, delegates: Any, library: MemoryBackend, **more: Any) -> Promptwire:
    given = {"prompt_id": "persona", "prompt_variables": {"name": "Ada"}, **more}
    return Promptwire(llm=delegates.make(name), resolver=Resolver(library), **given)


def asked(delegates: Any, name: str) -> str:
    """The text of the last message that was sent."""
    content = delegates.sent(name)[-1]["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def test_the_answer_is_an_object_and_the_prompt_was_sent(
    path: str, delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    answers = await predicted(over(delegate, delegates, library), path, City, TELL, place="Rome")
    assert type(answers[-1]) is City
    assert answers[-1].name
    assert isinstance(answers[-1].people, int)
    [body] = delegates.sent(delegate)
    turns = [{"role": "user", "content": "Tell me of the City Rome."}]
    if delegate in {"claude", "anthropic"}:
        assert (body["system"], body["messages"][0]["role"]) == ("You are Ada.", "user")
        assert "Tell me of the City Rome." in str(body["messages"])
    else:
        assert body["messages"] == [{"role": "system", "content": "You are Ada."}, *turns]
    native = {"openai": "response_format", "anthropic": "output_config"}.get(delegate)
    assert ("tools" in body, native is None or native in body) == (native is None, True)
    if delegate == "claude":
        wanted = "auto" if OLDEST and "stream" in path else "any"  # where LlamaIndex's program hands on no choice
        assert (body["tools"][0]["name"], body["tool_choice"]["type"]) == ("City", wanted)
    if delegate == "openai":
        assert body["response_format"]["json_schema"]["name"] == "City"


async def test_the_last_object_of_a_stream_is_complete(delegate: str, delegates: Any, library: MemoryBackend) -> None:
    call = json.dumps(ULM) if delegate in {"openai", "anthropic"} else [("City", ULM)]
    delegates.script(call, call)
    llm = over(delegate, delegates, library)
    for path in PATHS[2:]:
        answers = await predicted(llm, path, City, TELL, place="Ulm")
        assert answers[-1] == City(**ULM)
        assert len(answers) > 1 or delegate == "anthropic"  # which has no stream of objects yet


async def test_an_engines_arguments_are_variables(
    path: str, delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    library.publish("asks", "As a City: {{place}}, {{when}}, {{name}}")
    llm = over(delegate, delegates, library, prompt_id="asks")
    await predicted(llm, path, City, TELL.partial_format(when="now"), place="Rome")
    assert asked(delegates, delegate) == "As a City: Rome, now, Ada"
    with promptwire.variables(place="Oslo"):
        await predicted(llm, path, City, TELL, {"prompt_variables": {"when": "then"}}, place="Rome")
    assert asked(delegates, delegate) == "As a City: Oslo, then, Ada"


async def test_braces_are_text(path: str, delegate: str, delegates: Any, library: MemoryBackend) -> None:
    library.publish("json", 'City {"a": {place}} {{doc}} {{{x}}}')
    llm = over(delegate, delegates, library, prompt_id="json", missing="keep")
    doc = '{place} {{name}} {"b": {}}'
    await predicted(llm, path, City, TELL, {"prompt_variables": {"doc": doc}}, place="Rome")
    assert asked(delegates, delegate).startswith('City {"a": {place}} {place} {{name}} {"b": {}} ')


async def test_the_callers_schema_stands_for_the_prompts(
    path: str, delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    own = {"type": "function", "function": {"name": "own", "parameters": {"type": "object", "properties": {}}}}
    config = {
        "temperature": 0.3, "max_tokens": 99, "tools": [own], "tool_choice": "required", "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
    }  # fmt: skip
    library.publish("armed", "A City", config=config)
    answers = await predicted(over(delegate, delegates, library, prompt_id="armed"), path, City, TELL, place="Rome")
    assert type(answers[-1]) is City
    [body] = delegates.sent(delegate)
    assert (body["temperature"], body["max_tokens"]) == (0.3, 99)
    assert "own" not in json.dumps(body)
    assert body.get("response_format", {}).get("type") == ("json_schema" if delegate == "openai" else None)


async def test_streams_are_resolved_when_they_are_asked_for(
    delegate: str, delegates: Any, library: MemoryBackend
) -> None:
    llm = over(delegate, delegates, library, prompt_variables={})
    with promptwire.variables(name="Cy"):
        later = llm.stream_structured_predict(City, TELL, place="Rome")
        awaited = await llm.astream_structured_predict(City, TELL, place="Rome")
    assert isinstance([*later][-1], City)
    assert isinstance([one async for one in awaited][-1], City)
    assert ["You are Cy." in json.dumps(body) for body in delegates.sent(delegate)] == [True, True]


async def test_errors_come_before_anything_is_sent(path: str, delegates: Any, library: MemoryBackend) -> None:
    llm = over("openai", delegates, library, prompt_id="nowhere")
    with pytest.raises(PromptNotFoundError):  # noqa: PT012 - the async ones raise when awaited
        answer = getattr(llm, path)(City, TELL, place="x")
        if path.startswith("a"):
            await answer
    assert delegates.openai.count == 0


@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")  # LlamaIndex's own
async def test_a_structured_llm(delegate: str, delegates: Any, library: MemoryBackend) -> None:
    structured = over(delegate, delegates, library).as_structured_llm(City)
    question, given = [ChatMessage("Which City?")], {"prompt_variables": {"name": "Bo"}}
    answers = [
        structured.chat(question, **given),
        [*structured.stream_chat(question, **given)][-1],
        await structured.achat(question, **given),
        [one async for one in await structured.astream_chat(question, **given)][-1],
    ]
    assert all(isinstance(one.raw, City) for one in answers)
    assert ["You are Bo." in json.dumps(body) for body in delegates.sent(delegate)] == [True] * 4
    assert isinstance(structured.complete("Which City?").raw, City)


ENDPOINTS = ["chat", "stream_chat", "achat", "astream_chat", "complete", "stream_complete", "acomplete"]


@pytest.mark.parametrize("endpoint", [*ENDPOINTS, "astream_complete"])
async def test_a_structured_llm_is_one_call(
    endpoint: str, call: Any, persona: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    """One pair of events, of the model that runs, and an answer that names its prompt."""
    *_, answer = await call(persona.as_structured_llm(City), endpoint, "Which City?")
    assert isinstance(answer.raw, City)
    if "chat" in endpoint:
        assert City.model_validate_json(answer.message.content) == answer.raw
        assert (answer.additional_kwargs["prompt_id"], answer.additional_kwargs["prompt_version"]) == ("persona", 1)
    [start], [end] = listener.named("LLMChatStartEvent"), listener.named("LLMChatEndEvent")
    assert start.model_dict["class_name"] == "PromptwireGateway"
    assert [one.content for one in end.messages] == ["You are Ada.", "Which City?"]
    assert listener.named("LLMCompletionStartEvent") == []
    assert openai.count == 1


PREDICT = ["predict", "apredict", "stream", "astream"]


async def words(llm: LLM, endpoint: str, *args: Any, **kwargs: Any) -> str:
    answer = getattr(llm, endpoint)(*args, **kwargs)
    answer = await answer if endpoint.startswith("a") else answer
    if "predict" in endpoint:
        return str(answer)
    return "".join([one async for one in answer] if endpoint.startswith("a") else answer)


@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")  # LlamaIndex's own
@pytest.mark.parametrize("kind", ["promptwire", "gateway", "openai"])
@pytest.mark.parametrize("endpoint", PREDICT)
async def test_a_slot_of_a_structured_llm(
    endpoint: str, kind: str, persona: Promptwire, delegates: Any, library: MemoryBackend
) -> None:
    """The slot's prompt is the call's only one there too; ``Promptwire`` runs it as it says."""
    library.publish("rag", "City {x} of {{place}}", config={"model": "gpt-4.1", "temperature": 0.5})
    slot = ManagedPromptTemplate("rag", resolver=Resolver(library))
    llm = persona if kind == "promptwire" else delegates.make(kind)
    told = await words(llm.as_structured_llm(City), endpoint, slot, place="{Rome}")
    if "predict" in endpoint:  # LlamaIndex streams no words of objects
        assert isinstance(City.model_validate_json(told), City)
    [body] = delegates.sent("openai")
    assert [one["content"] for one in body["messages"]] == ["City {x} of {Rome}"]
    assert ((body["model"], body.get("temperature")) == ("gpt-4.1", 0.5)) is (llm is persona)


async def test_a_template_of_a_structured_llm_is_the_prompts_variables(
    persona: Promptwire, library: MemoryBackend, openai: FakeOpenAI
) -> None:
    library.publish("asks", "As a City: {{place}}, {{name}}")
    llm = persona.bind(prompt_id="asks", message_mode="replace").as_structured_llm(City)
    llm.predict(TELL, place="Rome")
    await llm.apredict(TELL, place="Ulm")
    sent = [request.json["messages"][0]["content"] for request in openai.requests]
    assert sent == ["As a City: Rome, Ada", "As a City: Ulm, Ada"]


async def test_what_the_llm_says_to_every_prompt_is_said_once(persona: Promptwire, openai: FakeOpenAI) -> None:
    persona.system_prompt = "Be brief."
    structured = persona.as_structured_llm(City)
    structured.chat([ChatMessage("Which City?")])
    await structured.apredict(TELL, place="Rome")
    for request in openai.requests:
        assert [one["content"].count("Be brief.") for one in request.json["messages"]] == [1, 0]


@pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
async def test_a_structured_llms_stream_is_resolved_at_once(endpoint: str, persona: Promptwire) -> None:
    start = getattr(persona.bind(prompt_id="nowhere").as_structured_llm(City), endpoint)
    with pytest.raises(PromptNotFoundError):
        await start([]) if endpoint.startswith("a") else start([])


@pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
async def test_a_structured_llms_stream_that_is_left_is_closed_at_once(endpoint: str, library: MemoryBackend) -> None:
    closed: list[str] = []

    class Endless(MockLLM):
        def stream_structured_predict(self, *_: Any, **__: Any) -> Any:
            try:
                while True:
                    yield City(**ULM)
            finally:
                closed.append("stream_chat")

        async def astream_structured_predict(self, *_: Any, **__: Any) -> Any:
            async def cities() -> AsyncGenerator[City, None]:
                try:
                    while True:
                        yield City(**ULM)
                finally:
                    closed.append("astream_chat")

            return cities()

    endless = Endless(max_tokens=None)
    llm = Promptwire(llm=endless, prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=Resolver(library))
    stream = getattr(llm.as_structured_llm(City), endpoint)([ChatMessage("Which City?")])
    if endpoint.startswith("a"):
        stream = await stream
        assert (await anext(stream)).raw == City(**ULM)
        await stream.aclose()
    else:
        assert next(stream).raw == City(**ULM)
        stream.close()
    assert closed == [endpoint]


def test_a_structured_llm_tells_and_copies(persona: Promptwire, openai: FakeOpenAI) -> None:
    structured = persona.as_structured_llm(City)
    assert isinstance(structured, StructuredLLM)
    assert (structured.class_name(), structured.metadata) == ("structured_llm", persona.metadata)
    twin = copy.deepcopy(structured)
    assert isinstance(twin.chat([ChatMessage("Which City?")]).raw, City)
    assert openai.requests[-1].json["messages"][0]["content"] == "You are Ada."


async def test_an_engine_with_a_class(delegate: str, delegates: Any, library: MemoryBackend) -> None:
    """Its template arguments reach the prompt here too."""
    library.publish("rag", "City of {{context_str}}: {{query_str}}")
    llm = over(delegate, delegates, library, prompt_id="rag", message_mode="replace")
    index = SummaryIndex([TextNode(text="Ulm is a city.")])
    engine = index.as_query_engine(llm=llm, output_cls=City, embed_model=MockEmbedding(8))
    answers: list[Any] = [engine.query("Which?"), await engine.aquery("Which?")]
    for answer in answers:
        assert isinstance(answer.response, City)
        assert asked(delegates, delegate) == "City of Ulm is a city.: Which?"


async def test_in_words(path: str, library: MemoryBackend, openai: FakeOpenAI) -> None:
    """A mode of the LLM's own choosing goes to the delegate."""
    if "stream" in path and OLDEST:
        pytest.skip("LlamaIndex's oldest program in words here has no streams")
    library.publish("parts", [{"role": "user", "content": [{"type": "text", "text": "City {{place}} {x}"}]}])
    openai._reply = lambda _: json.dumps(ULM)  # noqa: SLF001 - a script for a server already there
    llm = Promptwire(
        model="gpt-4o", prompt_id="parts", resolver=Resolver(library), pydantic_program_mode=PydanticProgramMode.LLM
    )
    answers = await predicted(llm, path, City, TELL, place="Rome")
    assert answers[-1] == City(**ULM)
    [message] = openai.requests[-1].json["messages"]
    assert message["content"].startswith("City Rome {x}")
    assert '"people"' in message["content"]
    assert "tools" not in openai.requests[-1].json


def test_a_model_that_answers_in_words(mock: Callable[..., LLM], library: MemoryBackend) -> None:
    """What LlamaIndex raises then is of the model's answer; it is no silent blank."""
    llm = Promptwire(llm=mock(response_generator=lambda *_, **__: ChatMessage("No.", role="assistant")))
    with pytest.raises(Exception, match="tool call"):
        llm.structured_predict(City, TELL, place="Rome")
