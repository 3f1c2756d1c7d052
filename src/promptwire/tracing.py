"""Which prompts a trace may be linked to, and how: Langfuse counts a prompt version's generations by it."""

import inspect
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any

from promptwire.gateway.answers import PromptInfo

Propagate = Callable[..., AbstractContextManager[Any]]


@contextmanager
def linked(info: PromptInfo | None) -> Generator[None]:
    """Spans started inside are linked to the prompt version, if it is one of Langfuse's; the span around them isn't.

    Does nothing for a fallback, which Langfuse doesn't know, nor where the program hasn't imported a langfuse that can
    propagate a prompt (version 5). Also right around an ``await``: other tasks see nothing of it.
    """
    with ExitStack() as stack:
        if (link := _link(info)) is not None:
            stack.enter_context(_marked_by_nobody())
            stack.enter_context(link)
        yield


def link_span(info: PromptInfo | None, span: Any) -> None:
    """Link this span of OpenTelemetry's, if there is one, and none that starts inside it; else as ``linked``."""
    if span is not None and (link := _link(info)) is not None:
        from opentelemetry.trace import use_span

        with use_span(span), link:
            pass


def is_linkable(info: PromptInfo) -> bool:
    """Whether Langfuse has the prompt version, and the program a langfuse that can link to it."""
    return _link(info) is not None


def is_langfuses(info: PromptInfo) -> bool:
    """Whether it is a prompt version that Langfuse has."""
    version = info.prompt_version
    return info.prompt_backend == "langfuse" and info.prompt_source != "fallback" and type(version) is int


def _link(info: PromptInfo | None) -> AbstractContextManager[Any] | None:
    propagate = _propagation()
    if info is None or propagate is None or not is_langfuses(info):
        return None
    return propagate(prompt={"name": info.prompt_id, "version": info.prompt_version})


def _propagation() -> Propagate | None:
    """Langfuse's function. Who hasn't imported langfuse doesn't trace with it, and is spared the import's 150 ms."""
    found = getattr(sys.modules.get("langfuse"), "propagate_attributes", None)
    return found if found is not None and _takes_prompt(found) else None


@cache
def _takes_prompt(propagate: Propagate) -> bool:
    return "prompt" in inspect.signature(propagate).parameters


@contextmanager
def _marked_by_nobody() -> Generator[None]:
    """Langfuse marks the current span too, which is the caller's and may be about another prompt.

    A stand-in with its ids keeps what starts inside in its place in the trace.
    """
    from opentelemetry import context, trace  # langfuse itself needs it

    stand_in = trace.NonRecordingSpan(trace.get_current_span().get_span_context())
    token = context.attach(trace.set_span_in_context(stand_in))
    try:
        yield
    finally:
        context.detach(token)
