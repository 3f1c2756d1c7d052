"""The LLMs that run prompts: gateways, or variants of the user's own (DESIGN 4.1)."""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol, TypedDict

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.llm import LLM
from llama_index.llms.promptwire.endpoints import picklable
from llama_index.llms.promptwire.gateway import PromptwireGateway
from llama_index.llms.promptwire.managers import Managers
from llama_index.llms.promptwire.peers import (
    LIMITS,
    address_of,
    has_optional,
    known_metadata,
    named,
    renamed,
    usable,
)
from pydantic import SecretStr

from promptwire.backends import known_backends
from promptwire.errors import ConfigurationError, PromptConfigError, PromptwireError
from promptwire.gateway.hosts import find_provider
from promptwire.gateway.providers import CallerModel, Choice, aim, check_path, choose_model, model_of, parse_model
from promptwire.prompts import Prompt
from promptwire.workers import rebuild_after_fork

MAX_KEPT = 100

_parse_once = lru_cache(MAX_KEPT)(parse_model)  # with an address given, it is a matter of its arguments alone


class Rules(TypedDict):
    """The caller's say about the prompt's model."""

    ignore_prompt_model: bool
    allowed_models: Sequence[str] | None


class LLMFactory(Protocol):
    """Makes the LLM for a model: ``factory(provider="anthropic", model="claude-sonnet-5")``.

    It is asked once for each model. A call's parameters are no business of its: they go with the call.
    """

    def __call__(self, *, provider: str, model: str) -> LLM: ...


class Delegates:
    """Shared by all copies of an LLM, deep ones too. What pickles of it is without key and clients."""

    def __init__(
        self,
        llm: LLM | None = None,
        factory: LLMFactory | None = None,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
    ) -> None:
        if llm is not None and factory is not None:
            raise ConfigurationError("give llm= or llm_factory=, not both")
        if llm is not None and not isinstance(llm, LLM):
            raise ConfigurationError(
                f"llm= is a LlamaIndex LLM, not {type(llm).__name__}; a function that makes one is llm_factory="
            )
        if factory is not None and not callable(factory):
            raise ConfigurationError(
                f"llm_factory= is a function of provider= and model=, not {type(factory).__name__}"
            )
        if api_key is not None and not isinstance(api_key, str | SecretStr):
            raise ConfigurationError(f"api_key= is a text or a SecretStr, not {type(api_key).__name__}")
        self.llm = llm
        self._factory = factory
        self._base_url = base_url
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._kept: dict[Hashable, LLM] = {}
        self._managers = Managers()
        self.reset()
        rebuild_after_fork(self)

    def reset(self) -> None:
        """A lock of our own, whatever state a forked parent's was in; a factory may use what is being made."""
        self._lock = threading.RLock()

    def __deepcopy__(self, _: object) -> "Delegates":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Delegates, (self.llm and picklable(self.llm), self._factory, self._base_url)

    @property
    def given(self) -> str | None:
        """The argument that says who runs prompts, if not our own gateway."""
        return "llm" if self.llm is not None else "llm_factory" if self._factory is not None else None

    def caller(self, explicit: str | None, own: str | None) -> CallerModel:
        """What the caller said, per call or else in the constructor; with a fixed LLM the provider is its.

        The constructor's key and address are for the provider that it names, and for no other.
        """
        said = self._parsed(explicit or own)
        before = self._parsed(own) if explicit else said
        backend = said.backend or before.backend
        if self.llm is not None:
            provider, name = named(self.llm)
            if said.model:
                name = said.model.removeprefix(f"{provider}/")
            return CallerModel(backend, provider, name, None, address_of(self.llm, provider))
        if said.provider != before.provider:
            return replace(said, backend=backend, api_key=None, api_base=None)
        return replace(said, backend=backend)

    def _parsed(self, model: str | None) -> CallerModel:
        if self.llm is not None:
            parse = _parse_once if model is None or isinstance(model, str) else parse_model
            return parse(model, known_backends(), None, "the LLM's own")
        key = self._api_key.get_secret_value() if self._api_key else None
        return parse_model(model, known_backends(), key, self._base_url)

    def choose(self, caller: CallerModel, prompt: Prompt | None, rules: Rules) -> Choice:
        """The model that is to run; a factory may know a prompt's provider that Promptwire has no row for."""
        if self._factory is not None and prompt and prompt.provider and find_provider(prompt.provider) is None:
            caller = replace(caller, provider=prompt.provider)
        choice = choose_model(caller, prompt, **rules)
        if self.llm is not None and choice.provider != caller.provider:
            raise PromptConfigError(
                f"model {choice.provider}/{choice.model}{choice.named_by} is not one of {caller.provider}'s, which "
                "llm= runs: give llm_factory= instead, or ignore_prompt_model=True to stay with it"
            )
        if self.given and not isinstance(self.llm, PromptwireGateway):
            check_path(choice)
        return choice

    def reporting(self, llm: LLM, manager: CallbackManager) -> LLM:
        """What ``pick`` answered, with a call's events going to the manager of the LLM around it."""
        return self._managers.reporting(llm, manager, owned=self.given is None)

    def pick(self, choice: Choice, caller: CallerModel, prompt: Prompt | None, params: Mapping[str, Any]) -> LLM:
        """The LLM for a call; made once for each model."""
        if self.llm is not None:
            return self._fitted(self.llm, choice, renamed(self.llm, choice), params)
        if self._factory is not None:
            model = model_of(choice, prompt)
            made = self._keep((choice.provider, model), lambda: self._made(choice, model))
            return self._fitted(made, choice, {}, params)
        target = aim(choice, caller, prompt)

        def gateway() -> LLM:
            model = f"{target.provider}/{target.model}"
            return PromptwireGateway(model=model, api_key=target.api_key, base_url=target.api_base)

        return self._keep(target, gateway)

    def metadata(self, model: str | None) -> LLMMetadata:
        """What is known without resolving or making anything; never raises."""
        if self.llm is not None:
            return known_metadata(self.llm)
        name = parse_model(model, known_backends(), None, "unused").model
        return LLMMetadata(is_function_calling_model=True, model_name=name or "unknown")

    def _made(self, choice: Choice, model: str) -> LLM:
        """The factory's LLM. Whatever it raises is ours: LlamaIndex would answer "Empty Response" to a ValueError."""
        assert self._factory is not None  # noqa: S101 - asked for by pick alone
        what = f"llm_factory= for {choice.provider}/{model}{choice.named_by}"
        try:
            made: object = self._factory(provider=choice.provider, model=model)
        except PromptwireError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise ConfigurationError(f"{what} raised {type(error).__name__}") from error
        if not isinstance(made, LLM):
            raise ConfigurationError(f"{what} answered a {type(made).__name__}: a LlamaIndex LLM is wanted")
        return usable(made, choice)

    def _fitted(self, llm: LLM, choice: Choice, changes: Mapping[str, Any], params: Mapping[str, Any]) -> LLM:
        """The LLM itself, or a copy with the changes and without those of its settings that beat a call's."""
        update = dict(changes)
        if not params.keys().isdisjoint(LIMITS) and has_optional(llm, "max_tokens"):
            update["max_tokens"] = None
        own = getattr(llm, "additional_kwargs", None) or {}
        beaten = own.keys() & params.keys()
        if beaten:
            update["additional_kwargs"] = {name: value for name, value in own.items() if name not in beaten}
        key = (choice.provider, choice.model, "max_tokens" in update, frozenset(beaten))
        return self._keep(key, lambda: usable(llm.model_copy(update=update), choice)) if update else llm

    def _keep(self, key: Hashable, make: Callable[[], LLM]) -> LLM:
        kept = self._kept.get(key)
        if kept is None:
            with self._lock:
                kept = self._kept.get(key)
                if kept is None:
                    kept = make()
                    if len(self._kept) >= MAX_KEPT:
                        self._kept.clear()
                    self._kept[key] = kept
        return kept
