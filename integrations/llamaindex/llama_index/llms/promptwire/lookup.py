"""How a managed template finds its prompt: once for an engine's query, and never while a loop waits to measure it."""

import math
import time
from collections.abc import Mapping
from typing import Annotated, Any, Self

from llama_index.core.callbacks.base import global_stack_trace
from llama_index.core.prompts import BasePromptTemplate
from pydantic import Field, PlainSerializer, PrivateAttr

from promptwire.default import default_resolver
from promptwire.flights import on_a_loop
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver
from promptwire.search import FindOptions, Found

ONE_QUERY = 60.0
"""Seconds that ``partial_format``, and an engine's query, hold on to a prompt."""

MAX_QUERIES = 100

FOR_GOOD = math.inf


class Seen:
    """What a template and its copies have found: for the queries under way, and last of all."""

    def __init__(self) -> None:
        self.last: Found | None = None
        self._queries: dict[str, tuple[Found, float]] = {}

    def held(self) -> Found | None:
        """What the query around this call goes by."""
        found, until = self._queries.get(_query(), (None, 0.0))
        return found if time.monotonic() < until else None

    def keep(self, found: Found) -> Found:
        """The prompt, for the query around this call too; or that of a call of the same query that was first."""
        if (first := self.held()) is not None:
            return first
        self.last = found
        if query := _query():
            if len(self._queries) >= MAX_QUERIES:
                self._queries.clear()
            self._queries[query] = found, time.monotonic() + ONE_QUERY
        return found


class KeptElsewhere(BasePromptTemplate):
    """A template whose text is found when it is used."""

    prompt_id: str
    backend: Annotated[Any, PlainSerializer(lambda given: getattr(given, "name", given))] = None
    label: Any = None
    """A label; weights by label are settled when the template is made."""
    version: int | str | None = None
    fallback: Annotated[Any, PlainSerializer(lambda given: None if isinstance(given, Prompt) else given)] = Field(
        default=None, repr=False
    )

    _resolver: Resolver | None = PrivateAttr()
    _found: Found | None = PrivateAttr(default=None)
    _until: float = PrivateAttr(default=0.0)
    _seen: Seen = PrivateAttr(default_factory=Seen)  # shared by copies

    def prefetch(self) -> None:
        """Fetch the prompt, so that its first use doesn't wait."""
        self._seen.last = self._find()

    async def aprefetch(self) -> None:
        """``prefetch`` without blocking the loop."""
        self._seen.last = await self._afind()

    def pin(self) -> Self:
        """A copy that stays with the version that is current now."""
        return self._with(self._find_for_query(), FOR_GOOD)

    async def apin(self) -> Self:
        """``pin`` without blocking the loop."""
        found = self._held() or self._seen.held() or self._seen.keep(await self._afind())
        return self._with(found, FOR_GOOD)

    def partial_format(self, **kwargs: Any) -> Self:
        """A copy that knows more. For a minute it stays with the version current now: an engine's whole query.

        In a query on a loop, which finding it would hold up, that is the version that the query's first call finds.
        """
        found = (self._held() or self._seen.held()) if _must_not_wait() else self._find_for_query()
        twin = self._with(found, max(self._until, time.monotonic() + ONE_QUERY))
        twin.kwargs.update(kwargs)
        return twin

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self._with(self._found, self._until)

    def __getstate__(self) -> dict[Any, Any]:
        """Another process has another clock: only what was pinned for good stays so."""
        twin = self if self._until == FOR_GOOD else self._with(None, 0.0)
        twin = twin.model_copy()
        twin._seen = Seen()  # noqa: SLF001 - its own class
        return super(KeptElsewhere, twin).__getstate__()

    def _with(self, found: Found | None, until: float) -> Self:
        own = ("kwargs", "metadata", "template_var_mappings", "function_mappings")
        update: dict[str, Any] = {name: dict(getattr(self, name) or {}) for name in own}
        if found is not None:
            update["template_vars"] = self._names(found[0])  # what a dump tells
        twin = self.model_copy(update=update)
        twin._found, twin._until = found, until  # noqa: SLF001 - its own class
        return twin

    def _names(self, prompt: Prompt) -> list[str]:
        """The names to fill in, as engines know them; placeholders are among them."""
        engines = {theirs: name for name, theirs in (self.template_var_mappings or {}).items()}
        return [engines.get(name, name) for name in (*prompt.variables, *prompt.placeholders)]

    def _find(self) -> Found:
        return self._held() or (self._resolver or default_resolver()).find(self.prompt_id, **self._options())

    async def _afind(self) -> Found:
        return self._held() or await (self._resolver or default_resolver()).afind(self.prompt_id, **self._options())

    def _held(self) -> Found | None:
        return self._found if time.monotonic() < self._until else None

    def _find_for_query(self) -> Found:
        """An engine measures and fills a template several times in a query; all with one version."""
        return self._held() or self._seen.held() or self._seen.keep(self._find())

    def _to_measure(self) -> Found | None:
        """What an engine measures. In a query on a loop that may be what was found last, however old, or nothing."""
        if _must_not_wait():
            return self._held() or self._seen.held() or self._seen.last
        return self._find_for_query()

    def _measures(self, given: Mapping[str, Any]) -> bool:
        """Whether a call only asks for the size: it gives what is known, and blanks for the rest."""
        return self.kwargs.keys() <= given.keys() and all(
            type(given[name]) is str and not given[name] for name in given.keys() - self.kwargs.keys()
        )

    def _options(self) -> FindOptions:
        return {"backend": self.backend, "label": self.label, "version": self.version, "fallback": self.fallback}


def _query() -> str:
    """LlamaIndex's event around this call, whoever listens; the first is the root of all."""
    under_way = global_stack_trace.get()[1:2]
    return under_way[0] if under_way else ""


def _must_not_wait() -> bool:
    """Whether this is an engine's query on a running loop; who asks elsewhere wants the prompt itself."""
    return on_a_loop() and bool(_query())
