"""Which delegate runs a call: the gateway, a copy of the fixed ``llm``, or what a factory makes."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import Field, PrivateAttr, SecretStr

from langchain_promptwire.delegates import address_of, bare, copied, model_field, provider_of
from langchain_promptwire.factories import LLMFactory, constructed, take_constructed
from langchain_promptwire.fields import ModelFields
from langchain_promptwire.gateway import ChatPromptwireGateway
from promptwire.backends import known_backends
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import DEFAULT_PROVIDER, find_provider
from promptwire.gateway.providers import CallerModel, Choice, Target, aim, check_path, model_of, parse_model
from promptwire.params import merge_params
from promptwire.prompts import Prompt

# Fields of the base class that a delegate honours, and that would do nothing on a router.
_HANDED_ON = ("cache", "rate_limiter", "disable_streaming", "output_version", "streaming")
# What a kept delegate was made of.
_MADE_OF = ("llm", "api_key", "base_url", "timeout", "max_retries", *_HANDED_ON)
_MAX_KEPT = 100


class Delegating(ModelFields):
    """The fields that say which delegate, and the delegates made of them, each once."""

    model: str | None = None
    llm: Runnable[Any, Any] | LLMFactory | None = Field(default=None, exclude=True, repr=False)
    allowed_models: tuple[str, ...] | None = None

    _kept: dict[Hashable, tuple[list[object], Runnable[Any, Any]]] = PrivateAttr(default_factory=dict)

    @property
    def _fixed(self) -> Runnable[Any, Any] | None:
        return self.llm if isinstance(self.llm, Runnable) else None

    @property
    def _static(self) -> BaseChatModel | None:
        """The fixed llm, if it is a chat model, without what is bound to it."""
        model = bare(self._fixed)
        return model if isinstance(model, BaseChatModel) else None

    @property
    def _is_gateway(self) -> bool:
        """Whether the delegate takes OpenAI's parameters, whichever the provider."""
        return self.llm is None or isinstance(self._static, ChatPromptwireGateway)

    def _host(self, caller: CallerModel, prompt: Prompt | None) -> CallerModel:
        """The caller; a factory may know the prompt's provider where Promptwire has no row for it.

        Whoever edits the prompt could name any that the factory knows, so such a one has to be allowed.
        """
        if prompt is None or prompt.model is None or self.llm is None or self._fixed:
            return caller
        stranger = prompt.provider
        if stranger is None or find_provider(stranger):
            return caller
        if self.allowed_models is None:
            raise PromptConfigError(
                f"{prompt.where} names provider {stranger!r}, which Promptwire doesn't know; to have the factory make "
                f"its models, give allowed_models=('{stranger}/*', ...)"
            )
        return replace(caller, provider=stranger, api_key=None, api_base=None)

    def _caller(self, explicit: str | None) -> CallerModel:
        """What the caller says of the model; with a fixed ``llm`` the provider is that one's."""
        backends, fixed = known_backends(), bare(self._fixed)
        key = self.api_key.get_secret_value() if self.api_key else None
        address = self.base_url if fixed is None else address_of(fixed)
        named = parse_model(explicit or self.model, backends, key, address)
        if explicit and self.model:
            own = parse_model(self.model, backends, key, address)
            named = replace(named, backend=named.backend or own.backend)
            if named.provider != own.provider:  # the constructor's key and address are its model's provider's
                named = replace(named, api_key=None, api_base=None)
        if fixed is None:
            return named
        provider = provider_of(fixed)
        if named.provider not in {provider, DEFAULT_PROVIDER}:
            raise ConfigurationError(f"model names provider {named.provider!r}, but the fixed llm= is {provider}'s")
        return replace(named, provider=provider)

    def _delegate(
        self, caller: CallerModel, prompt: Prompt | None, choice: Choice, params: dict[str, Any]
    ) -> Runnable[Any, Any]:
        """What runs, under the name of the chosen model; what a factory makes it with leaves ``params``."""
        fixed = self._fixed
        if not self._is_gateway:
            check_path(choice)
        if fixed is not None:
            self._check_fixed(bare(fixed), caller, choice)
            return self._keep((choice.provider, choice.model), lambda: self._copy(bare(fixed), choice))
        if callable(self.llm):
            return self._of_factory(self.llm, caller, prompt, choice, params)
        target = aim(choice, caller, prompt)
        return self._keep(target, lambda: self._gateway(target))

    def _check_fixed(self, llm: object, caller: CallerModel, choice: Choice) -> None:
        if choice.prompt and choice.provider != caller.provider:
            raise PromptConfigError(
                f"model {choice.provider}/{choice.model}{choice.named_by} can't run on the fixed llm=, which is "
                f"{caller.provider or 'no chat model'}'s; give llm=<factory>, or ignore_prompt_model=True"
            )
        if choice.model and model_field(llm) is None:
            refusal = PromptConfigError if choice.prompt else ConfigurationError
            raise refusal(
                f"model {choice.model!r}{choice.named_by} can't be set on the fixed llm=, a {type(llm).__name__}; "
                "give llm=<factory>, or leave its own model to run: model='<backend>/', ignore_prompt_model=True"
            )

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

    def _of_factory(
        self,
        factory: LLMFactory,
        caller: CallerModel,
        prompt: Prompt | None,
        choice: Choice,
        params: dict[str, Any],
    ) -> Runnable[Any, Any]:
        """One for each provider, model and parameters; the constructor's key is for its own provider alone."""
        model = model_of(choice, prompt)
        given = merge_params({"timeout": self.timeout, "max_retries": self.max_retries}, take_constructed(params))
        key = (choice.provider, model, repr(sorted(given.items())))
        if choice.provider == caller.provider:
            given = merge_params(given, {"api_key": caller.api_key, "base_url": caller.api_base})
        return self._keep(key, lambda: self._changed(constructed(factory, choice, model, given)))

    def _copy(self, llm: Runnable[Any, Any], choice: Choice) -> Runnable[Any, Any]:
        """The llm itself, or a copy that differs in what was set here."""
        field, model = model_field(llm), choice.model
        if model and isinstance(llm, ChatPromptwireGateway):
            model = f"{choice.provider}/{model}"
        renamed = {field: model} if model and field and getattr(llm, field) != model else {}
        return self._changed(llm, renamed)

    def _changed(self, llm: Runnable[Any, Any], changes: dict[str, Any] | None = None) -> Runnable[Any, Any]:
        changed = {**{name: getattr(self, name) for name in self._handed_on()}, **(changes or {})}
        if not changed:
            return llm
        if not isinstance(llm, BaseChatModel):
            names = ", ".join(f"{name}=" for name in changed)
            raise ConfigurationError(f"{names} can't be set on a {type(llm).__name__}; set it on the models in it")
        return copied(llm, changed)

    def _handed_on(self) -> list[str]:
        fields = type(self).model_fields
        defaults = {name: fields[name].get_default(call_default_factory=True) for name in _HANDED_ON}
        return [name for name, default in defaults.items() if getattr(self, name) != default]
