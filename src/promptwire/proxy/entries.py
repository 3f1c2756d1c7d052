"""One entry of ``model_list``: its keys checked, each with its line, and what it comes to."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptwire.backends import Backend, backend_class, known_backends, open_backend
from promptwire.calls import PromptCall, select
from promptwire.compose import MODES
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.gateway.ask import take_backend_options
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.gateway.providers import CallerModel, Target, choose, parse_model
from promptwire.params import PROMPT_PARAMS, nearest
from promptwire.proxy.source import Key, Source
from promptwire.refs import PromptRef
from promptwire.rollout import choose_label
from promptwire.search import MAX_TIMEOUT

Raw = Mapping[str, Any]
Check = Callable[[Any], bool]

# LiteLLM's names of what has another one here.
RENAMED = {
    "base_url": "api_base",
    "num_retries": "max_retries",
    "ignore_prompt_manager_model": "ignore_prompt_model",
    "ignore_prompt_manager_optional_params": "ignore_prompt_params",
}
PROMPT_KEYS = ("prompt_id", "prompt_label", "prompt_version", "prompt_variables")
RENDERING_KEYS = ("message_mode", "messages_placeholder", "input_variable", "text_role", "missing")
CONTROL_KEYS = ("ignore_prompt_model", "ignore_prompt_params", "timeout", "max_retries", "extra_headers", "extra_body")
MODEL_KEYS = ("api_key", "api_base", "api_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A deployment under the name that clients ask for.

    ``target`` is ``None`` where only a prompt can name a model; ``targets`` are those of prompts that did, by provider
    and model.
    """

    name: str
    caller: CallerModel
    backend: Backend | None = None
    prompt: Raw = field(default_factory=dict)
    rendering: Raw = field(default_factory=dict, repr=False)
    params: Raw = field(default_factory=dict)
    controls: Raw = field(default_factory=dict, repr=False)
    allowed: frozenset[str] = frozenset()
    target: Target | None = None
    targets: dict[tuple[str | None, str | None], Target] = field(default_factory=dict, repr=False, compare=False)
    webhook_secret: str | None = field(default=None, repr=False)

    def prompt_call(self, named: Raw, variables: Raw, mode: str | None) -> PromptCall | None:
        """The prompt that a request means: what it names itself beats what the entry does."""
        chosen: Raw = select(self.prompt, named) if named else self.prompt
        if chosen.get("prompt_id") is None:
            return None
        rendering = self.rendering if mode is None else {**self.rendering, "message_mode": mode}
        return PromptCall(
            prompt_id=chosen["prompt_id"],
            label=chosen.get("prompt_label"),
            version=chosen.get("prompt_version"),
            variables=self.prompt.get("prompt_variables") or {},
            overrides=variables,
            backend=self.backend,
            rollout_key=named.get("rollout_key"),
            **rendering,
        )

    def abroad(self, provider: str) -> "Entry":
        """The entry for a prompt that names another provider's model: its headers hold keys of its own provider's."""
        if provider == self.caller.provider:
            return self
        return replace(self, controls={key: self.controls[key] for key in self.controls if not key.startswith("extra")})


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_TIMEOUT


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _weights(value: object) -> bool:
    try:
        return isinstance(value, dict) and bool(choose_label("x", value))
    except ConfigurationError:
        return False


def _list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10


def _one_of(*values: str) -> tuple[str, Check]:
    return f"one of {', '.join(values)}", lambda value: value in values


_TEXT: tuple[str, Check] = ("a text", _text)
_FLAG: tuple[str, Check] = ("true or false", lambda value: isinstance(value, bool))
KEYS: dict[str, tuple[str, Check]] = {
    "model": ("a text like langfuse/gpt-4o-mini", _text),
    "prompt_id": _TEXT,
    "prompt_label": ("a text, or weights by label", lambda value: _text(value) or _weights(value)),
    "prompt_version": ("a number or a text", lambda value: isinstance(value, int | str)),
    "prompt_variables": ("a mapping of names to values", lambda value: isinstance(value, dict)),
    "message_mode": _one_of(*MODES),
    "messages_placeholder": _TEXT,
    "input_variable": _TEXT,
    "text_role": _TEXT,
    "missing": _one_of("error", "keep"),
    "api_key": _TEXT,
    "api_base": _TEXT,
    "api_version": _TEXT,
    "timeout": (f"a number of seconds above 0, up to {MAX_TIMEOUT:g}", _seconds),
    "max_retries": ("a whole number from 0 to 10", _count),
    "ignore_prompt_model": _FLAG,
    "ignore_prompt_params": _FLAG,
    "allowed_models": ("a list of patterns like openai/*", _list_of_texts),
    "allowed_openai_params": ("a list of names", _list_of_texts),
    "extra_headers": ("a mapping of names to texts", _mapping_of(_text)),
    "extra_body": ("a mapping", lambda value: isinstance(value, dict)),
    "langfuse_webhook_secret": _TEXT,
    **PROMPT_PARAMS,
}


def read_params(source: Source, key: Key, given: Any) -> tuple[dict[str, Any], list[str]]:
    """An entry's ``litellm_params``, checked, under our names; and notes on what of it has no use here."""
    if not isinstance(given, dict):
        raise source.error(key, "is a mapping that holds at least model")
    items: dict[str, Any] = given
    params: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in items.items():
        where = (*key, name)
        ours = RENAMED.get(name, name)
        if not _is_known(ours):
            notes.append(_unknown(source, where, name))
            continue
        if value is None:
            continue
        if ours in params:
            raise source.error(where, f"{ours} is there twice, under two names")
        wanted, check = KEYS.get(ours, _TEXT if ours in backend_options() else ("", lambda _: True))
        params[ours] = resolved = from_environment(source, where, value)
        if not check(resolved):
            raise source.error(where, f"must be {wanted}, not {type(value).__name__}")
    if "model" not in params:
        raise source.error(key, "has no model")
    return params, notes


def backend_options() -> frozenset[str]:
    """The keys that configure a backend."""
    return frozenset(option for name in known_backends() for option in backend_class(name).options)


def _is_known(name: str) -> bool:
    return name in KEYS or name in OPENAI_PARAMS or name in backend_options()


def _unknown(source: Source, where: Key, name: str) -> str:
    """A note; a name that is nearly one of ours is a misspelling."""
    close = nearest(name, (*KEYS, *OPENAI_PARAMS, *backend_options()))
    if close and name not in _LITELLM_ONLY:
        raise source.error(where, f"is no key of an entry{close}")
    return str(source.error(where, "is not used by Promptwire"))


# Keys of LiteLLM's that have no use here and look like one that has.
_LITELLM_ONLY = frozenset(
    {"stream_timeout", "drop_params", "tpm", "rpm", "max_budget", "budget_duration", "organization"}
)


def from_environment(source: Source, where: Key, value: Any) -> Any:
    """``os.environ/NAME`` as that variable says."""
    if not (isinstance(value, str) and value.startswith("os.environ/")):
        return value
    name = value.removeprefix("os.environ/")
    found = os.environ.get(name)
    if not found:
        raise source.error(where, f"the environment variable {name} is not set")
    return found


def build(name: str, params: Raw, source: Source, key: Key) -> tuple[Entry, list[str]]:
    """The entry that checked ``params`` come to, and a note where it can't run by itself."""
    try:
        caller = parse_model(params["model"], known_backends(), *(params.get(name) for name in MODEL_KEYS))
        entry = Entry(
            name=name,
            caller=caller,
            backend=_backend(params, caller.backend),
            prompt={name: params[name] for name in PROMPT_KEYS if name in params},
            rendering={name: params[name] for name in RENDERING_KEYS if name in params},
            params={name: params[name] for name in params if name in OPENAI_PARAMS},
            controls={name: params[name] for name in (*CONTROL_KEYS, "allowed_models") if name in params},
            allowed=frozenset(params.get("allowed_openai_params", ())),
            webhook_secret=params.get("langfuse_webhook_secret"),
        )
        _check_prompt(entry)
    except PromptwireError as error:
        raise source.error((*key, "model"), str(error)) from error
    try:
        return replace(entry, target=choose(caller, None, allowed_models=params.get("allowed_models"))), []
    except ConfigurationError as error:
        if caller.backend is None:
            raise source.error((*key, "model"), str(error)) from error
        return entry, [str(source.error((*key, "model"), f"runs only prompts that name a model themselves: {error}"))]


def _backend(params: Raw, name: str | None) -> Backend | None:
    """The entry's backend, opened with its own keys or the environment's."""
    given = take_backend_options({option: params[option] for option in params if option in backend_options()}, name)
    return open_backend(name, **given) if name else None


def _check_prompt(entry: Entry) -> None:
    call = entry.prompt_call({}, {}, None)
    if call is not None:
        PromptRef(call.prompt_id, call.version, call.label)
    elif unused := [name for name in PROMPT_KEYS if name in entry.prompt and name != "prompt_variables"]:
        raise ConfigurationError(f"{', '.join(unused)}: needs a prompt_id")
