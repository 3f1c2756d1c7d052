"""From one call's arguments to what runs: the prompt to ask for, then the delegate, its messages and parameters."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field, StrictInt, field_validator

from langchain_promptwire.calls import CALL_ARGUMENTS, CONTROLS, ChatInput, Layer, read_input, stacked
from langchain_promptwire.delegates import (
    own_arguments,
    rewrapped,
    with_metadata,
    with_schema,
    with_tools,
)
from langchain_promptwire.delegating import Delegating
from langchain_promptwire.messages import plain_variables, to_langchain, turn
from langchain_promptwire.outgoing import to_show
from langchain_promptwire.portable import lacking, portable
from langchain_promptwire.prompt_values import carried_by
from promptwire import log
from promptwire.calls import RENDERING, PromptCall, Ready, make_ready, refuse_without_id
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError
from promptwire.gateway.answers import PromptInfo, describe
from promptwire.gateway.fitting import settings_for
from promptwire.gateway.providers import CallerModel, Choice, choose_model
from promptwire.params import SCHEMA_REPLACES, merge_params, nearest
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver
from promptwire.search import Found
from promptwire.tracing import provenance, used_variables

# The argument of a call that carries with_structured_output's.
SCHEMA = "promptwire_schema"


@dataclass(frozen=True, slots=True)
class Route:
    """A call, decided."""

    run: Runnable[Any, Any]
    messages: list[BaseMessage]
    params: dict[str, Any]
    info: PromptInfo | None
    traced: Mapping[str, Any] = field(repr=False)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the run and the answer tell of the prompt."""
        return provenance(self.info) if self.info else {}

    def config(self, config: RunnableConfig) -> RunnableConfig:
        """The delegate's config: its run tells which prompt it ran."""
        return {**config, "metadata": {**(config.get("metadata") or {}), **self.provenance, **self.traced}}

    def stamped(self, answer: Any) -> Any:
        """The answer with the prompt it came from; a copy, since LangChain's cache may hold the original."""
        if isinstance(answer, BaseMessage) and self.info:
            return answer.model_copy(update={"response_metadata": {**answer.response_metadata, **self.provenance}})
        if isinstance(answer, dict) and isinstance(answer.get("raw"), BaseMessage):
            return type(answer)({**answer, "raw": self.stamped(answer["raw"])})
        return answer


@dataclass(frozen=True, slots=True)
class Ask:
    """A call as the caller means it, before its prompt is known."""

    resolver: Resolver
    caller: CallerModel
    call: PromptCall | None
    messages: list[BaseMessage]
    bound: Mapping[str, Any]
    given: Mapping[str, Any] = field(repr=False)
    ignore_model: bool = False
    ignore_params: bool = False
    carried: tuple[Prompt, PromptInfo] | None = None


class Router(Delegating):
    """The fields that say which prompt, and the decisions made of them."""

    prompt_id: str | None = None
    prompt_variables: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    prompt_label: str | dict[str, float] | None = None
    prompt_version: StrictInt | str | None = None
    message_mode: str = "auto"
    messages_placeholder: str | None = None
    input_variable: str | None = None
    text_role: str = "user"
    rollout_key: str | int | None = Field(default=None, repr=False)
    missing: str | None = None
    fallback: Any = Field(default=None, repr=False)
    resolver: Resolver | None = Field(default=None, exclude=True, repr=False)
    ignore_prompt_model: bool = False
    ignore_prompt_params: bool = False
    configurable_keys: tuple[str, ...] = ()
    trace_variables: bool = False
    # A field, so that it survives those who make a model of another's fields, as configurable_fields does.
    bound_arguments: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)

    @field_validator("configurable_keys")
    @classmethod
    def _may_be_configured(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for name in keys:
            if name not in CALL_ARGUMENTS:
                hint = nearest(name, sorted(CALL_ARGUMENTS))
                raise ConfigurationError(f"configurable_keys: {name!r} is no argument of a call{hint}")
        return keys

    def _ask(self, given_input: ChatInput, given: Mapping[str, Any], config: RunnableConfig | None) -> Ask:
        """Read one call's arguments. Raises ``ConfigurationError``."""
        if self._fixed is not None and (self.api_key or self.base_url):
            raise ConfigurationError("api_key= and base_url= are for the default gateway; give them to the llm itself")
        messages, variables = read_input(given_input)
        bound, call = self._bound(config), Layer.of(given)
        above = stacked(stacked(bound.controls, {"prompt_variables": variables}), call.controls)
        own = {name: value for name in CONTROLS if (value := getattr(self, name)) is not None}
        controls = stacked(own, above)
        caller = self._caller(above.get("model"))
        return Ask(
            resolver=self.resolver or default_resolver(),
            caller=caller,
            call=self._prompt_call(controls, above["prompt_variables"], caller),
            messages=messages,
            bound=bound.params,
            given=call.params,
            ignore_model=controls["ignore_prompt_model"] or ("model" in above and caller.model is not None),
            ignore_params=controls["ignore_prompt_params"],
            carried=carried_by(given_input),
        )

    def _bound(self, config: RunnableConfig | None) -> Layer:
        """What is bound, and above it the allowed keys of ``config["configurable"]``."""
        told = (config or {}).get("configurable") or {}
        picked = {name: told[name] for name in self.configurable_keys if name in told}
        return Layer.of(self._above(picked) if picked else self.bound_arguments)

    def _above(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is bound, and arguments bound later."""
        earlier, later = Layer.of(self.bound_arguments), Layer.of(given)
        return {**stacked(earlier.controls, later.controls), **earlier.params, **later.params}

    def _prompt_call(
        self, controls: Mapping[str, Any], overrides: Mapping[str, Any], caller: CallerModel
    ) -> PromptCall | None:
        prompt_id = controls.get("prompt_id")
        if prompt_id is None:
            names = ("prompt_variables", "prompt_label", "prompt_version")
            refuse_without_id(caller.backend, {name: controls.get(name) for name in names})
            return None
        return PromptCall(
            prompt_id=prompt_id,
            variables=plain_variables(self.prompt_variables),
            overrides=plain_variables(overrides),
            backend=caller.backend,
            label=controls.get("prompt_label"),
            version=controls.get("prompt_version"),
            **{name: controls[name] for name in RENDERING if name in controls},
        )

    def _decide(self, ask: Ask, found: Found | None) -> Route:
        """Model, messages and parameters; pure. Raises ``PromptwireError``."""
        prompt = found[0] if found else ask.carried[0] if ask.carried else None
        caller = self._host(ask.caller, None if ask.ignore_model else prompt)
        choice = choose_model(caller, prompt, ignore_prompt_model=ask.ignore_model, allowed_models=self.allowed_models)
        params = self._params(ask, prompt, choice)
        run = with_metadata(self._delegate(caller, prompt, choice, params), params)
        messages, info, variables = _composed(ask, found)
        traced: dict[str, Any] = {}
        if self.trace_variables and prompt and variables:
            traced = {"prompt_variables": used_variables(prompt, variables)}
        schema = params.pop(SCHEMA, None)
        if self.llm is not None:
            log.show_resolved(choice.model, lambda: to_show(messages), params)
        run = with_tools(run, params, prompt) if schema is None else with_schema(run, schema, params)
        return Route(rewrapped(self._fixed, run), messages, params if schema is None else {}, info, traced)

    def _params(self, ask: Ask, prompt: Prompt | None, choice: Choice) -> dict[str, Any]:
        """The model's parameters, from the delegate's own to the call's (DESIGN 4.2)."""
        settings = {} if prompt is None or ask.ignore_params else self._settings(prompt, choice, ask.resolver)
        if ask.given.get(SCHEMA) is not None:
            settings = {name: value for name, value in settings.items() if name not in SCHEMA_REPLACES}
        params = merge_params(own_arguments(self._fixed), self.own_params, settings, ask.bound, ask.given)
        return params if self._is_gateway else portable(params, choice.provider)

    def _settings(self, prompt: Prompt, choice: Choice, resolver: Resolver) -> dict[str, Any]:
        """What the prompt sets, without what the delegate has no word for; that is noted once per prompt."""
        settings = settings_for(prompt, choice, resolver)
        names = [] if self._is_gateway else lacking(settings, choice.provider)
        if names and resolver.first_time((prompt.backend, prompt.id, "delegate", *names)):
            what = f"{prompt.where} sets {', '.join(names)}"
            log.logger.warning("%s to what %s's chat model has no word for: left out", what, choice.provider)
        return {name: value for name, value in settings.items() if name not in names}


def _composed(ask: Ask, found: Found | None) -> tuple[list[BaseMessage], PromptInfo | None, Mapping[str, Any]]:
    """What is sent, the prompt it came from, and its variables."""
    messages, info = ask.messages, ask.carried[1] if ask.carried else None
    variables: Mapping[str, Any] = {}
    if ask.call and found:
        turns = [turn(message) for message in messages]
        ready = make_ready(ask.call, found, turns, ask.resolver, level=logging.WARNING)
        messages, info, variables = _sent(ready), describe(ready.rendered, ask.call.label), ready.variables
    if not messages:
        raise ConfigurationError("there is nothing to send: give messages, or a prompt_id of a prompt with messages")
    if found:
        _note_missing_turn(messages, found[0], ask.resolver)
    return messages, info, variables


def _note_missing_turn(messages: list[BaseMessage], prompt: Prompt, resolver: Resolver) -> None:
    """Instructions alone are sent as they are: some models answer them, others refuse."""
    alone = all(isinstance(message, SystemMessage) for message in messages)
    if alone and resolver.first_time((prompt.backend, prompt.id, "no turn")):
        log.logger.warning(
            "%s has no user turn, and the call gives no messages: its instructions are sent alone", prompt.where
        )


def _sent(ready: Ready) -> list[BaseMessage]:
    """A dict that is none of the prompt's own was made of the prompt's and the caller's system texts."""
    own = {id(item) for item in ready.rendered.items}
    sent = cast("list[Any]", ready.messages)
    return [one if isinstance(one, BaseMessage) else to_langchain(one, exact=id(one) in own) for one in sent]
