"""LlamaIndex's own Anthropic as the delegate, where it is installed: `make anthropic`."""

import copy
import pickle
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.promptwire import Promptwire

from promptwire import ConfigurationError, PromptConfigError, Resolver
from promptwire.backends.memory import MemoryBackend
from tests.doubles.anthropic import FakeAnthropic

OWN = {"type": "function", "function": {"name": "own", "parameters": {"type": "object", "properties": {}}}}
OWN_HERE = {"name": "own", "input_schema": {"type": "object", "properties": {}}}


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


ADD = FunctionTool.from_defaults(add)


@pytest.fixture
def claude(delegates: Any) -> LLM:
    return delegates.make("anthropic")  # type: ignore[no-any-return]


@pytest.fixture
def llm(claude: LLM, library: MemoryBackend) -> Promptwire:
    return Promptwire(
        llm=claude, prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=Resolver(library)
    )  # fmt: skip


async def test_all_endpoints(endpoint: str, call: Any, llm: Promptwire, anthropic: FakeAnthropic) -> None:
    last = (await call(llm, endpoint, "Hi"))[-1]
    assert (last.text if "complete" in endpoint else last.message.content) == "[claude-sonnet-4-5] Hi"
    assert last.additional_kwargs["prompt_id"] == "persona"
    body = anthropic.requests[-1].json
    assert (body["system"], body["temperature"], body.get("stream", False)) == (
        "You are Ada.", 0.1, "stream" in endpoint
    )  # fmt: skip
    assert anthropic.count == 1


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"stop": "END"}, {"stop_sequences": ["END"], "max_tokens": 512}),
        ({"max_completion_tokens": 9, "top_p": 0.5}, {"max_tokens": 9, "top_p": 0.5}),
        ({"user": "u", "seed": 7}, {"metadata": {"user_id": "u"}}),
        ({"tools": [OWN], "tool_choice": "required"}, {"tools": [OWN_HERE], "tool_choice": {"type": "any"}}),
        ({"reasoning_effort": "low", "max_tokens": 4000},
         {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 1, "max_tokens": 4000}),
    ],
)  # fmt: skip
def test_a_prompts_parameters_in_its_words(
    config: dict[str, Any], sent: dict[str, Any], llm: Promptwire, library: MemoryBackend, anthropic: FakeAnthropic
) -> None:
    """Under OpenAI's names they would be a TypeError of the SDK, which engines answer as no answer."""
    library.publish("set", [{"role": "system", "content": "S"}], config=config)
    llm.chat([ChatMessage("Hi")], prompt_id="set")
    body = anthropic.requests[-1].json
    assert {key: body.get(key) for key in sent} == sent
    assert "seed" not in body


def test_an_agents_tools_replace_the_prompts(llm: Promptwire, library: MemoryBackend, anthropic: FakeAnthropic) -> None:
    library.publish("armed", [{"role": "system", "content": "S"}], config={"tools": [OWN], "stop": ["X"]})
    answer = llm.chat_with_tools([ADD], "add", prompt_id="armed")
    body = anthropic.requests[-1].json
    assert ([tool["name"] for tool in body["tools"]], body["stop_sequences"]) == (["add"], ["X"])
    [call] = llm.get_tool_calls_from_response(answer)
    result = ChatMessage("3", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    llm.chat_with_tools([ADD], None, [ChatMessage("add"), answer.message, result], prompt_id="armed")
    assert [tool["name"] for tool in anthropic.requests[-1].json["tools"]] == ["add"]


def test_thoughts_are_its_own_to_send_back(llm: Promptwire, library: MemoryBackend, anthropic: FakeAnthropic) -> None:
    library.publish(
        "thinker", [{"role": "system", "content": "S"}], config={"reasoning_effort": "low", "max_tokens": 4000}
    )
    answer = llm.chat_with_tools([ADD], "add", prompt_id="thinker")
    assert any(isinstance(block, ThinkingBlock) for block in answer.message.blocks)
    [call] = llm.get_tool_calls_from_response(answer)
    result = ChatMessage("3", role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    llm.chat_with_tools([ADD], None, [ChatMessage("add"), answer.message, result], prompt_id="thinker")
    assert anthropic.requests[-1].json["messages"][1]["content"][0]["type"] == "thinking"


def test_the_prompts_model_runs_on_a_copy(claude: LLM, llm: Promptwire, library: MemoryBackend) -> None:
    for name, model in (("other", "claude-opus-4-5"), ("spelt", "anthropic/claude-haiku-4-5")):
        library.publish(name, [{"role": "system", "content": "S"}], config={"model": model})
        assert llm.complete("Hi", prompt_id=name).text == f"[{model.rpartition('/')[2]}] Hi"
    assert claude.metadata.model_name == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("config", "message"), [({"model": "gpt-4o"}, "llm_factory="), ({"model": "claude-9"}, "doesn't know model")]
)
def test_models_that_it_cant_run(
    config: dict[str, Any], message: str, llm: Promptwire, library: MemoryBackend, anthropic: FakeAnthropic
) -> None:
    library.publish("bad", "Hi", config=config)
    with pytest.raises(PromptConfigError, match=message):
        llm.complete("", prompt_id="bad")
    with pytest.raises(ConfigurationError, match="doesn't know model"):
        llm.complete("", model="claude-9")
    assert anthropic.count == 0


def test_its_own_limit_and_kwargs_lose(delegates: Any, library: MemoryBackend, anthropic: FakeAnthropic) -> None:
    own = delegates.make("anthropic", max_tokens=100, additional_kwargs={"top_k": 3, "top_p": 0.1})
    library.publish("set", "Hi", config={"max_tokens": 9, "top_p": 0.5})
    Promptwire(llm=own, prompt_id="set", resolver=Resolver(library)).chat([])
    body = anthropic.requests[-1].json
    assert (body["max_tokens"], body["top_p"], body["top_k"]) == (9, 0.5, 3)
    assert own.metadata.num_output == 100


def test_a_pickle_leaves_it_whole_and_holds_no_secret(llm: Promptwire, anthropic: FakeAnthropic, listener: Any) -> None:
    """LlamaIndex's Anthropic itself doesn't come back from a pickle with a client."""
    llm.complete("Hi")
    data = pickle.dumps(llm)
    assert llm.complete("Hi").text == copy.deepcopy(llm).complete("Hi").text == "[claude-sonnet-4-5] Hi"
    told = [repr(llm), str(llm.to_dict()), str(llm.to_payload()), str(llm.__getstate__())]
    told += [str(event) for event in listener.events]
    assert not [text for text in [data.decode("latin-1"), *told] if anthropic.api_key in text]
