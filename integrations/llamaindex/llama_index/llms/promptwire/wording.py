"""A prompt's parameters, which are OpenAI's chat completions', in the words of an LLM that has others."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.llms.promptwire.convert import to_openai
from llama_index.llms.promptwire.peers import LIMITS, is_anthropics, named

from promptwire.errors import ConfigurationError

_ANTHROPICS_TOO = frozenset({"extra_headers", "max_tokens", "temperature", "timeout", "top_p"})
_NOT_OF_RESPONSES = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "modalities", "n",
    "prediction", "presence_penalty", "seed", "stop", "web_search_options",
})  # fmt: skip


def spelled(llm: LLM, messages: Sequence[ChatMessage], params: Mapping[str, Any], *, tools: bool) -> Mapping[str, Any]:
    """The parameters in the LLM's own words; with ``tools``, those of the call stand for the prompt's."""
    if is_anthropics(llm) and not params.keys() <= _ANTHROPICS_TOO:
        return _for_anthropic(llm, messages, params, tools=tools)
    if _calls_responses(type(llm)):
        return _for_responses(llm, params)
    return params


@lru_cache(100)
def _calls_responses(kind: type[LLM]) -> bool:
    return any(base.__module__ == "llama_index.llms.openai.responses" for base in kind.__mro__)


def _for_anthropic(
    llm: LLM, messages: Sequence[ChatMessage], params: Mapping[str, Any], *, tools: bool
) -> dict[str, Any]:
    from promptwire.gateway.anthropic.request import build_body

    body: dict[str, Any] = build_body(named(llm)[1] or "", [to_openai(one) for one in messages], params, stream=False)
    not_wanted = ["model", "messages", "system"]
    if tools or not params.get("tools"):  # what a conversation's calls make it declare is the LLM's affair
        not_wanted += ["tools", "tool_choice"]
    for name in not_wanted:
        body.pop(name, None)
    if body.get("thinking"):
        body["temperature"] = 1  # the LLM sends one in any case, and thinking goes with no other
    elif params.keys().isdisjoint(LIMITS):
        del body["max_tokens"]
    return body


def _for_responses(llm: LLM, params: Mapping[str, Any]) -> dict[str, Any]:
    """As OpenAI's guide for those who come from chat completions maps them."""
    if lacking := sorted(_NOT_OF_RESPONSES & params.keys()):
        raise ConfigurationError(
            f"llm={type(llm).__name__}() takes no {' and no '.join(lacking)}, since OpenAI's Responses have none: "
            "leave it out of the prompt or the call, or give llm=OpenAI()"
        )
    body, text = dict(params), {}
    for name in LIMITS:
        if name in body:
            body["max_output_tokens"] = body.pop(name)
    if "reasoning_effort" in body:
        body["reasoning"] = {**(getattr(llm, "reasoning_options", None) or {}), "effort": body.pop("reasoning_effort")}
    if "response_format" in body:
        text["format"] = _flat(body.pop("response_format"), "json_schema")
    if "verbosity" in body:
        text["verbosity"] = body.pop("verbosity")
    if text:
        body["text"] = {**text, **body.get("text", {})}
    if "tools" in body:
        body["tools"] = [_flat(tool, "function") for tool in body["tools"]]
    if "tool_choice" in body:
        body["tool_choice"] = _flat(body["tool_choice"], "function")
    return body


def _flat(given: Any, part: str) -> Any:
    """``{"type": "function", "function": {"name": ...}}`` as ``{"type": "function", "name": ...}``."""
    if not isinstance(given, Mapping) or not isinstance(given.get(part), Mapping):
        return given
    return {**{name: value for name, value in given.items() if name != part}, **given[part]}
