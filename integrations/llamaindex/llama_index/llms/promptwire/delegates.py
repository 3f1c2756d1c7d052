"""The LLMs that run prompts: gateways, or variants of the user's own (DESIGN 4.1)."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypedDict

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.llms.promptwire.endpoints import picklable
from llama_index.llms.promptwire.gateway import PromptwireGateway
from llama_index.llms.promptwire.managers import Managers
from pydantic import SecretStr

from promptwire.backends import known_backends
from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import DEFAULT_PROVIDER, find_provider
from promptwire.gateway.providers import CallerModel, choose, choose_model, parse_model, split_provider
from promptwire.prompts import Prompt

MAX_KEPT = 100
# LlamaIndex's packages are named after providers, but for these.
_PROVIDERS = {
    "azure_openai": "azure",
    "bedrock_converse": "bedrock",
    "google_genai": "gemini",
    "lmstudio": "lm_studio",
    "mistralai": "mistral",
    "openai_like": "openai",
}


class Rules(TypedDict):
    """The caller's say about the prompt's model."""

    ignore_prompt_model: bool
    allowed_models: Sequence[str] | None


class Delegates:
    """Shared by all copies of an LLM, deep ones too. What pickles of it is without key and clients."""

    def __init__(
        self, llm: LLM | None = None, base_url: str | None = None, api_key: str | SecretStr | None = None
    ) -> None:
        if llm is not None and not isinstance(llm, LLM):
            raise ConfigurationError(f"llm= is a LlamaIndex LLM, not {type(llm).__name__}")
        self.llm = llm
        self._base_url = base_url
        if api_key is not None and not isinstance(api_key, str | SecretStr):
            raise ConfigurationError(f"api_key= is a text or a SecretStr, not {type(api_key).__name__}")
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._kept: dict[Hashable, LLM] = {}
        self._managers = Managers()

    def __deepcopy__(self, _: object) -> "Delegates":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Delegates, (self.llm and picklable(self.llm), self._base_url)

    def caller(self, model: str | None) -> CallerModel:
        """What the caller said; with a fixed LLM the provider, and where nothing is said the model, are its."""
        if self.llm is None:
            key = self._api_key.get_secret_value() if self._api_key else None
            return parse_model(model, known_backends(), key, self._base_url)
        provider, base = _provider(self.llm), _base(self.llm)
        parsed = parse_model(model, known_backends(), None, "the LLM's own")
        named = parsed.model.removeprefix(f"{provider}/") if parsed.model else _model(self.llm)
        return CallerModel(parsed.backend, provider, named, None, base)

    def pick(
        self,
        caller: CallerModel,
        prompt: Prompt | None,
        params: Mapping[str, Any],
        rules: Rules,
        manager: CallbackManager,
    ) -> LLM:
        """The LLM for a call, reporting to ``manager``; made once for each model."""
        if self.llm is not None:
            chosen = self._variant(self.llm, caller, prompt, params, rules)
            return self._managers.reporting(chosen, manager, owned=False)
        target = choose(caller, prompt, **rules)

        def gateway() -> LLM:
            model = f"{target.provider}/{target.model}"
            return PromptwireGateway(model=model, api_key=target.api_key, base_url=target.api_base)

        return self._managers.reporting(self._keep(target, gateway), manager, owned=True)

    def metadata(self, model: str | None) -> LLMMetadata:
        """What is known without resolving anything; never raises."""
        if self.llm is None:
            name = parse_model(model, known_backends(), None, "unused").model
            return LLMMetadata(is_function_calling_model=True, model_name=name or "unknown")
        try:
            return self.llm.metadata
        except Exception:  # noqa: BLE001 - any vendor's: OpenAI's raises for a model that it doesn't know
            calls_tools = isinstance(self.llm, FunctionCallingLLM)
            return LLMMetadata(is_function_calling_model=calls_tools, model_name=_model(self.llm) or "unknown")

    def _variant(
        self, llm: LLM, caller: CallerModel, prompt: Prompt | None, params: Mapping[str, Any], rules: Rules
    ) -> LLM:
        """The LLM itself, or a copy with the chosen model and without those of its settings that beat a call's."""
        choice = choose_model(caller, prompt, **rules)
        if choice.provider != caller.provider:
            raise PromptConfigError(
                f"model {choice.provider}/{choice.model}{choice.named_by} is not one of {caller.provider}'s, which "
                "llm= runs: give llm=<factory>, or ignore_prompt_model=True to stay with it"
            )
        update: dict[str, Any] = {}
        if choice.model != _model(llm):
            update[_model_field(llm, choice.named_by)] = choice.model
        if getattr(llm, "max_tokens", None) is not None and not params.keys().isdisjoint(_LIMITS):
            update["max_tokens"] = None
        own = getattr(llm, "additional_kwargs", None) or {}
        beaten = own.keys() & params.keys()
        if beaten:
            update["additional_kwargs"] = {name: value for name, value in own.items() if name not in beaten}
        key = (choice.model, "max_tokens" in update, frozenset(beaten))
        return self._keep(key, lambda: llm.model_copy(update=update)) if update else llm

    def _keep(self, key: Hashable, make: Callable[[], LLM]) -> LLM:
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = self._kept.setdefault(key, make())
        return kept


_LIMITS = ("max_tokens", "max_completion_tokens")


def _provider(llm: LLM) -> str:
    """Told by the package: ``llama_index.llms.<provider>`` of the class or of one that it derives from."""
    if isinstance(llm, PromptwireGateway):
        return split_provider(llm.model)[0] or DEFAULT_PROVIDER
    for base in type(llm).__mro__:
        before, found, rest = base.__module__.partition("llama_index.llms.")
        if found and not before:
            name = rest.partition(".")[0]
            return _PROVIDERS.get(name, name)
    return type(llm).__name__


def _base(llm: LLM) -> str | None:
    """An address that isn't the provider's own: what runs there takes the prompt's model as it is."""
    row = find_provider(_provider(llm))
    found = getattr(llm, "api_base", None) or getattr(llm, "base_url", None)
    return found if isinstance(found, str) and not (row and row.base_url == found.rstrip("/")) else None


def _model(llm: LLM) -> str | None:
    found = getattr(llm, "model", None) or getattr(llm, "model_name", None)
    if isinstance(llm, PromptwireGateway):
        return split_provider(llm.model)[1]
    return found if isinstance(found, str) else None


def _model_field(llm: LLM, named_by: str) -> str:
    found = next((name for name in ("model", "model_name") if name in type(llm).model_fields), None)
    if found is None:
        raise PromptConfigError(
            f"the model{named_by} can't be set on llm={type(llm).__name__}(): ignore_prompt_model=True leaves it"
        )
    return found
