"""``ManagedPromptTemplate``: a managed prompt in LlamaIndex's prompt slots."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.generic_utils import messages_to_prompt as with_roles
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, PromptType
from llama_index.core.types import BaseOutputParser
from llama_index.llms.promptwire.convert import from_prompt, plain
from llama_index.llms.promptwire.events import Resolved
from llama_index.llms.promptwire.filling import KnowsPrompts, ManagedMessages, SendsPrompts, filled
from llama_index.llms.promptwire.lookup import KeptElsewhere
from llama_index.llms.promptwire.native import SHIELD, Escape, as_it_is, doubled, native_messages, shielded, source_of
from pydantic import Field, ValidationError

from promptwire.ambient import ambient_variables
from promptwire.backends import Backend
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError, TemplateError, raise_bare, unfit
from promptwire.params import merge_variables
from promptwire.prompts import Prompt, check_missing
from promptwire.refs import PromptRef
from promptwire.resolver import Resolver
from promptwire.rollout import Label, choose_label
from promptwire.search import Fallback, Found

_MEANT = {"prompt_label": "label", "prompt_version": "version", "prompt_variables": "the variables' own names"}


class ManagedPromptTemplate(KeptElsewhere):
    """A prompt template kept in Langfuse, Humanloop or files: ``ManagedPromptTemplate("rag/answer")``.

    Goes into any prompt slot, with any LLM. ``template_var_mappings`` names the prompt's variable for one of the
    engine's (``{"context_str": "context"}``); ``partials`` are values known beforehand. The prompt is found when it is
    used. ``Promptwire`` also runs it on the prompt's model with its parameters, and no prompt of its own on top.
    Using it raises ``PromptwireError``.
    """

    missing: str | None = None
    text_role: str = "user"
    report_variables: bool = False
    kwargs: dict[str, Any] = Field(default_factory=dict, repr=False)  # values may be messages

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
            raise_bare(unfit(f"{type(self).__name__}()", error))
        self._resolver = resolver

    @property
    def template(self) -> str:
        """As ``PromptTemplate`` has it, for chat engines: the text with ``{name}`` for each variable."""
        return self._text(self._find_for_query()[0], as_it_is)

    def format(
        self,
        llm: BaseLLM | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        completion_to_prompt: Callable[[str], str] | None = None,
        **kwargs: Any,
    ) -> str:
        """The prompt as one text. Without any of its variables: the template, for ``str.format`` (ReAct's header)."""
        if llm is None and messages_to_prompt is None and self._measures(kwargs):
            found = self._to_measure()
            if found is None:
                return "\n".join(map(str, kwargs.values()))
        else:
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
        messages = self._filled(self._find_for_query(), kwargs, llm)
        if llm is not None and not isinstance(llm, KnowsPrompts):
            messages.resolved.announce()
        return messages

    def get_template(self, llm: BaseLLM | None = None) -> str:
        """``template``; or the prompt as it is written, where LlamaIndex's own templates have no form for it."""
        prompt, _ = self._find_for_query()
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
        prompt, _ = self._find_for_query()
        if str_format:
            return PromptTemplate(self._text(prompt, doubled), **common)
        messages = self._native(prompt, shielded)
        if prompt.text is not None and messages[0].role == MessageRole.USER:
            return PromptTemplate(messages[0].content or "", **common)
        return ChatPromptTemplate(messages, **common)

    def _known(self) -> dict[str, Any]:
        """The variables that need no argument, under the prompt's names."""
        return merge_variables(self._map_template_vars(self.kwargs), ambient_variables())

    def _filled(self, found: Found, given: Mapping[str, Any], llm: BaseLLM | None) -> ManagedMessages:
        values = merge_variables(self._map_all_vars({**self.kwargs, **given}), ambient_variables())
        missing = self.missing or (self._resolver or default_resolver()).missing
        whole = not isinstance(llm, SendsPrompts)
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
        return [plain(from_prompt(item, prompt.where, whole=False)) for item in items]


def _measured_names(template: ManagedPromptTemplate) -> list[str]:
    found = template._to_measure()  # noqa: SLF001 - its own property
    return template._names(found[0]) if found else []  # noqa: SLF001 - as above


# A field, whose value is known only once the prompt is: pydantic leaves properties of its name out of a class's body.
ManagedPromptTemplate.template_vars = property(_measured_names)  # type: ignore[assignment]
