"""From one call's arguments to what runs: the prompt to ask for, then the delegate, its messages and parameters."""

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field, PrivateAttr, SecretStr, StrictInt

from langchain_promptwire.calls import CONTROLS, ChatInput, Layer, read_input, stacked
from langchain_promptwire.delegates import (
    SCHEMA_REPLACES,
    address_of,
    copied,
    model_field,
    provider_of,
    with_schema,
    with_tools,
)
from langchain_promptwire.fields import ModelFields
from langchain_promptwire.gateway import ChatPromptwireGateway
from langchain_promptwire.messages import plain_variables, to_langchain, turn
from langchain_promptwire.prompt_values import carried_by
from langchain_promptwire.tracing import provenance, used_variables
from promptwire import log
from promptwire.backends import known_backends
from promptwire.calls import RENDERING, PromptCall, Ready, make_ready, refuse_without_id
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.answers import PromptInfo, describe
from promptwire.gateway.fitting import settings_for
from promptwire.gateway.hosts import DEFAULT_PROVIDER
from promptwire.gateway.providers import (
    CallerModel,
    Choice,
    Target,
    choose,
    choose_model,
    parse_model,
)
from promptwire.params import merge_params
from promptwire.prompts import Prompt
from promptwire.resolver import Resolver
from promptwire.search import Found

# The argument of a call that carries with_structured_output's.
SCHEMA = "promptwire_schema"
# Fields of the base class that a delegate honours, and that would do nothing on a router.
_HANDED_ON = ("cache", "rate_limiter", "disable_streaming", "output_version", "streaming")
# What a kept delegate was made of.
_MADE_OF = ("llm", "timeout", "max_retries", *_HANDED_ON)
_MAX_KEPT = 100


@dataclass(frozen=True, slots=True)
class Route:
    """A call, decided."""

    run: Runnable[Any, Any]
    messages: list[BaseMessage]
    params: dict[str, Any]
    provenance: dict[str, Any]
    info: PromptInfo | None = None
    traced: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def config(self, config: RunnableConfig) -> RunnableConfig:
        """The delegate's config: its run tells which prompt it ran."""
        return {**config, "metadata": {**(config.get("metadata") or {}), **self.provenance, **self.traced}}

    def stamped(self, answer: Any) -> Any:
        """The answer with the prompt it came from; a copy, since LangChain's cache may hold the original."""
        if isinstance(answer, BaseMessage) and self.provenance:
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


class Router(ModelFields):
    """The fields that say which prompt and which delegate, and the decisions made of them."""

    model: str | None = None
    prompt_id: str | None = None
    prompt_variables: dict[str, Any] = Field(default_factory=dict, repr=False)
    prompt_label: str | None = None
    prompt_version: StrictInt | str | None = None
    message_mode: str = "auto"
    messages_placeholder: str | None = None
    input_variable: str | None = None
    text_role: str = "user"
    missing: str | None = None
    fallback: Any = Field(default=None, repr=False)
    llm: Runnable[Any, Any] | None = Field(default=None, exclude=True, repr=False)
    resolver: Resolver | None = Field(default=None, exclude=True, repr=False)
    ignore_prompt_model: bool = False
    ignore_prompt_params: bool = False
    allowed_models: tuple[str, ...] | None = None
    trace_variables: bool = False
    # A field, so that it survives those who make a model of another's fields, as configurable_fields does.
    bound_arguments: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)

    _kept: dict[Hashable, tuple[list[object], Runnable[Any, Any]]] = PrivateAttr(default_factory=dict)

    def _ask(self, given_input: ChatInput, given: Mapping[str, Any]) -> Ask:
        """Read one call's arguments. Raises ``ConfigurationError``."""
        if self.llm is not None and (self.api_key or self.base_url):
            raise ConfigurationError("api_key= and base_url= are for the default gateway; give them to the llm itself")
        messages, variables = read_input(given_input)
        bound, call = Layer.of(self.bound_arguments), Layer.of(given)
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

    def _above(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is bound, and arguments bound later."""
        earlier, later = Layer.of(self.bound_arguments), Layer.of(given)
        return {**stacked(earlier.controls, later.controls), **earlier.params, **later.params}

    def _caller(self, explicit: str | None) -> CallerModel:
        """What the caller says of the model; with a fixed ``llm`` the provider is that one's."""
        backends = known_backends()
        key = self.api_key.get_secret_value() if self.api_key else None
        address = self.base_url if self.llm is None else address_of(self.llm)
        named = parse_model(explicit or self.model, backends, key, address)
        if explicit and self.model:
            own = parse_model(self.model, backends, key, address)
            named = replace(named, backend=named.backend or own.backend)
            if named.provider != own.provider:  # the constructor's key and address are its model's provider's
                named = replace(named, api_key=None, api_base=None)
        if self.llm is None:
            return named
        provider = provider_of(self.llm)
        if named.provider not in {provider, DEFAULT_PROVIDER}:
            raise ConfigurationError(f"model names provider {named.provider!r}, but the fixed llm= is {provider}'s")
        return replace(named, provider=provider)

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
        messages, settings, traced = ask.messages, {}, {}
        prompt, info = (ask.carried if ask.call is None else None) or (found and found[0], None)
        choice = choose_model(ask.caller, prompt, **self._rules(ask))
        run = self._delegate(ask, prompt, choice)
        if ask.call and found:
            turns = [turn(message) for message in messages]
            ready = make_ready(ask.call, found, turns, ask.resolver, level=logging.WARNING)
            messages, info = _sent(ready), describe(ready.rendered, ask.call.label)
            if self.trace_variables:
                traced = {"prompt_variables": used_variables(found[0], ready.variables)}
        if prompt and not ask.ignore_params:
            settings = settings_for(prompt, choice, ask.resolver)
        if not messages:
            raise ConfigurationError(
                "there is nothing to send: give messages, or a prompt_id of a prompt with messages"
            )
        layers = [self.own_params, settings, ask.bound, ask.given]
        schema = ask.given.get(SCHEMA)
        if schema is not None:
            layers[1] = {name: value for name, value in settings.items() if name not in SCHEMA_REPLACES}
        params = merge_params(*layers)
        params.pop(SCHEMA, None)
        if self.llm is not None:
            log.show_resolved(choice.model, lambda: convert_to_openai_messages(messages), params)
        run = with_schema(run, schema, params) if schema is not None else with_tools(run, params)
        told = provenance(info) if info else {}
        return Route(run, messages, params if schema is None else {}, told, info, traced)

    def _rules(self, ask: Ask) -> dict[str, Any]:
        return {"ignore_prompt_model": ask.ignore_model, "allowed_models": self.allowed_models}

    def _delegate(self, ask: Ask, prompt: Prompt | None, choice: Choice) -> Runnable[Any, Any]:
        """The gateway or the llm, under the name of the model that is to run."""
        llm = self.llm
        if llm is None:
            target = choose(ask.caller, prompt, **self._rules(ask))
            return self._keep(target, lambda: self._gateway(target))
        if choice.prompt and choice.provider != ask.caller.provider:
            raise PromptConfigError(
                f"model {choice.provider}/{choice.model}{choice.named_by} can't run on the fixed llm=, which is "
                f"{ask.caller.provider or 'no chat model'}'s; give llm=<factory>, or ignore_prompt_model=True"
            )
        if choice.model and model_field(llm) is None:
            refusal = PromptConfigError if choice.prompt else ConfigurationError
            raise refusal(
                f"model {choice.model!r}{choice.named_by} can't be set on the fixed llm=, a {type(llm).__name__}; "
                "give llm=<factory>, or leave its own model to run: model='<backend>/', ignore_prompt_model=True"
            )
        return self._keep((choice.provider, choice.model), lambda: self._copy(llm, choice))

    def _keep(self, key: Hashable, make: Callable[[], Runnable[Any, Any]]) -> Runnable[Any, Any]:
        """A delegate made once, and again when what it was made of has changed."""
        made_of = [getattr(self, name) for name in _MADE_OF]
        before, kept = self._kept.get(key, ([], None))
        if kept is None or any(old is not new for old, new in zip(before, made_of, strict=True)):
            kept = make()
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = (made_of, kept)
        return kept

    def _gateway(self, target: Target) -> ChatPromptwireGateway:
        given = {name: getattr(self, name) for name in ("timeout", "max_retries", *self._handed_on())}
        key = SecretStr(target.api_key) if target.api_key else None
        model = f"{target.provider}/{target.model}"
        return ChatPromptwireGateway(model=model, api_key=key, base_url=target.api_base, **given)

    def _copy(self, llm: Runnable[Any, Any], choice: Choice) -> Runnable[Any, Any]:
        """The llm itself, or a copy that differs in what was set here."""
        changes = {name: getattr(self, name) for name in self._handed_on()}
        field, model = model_field(llm), choice.model
        if model and isinstance(llm, ChatPromptwireGateway):
            model = f"{choice.provider}/{model}"
        if model and field and getattr(llm, field) != model:
            changes[field] = model
        return copied(llm, changes) if changes and isinstance(llm, BaseChatModel) else llm

    def _handed_on(self) -> list[str]:
        fields = type(self).model_fields
        defaults = {name: fields[name].get_default(call_default_factory=True) for name in _HANDED_ON}
        return [name for name, default in defaults.items() if getattr(self, name) != default]


def _sent(ready: Ready) -> list[BaseMessage]:
    """A dict that is none of the prompt's own was made of the prompt's and the caller's system texts."""
    own = {id(item) for item in ready.rendered.items}
    sent = cast("list[Any]", ready.messages)
    return [one if isinstance(one, BaseMessage) else to_langchain(one, exact=id(one) in own) for one in sent]
