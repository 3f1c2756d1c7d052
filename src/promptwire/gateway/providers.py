"""Which model runs a call, at which provider, and with whose key (DESIGN 4.1)."""

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from promptwire.errors import ConfigurationError, PromptConfigError
from promptwire.gateway.hosts import DEFAULT_PROVIDER, Provider, all_providers, find_provider
from promptwire.params import nearest
from promptwire.prompts import Prompt
from promptwire.refs import is_sendable, leads_elsewhere

# What would end or change the path of an URL that holds a model's name unquoted.
_UNQUOTED = frozenset("?#%\\")
# A deployment's name, which OpenAI's SDK puts there, has no slash; Fireworks' <model>#<deployment> goes into the body.
_UNQUOTED_FOR = {
    "azure": _UNQUOTED | {"/"}, "azure_openai": _UNQUOTED | {"/"}, "fireworks": _UNQUOTED - {"#"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallerModel:
    """What the caller said: a model string taken apart, and an explicit key and base URL, which are its provider's."""

    backend: str | None
    provider: str
    model: str | None
    api_key: str | None = field(default=None, repr=False)
    api_base: str | None = field(default=None, repr=False)
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The model that runs, where, and with which key; no field of it is shown."""

    provider: str
    model: str
    api_key: str | None
    api_base: str
    api_version: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.provider}/{self.model})"


def parse_model(
    model: str | None,
    backends: frozenset[str],
    api_key: str | None = None,
    api_base: str | None = None,
    api_version: str | None = None,
) -> CallerModel:
    """Take ``[backend/][provider/]model`` apart, as LiteLLM writes it."""
    if model is not None and not isinstance(model, str):
        raise ConfigurationError(f"model is a text like 'langfuse/gpt-4o-mini', not {type(model).__name__}")
    for name, value in (("api_key", api_key), ("api_base", api_base), ("api_version", api_version)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} is a text, not {type(value).__name__}")
    rest = model or ""
    first, slash, after = rest.partition("/")
    backend = first if first in backends and (slash or not rest.replace(first, "", 1)) else None
    if backend:
        rest = after
    provider, name = split_provider(rest)
    if provider is None and rest.endswith("/") and find_provider(rest[:-1]):
        raise ConfigurationError(f"model {model!r} names a provider, and no model of it")
    if provider is None and "/" in rest and not (api_base or os.environ.get("OPENAI_BASE_URL")):
        known = sorted(all_providers())
        unknown = rest.partition("/")[0]
        raise ConfigurationError(
            f"model {model!r}: there is no provider {unknown!r}{nearest(unknown, [*known, *backends])}; "
            f"known are {', '.join(known)}. With api_base= any host on OpenAI's wire takes the name as it is."
        )
    return CallerModel(
        backend, provider or DEFAULT_PROVIDER, name or None, api_key or None, api_base or None, api_version
    )


def split_provider(model: str) -> tuple[str | None, str]:
    """``("openai", "gpt-4o")`` for ``openai/gpt-4o``; no provider where the prefix is not a known one's."""
    prefix, slash, rest = model.partition("/")
    return (prefix, rest) if slash and rest and find_provider(prefix) else (None, model)


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that is to run; ``prompt`` is the one that named it, if one did."""

    provider: str
    model: str | None
    prompt: Prompt | None = None

    @property
    def named_by(self) -> str:
        """For error messages, who chose the model."""
        return f", which {self.prompt.where} names," if self.prompt else ""


def choose_model(
    caller: CallerModel,
    prompt: Prompt | None,
    *,
    ignore_prompt_model: bool = False,
    allowed_models: Sequence[str] | None = None,
) -> Choice:
    """The prompt's model, if it names one, else the caller's. Raises ``PromptConfigError`` where it may not run."""
    if allowed_models is not None and not _are_patterns(allowed_models):
        raise ConfigurationError("allowed_models is a list of patterns like 'openai/*'; one pattern is a list of one")
    if prompt is not None and prompt.model is not None and not ignore_prompt_model:
        choice = Choice(*_of_prompt(prompt, prompt.model, caller), prompt)
    else:
        choice = Choice(caller.provider, caller.model)
    if allowed_models is not None and choice.model and not _allowed(choice.provider, choice.model, allowed_models):
        refusal = PromptConfigError if choice.prompt else ConfigurationError
        raise refusal(f"model {choice.provider}/{choice.model}{choice.named_by} is not among allowed_models")
    return choice


def check_path(choice: Choice) -> None:
    """Raises ``PromptConfigError`` where a framework's own model could ask another path than its own.

    Its SDK may put the model's name into the URL as it is; a prompt's editor would choose what the key is sent for.
    """
    if choice.prompt is None or choice.model is None:
        return
    odd = _UNQUOTED_FOR.get(choice.provider, _UNQUOTED).intersection(choice.model)
    if odd or leads_elsewhere(choice.model) or not is_sendable(choice.model):
        raise PromptConfigError(
            f"{choice.prompt.where}: {choice.model!r:.100} is no model's name for {choice.provider}"
        )


def choose(
    caller: CallerModel,
    prompt: Prompt | None,
    *,
    ignore_prompt_model: bool = False,
    allowed_models: Sequence[str] | None = None,
    spare_key: str | None = None,
) -> Target:
    """``choose_model``, with its provider's address and key. Raises ``ConfigurationError`` where one is missing."""
    choice = choose_model(caller, prompt, ignore_prompt_model=ignore_prompt_model, allowed_models=allowed_models)
    return aim(choice, caller, prompt, spare_key)


def aim(choice: Choice, caller: CallerModel, prompt: Prompt | None, spare_key: str | None = None) -> Target:
    """The address and the key of a choice. Raises ``ConfigurationError`` where one is missing.

    ``spare_key`` stands for a key that is missing, in a request that won't be sent.
    """
    model = model_of(choice, prompt)
    provider = find_provider(choice.provider)
    if provider is None:
        raise ConfigurationError(f"there is no provider {choice.provider!r}; known are {_known()}")
    return _with_key(provider, model, caller, choice.named_by, spare_key)


def model_of(choice: Choice, prompt: Prompt | None) -> str:
    """The model's name. Raises ``ConfigurationError`` where nobody gave one."""
    if not choice.model:
        of = "the call names no model" if prompt is None else f"neither {prompt.where} nor the call names a model"
        raise ConfigurationError(f"{of}; give one, as in model='openai/gpt-4o-mini'")
    return choice.model


def _of_prompt(prompt: Prompt, model: str, caller: CallerModel) -> tuple[str, str]:
    """The provider that DESIGN 4.1's order gives the prompt's model, and its name there."""
    if prompt.provider is not None:
        if find_provider(prompt.provider) is None and prompt.provider != caller.provider:
            raise PromptConfigError(f"{prompt.where} names provider {prompt.provider!r}; known are {_known()}")
        return prompt.provider, model.removeprefix(f"{prompt.provider}/")
    host = find_provider(caller.provider)  # a framework's delegate may be of a provider that has no row
    if caller.api_base or (host is not None and host.aggregator):
        return caller.provider, model
    named, rest = split_provider(model)
    if named is not None:
        return named, rest
    owner = next((p.name for p in all_providers().values() if p.owns and model.startswith(p.owns)), None)
    return owner or caller.provider, model


def _are_patterns(given: object) -> bool:
    return isinstance(given, list | tuple | AbstractSet) and all(isinstance(pattern, str) for pattern in given)


def _allowed(provider: str, model: str, patterns: Sequence[str]) -> bool:
    """A pattern without a slash is for the names of ``openai`` alone, whose prefix may be left out."""
    bare = provider == DEFAULT_PROVIDER
    return any(
        fnmatchcase(f"{provider}/{model}", pattern) or (bare and "/" not in pattern and fnmatchcase(model, pattern))
        for pattern in patterns
    )


def _known() -> str:
    return ", ".join(sorted(all_providers()))


def _with_key(provider: Provider, model: str, caller: CallerModel, named_by: str, spare_key: str | None) -> Target:
    """An explicit key or base URL belongs to the caller's provider alone; another's come from the environment."""
    own = provider.name == caller.provider
    key = (own and caller.api_key) or os.environ.get(provider.key_variable)
    if not key and provider.needs_key and not (own and caller.api_base) and not (key := spare_key):
        foreign = caller.api_key and not own
        explicit = f" The call's own key is {caller.provider}'s and is not sent there." if foreign else ""
        raise ConfigurationError(
            f"model {provider.name}/{model}{named_by} needs a key: set {provider.key_variable}"
            f"{', or pass api_key=' if own else ''}.{explicit}"
        )
    version = (own and caller.api_version) or os.environ.get("AZURE_API_VERSION")
    return Target(provider.name, model, key or None, _base_url(provider, own and caller.api_base), version or None)


def _base_url(provider: Provider, explicit: str | Literal[False] | None) -> str:
    """The explicit base URL, the environment's or the row's own, its variables filled in."""
    given = explicit or os.environ.get(provider.base_variable)
    if given:
        if "?" in given or "#" in given:
            raise ConfigurationError(f"{provider.name}: a base URL ends before any ? or #; leave them out")
        given = given.rstrip("/")
        return given if not provider.path or given.count("/") > 2 else given + provider.path
    if provider.base_url is None:
        raise ConfigurationError(f"{provider.name} needs a base URL: set {provider.base_variable}, or pass api_base=")
    try:
        return provider.base_url.format_map(os.environ)
    except KeyError as error:
        raise ConfigurationError(f"{provider.name} needs {error.args[0]}, or {provider.base_variable}, set") from None
