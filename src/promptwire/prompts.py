"""The nouns: what a prompt is, and what rendering makes of it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Unpack

from promptwire.compiled import asked_variables, compile_steps, digest
from promptwire.display import Displayed
from promptwire.errors import (
    ConfigurationError,
    MissingVariablesError,
    PromptConfigError,
    PromptwireError,
    TemplateError,
    raise_bare,
    unfillable,
)
from promptwire.frozen import FrozenDict, freeze, is_object, thaw
from promptwire.log import logger
from promptwire.masking import masked
from promptwire.messages import Placeholder, PlainStep, Step, fill_slot, slot_error
from promptwire.params import read_config
from promptwire.rendered import RenderedPrompt, Source

if TYPE_CHECKING:
    from promptwire.backends import Backend
    from promptwire.differences import Differences
    from promptwire.display.view import View
    from promptwire.history import History
    from promptwire.notebook import PlaygroundOptions
    from promptwire.notebook.widget import Playground

Missing = Literal["error", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Displayed):
    """A prompt as a backend stores it: immutable, its templates compiled once.

    Give either ``text`` or ``messages`` (OpenAI message dicts and ``Placeholder``). ``config`` is the vendor's
    raw settings; ``model``, ``provider``, ``params``, ``tools`` and ``response_format`` are what of it may be sent.
    ``partials`` are values for variables that the caller doesn't give; ``variables`` are the names it must give.
    ``passed_over`` says why backends that were asked first didn't serve it; ``fetched_at`` is Unix time.
    Raises ``TemplateError`` and ``PromptConfigError``.
    """

    id: str = field(kw_only=False)
    text: str | None = None
    messages: Sequence[Mapping[str, Any] | Placeholder] | None = None
    backend: str = "memory"
    version: int | str | None = None
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)  # an editor may have put a key there
    dialect: str = "mustache"
    partials: Mapping[str, Any] = field(default_factory=FrozenDict)
    passed_over: tuple[str, ...] = field(default=(), compare=False)
    fetched_at: float = field(default_factory=time.time, compare=False, repr=False)
    model: str | None = field(init=False)
    provider: str | None = field(init=False)
    params: FrozenDict = field(init=False)
    tools: tuple[FrozenDict, ...] = field(init=False)
    response_format: FrozenDict | None = field(init=False)
    variables: tuple[str, ...] = field(init=False)
    placeholders: tuple[str, ...] = field(init=False)
    _digest: bytes = field(init=False, repr=False)
    _steps: tuple[PlainStep | Step | Placeholder, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            self._make()
        except RecursionError as error:
            raise self._too_deep() from error

    def _make(self) -> None:
        put = object.__setattr__
        if (self.text is None) == (self.messages is None):
            raise TemplateError(f"{self.where}: a prompt is either a text or a list of messages")
        for name in ("messages", "labels", "tags", "config", "partials"):
            put(self, name, freeze(getattr(self, name)))
        for name in ("config", "partials"):
            if not is_object(getattr(self, name)):
                raise PromptConfigError(f"{self.where}: its {name} must be a mapping with texts as keys")
        settings = read_config(self.config, self.where)
        params = dict(settings.params)
        put(self, "model", settings.model)
        put(self, "provider", settings.provider)
        put(self, "tools", freeze(params.pop("tools", ())))
        put(self, "response_format", freeze(params.pop("response_format", None)))
        put(self, "params", freeze(params))
        steps = compile_steps(self)
        put(self, "_steps", steps)
        put(self, "variables", asked_variables(steps, self.partials))
        slots = [step.name for step in steps if isinstance(step, Placeholder)]
        put(self, "placeholders", tuple(dict.fromkeys(slots)))
        put(self, "_digest", digest(self))
        object.__delattr__(self, "messages" if self.text is None else "text")  # _InSteps has them

    @property
    def where(self) -> str:
        """How error messages name it."""
        version = "" if self.version is None else f" (version {self.version})"
        return f"{self.backend} prompt {self.id!r}{version}"

    @property
    def steps(self) -> tuple[PlainStep | Step | Placeholder, ...]:
        """Its messages, compiled; a text is one user message."""
        return self._steps

    @property
    def content_hash(self) -> str:
        """Identity by content, in hex: a composed Langfuse prompt can change under the same version."""
        return self._digest.hex()

    def __repr__(self) -> str:
        shown = {one.name: masked(getattr(self, one.name)) for one in fields(self) if one.repr}
        return f"Prompt({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        names = (
            "id", "text", "messages", "backend", "version", "labels", "tags", "config", "dialect", "partials",
            "passed_over", "fetched_at",
        )  # fmt: skip
        return _rebuild, ({name: getattr(self, name) for name in names},)

    def settings(self) -> dict[str, Any]:
        """The parameters to send, ``tools`` and ``response_format`` among them; the caller owns them."""
        try:
            params: dict[str, Any] = thaw(self.params)
            if self.tools:
                params["tools"] = thaw(self.tools)
            if self.response_format is not None:
                params["response_format"] = thaw(self.response_format)
        except RecursionError as error:
            raise self._too_deep() from error
        return params

    def _too_deep(self) -> PromptConfigError:
        return PromptConfigError(
            f"{self.where}: it is nested too deeply for the stack that is left; flatten its tools or its config"
        )

    def render(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        missing: str = "error",
        text_role: str = "user",
        source: Source = "fresh",
    ) -> RenderedPrompt:
        """Fill in the variables, in one pass: a value's own braces stay text.

        Raises ``MissingVariablesError`` that names all missing variables, unless ``missing="keep"``.
        """
        check_missing(missing)
        gaps: list[str] | None = [] if missing == "error" else None
        try:
            values = self._values(variables)
            items, is_open = self._fill(values, gaps)
        except PromptwireError:
            raise
        except Exception as error:  # noqa: BLE001 - as unfillable says
            raise_bare(unfillable(self.where, error))
        if gaps:
            raise MissingVariablesError(
                f"{self.where} needs variables that were not given: {', '.join(dict.fromkeys(gaps))}. "
                "Pass them in prompt_variables, or missing='keep' to leave their tags in the text.",
                tuple(dict.fromkeys(gaps)),
            )
        if text_role != "user" and self.text is not None:
            items[0]["role"] = text_role
        return RenderedPrompt(self, items, source, missing, is_open=is_open, values=values)

    def _fill(self, values: Mapping[str, Any], gaps: list[str] | None) -> tuple[list[Any], bool]:
        """The messages, and whether a placeholder is still among them."""
        items: list[dict[str, Any] | Placeholder] = []
        is_open = False
        for step in self._steps:
            if isinstance(step, PlainStep):
                items.append({"role": step.role, "content": step.content.render(values, gaps)})
            elif isinstance(step, Step):
                items.append(step.render(values, gaps))
            elif (given := values.get(step.name)) is not None:
                messages = fill_slot(given)
                if messages is None:
                    raise slot_error(step.name, given, self.where)
                items += messages
            else:
                items.append(step)
                is_open = True
        return items, is_open

    def diff(self, other: "Prompt") -> "Differences":
        """What the other says instead, by message and by setting."""
        from promptwire.differences import compare

        return compare(self, other)

    def history(self, *, backend: "str | Backend | None" = None, limit: int | None = None) -> "History":
        """Its newest ``limit`` versions, or all, asked of the backend that it came from, or of the one given."""
        from promptwire.default import default_resolver

        return default_resolver().history(self.id, backend=backend or self.backend, limit=limit)

    def playground(self, **options: "Unpack[PlaygroundOptions]") -> "Playground":
        """``promptwire.playground`` of it: a widget to fill it in and run it, with the extra ``notebook``."""
        from promptwire.notebook import playground

        return playground(self, **options)

    def _view(self) -> "View":
        from promptwire.display.prompts import prompt_view

        return prompt_view(self)

    def _values(self, variables: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The caller's values over the partials; the names that nothing asks for are logged."""
        if variables is None:
            return self.partials
        if variables.__class__ is not dict and not isinstance(variables, Mapping):
            raise ConfigurationError(f"{self.where}: variables is a mapping, not {type(variables).__name__}")
        if logger.isEnabledFor(logging.DEBUG):
            known = {*self.variables, *self.partials, *self.placeholders}
            if unused := [str(name) for name in variables if name not in known]:
                logger.debug("%s: variables that it doesn't use: %s", self.where, ", ".join(unused))
        return {**self.partials, **variables} if self.partials else variables


class _InSteps:
    """A field of a prompt that is read from its compiled steps: a cache of thousands holds each text once."""

    def __init__(self, name: str, read: Callable[[Prompt], object]) -> None:
        self._slot = Prompt.__dict__[name]
        self._read = read
        setattr(Prompt, name, self)

    def __get__(self, prompt: Prompt, owner: type | None = None) -> object:
        try:
            return self._slot.__get__(prompt, owner)
        except AttributeError:  # compiled
            return self._read(prompt)

    def __set__(self, prompt: Prompt, value: object) -> None:
        self._slot.__set__(prompt, value)

    def __delete__(self, prompt: Prompt) -> None:
        self._slot.__delete__(prompt)


def _read_messages(prompt: Prompt) -> tuple[FrozenDict | Placeholder, ...]:
    return tuple(step if isinstance(step, Placeholder) else step.message for step in prompt.steps)


_InSteps("text", lambda prompt: _read_messages(prompt)[0]["content"])  # type: ignore[index]
_InSteps("messages", _read_messages)


def check_missing(missing: object) -> None:
    """Raises ``ConfigurationError`` for what says nothing of missing variables."""
    if not isinstance(missing, str) or missing not in {"error", "keep"}:
        raise ConfigurationError(f"missing is 'error' or 'keep', not {missing!r}")


def _rebuild(fields: dict[str, Any]) -> Prompt:
    return Prompt(**fields)
