"""``ManagedPromptTemplate``: a managed prompt in LlamaIndex's prompt slots."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Self

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.generic_utils import messages_to_prompt as with_roles
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks.base import global_stack_trace
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate, PromptTemplate, PromptType
from llama_index.core.types import BaseOutputParser
from llama_index.llms.promptwire.convert import from_prompt, plain
from llama_index.llms.promptwire.endpoints import unfit
from llama_index.llms.promptwire.events import Resolved
from llama_index.llms.promptwire.filling import KnowsPrompts, ManagedMessages, filled
from llama_index.llms.promptwire.gateway import PromptwireGateway
from llama_index.llms.promptwire.native import SHIELD, Escape, as_it_is, doubled, native_messages, shielded, source_of
from pydantic import Field, PlainSerializer, PrivateAttr, ValidationError

from promptwire.ambient import ambient_variables
from promptwire.backends import Backend
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError, TemplateError
from promptwire.params import merge_variables
from promptwire.prompts import Prompt, PromptRef, check_missing
from promptwire.resolver import Resolver
from promptwire.rollout import Label, choose_label
from promptwire.search import Fallback, FindOptions, Found

ONE_QUERY = 60.0
"""Seconds that ``partial_format``, and an engine's query, hold on to a prompt."""

MAX_QUERIES = 100

FOR_GOOD = math.inf

_MEANT = {"prompt_label": "label", "prompt_version": "version", "prompt_variables": "the variables' own names"}


class ManagedPromptTemplate(BasePromptTemplate):
    """A prompt template kept in Langfuse, Humanloop or files: ``ManagedPromptTemplate("rag/answer")``.

    Goes into any prompt slot, with any LLM. ``template_var_mappings`` names the prompt's variable for one of the
    engine's (``{"context_str": "context"}``); ``partials`` are values known beforehand. The prompt is found when it is
    used. ``Promptwire`` also runs it on the prompt's model with its parameters, and no prompt of its own on top.
    Using it raises ``PromptwireError``.
    """

    prompt_id: str
    backend: Annotated[Any, PlainSerializer(lambda given: getattr(given, "name", given))] = None
    label: Any = None
    """A label; weights by label are settled when the template is made."""
    version: int | str | None = None
    missing: str | None = None
    text_role: str = "user"
    fallback: Annotated[Any, PlainSerializer(lambda given: None if isinstance(given, Prompt) else given)] = Field(
        default=None, repr=False
    )
    report_variables: bool = False
    kwargs: dict[str, Any] = Field(default_factory=dict, repr=False)  # values may be messages

    _resolver: Resolver | None = PrivateAttr()
    _found: Found | None = PrivateAttr(default=None)
    _until: float = PrivateAttr(default=0.0)
    _in_queries: dict[str, tuple[Found, float]] = PrivateAttr(default_factory=dict)  # shared by copies

    def __init__(
        self,
        prompt_id: str,
        *,
        backend: str | Backend | None = None,
        label: Label = None,
        version: int | str | None = None,
        rollout_key: str | int | None = None,
        resolver: Resolver | None = None,
        fallback: Fallback = None,
        missing: str | None = None,
        text_role: str = "user",
        template_var_mappings: Mapping[str, str] | None = None,
        function_mappings: Mapping[str, Callable[..., Any]] | None = None,
        output_parser: BaseOutputParser | None = None,
        prompt_type: str = PromptType.CUSTOM,
        metadata: Mapping[str, Any] | None = None,
        report_variables: bool = False,
        **partials: Any,
    ) -> None:
        PromptRef(prompt_id)
        if missing is not None:
            check_missing(missing)
        if resolver is not None and not isinstance(resolver, Resolver):
            raise ConfigurationError(f"resolver= is a Resolver, not {type(resolver).__name__}")
        for name, meant in _MEANT.items():
            if name in partials:
                raise ConfigurationError(f"ManagedPromptTemplate() has no argument {name!r}: give {meant}")
        fields: dict[str, Any] = {
            "prompt_id": prompt_id, "backend": backend, "label": choose_label(prompt_id, label, rollout_key),
            "version": version, "fallback": fallback,
            "missing": missing, "text_role": text_role, "report_variables": report_variables, "kwargs": partials,
            "template_vars": [], "metadata": {**(metadata or {}), "prompt_type": prompt_type},
            "template_var_mappings": template_var_mappings or {}, "function_mappings": function_mappings or {},
            "output_parser": output_parser,
        }  # fmt: skip
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise unfit(type(self).__name__, error) from None
        self._resolver = resolver

    @property
    def template(self) -> str:
        """As ``PromptTemplate`` has it, for chat engines: the text with ``{name}`` for each variable."""
        return self._text(self._find()[0], as_it_is)

    def prefetch(self) -> None:
        """Fetch the prompt, so that its first use doesn't wait."""
        self._find()

    async def aprefetch(self) -> None:
        """``prefetch`` without blocking the loop, which engines' own calls of a template would."""
        await self._afind()

    def pin(self) -> Self:
        """A copy that stays with the version that is current now."""
        return self._with(self._find(), FOR_GOOD)

    async def apin(self) -> Self:
        """``pin`` without blocking the loop."""
        return self._with(await self._afind(), FOR_GOOD)

    def partial_format(self, **kwargs: Any) -> Self:
        """A copy that knows more. For a minute it stays with the version current now: an engine's whole query."""
        twin = self._with(self._find_for_query(), max(self._until, time.monotonic() + ONE_QUERY))
        twin.kwargs.update(kwargs)
        return twin

    def format(
        self,
        llm: BaseLLM | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        completion_to_prompt: Callable[[str], str] | None = None,
        **kwargs: Any,
    ) -> str:
        """The prompt as one text. Without any of its variables: the template, for ``str.format`` (ReAct's header)."""
        found = self._find_for_query()
        prompt, functions = found[0], self.function_mappings or {}
        if not kwargs and set(prompt.variables) - self._known().keys() - self._map_template_vars(functions).keys():
            return self._text(prompt, doubled)
        messages = self._filled(found, kwargs, llm)
        if prompt.text is None and (len(messages) > 1 or messages_to_prompt is not None):
            return (messages_to_prompt or with_roles)(messages)
        text = messages[0].content or "" if messages else ""
        return text if completion_to_prompt is None else completion_to_prompt(text)

    def format_messages(self, llm: BaseLLM | None = None, **kwargs: Any) -> list[ChatMessage]:
        """The messages, which ``Promptwire`` knows as this prompt's. ``llm`` is the one that they are for."""
        messages = self._filled(self._find(), kwargs, llm)
        if llm is not None and not isinstance(llm, KnowsPrompts):
            messages.resolved.announce()
        return messages

    def get_template(self, llm: BaseLLM | None = None) -> str:
        """``template``; or the prompt as it is written, where LlamaIndex's own templates have no form for it."""
        prompt, _ = self._find()
        try:
            return self._text(prompt, as_it_is)
        except TemplateError:
            return source_of(prompt)

    def to_native(self, *, str_format: bool = False) -> PromptTemplate | ChatPromptTemplate:
        """The current version as a template of LlamaIndex's own, for code that insists on one; it will not follow.

        ``str_format`` doubles literal braces, for what calls ``str.format`` on the text: ReAct's header, the question
        of ``QueryFusionRetriever``. Raises ``TemplateError`` for what such a template can't say.
        """
        common: dict[str, Any] = {
            "output_parser": self.output_parser,
            "function_mappings": self.function_mappings,
            "metadata": dict(self.metadata),
            "prompt_type": self.metadata["prompt_type"],
            **SHIELD,
        }
        prompt, _ = self._find()
        if str_format:
            return PromptTemplate(self._text(prompt, doubled), **common)
        messages = self._native(prompt, shielded)
        if prompt.text is not None and messages[0].role == MessageRole.USER:
            return PromptTemplate(messages[0].content or "", **common)
        return ChatPromptTemplate(messages, **common)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self._with(self._found, self._until)

    def __getstate__(self) -> dict[Any, Any]:
        """Another process has another clock: only what was pinned for good stays so."""
        twin = self if self._until == FOR_GOOD else self._with(None, 0.0)
        twin = twin.model_copy()
        twin._in_queries = {}  # noqa: SLF001 - its own class
        return super(ManagedPromptTemplate, twin).__getstate__()

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
        under_way = global_stack_trace.get()[1:]  # LlamaIndex's events, whoever listens; the first is the root of all
        if not under_way or self._held():
            return self._find()
        now = time.monotonic()
        found, until = self._in_queries.get(under_way[0], (None, 0.0))
        if found is None or now >= until:
            found = self._find()
            if len(self._in_queries) >= MAX_QUERIES:
                self._in_queries.clear()
            self._in_queries[under_way[0]] = found, time.monotonic() + ONE_QUERY
        return found

    def _options(self) -> FindOptions:
        return {"backend": self.backend, "label": self.label, "version": self.version, "fallback": self.fallback}

    def _known(self) -> dict[str, Any]:
        """The variables that need no argument, under the prompt's names."""
        return merge_variables(self._map_template_vars(self.kwargs), ambient_variables())

    def _filled(self, found: Found, given: Mapping[str, Any], llm: BaseLLM | None) -> ManagedMessages:
        values = merge_variables(self._map_all_vars({**self.kwargs, **given}), ambient_variables())
        missing = self.missing or (self._resolver or default_resolver()).missing
        whole = not isinstance(llm, KnowsPrompts | PromptwireGateway)
        info, messages = filled(found, values, missing, self.text_role, label=self.label, whole=whole)
        if self.output_parser is not None:
            messages = self.output_parser.format_messages([plain(message) for message in messages])
        told = Resolved(info, found[0].model, values if self.report_variables else None)
        return ManagedMessages(messages, found, told)

    def _text(self, prompt: Prompt, escape: Escape) -> str:
        messages = self._native(prompt, escape)
        return messages[0].content or "" if len(messages) == 1 else with_roles(messages)

    def _native(self, prompt: Prompt, escape: Escape) -> list[ChatMessage]:
        names = {theirs: engines for engines, theirs in (self.template_var_mappings or {}).items()}
        items = native_messages(prompt, self._known(), names, escape, self.text_role)
        return [plain(from_prompt(item, prompt.where, whole=True)) for item in items]


# A field, whose value is known only once the prompt is: pydantic leaves properties of its name out of a class's body.
ManagedPromptTemplate.template_vars = property(lambda self: self._names(self._find_for_query()[0]))  # type: ignore[assignment]
