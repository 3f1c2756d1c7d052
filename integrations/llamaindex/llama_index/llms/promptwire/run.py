"""One call of ``Promptwire``: what was asked, and what comes of it once the prompt is found."""

import logging
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ChatResponseAsyncGen, ChatResponseGen
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.promptwire.ahead import Known, look_ahead
from llama_index.llms.promptwire.convert import from_prompt, plain, turn
from llama_index.llms.promptwire.delegates import Delegates, Rules
from llama_index.llms.promptwire.events import Resolved, around, asteps, steps
from llama_index.llms.promptwire.filling import ManagedMessages
from llama_index.llms.promptwire.gateway import PromptwireGateway
from llama_index.llms.promptwire.links import followed
from llama_index.llms.promptwire.peers import for_structure, known_metadata
from llama_index.llms.promptwire.slots import TemplateMessages
from llama_index.llms.promptwire.wording import spelled
from pydantic import BaseModel

from promptwire import log
from promptwire.calls import KEEP_TEXT, PromptCall, make_ready
from promptwire.errors import ConfigurationError
from promptwire.gateway.answers import describe
from promptwire.gateway.fitting import settings_for
from promptwire.gateway.providers import CallerModel, Choice
from promptwire.params import SCHEMA_REPLACES, merge_params
from promptwire.resolver import Resolver
from promptwire.search import Found

FILL_SLOT = (
    "It was an engine's own prompt: a prompt that asks belongs in that slot, as with "
    "engine.update_prompts({'response_synthesizer:text_qa_template': ManagedPromptTemplate(...)}), and on the LLM one "
    "that says who speaks; message_mode='replace' says it is meant."
)


class Composed(ChatPromptTemplate):
    """Messages that are ready: no brace in them is a variable, and none is made anew."""

    def __init__(self, messages: list[ChatMessage]) -> None:
        super().__init__(message_templates=messages)

    def format_messages(self, llm: BaseLLM | None = None, **kwargs: Any) -> list[ChatMessage]:
        messages = list(self.message_templates)
        if self.output_parser is None:
            return messages
        return self.output_parser.format_messages([plain(one).model_copy(deep=True) for one in messages])


@dataclass(slots=True)
class Run:
    """A call made ready: ``tools`` are the arguments of ``chat_with_tools``, ``resolved`` is the prompt."""

    delegate: LLM
    messages: list[ChatMessage]
    params: Mapping[str, Any] = field(repr=False)
    tools: Mapping[str, Any] | None
    resolved: Resolved | None

    def start(self, endpoint: str) -> Any:
        """Call an endpoint of the delegate, or its twin that takes tools."""
        self._tell()
        with around(self.resolved):
            return self._call(endpoint)

    async def astart(self, endpoint: str) -> Any:
        """``start`` of an endpoint that is to be awaited."""
        self._tell()
        with around(self.resolved):
            return await self._call(endpoint)

    def _tell(self) -> None:
        if self.resolved is not None:
            self.resolved.announce()

    def _call(self, endpoint: str) -> Any:
        if not self.tools:
            return getattr(self.delegate, endpoint)(self.messages, **self.params)
        if not isinstance(self.delegate, FunctionCallingLLM):
            name = type(self.delegate).__name__
            raise ConfigurationError(f"llm={name}() can't call tools: give a FunctionCallingLLM")
        with_tools = getattr(self.delegate, f"{endpoint}_with_tools")
        return with_tools(chat_history=self.messages, **self.tools, **self.params)

    def structured(self, endpoint: str, output_cls: type[BaseModel], mode: PydanticProgramMode) -> Any:
        """Call an endpoint of the delegate that answers an object of a class, or a stream of them."""
        self._tell()
        with around(self.resolved):
            made = self._structure(endpoint, output_cls, mode)
        return steps(made, self.resolved) if isinstance(made, Generator) else made

    async def astructured(self, endpoint: str, output_cls: type[BaseModel], mode: PydanticProgramMode) -> Any:
        """``structured`` of an endpoint that is to be awaited."""
        self._tell()
        with around(self.resolved):
            made = await self._structure(endpoint, output_cls, mode)
        return asteps(made, self.resolved) if isinstance(made, AsyncGenerator) else made

    def _structure(self, endpoint: str, output_cls: type[BaseModel], mode: PydanticProgramMode) -> Any:
        delegate, params = for_structure(self.delegate, self.params, mode)
        return getattr(delegate, endpoint)(output_cls, Composed(self.messages), llm_kwargs=params)

    def mark(self, response: ChatResponse) -> ChatResponse:
        """The response with the prompt's name beside its message, whose own extras would go out again."""
        if self.resolved is None:
            return response
        return response.model_copy(update={"additional_kwargs": {**response.additional_kwargs, **self.resolved.told}})

    def mark_each(self, responses: ChatResponseGen) -> ChatResponseGen:
        """``mark`` for a stream."""
        with closing(responses):
            for response in responses:
                yield self.mark(response)

    async def amark_each(self, responses: ChatResponseAsyncGen) -> ChatResponseAsyncGen:
        """``mark`` for an async stream."""
        async with aclosing(responses):
            async for response in responses:
                yield self.mark(response)


@dataclass(slots=True, kw_only=True)
class Ask:
    """A call as the caller made it; its parameters are those of the constructor, bound, and given with the call.

    ``managed`` are messages that are a prompt already, and stand for what ``call`` would name.
    """

    messages: Sequence[ChatMessage]
    managed: ManagedMessages | None
    call: PromptCall | None
    caller: CallerModel
    own: Mapping[str, Any] = field(repr=False)
    bound: Mapping[str, Any] = field(repr=False)
    given: Mapping[str, Any] = field(repr=False)
    tools: Mapping[str, Any] | None
    rules: Rules
    ignore_prompt_params: bool
    resolver: Resolver
    delegates: Delegates
    manager: CallbackManager
    report_variables: bool
    structured: bool
    pinned: Found | None

    def find(self) -> Found | None:
        """The prompt, if the call has one."""
        if self.managed is not None:
            return self.managed.found
        if self.call is None or self.pinned:
            return self.pinned
        return self.resolver.find(self.call.prompt_id, **self.call.options())

    async def afind(self) -> Found | None:
        """``find`` without blocking the loop."""
        if self.managed is not None:
            return self.managed.found
        if self.call is None or self.pinned:
            return self.pinned
        return await self.resolver.afind(self.call.prompt_id, **self.call.options())

    def run(self, found: Found | None) -> Run:
        """Decide model, messages and parameters; pure."""
        delegate, choice, params = self._decided(found)
        messages, resolved = self._composed(found, whole=not isinstance(delegate, PromptwireGateway))
        if not messages:
            raise ConfigurationError("there is nothing to send: give messages, or the prompt_id of a prompt with some")
        if not isinstance(delegate, PromptwireGateway):
            log.show_resolved(
                choice.model, lambda: [{"role": m.role.value, "content": m.content} for m in messages], params
            )
        sent = spelled(delegate, messages, params, tools=bool(self.tools))
        return Run(self.delegates.reporting(delegate, self.manager), messages, sent, self.tools, resolved)

    def known(self, found: Found | None) -> Known:
        """What can be told of the calls to come."""
        delegate, _, params = self._decided(found)
        return look_ahead(known_metadata(delegate), params, found[0] if found else None)

    def _decided(self, found: Found | None) -> tuple[LLM, Choice, dict[str, Any]]:
        """The LLM that runs, the model that was chosen, and the parameters."""
        prompt = found[0] if found else None
        choice = self.delegates.choose(self.caller, prompt, self.rules)
        settings: Mapping[str, Any] = {}
        if prompt and not self.ignore_prompt_params:
            settings = settings_for(prompt, choice, self.resolver)
        if self.structured:
            settings = {name: value for name, value in settings.items() if name not in SCHEMA_REPLACES}
        tools = {"tools": self.tools["tools"]} if self.tools else {}
        params = merge_params(self.own, settings, self.bound, {**tools, **self.given})
        if tools:
            del params["tools"]
        return self.delegates.pick(choice, self.caller, prompt, params), choice, params

    def _composed(self, found: Found | None, *, whole: bool) -> tuple[list[ChatMessage], Resolved | None]:
        """The messages to send, and the prompt among them."""
        turns = [turn(message) for message in self.messages]
        if self.managed is not None:
            return self.managed.whole() if whole else list(self.managed), self.managed.resolved
        if found is None or self.call is None:
            return list(self.messages), None
        advice = FILL_SLOT if isinstance(self.messages, TemplateMessages) else KEEP_TEXT
        call = self._with_engine(self.call, found)
        ready = make_ready(call, found, turns, self.resolver, level=logging.WARNING, advice=advice)
        where, info = found[0].where, followed(describe(ready.rendered, call.label))
        messages = [
            from_prompt(item, where, whole=whole, origin=info) if isinstance(item, dict) else cast("ChatMessage", item)
            for item in ready.messages
        ]
        variables = ready.rendered.values if self.report_variables else None
        return messages, Resolved(info, found[0].model, variables)

    def _with_engine(self, call: PromptCall, found: Found) -> PromptCall:
        """An engine's arguments are variables; not messages, whatever their name: it gives histories as texts."""
        if not isinstance(self.messages, TemplateMessages):
            return call
        args = {name: value for name, value in self.messages.args.items() if name not in found[0].placeholders}
        return replace(call, variables={**call.variables, **args})
