"""What both chat models are constructed with, and how arguments of any class here are checked."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import BaseModel, Field, ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator

from promptwire.errors import ConfigurationError, raise_bare, unfit
from promptwire.params import merge_params, nearest

Model = TypeVar("Model", bound=BaseModel)

_CHARACTERS_PER_TOKEN = 4


class ModelFields(BaseChatModel):
    """The arguments of the model call that both chat models share. Unknown ones are a ``ConfigurationError``.

    ``timeout`` is in seconds. The key is not pickled: where it was explicit, a copy in another process reads the
    environment's.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    streaming: bool = False
    timeout: float | None = None
    max_retries: int | None = None
    api_key: SecretStr | None = None
    base_url: str | None = Field(default=None, repr=False)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return checked(cls, handler, _arguments(cls, data) if isinstance(data, dict) else data)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "api_key": None}}

    @property
    def own_params(self) -> dict[str, object]:
        """The parameters that the constructor was given."""
        named = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop}
        return merge_params(self.model_kwargs, named)

    def get_num_tokens(self, text: str) -> int:
        """About four characters a token; the base class wants a tokenizer's files from the network."""
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """As ``count_tokens_approximately``."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)


def _arguments(cls: type[BaseChatModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with known ones lifted out of ``model_kwargs``, where LiteLLM's users write them."""
    extra = data.get("model_kwargs")
    given = dict(data)
    if isinstance(extra, Mapping):
        lifted = {name: value for name, value in extra.items() if name in cls.model_fields and name != "model_kwargs"}
        given = {**lifted, **data, "model_kwargs": {name: extra[name] for name in extra if name not in lifted}}
    refuse_unknown(cls, given, "; model_kwargs= takes parameters")
    return given


def refuse_unknown(cls: type[BaseModel], given: Mapping[str, Any], advice: str = "") -> None:
    """Raises ``ConfigurationError`` with the nearest name: pydantic would take no notice of it."""
    for name in given:
        if name not in cls.model_fields:
            hint = nearest(name, tuple(cls.model_fields))
            raise ConfigurationError(f"{cls.__name__} has no argument {name!r}{hint}{advice}")


def checked(cls: type[BaseModel], handler: ModelWrapValidatorHandler[Model], data: Any) -> Model:
    """What the handler makes of it. Errors are ours: pydantic's derive from ``ValueError`` and show the values."""
    try:
        return handler(data)
    except ValidationError as error:
        raise_bare(unfit(cls.__name__, error))
