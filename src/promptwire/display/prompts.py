"""Prompts and rendered prompts as views."""

import json
import time
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from promptwire.display.view import Block, Span, View
from promptwire.masking import masked
from promptwire.messages import Placeholder, PlainStep, Step
from promptwire.params import PROMPT_PARAMS
from promptwire.prompts import Prompt
from promptwire.rendered import RenderedPrompt
from promptwire.templates import Segment

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def prompt_view(prompt: Prompt) -> View:
    """What the prompt says, its variables marked, and what it sets."""
    facts = [*_facts(prompt), ("read", f"{age(time.time() - prompt.fetched_at)} ago")]
    return View(prompt.id, _marks(prompt), facts, blocks=[_written(step) for step in prompt.steps])


def rendered_view(rendered: RenderedPrompt) -> View:
    """What is to be sent, the values marked; tags that nobody filled are flagged."""
    prompt = rendered.prompt
    facts = [("source", rendered.source), *_facts(prompt)]
    steps = [step for one in prompt.steps for step in [one] * _number(one, rendered.values)]
    pairs = zip_longest(rendered.items, steps[: len(rendered.items)])
    blocks = [_sent(item, step, rendered.values) for item, step in pairs]
    return View(prompt.id, [*_marks(prompt), "rendered"], facts, blocks=blocks)


def age(seconds: float) -> str:
    """``5 min``, in the largest unit that fits."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"


def compact(value: object) -> str:
    """JSON on one line, keys masked, of a length that a table bears."""
    text = value if isinstance(value, str) else json.dumps(masked(value), ensure_ascii=False, default=str)
    return text if len(text) <= 400 else f"{text[:400]} …"


def _marks(prompt: Prompt) -> list[str]:
    version = [] if prompt.version is None else [f"version {prompt.version}"]
    return [compact(mark) for mark in (*version, *prompt.labels)]


def _facts(prompt: Prompt) -> list[tuple[str, str]]:
    model = "/".join(part for part in (prompt.provider, prompt.model) if part)
    tools = [str(tool.get("function", {}).get("name") or tool.get("type")) for tool in prompt.tools]
    rest = [key for key in prompt.config if key not in PROMPT_PARAMS and key not in {"model", "provider"}]
    named = {
        "backend": prompt.backend,
        "model": model,
        **{name: compact(value) for name, value in prompt.params.items()},
        "tools": ", ".join(tools),
        "response_format": compact(prompt.response_format) if prompt.response_format else "",
        "variables": ", ".join(prompt.variables),
        "placeholders": ", ".join(prompt.placeholders),
        "tags": ", ".join(prompt.tags),
        "never sent": ", ".join(rest),  # names alone: an editor may have put a key there
        "passed over": "; ".join(prompt.passed_over),
    }
    return [(name, compact(value)) for name, value in named.items() if value]


def _written(step: PlainStep | Step | Placeholder) -> Block:
    """A message as it was written, its tags marked."""
    if isinstance(step, Placeholder):
        return Block("placeholder", [Span(step.name, "variable", "messages go here")])
    return Block(step.message["role"], [*map(_tag, step.segments({})), *_extras(step.message)])


def _sent(item: Any, step: PlainStep | Step | Placeholder | None, values: Mapping[str, Any]) -> Block:
    """A rendered message; its values are marked where its own template still yields what it says."""
    if isinstance(item, Placeholder):
        return Block("placeholder", [Span(item.name, "missing", "no messages were given")])
    content = item.get("content")
    if isinstance(step, PlainStep):
        segments = step.segments(values)
        if "".join(segment.text for segment in segments) == content:
            return Block(item["role"], list(map(_value, segments)))
    return Block(item["role"], [*_content(content), *_extras(item)])


def _number(step: PlainStep | Step | Placeholder, values: Mapping[str, Any]) -> int:
    """How many messages came of it."""
    given = values.get(step.name) if isinstance(step, Placeholder) else None
    return 1 if given is None else len(given)


def _tag(segment: Segment) -> Span:
    return Span(segment.text) if segment.variable is None else Span(segment.text, "variable", segment.variable)


def _value(segment: Segment) -> Span:
    if segment.variable is None:
        return Span(segment.text)
    if not segment.filled:
        return Span(segment.text, "missing", f"{segment.variable} was not given", segment.variable)
    return Span(segment.text, "value", segment.variable, segment.variable)


def _content(content: Any) -> list[Span]:
    if isinstance(content, str):
        return [Span(content)]
    parts = content if isinstance(content, list | tuple) else []
    return [_part(part) for part in parts]


def _part(part: Any) -> Span:
    """Images are named, never loaded: an address in a prompt would be told that somebody looks."""
    if isinstance(part, Mapping) and part.get("type") == "text":
        return Span(str(part.get("text")))
    return Span(f"[{compact(part)}]", "variable")


def _extras(message: Mapping[str, Any]) -> list[Span]:
    """Tool calls and whatever else a message holds."""
    rest = {key: value for key, value in message.items() if key not in {"role", "content"} and value is not None}
    return [Span(f"\n{name}: {compact(value)}") for name, value in rest.items()]
