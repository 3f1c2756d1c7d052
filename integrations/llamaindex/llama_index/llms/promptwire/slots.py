"""How ``Promptwire`` runs a ``ManagedPromptTemplate``: its messages and settings, and no other prompt on top."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import BasePromptTemplate, SelectorPromptTemplate
from llama_index.core.types import TokenAsyncGen, TokenGen
from llama_index.llms.promptwire.convert import plain
from llama_index.llms.promptwire.filling import ManagedMessages, SendsPrompts
from llama_index.llms.promptwire.template import ManagedPromptTemplate

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.resolver import Resolver


class TemplateMessages(list[ChatMessage]):
    """The messages that an engine's template made, and the arguments that it made them from."""

    def __init__(self, messages: Iterable[ChatMessage], args: Mapping[str, Any]) -> None:
        super().__init__(messages)
        self.args = args

    def of(self, messages: Iterable[ChatMessage]) -> "TemplateMessages":
        """Other messages of the same arguments."""
        return TemplateMessages(messages, self.args)


class SlotLLM(SendsPrompts, LLM):
    """An LLM that finds the prompt of a managed template once a call, and waits for it off the loop."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)

    def predict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        return cast("str", _original(LLM.predict)(self, pinned(prompt, self), **prompt_args))

    def stream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenGen:
        return cast("TokenGen", _original(LLM.stream)(self, pinned(prompt, self), **prompt_args))

    async def apredict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        return cast("str", await _original(LLM.apredict)(self, await apinned(prompt, self), **prompt_args))

    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        return cast("TokenAsyncGen", await _original(LLM.astream)(self, await apinned(prompt, self), **prompt_args))

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        """Used by ``predict`` and its kin, on the way to the chat endpoints."""
        messages = self.worded(prompt.format_messages(llm=self, **prompt_args))
        known = isinstance(messages, ManagedMessages)
        return messages if known else TemplateMessages(messages, {**prompt.kwargs, **prompt_args})

    def worded(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """A template's messages with what the LLM's own output parser and system prompt add to them."""
        made = list(messages)
        if self.output_parser is not None:
            made = self.output_parser.format_messages([plain(message) for message in messages])
        made = self._extend_messages(made)
        return messages.of(made) if isinstance(messages, ManagedMessages | TemplateMessages) else made


def managed_in(
    messages: object, given: dict[str, Any], own_id: str | None, resolver: Resolver
) -> ManagedMessages | None:
    """The messages, if they are a managed prompt and the call names no other one.

    Then the LLM's own prompt, ``own_id``, isn't put on top: a call has one managed prompt, which says model and
    parameters. That is noted once for each pair.
    """
    if not isinstance(messages, ManagedMessages) or given.get("prompt_id") is not None:
        return None
    said = [name for name in ("prompt_variables", "prompt_label", "prompt_version") if given.pop(name, None)]
    prompt, _ = messages.found
    if said:
        raise ConfigurationError(
            f"{', '.join(said)}: the messages are {prompt.where}, filled in by its ManagedPromptTemplate; give it there"
        )
    if own_id is not None and resolver.first_time(("in place of", own_id, prompt.backend, prompt.id)):
        log.logger.warning(
            "%s, a ManagedPromptTemplate, stands alone: the LLM's own prompt %r is not put on top. "
            "Say who speaks in the template, or give its engine an LLM without prompt_id.",
            prompt.where,
            own_id,
        )
    return messages


def selected(prompt: BasePromptTemplate, llm: LLM) -> BasePromptTemplate:
    """The template that is used with this LLM."""
    return prompt.select(llm) if isinstance(prompt, SelectorPromptTemplate) else prompt


def pinned(prompt: BasePromptTemplate, llm: LLM) -> BasePromptTemplate:
    """The template with its prompt found, if that is kept elsewhere."""
    chosen = selected(prompt, llm)
    return chosen.pin() if isinstance(chosen, ManagedPromptTemplate) else prompt


async def apinned(prompt: BasePromptTemplate, llm: LLM) -> BasePromptTemplate:
    """``pinned`` without blocking the loop."""
    chosen = selected(prompt, llm)
    return await chosen.apin() if isinstance(chosen, ManagedPromptTemplate) else prompt


def _original(method: Any) -> Any:
    """A method without its span: ours has one already, as it overrides one that has."""
    return method.__wrapped__
