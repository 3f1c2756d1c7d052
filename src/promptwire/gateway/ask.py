"""One call of ``completion()``: its arguments checked, and the model call that they come to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptwire import log
from promptwire.backends import Backend, backend_class, known_backends
from promptwire.calls import RENDERING, PromptCall, make_ready, refuse_without_id, turn
from promptwire.compose import Turn
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError
from promptwire.gateway.answers import PromptInfo, describe
from promptwire.gateway.driver import ModelCall, model_call
from promptwire.gateway.fitting import settings_for
from promptwire.gateway.parameters import OPENAI_PARAMS, CompletionOptions
from promptwire.gateway.providers import CallerModel, Target, choose, parse_model
from promptwire.params import merge_params, nearest
from promptwire.rendered import RenderedPrompt
from promptwire.resolver import Resolver
from promptwire.search import Found


@dataclass(frozen=True, slots=True)
class Plan:
    """The model call that an ask comes to, and what it was made of."""

    call: ModelCall
    info: PromptInfo | None
    target: Target
    messages: Sequence[object] = field(repr=False)
    params: Mapping[str, object] = field(repr=False)
    rendered: RenderedPrompt | None = field(repr=False)
    stream: bool


_CONTROLS = (
    *(name for name in RENDERING if name != "message_mode"), "ignore_prompt_model", "ignore_prompt_params",
    "allowed_models", "resolver", "api_key", "api_base", "api_version", "base_url", "timeout", "max_retries",
    "extra_headers", "extra_body",
)  # fmt: skip


@dataclass(slots=True)
class Ask:
    """One call of ``completion``, checked."""

    resolver: Resolver
    caller: CallerModel
    turns: list[Turn]
    call: PromptCall | None
    params: dict[str, Any]
    controls: dict[str, Any] = field(repr=False)
    stream: bool = False
    defaults: Mapping[str, object] = field(default_factory=dict)  # below what the prompt sets

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Ask":
        options = dict(given["options"])
        backends = known_backends()
        base = options.get("api_base") or options.get("base_url")
        caller = parse_model(
            given["model"], backends, _secret(options.get("api_key")), base, options.get("api_version")
        )
        backend_options = take_backend_options(options, caller.backend)
        controls = {name: options.pop(name) for name in _CONTROLS if name in options}
        check_names(options, "completion()", CompletionOptions)
        resolver = controls.get("resolver") or default_resolver()
        if not isinstance(resolver, Resolver):
            raise ConfigurationError(f"resolver is a Resolver, not {type(resolver).__name__}")
        return cls(
            resolver=resolver,
            caller=caller,
            turns=read_turns(given["messages"]),
            call=_prompt_call(given, resolver, caller, controls, backend_options),
            params=options,
            controls=controls,
            stream=bool(given["stream"]),
        )

    def target(self, found: Found | None, spare_key: str | None = None) -> Target:
        """Decide model, address and key; pure. ``spare_key`` is as in ``aim``."""
        return choose(
            self.caller,
            found[0] if found else None,
            ignore_prompt_model=bool(self.controls.get("ignore_prompt_model")),
            allowed_models=self.controls.get("allowed_models"),
            spare_key=spare_key,
        )

    def plan(self, found: Found | None, target: Target) -> Plan:
        """Decide messages and parameters; pure."""
        get = self.controls.get
        messages: Sequence[object] = [turn.item for turn in self.turns]
        info = rendered = None
        settings: Mapping[str, object] = {}
        if found is not None and self.call is not None:
            ready = make_ready(self.call, found, self.turns, self.resolver)
            messages, rendered = ready.messages, ready.rendered
            info = describe(rendered, self.call.label)
            settings = {} if get("ignore_prompt_params") else settings_for(found[0], target, self.resolver)
        if not messages:
            raise ConfigurationError(
                "there is nothing to send: give messages, or a prompt_id of a prompt with messages"
            )
        extra = get("extra_body") or {}
        if not isinstance(extra, Mapping):
            raise ConfigurationError(f"extra_body is a mapping, not {type(extra).__name__}")
        params = {**merge_params(self.defaults, settings, self.params), **extra}
        call = model_call(
            target,
            messages,
            params,
            stream=self.stream,
            timeout=get("timeout"),
            retries=get("max_retries"),
            headers=self._headers(target),
        )
        return Plan(call, info, target, messages, params, rendered, self.stream)

    def _headers(self, target: Target) -> Mapping[str, str] | None:
        """They may hold keys, and so belong to the caller's provider alone."""
        given: Mapping[str, str] | None = self.controls.get("extra_headers")
        if given and target.provider != self.caller.provider:
            log.logger.warning(
                "extra_headers are %s's: left out of a call to %s", self.caller.provider, target.provider
            )
            return None
        return given


def plan_of(
    found: Found,
    variables: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    model: str | None = None,
    stream: bool = False,
) -> Plan:
    """The call that ``completion()`` would make of this very version; ``model`` beats the prompt's own."""
    rest = dict(options)
    given: dict[str, Any] = {
        "model": None, "messages": None, "prompt_id": found[0].id, "prompt_variables": dict(variables),
        "prompt_label": None, "prompt_version": None, "message_mode": "auto", "stream": stream,
    }  # fmt: skip
    given |= {name: rest.pop(name) for name in options if name in given}
    if model is not None:
        given["model"] = model
        rest["ignore_prompt_model"] = True
    ask = Ask.of({**given, "options": rest})
    return ask.plan(found, ask.target(found))


def _prompt_call(
    given: Mapping[str, Any],
    resolver: Resolver,
    caller: CallerModel,
    controls: Mapping[str, Any],
    backend_options: dict[str, Any],
) -> PromptCall | None:
    prompt_id = given["prompt_id"]
    if prompt_id is None:
        names = ("prompt_variables", "prompt_label", "prompt_version")
        refuse_without_id(caller.backend, {name: given[name] for name in names})
        return None
    backend: str | Backend | None = caller.backend
    if backend_options and caller.backend:
        backend = resolver.open_backend(caller.backend, **backend_options)
    chosen = {name: controls[name] for name in RENDERING if controls.get(name) is not None}
    return PromptCall(
        prompt_id=prompt_id,
        overrides=given["prompt_variables"] if given["prompt_variables"] is not None else {},
        backend=backend,
        label=given["prompt_label"],
        version=given["prompt_version"],
        message_mode=given["message_mode"],
        **chosen,
    )


def take_backend_options(options: dict[str, Any], backend: str | None) -> dict[str, Any]:
    """Take the keywords that configure the backend of this call out of ``options``, under its constructor's names."""
    prefixes = _prefixes()
    mine: Mapping[str, str] = backend_class(backend).options if backend else {}
    taken: dict[str, Any] = {}
    for name in [name for name in options if name in mine or name.startswith(prefixes)]:
        if name not in mine:
            whose = f"model='{backend}/…'" if backend else "a model without a backend's prefix"
            raise ConfigurationError(f"{name}= is not for {whose}{nearest(name, tuple(mine))}")
        taken[mine[name]] = _secret(options.pop(name))
    return taken


def check_names(names: Iterable[str], door: str, options: type[Any]) -> None:
    """A misspelt name of ours would go to the provider as a parameter: say so instead."""
    for name in names:
        hint = "" if name in OPENAI_PARAMS else nearest(name, tuple(options.__annotations__))
        if hint and not name.startswith(_prefixes()):
            raise ConfigurationError(f"{door} has no parameter {name!r}{hint}; use extra_body= to send it as it is")


def _prefixes() -> tuple[str, ...]:
    """What the options of backends begin with, third parties' too."""
    return tuple(f"{name}_" for name in known_backends())


def read_turns(messages: object) -> list[Turn]:
    """OpenAI's messages as ``compose`` sees them. Raises ``ConfigurationError`` for what is none."""
    if messages is None:
        return []
    if not isinstance(messages, list | tuple):
        raise ConfigurationError(f"messages is a list of message dicts, not {type(messages).__name__}")
    return [turn(message) for message in messages]


def _secret(value: Any) -> Any:
    """The text of a ``SecretStr``, or the value itself."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
