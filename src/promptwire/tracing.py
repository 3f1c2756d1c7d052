"""What the spans of others are told of a prompt: those of Langfuse, and of OpenInference's instrumentations."""

import inspect
import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any

from promptwire.frozen import is_json
from promptwire.gateway.answers import PromptInfo
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt
from promptwire.templates import Path

Propagate = Callable[..., AbstractContextManager[Any]]

PROVENANCE = ("prompt_id", "prompt_version", "prompt_label", "prompt_backend", "prompt_source")


def provenance(info: PromptInfo) -> dict[str, Any]:
    """Which prompt it was: what answers and traces tell under the same names everywhere."""
    return {name: getattr(info, name) for name in PROVENANCE}


def used_variables(prompt: Prompt, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the prompt's text reads, as JSON or as the text that is shown: a ``SecretStr`` is stars.

    Of a mapping only the items that the text's paths lead to, unless something may read all of it.
    """
    templates = [template for step in prompt.steps if not isinstance(step, Placeholder) for template in step.templates]
    reads = [path for template in templates for path in template.reads]
    return _read({name: values[name] for name in prompt.variables if name in values}, reads)


def _read(values: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    inside: dict[str, list[Path]] = {}
    for name, *keys in paths:
        if name in values:
            inside.setdefault(name, []).append(tuple(keys))
    return {name: _shown(values[name], keys) for name, keys in inside.items()}


def _shown(value: Any, paths: Sequence[Path]) -> Any:
    try:
        if () not in paths:
            return _read(value if isinstance(value, Mapping) else {}, paths)
        return value if is_json(value) else str(value)
    except Exception:  # noqa: BLE001 - no value fails the call that is traced
        return f"<{type(value).__name__}>"


@contextmanager
def linked(info: PromptInfo | None) -> Generator[None]:
    """Spans started inside tell of the prompt; the span around them doesn't.

    Langfuse's are linked to the version, if it is one of Langfuse's own: to a fallback they aren't. OpenInference's
    get the provenance as metadata, and the version as their template's. Where the program hasn't imported an
    OpenInference, or a langfuse that can propagate a prompt (4.14), nothing is done. Also right around an
    ``await``: other tasks see nothing of it.
    """
    with ExitStack() as stack:
        stack.enter_context(told_openinference(info))
        if (link := _link(info)) is not None:
            stack.enter_context(_marked_by_nobody())
            stack.enter_context(link)
        yield


@contextmanager
def told_openinference(info: PromptInfo | None) -> Generator[None]:
    """OpenInference's tracers copy the provenance from the context onto each span that begins inside."""
    if info is None or not _has_openinference():
        yield
        return
    from opentelemetry import context

    told = json.dumps({**_around(context.get_value("metadata")), **provenance(info)})
    version = None if info.prompt_version is None else str(info.prompt_version)
    inside = context.set_value("llm.prompt_template.version", version, context.set_value("metadata", told))
    token = context.attach(inside)
    try:
        yield
    finally:
        context.detach(token)


def _around(metadata: object) -> Mapping[str, Any]:
    """What the caller's own ``using_metadata`` says."""
    try:
        found = json.loads(metadata) if isinstance(metadata, str) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def link_span(info: PromptInfo | None, span: Any) -> None:
    """Link this span of OpenTelemetry's, if there is one, and none that starts inside it; else as ``linked``."""
    if span is not None and (link := _link(info)) is not None:
        from opentelemetry.trace import use_span

        with use_span(span), link:
            pass


def is_heard_of(info: PromptInfo) -> bool:
    """Whether anybody in this program would hear of the prompt inside ``linked``."""
    return _has_openinference() or is_linkable(info)


def is_linkable(info: PromptInfo) -> bool:
    """Whether Langfuse has the prompt version, and the program a langfuse that can link to it."""
    return _link(info) is not None


def is_langfuses(info: PromptInfo) -> bool:
    """Whether it is a prompt version that Langfuse has."""
    version = info.prompt_version
    return info.prompt_backend == "langfuse" and info.prompt_source != "fallback" and type(version) is int


def _has_openinference() -> bool:
    return "openinference.instrumentation" in sys.modules


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
