"""LangChain's runs: what they cost a call, kept low, and what ``generate`` says of them."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from langchain_core.callbacks import Callbacks
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

_KIND = inspect.Parameter.POSITIONAL_OR_KEYWORD
_PLAIN, _WITH_CONFIG = (
    inspect.Signature([inspect.Parameter(name, _KIND) for name in names]) for names in (("input",), ("input", "config"))
)


def unheard(config: RunnableConfig | None) -> RunnableConfig | None:
    """The whole config for what runs inside a call that no callback hears of: it needs no run of its own."""
    whole = ensure_config(config)
    if get_callback_manager_for_config(whole).handlers:
        return None
    own = ("run_name", "run_id")
    return cast("RunnableConfig", {name: value for name, value in whole.items() if name not in own})


def as_run(method: Callable[..., Any], *, takes_config: bool = True, **arguments: Any) -> Any:
    """The method with its arguments, as LangChain calls what a run is of.

    It reads the signature twice a call to see whether there is a ``config``; a partial's is slow to make.
    """
    run: Any = partial(method, **arguments)
    run.__signature__ = _WITH_CONFIG if takes_config else _PLAIN
    return run


def config_of(callbacks: Callbacks, kwargs: Mapping[str, Any]) -> tuple[RunnableConfig, dict[str, Any]]:
    """What ``generate`` says of its run, as a config, and the other arguments."""
    names = ("tags", "metadata", "run_name", "run_id")
    config = {name: kwargs[name] for name in names if kwargs.get(name) is not None}
    rest = {name: value for name, value in kwargs.items() if name not in names}
    return cast("RunnableConfig", {"callbacks": callbacks, **config}), rest


def to_result(answers: list[Any]) -> LLMResult:
    """Answers as ``generate`` answers."""
    return LLMResult(generations=[[ChatGeneration(message=answer)] for answer in answers])
