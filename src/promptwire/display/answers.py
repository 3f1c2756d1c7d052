"""A model's answer as a view."""

import json
from collections.abc import Mapping
from typing import Any

from promptwire.display.prompts import compact
from promptwire.display.view import Block, Span, View
from promptwire.gateway.answers import Answer


def answer_view(answer: Answer) -> View:
    """The text and tool calls of each choice; model, prompt, tokens and seconds."""
    choices = [choice for choice in answer.get("choices") or () if isinstance(choice, Mapping)]
    if not choices:  # a part of an answer
        text = json.dumps(answer.model_dump(), ensure_ascii=False, default=str)  # a token of it is no key
        return View("answer", blocks=[Block("json", [Span(compact(text))])])
    facts = [(name, compact(value)) for name, value in _facts(answer).items() if value]
    return View("answer", _marks(choices), facts, blocks=[_said(choice) for choice in choices])


def _marks(choices: list[Mapping[str, Any]]) -> list[str]:
    return [str(choice["finish_reason"]) for choice in choices if choice.get("finish_reason") not in {None, "stop"}]


def _facts(answer: Answer) -> dict[str, Any]:
    prompt, usage = answer.prompt, answer.get("usage") or {}
    made_by = "" if prompt is None else f"{prompt.prompt_backend}:{prompt.prompt_id}"
    selected = "" if prompt is None or prompt.prompt_version is None else f"@{prompt.prompt_version}"
    read, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return {
        "model": answer.get("model"),
        "prompt": f"{made_by}{selected}",
        "source": prompt and prompt.prompt_source,
        "tokens": "" if read is None or made is None else f"{read} in, {made} out",
        "latency": "" if answer.latency is None else f"{answer.latency:.2f} s",
    }


def _said(choice: Mapping[str, Any]) -> Block:
    message = choice.get("message") or choice.get("delta") or {}
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    named = [f"\n{call.get('name')}({call.get('arguments')})" for call in calls]
    spans = [Span(str(message.get(name))) for name in ("content", "refusal") if message.get(name)]
    return Block(str(message.get("role") or "assistant"), [*spans, *(Span(text, "variable") for text in named)])
