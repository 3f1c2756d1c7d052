"""LlamaIndex's own LLMs: what they tell of themselves, and how they want to be called."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_args

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.promptwire.gateway import PromptwireGateway

from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import DEFAULT_PROVIDER, find_provider
from promptwire.gateway.providers import Choice, split_provider

LIMITS = ("max_tokens", "max_completion_tokens")
# LlamaIndex's packages are named after providers, but for these.
_PROVIDERS = {
    "azure_openai": "azure",
    "bedrock_converse": "bedrock",
    "google_genai": "gemini",
    "lmstudio": "lm_studio",
    "mistralai": "mistral",
    "openai_like": "openai",
}


def known_metadata(llm: LLM) -> LLMMetadata:
    """An LLM's metadata, or what can be said of one that raises."""
    try:
        return llm.metadata
    except Exception:  # noqa: BLE001 - any vendor's: OpenAI's raises for a model that it doesn't know
        calls_tools = isinstance(llm, FunctionCallingLLM)
        return LLMMetadata(is_function_calling_model=calls_tools, model_name=named(llm)[1] or "unknown")


def named(llm: LLM) -> tuple[str, str | None]:
    """Its provider, and the name of its model, where it has one.

    The provider is told by the package, ``llama_index.llms.<provider>``, or by the model's prefix where that says it.
    """
    if (model := _routed(llm)) is not None:
        prefix, slash, _ = model.partition("/")
        provider = split_provider(model)[0] or (prefix if slash else DEFAULT_PROVIDER)
        return provider, model.removeprefix(f"{provider}/")
    found = getattr(llm, "model", None) or getattr(llm, "model_name", None)
    return _package_of(type(llm)), found if isinstance(found, str) else None


@lru_cache(100)
def _package_of(kind: type[LLM]) -> str:
    """The provider's name in the package of the class, or of one that it derives from."""
    for base in kind.__mro__:
        before, found, rest = base.__module__.partition("llama_index.llms.")
        if found and not before:
            name = rest.partition(".")[0]
            return _PROVIDERS.get(name, name)
    return kind.__name__


def _routed(llm: LLM) -> str | None:
    """The model as ``<provider>/<model>``, of an LLM that takes it so: our own, and LlamaIndex's ``LiteLLM``."""
    if isinstance(llm, PromptwireGateway):
        return llm.model
    return str(getattr(llm, "model", "")) if _package_of(type(llm)) == "litellm" else None


def address_of(llm: LLM, provider: str) -> str | None:
    """An address that isn't the provider's own: what runs there takes the prompt's model as it is."""
    row = find_provider(provider)
    found = next(filter(None, (getattr(llm, name) for name in _addresses(type(llm)))), None)
    return found if isinstance(found, str) and not (row and row.base_url == found.rstrip("/")) else None


@lru_cache(100)
def _addresses(kind: type[LLM]) -> tuple[str, ...]:
    """The attributes that the class has for it: to ask a model of pydantic's for one that it lacks takes a while."""
    return tuple(name for name in ("api_base", "base_url") if name in kind.model_fields or hasattr(kind, name))


def renamed(llm: LLM, choice: Choice) -> dict[str, Any]:
    """What makes the LLM run the chosen model."""
    if choice.model == named(llm)[1]:
        return {}
    field = next((name for name in ("model", "model_name") if name in type(llm).model_fields), None)
    if field is None:
        raise PromptConfigError(
            f"the model{choice.named_by} can't be set on llm={type(llm).__name__}(): ignore_prompt_model=True leaves it"
        )
    name = choice.model if _routed(llm) is None else f"{choice.provider}/{choice.model}"
    forced = {"temperature": 1.0} if choice.model in _at_one_temperature(type(llm)) else {}  # as its constructor does
    return {field: name, **forced}


@lru_cache(100)
def _at_one_temperature(kind: type[LLM]) -> frozenset[str]:
    """The models that take no other temperature than 1: the module of LlamaIndex's OpenAI names them."""
    modules = [sys.modules.get(base.__module__) for base in kind.__mro__]
    return frozenset().union(*(getattr(module, "O1_MODELS", ()) for module in modules))


def usable(llm: LLM, choice: Choice) -> LLM:
    """The LLM, if it knows its model: OpenAI's raises a ValueError for another, which engines answer as no answer."""
    try:
        _ = llm.metadata
    except Exception as error:  # any vendor's
        refusal = PromptConfigError if choice.prompt else ConfigurationError
        raise refusal(
            f"{type(llm).__name__} doesn't know model {choice.model!r}{choice.named_by} or can't run it "
            f"({type(error).__name__}); OpenAILike takes any name, and ignore_prompt_model=True leaves its own"
        ) from error
    return llm


def has_optional(llm: LLM, name: str) -> bool:
    """Whether a field of that name is set, and may be ``None``."""
    field = type(llm).model_fields.get(name)
    return field is not None and getattr(llm, name) is not None and type(None) in get_args(field.annotation)


class _Limited(dict[str, Any]):
    """Arguments with a ``max_tokens`` that can be asked for and is none of them."""

    def __init__(self, params: Mapping[str, Any], limit: object) -> None:
        super().__init__(params)
        self._limit = limit

    def __bool__(self) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return self._limit if name == "max_tokens" else super().get(name, default)


def for_structure(llm: LLM, params: Mapping[str, Any], mode: PydanticProgramMode) -> tuple[LLM, dict[str, Any]]:
    """The LLM to ask for objects, and its ``llm_kwargs``; ``mode``, if the caller chose one, is the LLM's."""
    changes: dict[str, Any] = {} if mode is PydanticProgramMode.DEFAULT else {"pydantic_program_mode": mode}
    given = dict(params)
    if is_anthropics(llm) and "max_tokens" in given:  # it asks for the limit, and gives it to its SDK twice
        changes["max_tokens"] = limit = given.pop("max_tokens")
        given = _Limited(given, limit)
    return llm.model_copy(update=changes) if changes else llm, given


def is_anthropics(llm: LLM) -> bool:
    """Whether it takes what Anthropic's SDK takes."""
    return not isinstance(llm, PromptwireGateway) and named(llm)[0] == "anthropic"
