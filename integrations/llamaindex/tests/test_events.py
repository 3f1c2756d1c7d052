"""LlamaIndex's instrumentation: one pair of events per call, from the LLM that runs."""

from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire

from promptwire import Resolver
from promptwire.testing import FakeOpenAI

START, END = ("LLMChatStartEvent", "LLMCompletionStartEvent"), ("LLMChatEndEvent", "LLMCompletionEndEvent")


def model(start: Any) -> str:
    """Of the payload, or of the whole LLM that the event holds before llama-index-core 0.14.23."""
    told = start.model_dict
    return str(told.get("model_name", told.get("model"))).rpartition("/")[2]


async def test_one_pair_per_call(endpoint: str, call: Any, llm: Promptwire, listener: Any, openai: FakeOpenAI) -> None:
    await call(llm, endpoint)
    [start], [end] = listener.named(*START), listener.named(*END)
    assert (start.class_name(), end.class_name()) == (START[0], END[0])
    assert [(one.role.value, one.content) for one in start.messages] == [("user", "Hello Ada")]
    assert (start.model_dict["class_name"], model(start)) == ("PromptwireGateway", "gpt-4o-mini")
    assert end.response.message.content == "[gpt-4o-mini] Hello Ada"


def test_one_pair_with_a_delegate_and_its_copy(resolver: Resolver, listener: Any, openai: FakeOpenAI) -> None:
    delegate = OpenAI(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url)
    llm = Promptwire(llm=delegate, prompt_id="tuned", prompt_variables={"name": "Ada"}, resolver=resolver)
    llm.chat([])
    list(llm.stream_complete(""))
    starts = listener.named(*START)
    assert [model(start) for start in starts] == ["gpt-4o"] * 2
    assert starts[0].additional_kwargs == {"temperature": 0.3, "max_tokens": 50}
    assert len(listener.named(*END)) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_one_pair_with_tools_and_in_engines(
    *, stream: bool, persona: Promptwire, listener: Any, openai: FakeOpenAI
) -> None:
    tool = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
    if stream:
        list(persona.stream_chat_with_tools([tool], "Hi"))
    else:
        persona.chat_with_tools([tool], "Hi")
    assert (len(listener.named(*START)), len(listener.named(*END))) == (1, 1)
    str(SummaryIndex.from_documents([Document(text="x")]).as_query_engine(llm=persona, streaming=stream).query("Hi"))
    assert (len(listener.named(*START)), len(listener.named(*END))) == (2, 2)


def test_nothing_starts_when_the_prompt_is_not_found(llm: Promptwire, listener: Any, openai: FakeOpenAI) -> None:
    with pytest.raises(Exception, match="nowhere"):
        llm.complete("", prompt_id="nowhere")
    assert listener.named(*START) == []
