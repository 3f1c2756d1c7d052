"""Managed templates that a caller hands to an LLM himself: one managed prompt a call, parameters, tools, parsers."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from llama_index.core.llms.llm import LLM
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import PromptTemplate, SelectorPromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import ManagedPromptTemplate, Promptwire
from pydantic import BaseModel

from promptwire import ConfigurationError, Resolver, TemplateError
from promptwire.testing import FakeOpenAI
from tests.doubles.openai_sent import sent


async def test_the_prompts_model_and_parameters_reach_promptwire(
    rag: ManagedPromptTemplate, openai: FakeOpenAI
) -> None:
    llm = Promptwire(model="langfuse/gpt-4o-mini", temperature=1, max_tokens=9)
    given = {"context_str": "x", "query_str": "Who?"}
    assert llm.predict(rag, **given) == await llm.apredict(rag, **given) == "[gpt-4o] Who? {now}"
    for request in openai.requests:
        assert {name: request.json[name] for name in ("model", "temperature", "max_tokens")} == {
            "model": "gpt-4o", "temperature": 0.3, "max_tokens": 9
        }  # fmt: skip
    assert llm.bind(temperature=0.7, model="gpt-4.1").predict(rag, **given).startswith("[gpt-4.1]")
    assert openai.requests[-1].json["temperature"] == 0.7
    llm.bind(ignore_prompt_model=True, ignore_prompt_params=True).predict(rag, **given)
    assert (openai.requests[-1].json["model"], openai.requests[-1].json["temperature"]) == ("gpt-4o-mini", 1)


async def test_one_managed_prompt_a_call(
    rag: ManagedPromptTemplate, persona: Promptwire, openai: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """The template stands alone, and that is said once."""
    given = {"context_str": "x", "query_str": "Who?"}
    expected = ["Answer from: x", "Who? {now}"]
    with caplog.at_level(logging.WARNING, "promptwire"):
        persona.predict(rag, **given)
        assert sent(openai) == expected
        "".join(persona.stream(rag, **given))
        assert sent(openai) == expected
        await persona.apredict(rag, **given)
        assert sent(openai) == expected
        assert [token async for token in await persona.astream(rag, **given)]
        assert sent(openai) == expected
    [note] = caplog.records
    assert "'rag'" in note.getMessage()
    assert "'persona'" in note.getMessage()
    persona.predict(PromptTemplate("Hi"))
    assert sent(openai) == ["You are Ada.", "Hi"]


def test_messages_of_a_template_are_known(rag: ManagedPromptTemplate, persona: Promptwire, openai: FakeOpenAI) -> None:
    """As workflows send them."""
    messages = rag.format_messages(context_str="x", query_str="Who?")
    answer = persona.chat(messages)
    assert sent(openai) == ["Answer from: x", "Who? {now}"]
    assert answer.additional_kwargs["prompt_id"] == "rag"
    assert answer.additional_kwargs["prompt_version"] == 1
    persona.chat(messages, prompt_id="persona")
    assert sent(openai)[0].startswith("You are Ada.")
    with pytest.raises(ConfigurationError, match="prompt_variables: the messages are memory prompt 'rag'"):
        persona.chat(messages, prompt_variables={"context": "y"})


def test_with_tools(rag: ManagedPromptTemplate, persona: Promptwire, openai: FakeOpenAI) -> None:
    tool = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
    messages = rag.format_messages(context_str="x", query_str="Who?")
    answer = persona.chat_with_tools([tool], chat_history=messages)
    assert sent(openai) == ["Answer from: x", "Who? {now}"]
    assert answer.additional_kwargs["prompt_id"] == "rag"


def test_with_another_delegate(
    rag: ManagedPromptTemplate, make: Any, library: Any, resolver: Resolver, openai: FakeOpenAI
) -> None:
    delegate = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)
    llm = Promptwire(llm=delegate, resolver=resolver)
    assert llm.predict(rag, context_str="x", query_str="Who?") == "[gpt-4o] Who? {now}"
    parts = [{"type": "text", "text": "Read"}, {"type": "file", "file": {"file_id": "f1"}}]
    library.publish("file", [{"role": "user", "content": parts}])
    with pytest.raises(TemplateError, match="no block for"):
        llm.predict(make("file"))
    Promptwire(model="gpt-4o").predict(make("file"))
    assert openai.requests[-1].json["messages"][0]["content"] == parts


class Answer(BaseModel):
    """An answer."""

    text: str


def test_an_output_parser_of_the_llm(make: Any, resolver: Resolver, openai: FakeOpenAI) -> None:
    """It changes the prompt's messages, and what it changed is sent."""
    parser = PydanticOutputParser(Answer)
    messages = make("greeting").format_messages(name="Ada")
    llm = Promptwire(model="gpt-4o-mini", output_parser=parser, resolver=resolver)
    assert llm._get_messages(make("greeting"), name="Ada")[0].content == parser.format("Hello Ada")  # noqa: SLF001
    llm.chat(llm._get_messages(make("greeting"), name="Ada"))  # noqa: SLF001 - the way of predict()
    assert sent(openai) == [parser.format("Hello Ada")]
    assert messages[0].content == "Hello Ada"


@pytest.mark.parametrize("where", ["template", "llm", "both"])
def test_an_output_parser_with_any_llm(where: str, llm_of_any_kind: LLM, make: Any, openai: FakeOpenAI) -> None:
    parser = PydanticOutputParser(Answer)
    openai._reply = lambda _: '{"text": "Hi"}'  # noqa: SLF001 - a server already there
    template = make("greeting", output_parser=None if where == "llm" else parser)
    llm_of_any_kind.output_parser = None if where == "template" else parser
    llm_of_any_kind.predict(template, name="Ada")
    asked = parser.format("Hello Ada")
    assert sent(openai) == [parser.format(asked) if where == "both" else asked]


@pytest.mark.parametrize("where", ["template", "llm", "words"])
def test_no_part_is_lost_to_an_output_parser(
    where: str, llm_of_any_kind: LLM, make: Any, library: Any, openai: FakeOpenAI
) -> None:
    """It reads blocks. ``words`` is the parser that LlamaIndex takes for objects where no tool is to be called."""
    parser = PydanticOutputParser(Answer)
    parts = [{"type": "text", "text": "Read"}, {"type": "file", "file": {"file_id": "f1"}}]
    library.publish("file", [{"type": "placeholder", "name": "given"}, {"role": "user", "content": "Read"}])
    template = make("file", given=[{"role": "user", "content": parts}])
    template.output_parser = parser if where == "template" else None
    llm_of_any_kind.output_parser = parser if where == "llm" else None
    llm_of_any_kind.pydantic_program_mode = PydanticProgramMode("llm" if where == "words" else "default")
    with pytest.raises(TemplateError, match=r"memory prompt 'file' .* no block for"):
        llm_of_any_kind.structured_predict(Answer, template) if where == "words" else llm_of_any_kind.predict(template)
    assert openai.count == 0


def test_structured_prediction(rag: ManagedPromptTemplate, persona: Promptwire, openai: FakeOpenAI) -> None:
    made = persona.structured_predict(Answer, rag, context_str="x", query_str="Who?")
    assert isinstance(made, Answer)
    assert sent(openai) == ["Answer from: x", "Who? {now}"]
    assert openai.requests[-1].json["model"] == "gpt-4o"


@pytest.mark.parametrize("endpoint", ["apredict", "astream"])
@pytest.mark.parametrize("in_a_selector", [False, True])
async def test_the_loop_goes_on_while_the_prompt_is_fetched(
    endpoint: str, *, in_a_selector: bool, rag: ManagedPromptTemplate, library: Any, openai: FakeOpenAI
) -> None:
    """The gate is opened by the loop itself, which a blocked one couldn't."""
    library.gate = threading.Event()
    template = SelectorPromptTemplate.model_construct(default_template=rag, conditionals=None, output_parser=None)
    call = getattr(Promptwire(model="gpt-4o-mini"), endpoint)
    given = {"context_str": "x", "query_str": "Who?"}
    asyncio.get_running_loop().call_soon(library.gate.set)
    answer = await call(template if in_a_selector else rag, **given)
    assert "Who?" in (answer if endpoint == "apredict" else "".join([token async for token in answer]))
    assert library.fetched == ["rag"]
