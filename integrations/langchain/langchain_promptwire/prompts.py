"""``ManagedPromptTemplate``: a managed prompt as a LangChain prompt, for any model."""
# ruff: noqa: A002 - `input` is the framework's name

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, cast

from langchain_core.messages import AnyMessage, BaseMessage
from langchain_core.messages.base import get_msg_title_repr
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts.chat import BaseChatPromptTemplate, ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import Field, ModelWrapValidatorHandler, StrictInt, model_validator

from langchain_promptwire.fields import checked, refuse_unknown
from langchain_promptwire.prompt_values import ManagedPromptValue, fill, pretty
from langchain_promptwire.runs import as_run, unheard
from langchain_promptwire.tracing import template_metadata
from promptwire import log
from promptwire.ambient import ambient_variables
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError, PromptwireError
from promptwire.flights import on_a_loop
from promptwire.gateway.answers import describe_found
from promptwire.messages import HISTORY_SLOTS
from promptwire.params import merge_variables
from promptwire.prompts import Prompt, check_missing
from promptwire.resolver import Resolver
from promptwire.rollout import choose_label
from promptwire.search import FindOptions, Found

T = TypeVar("T")
# A prompt, and of several labels the one that it was asked for by.
Labelled: TypeAlias = tuple[Found, str | None]

# Fields of the base class that describe the prompt: looked up in it when they are read, unless they were given.
_DESCRIBING = ("input_variables", "optional_variables", "input_types")


class ManagedPromptTemplate(BaseChatPromptTemplate):
    """A managed prompt as a LangChain prompt, fetched and filled in on each call.

    Setup:
        ``pip install langchain-promptwire``, and the prompt backend's keys in the environment
        (``LANGFUSE_PUBLIC_KEY``, ``LANGFUSE_SECRET_KEY``).

    Key init args:
        - prompt_id, backend, label, version: which prompt; the id is the only positional argument.
        - rollout_key: which of a label's weights it gets; without one each call draws anew.
        - partial_variables: values, or functions without arguments that are called for one each time.
        - missing: ``"keep"`` leaves tags without a value in the text; by default they are an error.
        - text_role: the role of a prompt that is one text; ``"user"`` by default.
        - fallback: a text, a list of messages or a ``Prompt``, for when the backend fails.
        - timeout: how many seconds a call waits for a fetch.

    Instantiate:
        ```python
        prompt = ManagedPromptTemplate("support/reply", backend="langfuse", label="production")
        ```

    Invoke:
        ```python
        prompt.invoke({"name": "Ada", "history": [("human", "Hi"), ("ai", "Hello!")]})
        chain = prompt | ChatOpenAI(model="gpt-4o-mini")
        ```

    Variables that the prompt doesn't use are accepted. Values rank: partial, ambient ``promptwire.variables(...)``,
    given. A placeholder takes a list of messages in any form that LangChain reads. No value or message is templated.

    What the prompt sets (model, temperature, tools, response format) reaches a ``ChatPromptwire`` that comes next in
    the chain; ``bind_to`` does it for any other chat model.

    Making one fetches nothing. ``input_variables``, ``optional_variables`` and ``input_types`` ask for the prompt when
    they are read, unless they were given. They never raise: without the prompt they are empty, and a warning is logged.
    On a running event loop they don't wait either, and are empty until the prompt is in memory.
    """

    prompt_id: str
    backend: Any = None
    label: Any = None
    version: StrictInt | str | None = None
    rollout_key: str | int | None = Field(default=None, repr=False)
    missing: str | None = None
    text_role: str = "user"
    fallback: Any = Field(default=None, repr=False)
    timeout: float | None = None
    resolver: Resolver | None = Field(default=None, exclude=True, repr=False)
    partial_variables: Mapping[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    input_variables: list[str] = Field(default_factory=list, exclude=True, repr=False)
    optional_variables: list[str] = Field(default_factory=list, exclude=True, repr=False)
    input_types: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)

    def __init__(self, prompt_id: str, **given: Any) -> None:
        cast("Any", super()).__init__(prompt_id=prompt_id, **given)

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, dict):
            refuse_unknown(cls, data)
        made = checked(cls, handler, data)
        if made.missing is not None:
            check_missing(made.missing)
        return made

    @model_validator(mode="after")
    def validate_variable_names(self) -> Self:
        """In place of the base class's, which would read them."""
        for name in _DESCRIBING:
            if name not in self.model_fields_set:
                vars(self).pop(name, None)
        return self

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _DESCRIBING:
                return self._described()[name]
            return super().__getattr__(name)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """What it stands for is elsewhere."""
        return False

    @property
    def _prompt_type(self) -> str:
        return "promptwire"

    def _described(self) -> dict[str, Any]:
        prompt = self._known()
        texts, slots = ([], []) if prompt is None else self._names(prompt)
        return {
            "input_variables": [name for name in (*texts, *slots) if name not in HISTORY_SLOTS],
            "optional_variables": [name for name in slots if name in HISTORY_SLOTS],
            "input_types": {**dict.fromkeys(texts, Any), **dict.fromkeys(slots, list[AnyMessage])},
        }

    def _known(self) -> Prompt | None:
        try:
            found = _at_once(self._afind()) if on_a_loop() else self._find()
        except PromptwireError as error:
            log.logger.warning("prompt %r: its variables are unknown: %s", self.prompt_id, error)
            return None
        return found[0][0] if found else None

    def _names(self, prompt: Prompt) -> tuple[list[str], list[str]]:
        """The names of the texts and of the messages that it takes, without those that have a value here."""
        kinds = (prompt.variables, prompt.placeholders)
        texts, slots = ([name for name in names if name not in self.partial_variables] for names in kinds)
        return texts, slots

    def partial(self, **kwargs: Any) -> Self:
        """This prompt with values for some of its variables, or functions that are called for one each time."""
        changes: dict[str, Any] = {"partial_variables": {**self.partial_variables, **kwargs}}
        if "input_variables" in vars(self):
            changes["input_variables"] = [name for name in self.input_variables if name not in kwargs]
        return self.model_copy(update=changes)

    def bind_to(self, model: Runnable[Any, Any], **options: Any) -> Runnable[Any, Any]:
        """This prompt, then the chat model with what the prompt sets; ``options`` are ``ChatPromptwire``'s."""
        from langchain_promptwire.chat_models import ChatPromptwire

        return self | (model if isinstance(model, ChatPromptwire) else ChatPromptwire(llm=model, **options))

    def __add__(self, other: Any) -> ChatPromptTemplate:
        """A larger template, to which this one gives its messages and not its settings."""
        return cast("ChatPromptTemplate", ChatPromptTemplate([self]) + other)

    def format_prompt(self, **kwargs: Any) -> ManagedPromptValue:
        return self._filled(self._find(), kwargs)

    async def aformat_prompt(self, **kwargs: Any) -> ManagedPromptValue:
        return self._filled(await self._afind(), kwargs)

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return self.format_prompt(**kwargs).to_messages()

    async def aformat_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return (await self.aformat_prompt(**kwargs)).to_messages()

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> PromptValue:
        """Fill in the prompt with a dict of values; if it takes but one, with that.

        The prompt is fetched before the run begins, so that the run's metadata can tell which version it was.
        Raises ``Resolver.get_prompt``'s errors and ``MissingVariablesError``.
        """
        found: Labelled | PromptwireError
        try:
            found = self._find()
        except PromptwireError as error:
            found = error
        if unheard(config) is not None:
            return self._answer(input, found)
        run = as_run(self._answer, takes_config=False, found=found)
        config = self._traced(found, config)
        return self._call_with_config(run, input, config, run_type="prompt", serialized=self._serialized)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> PromptValue:
        """``invoke`` without blocking the loop."""
        found: Labelled | PromptwireError
        try:
            found = await self._afind()
        except PromptwireError as error:
            found = error
        if unheard(config) is not None:
            return self._answer(input, found)

        async def run(given: Any) -> PromptValue:
            return self._answer(given, found)

        config = self._traced(found, config)
        return await self._acall_with_config(run, input, config, run_type="prompt", serialized=self._serialized)

    def _traced(self, found: Labelled | PromptwireError, config: RunnableConfig | None) -> RunnableConfig:
        told = {"prompt_id": self.prompt_id}
        if not isinstance(found, PromptwireError):
            told = template_metadata(describe_found(*found))
        own = {"metadata": {**(self.metadata or {}), **told}, "tags": self.tags or []}
        return merge_configs(config, cast("RunnableConfig", own))

    def _answer(self, given: Any, found: Labelled | PromptwireError) -> ManagedPromptValue:
        if isinstance(found, PromptwireError):
            raise found
        if not isinstance(given, Mapping):
            prompt = found[0][0]
            texts, slots = self._names(prompt)
            required = [name for name in (*texts, *slots) if name not in HISTORY_SLOTS] or slots
            if len(required) != 1:
                raise ConfigurationError(f"{prompt.where} takes a dict of its variables, not {type(given).__name__}")
            given = {required[0]: given}
        return self._filled(found, given)

    def _filled(self, found: Labelled, given: Mapping[str, Any]) -> ManagedPromptValue:
        given = merge_variables(given)
        partials = {n: v() if callable(v) else v for n, v in self.partial_variables.items() if n not in given}
        values = merge_variables(partials, ambient_variables(), given)
        missing = self.missing or self._resolver.missing
        return fill(*found, values, missing=missing, text_role=self.text_role)

    @property
    def _resolver(self) -> Resolver:
        return self.resolver or default_resolver()

    def _label(self) -> str | None:
        return choose_label(self.prompt_id, self.label, self.rollout_key)

    def _options(self, label: str | None) -> FindOptions:
        names = ("backend", "version", "fallback", "timeout")
        return cast("FindOptions", {**{name: getattr(self, name) for name in names}, "label": label})

    def _find(self) -> Labelled:
        label = self._label()
        return self._resolver.find(self.prompt_id, **self._options(label)), label

    async def _afind(self) -> Labelled:
        label = self._label()
        return await self._resolver.afind(self.prompt_id, **self._options(label)), label

    def pretty_repr(self, html: bool = False) -> str:
        """The prompt's messages with their tags, or without the prompt its name."""
        prompt = self._known()
        if prompt is None:
            return get_msg_title_repr(f"Managed Prompt {self.prompt_id}", bold=html)
        return pretty(prompt, self.text_role, html=html)


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """What it answers without waiting; else it is given up, and what it began goes on."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    finally:
        coroutine.close()
    return None
