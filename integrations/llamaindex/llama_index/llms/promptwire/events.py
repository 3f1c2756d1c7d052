"""What LlamaIndex's instrumentation is told of a managed prompt."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from llama_index.core.instrumentation.events import BaseEvent
from llama_index.llms.promptwire.links import expect_unused, spread
from llama_index.llms.promptwire.spans import is_heard
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags

from promptwire.gateway.answers import PromptInfo
from promptwire.tracing import provenance

T = TypeVar("T")

dispatcher = get_dispatcher(__name__)


class PromptResolvedEvent(BaseEvent):
    """A managed prompt has been found and filled in for a call.

    ``requested_model`` is the prompt's say, whatever runs. ``variables`` is ``None`` unless ``report_variables`` asks.
    """

    prompt_id: str
    prompt_version: int | str | None
    prompt_label: str | None
    prompt_backend: str
    prompt_source: str
    content_hash: str
    requested_model: str | None
    variables: dict[str, Any] | None = None

    @classmethod
    def class_name(cls) -> str:
        return "PromptResolvedEvent"


@dataclass(eq=False)
class Resolved:
    """The prompt of a call, as answers and traces tell of it."""

    info: PromptInfo
    requested_model: str | None
    variables: Mapping[str, Any] | None = field(default=None, repr=False)

    @cached_property
    def told(self) -> dict[str, Any]:
        """What answers and traces tell."""
        return provenance(self.info)

    def announce(self) -> None:
        """Dispatch the event, in the span around."""
        if not is_heard(dispatcher):
            return
        told: dict[str, Any] = {**self.told, "content_hash": self.info.content_hash}
        variables = None if self.variables is None else dict(self.variables)
        expect_unused()
        dispatcher.event(PromptResolvedEvent(**told, requested_model=self.requested_model, variables=variables))


class around:  # noqa: N801 - used as a function; one of contextlib's takes twice the time
    """Tags beside the caller's own for what starts inside, and the link to Langfuse's prompt where it isn't marked.

    Of a stream's events, only the first has the tags: the others are dispatched outside.
    """

    __slots__ = ("_link", "_resolved", "_token")

    def __init__(self, resolved: Resolved | None) -> None:
        self._resolved = resolved

    def __enter__(self) -> None:
        if self._resolved is not None:
            self._link = spread(self._resolved.info)
            self._link.__enter__()
            self._token = active_instrument_tags.set({**self._resolved.told, **active_instrument_tags.get()})

    def __exit__(self, *raised: Any) -> None:  # noqa: PYI036 - passed on as they are
        if self._resolved is not None:
            try:
                self._link.__exit__(*raised)
            finally:
                active_instrument_tags.reset(self._token)


def steps(made: Generator[T], resolved: Resolved | None) -> Generator[T]:
    """A lazy stream, each step of it ``around``: it calls the delegate at its first."""
    with closing(made):
        while True:
            with around(resolved):
                try:
                    step = next(made)
                except StopIteration:
                    return
            yield step


async def asteps(made: AsyncGenerator[T], resolved: Resolved | None) -> AsyncGenerator[T]:
    """``steps`` of an async stream."""
    async with aclosing(made):
        while True:
            with around(resolved):
                try:
                    step = await anext(made)
                except StopAsyncIteration:
                    return
            yield step
