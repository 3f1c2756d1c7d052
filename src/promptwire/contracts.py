"""What an application declares that it gives each prompt: a version that needs more is held back."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.errors import ConfigurationError, ContractError
from promptwire.messages import HISTORY_SLOTS
from promptwire.prompts import Prompt

MOST_NAMED = 10

_ALIASES = ("alias", "validation_alias", "serialization_alias")  # for names that Python has no words for


class Contracts:
    """Names of variables and placeholders by prompt id, or by ``backend:id`` for one backend's prompt alone.

    Each may be given as names, or as a class that has them as fields: a pydantic model, a ``TypedDict`` or a
    dataclass. Raises ``ConfigurationError``.
    """

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        if given is not None and not isinstance(given, Mapping):
            raise ConfigurationError(f"contracts is a mapping of prompt ids to names, not {type(given).__name__}")
        self._declared = {prompt_id: declared_names(prompt_id, names) for prompt_id, names in (given or {}).items()}

    def undeclared(self, backend: str, prompt_id: str, prompt: Prompt) -> tuple[str, ...]:
        """What the prompt needs beyond its contract; nothing where none was declared."""
        declared = self._declared.get(f"{backend}:{prompt_id}", self._declared.get(prompt_id))
        return () if declared is None else undeclared(prompt, declared)

    def refusal(self, backend: str, prompt_id: str, prompt: Prompt) -> ContractError | None:
        """The error that names all that the prompt needs and the application doesn't give."""
        if not (missing := self.undeclared(backend, prompt_id, prompt)):
            return None
        listed = ", ".join(missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
        return ContractError(
            f"{prompt.where} is held back: it needs {listed}, which its contract doesn't declare. "
            "Publish a version without, or have the application give it and add it to contracts=.",
            missing,
        )


def undeclared(prompt: Prompt, declared: Sequence[str]) -> tuple[str, ...]:
    """The variables and placeholders that a prompt needs beyond those declared; what means the history needs nobody."""
    slots = [name for name in prompt.placeholders if name not in HISTORY_SLOTS]
    return tuple(name for name in dict.fromkeys((*prompt.variables, *slots)) if name not in declared)


def declared_names(prompt_id: str, given: Any) -> tuple[str, ...]:
    """The names that a contract declares."""
    names = _fields(given) if isinstance(given, type) else given
    if isinstance(names, Sequence | set | frozenset) and not isinstance(names, str | bytes):
        told = tuple(names)
        if all(isinstance(name, str) for name in told):
            return told
    raise ConfigurationError(
        f"contracts[{prompt_id!r}]: a contract is a tuple of names, or a class with fields, not {type(given).__name__}"
    )


def _fields(given: Any) -> Sequence[str] | None:
    """Of a pydantic model, a ``TypedDict`` or a dataclass."""
    if isinstance(fields := getattr(given, "model_fields", None), Mapping):
        aliases = (getattr(field, kind, None) for field in fields.values() for kind in _ALIASES)
        return (*fields, *(alias for alias in aliases if isinstance(alias, str)))
    if hasattr(given, "model_json_schema"):
        return tuple(given.model_json_schema().get("properties", ()))
    if hasattr(given, "__required_keys__"):
        return (*given.__required_keys__, *given.__optional_keys__)
    fields = getattr(given, "__dataclass_fields__", None)
    return None if fields is None else tuple(fields)
