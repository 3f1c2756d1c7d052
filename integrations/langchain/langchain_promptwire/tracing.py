"""What a run tells of its prompt, to LangSmith and others as metadata, to Langfuse as a link."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar, cast

from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream

from promptwire.gateway.answers import PromptInfo
from promptwire.tracing import is_langfuses, linked, provenance

Chunk = TypeVar("Chunk")
Events = TypeVar("Events")

_END: Any = object()


class LangfusePrompt(NamedTuple):
    """What Langfuse's callback handler reads of a prompt in a template's metadata; a tuple, so that others print it."""

    name: str
    version: int
    is_fallback: bool = False


def template_metadata(info: PromptInfo) -> dict[str, Any]:
    """For a prompt's own run; Langfuse's handler links the next model run of the same chain to it."""
    told = provenance(info)
    if is_langfuses(info) and "langfuse" in sys.modules:
        told["langfuse_prompt"] = LangfusePrompt(info.prompt_id, cast("int", info.prompt_version))
    return told


def link_start(info: PromptInfo | None, chunks: Iterator[Chunk], stamp: Callable[[Chunk], Chunk]) -> Iterator[Chunk]:
    """The stream, linked while its first chunk is waited for: the run starts then, and a consumer's is not ours.

    That chunk is stamped; adding up chunks would add up the stamps.
    """
    with linked(info):
        first = next(chunks, _END)
    if first is not _END:
        yield stamp(first)
        yield from chunks


async def alink_start(
    info: PromptInfo | None, chunks: AsyncIterator[Chunk], stamp: Callable[[Chunk], Chunk]
) -> AsyncGenerator[Chunk]:
    """``link_start`` for ``async for``."""
    async with aclosing(cast("Any", chunks)) as arriving:
        with linked(info):
            first = await anext(arriving, _END)
        if first is not _END:
            yield stamp(first)
            async for chunk in arriving:
                yield chunk


def link_events(info: PromptInfo | None, events: Events) -> Events:
    """v3's events, whose run begins when they are first read: its beginning linked, in a context of its own.

    There it leaves nothing behind: what a callback handler puts into the context comes out after the stream's end.
    The answer is stamped.
    """
    start: Any = getattr(events, "_ensure_started", None)
    if info is None or start is None:
        return events
    _stamp_end(events, provenance(info))

    def linked_start() -> None:
        with linked(info):
            start()

    async def alinked_start() -> None:
        with linked(info):
            await start()

    if isinstance(events, ChatModelStream):
        events.set_start(lambda: copy_context().run(linked_start))
    elif isinstance(events, AsyncChatModelStream):
        events.set_start(alinked_start)
    return events


def _stamp_end(events: object, told: Mapping[str, Any]) -> None:
    """Of the last event's metadata LangChain makes the answer's."""
    dispatch = cast("Any", events).dispatch

    def stamping(event: Mapping[str, Any]) -> None:
        ends = event.get("event") == "message-finish"
        dispatch({**event, "metadata": {**(event.get("metadata") or {}), **told}} if ends else event)

    vars(events)["dispatch"] = stamping
