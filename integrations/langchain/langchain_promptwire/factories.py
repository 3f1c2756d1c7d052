"""``llm=<factory>``: a callable that makes the chosen model, such as LangChain's ``init_chat_model``."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable
from pydantic import ValidationError

from promptwire.errors import ConfigurationError, raise_bare, unfit
from promptwire.gateway.providers import Choice

# Called as ``factory(model, model_provider="anthropic", temperature=0.3, ...)``.
LLMFactory = Callable[..., Runnable[Any, Any]]

# LangChain's words for the providers that model strings call otherwise.
_WORDS = {"azure": "azure_openai", "gemini": "google_genai", "mistral": "mistralai"}
# The parameters that every chat model's constructor takes, under these names; the others go with the call.
_CONSTRUCTED = ("temperature", "max_tokens", "timeout", "max_retries")


def take_constructed(params: dict[str, Any]) -> dict[str, Any]:
    """What a model is made with, taken out of a call's parameters."""
    return {name: params.pop(name) for name in _CONSTRUCTED if name in params}


def constructed(factory: LLMFactory, choice: Choice, model: str, given: Mapping[str, Any]) -> Runnable[Any, Any]:
    """What the factory makes. Raises ``ConfigurationError`` for what it can't."""
    provider = _WORDS.get(choice.provider, choice.provider)
    failed = f"llm=<factory> made no chat model for {choice.provider}/{model}{choice.named_by}".removesuffix(",")
    try:
        made: object = factory(model, model_provider=provider, **given)
    except ValidationError as error:  # it shows the values, keys among them
        raise_bare(unfit(failed, error))
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{failed}: {error}") from error
    if not isinstance(made, Runnable):
        raise ConfigurationError(f"{failed}, but a {type(made).__name__}")
    return made
