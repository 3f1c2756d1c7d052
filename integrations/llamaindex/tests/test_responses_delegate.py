"""LlamaIndex's OpenAIResponses as the delegate: a prompt's parameters in the words of that API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.promptwire import Promptwire
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import BaseModel, TypeAdapter, ValidationError

from promptwire import ConfigurationError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import Answer, LoopbackServer, Received

WANTED = TypeAdapter(ResponseCreateParamsNonStreaming)
FUNCTION = {"name": "own", "description": "Own", "parameters": {"type": "object", "properties": {}}, "strict": True}
SCHEMA = {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}, "strict": True}
USAGE = {
    "input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip


class City(BaseModel):
    """A city."""

    name: str


class Responses(LoopbackServer):
    """Answers what the SDK's own types take, and keeps it; all else is a 400."""

    def answer(self, request: Received) -> Answer:
        body = request.json
        try:
            WANTED.validate_python({name: value for name, value in body.items() if value is not None})
        except ValidationError as error:
            return Answer.of_json(400, {"error": {"message": str(error)}})
        text = '{"name": "Oslo"}' if "text" in body else "Hello"
        content = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [content]}
        return Answer.of_json(200, {
            "id": "resp_1", "object": "response", "created_at": 1, "model": body["model"], "status": "completed",
            "output": [message], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": USAGE,
        })  # fmt: skip


@pytest.fixture
def server() -> Iterator[Responses]:
    with Responses() as started:
        yield started


def over(server: Responses, config: dict[str, Any], **more: Any) -> Promptwire:
    prompts = MemoryBackend()
    prompts.publish("persona", [{"role": "system", "content": "You are {{name}}."}], config=config)
    llm = OpenAIResponses(model="gpt-4o-mini", api_key="key", api_base=server.url, max_retries=0)
    return Promptwire(
        llm=llm, prompt_id="persona", prompt_variables={"name": "Ada"}, resolver=Resolver(prompts), **more
    )  # fmt: skip


@pytest.mark.parametrize("endpoint", ["chat", "achat"])
@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"model": "gpt-4o", "max_tokens": 50, "temperature": 0.3},
         {"model": "gpt-4o", "max_output_tokens": 50, "temperature": 0.3}),
        ({"max_completion_tokens": 9, "top_p": 0.5}, {"max_output_tokens": 9, "top_p": 0.5}),
        ({"reasoning_effort": "low", "verbosity": "high"},
         {"reasoning": {"effort": "low"}, "text": {"verbosity": "high"}}),
        ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
         {"text": {"format": {"type": "json_schema", **SCHEMA}}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        ({"tools": [{"type": "function", "function": FUNCTION}],
          "tool_choice": {"type": "function", "function": {"name": "own"}}},
         {"tools": [{"type": "function", **FUNCTION}], "tool_choice": {"type": "function", "name": "own"}}),
        ({"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"},
         {"tools": [{"type": "function", **FUNCTION}], "tool_choice": "required"}),
    ],
)  # fmt: skip
async def test_a_prompts_parameters(
    server: Responses, config: dict[str, Any], sent: dict[str, Any], endpoint: str
) -> None:
    answer = getattr(over(server, config), endpoint)([ChatMessage("Hi")])
    assert (await answer if endpoint == "achat" else answer).message.content
    body = server.requests[-1].json
    assert {name: body[name] for name in sent} == sent
    assert [message["content"] for message in body["input"]] == ["You are Ada.", "Hi"]


def test_a_calls_own_words_stay(server: Responses) -> None:
    over(server, {"max_tokens": 50}).chat([ChatMessage("Hi")], max_tokens=7, truncation="auto")
    assert (server.requests[-1].json["max_output_tokens"], server.requests[-1].json["truncation"]) == (7, "auto")


def test_what_the_api_lacks_is_named(server: Responses) -> None:
    with pytest.raises(ConfigurationError, match=r"OpenAIResponses\(\) takes no seed and no stop"):
        over(server, {"stop": ["x"], "seed": 1}).chat([ChatMessage("Hi")])
    assert not server.requests


def test_tools(server: Responses) -> None:
    tool = FunctionTool.from_defaults(lambda: 1, name="one", description="One")
    over(server, {"max_tokens": 50}).chat_with_tools([tool], "Hi")
    body = server.requests[-1].json
    assert [(one["type"], one["name"]) for one in body["tools"]] == [("function", "one")]
    assert body["max_output_tokens"] == 50


def test_objects(server: Responses) -> None:
    assert over(server, {"max_tokens": 50}).as_structured_llm(City).complete("Where?").raw == City(name="Oslo")
    assert server.requests[-1].json["max_output_tokens"] == 50
