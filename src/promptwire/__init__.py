"""Managed prompts as LangChain chat models, LlamaIndex LLMs and OpenAI-compatible calls.

Names are imported when first used: ``import promptwire`` loads no HTTP client and no template engine.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptwire.ambient import variables as variables
    from promptwire.backends import Backend as Backend
    from promptwire.backends import PromptSummary as PromptSummary
    from promptwire.backends import PromptVersion as PromptVersion
    from promptwire.comparison import acompare as acompare
    from promptwire.comparison import compare as compare
    from promptwire.default import aget_prompt as aget_prompt
    from promptwire.default import aresolve as aresolve
    from promptwire.default import get_prompt as get_prompt
    from promptwire.default import invalidate as invalidate
    from promptwire.default import resolve as resolve
    from promptwire.errors import BackendAuthError as BackendAuthError
    from promptwire.errors import BackendError as BackendError
    from promptwire.errors import BackendUnavailableError as BackendUnavailableError
    from promptwire.errors import ConfigurationError as ConfigurationError
    from promptwire.errors import ContractError as ContractError
    from promptwire.errors import GatewayError as GatewayError
    from promptwire.errors import MissingVariablesError as MissingVariablesError
    from promptwire.errors import PromptConfigError as PromptConfigError
    from promptwire.errors import PromptNotFoundError as PromptNotFoundError
    from promptwire.errors import PromptwireError as PromptwireError
    from promptwire.errors import TemplateError as TemplateError
    from promptwire.events import Event as Event
    from promptwire.gateway.answers import Answer as Answer
    from promptwire.gateway.completion import acompletion as acompletion
    from promptwire.gateway.completion import completion as completion
    from promptwire.log import set_verbose as set_verbose
    from promptwire.messages import Placeholder as Placeholder
    from promptwire.notebook import playground as playground
    from promptwire.prompts import Prompt as Prompt
    from promptwire.refs import PromptRef as PromptRef
    from promptwire.rendered import RenderedPrompt as RenderedPrompt
    from promptwire.resolver import Resolver as Resolver

_HOMES = {
    "ambient": ("variables",),
    "backends": ("Backend", "PromptSummary", "PromptVersion"),
    "comparison": ("acompare", "compare"),
    "default": ("aget_prompt", "aresolve", "get_prompt", "invalidate", "resolve"),
    "errors": (
        "BackendAuthError", "BackendError", "BackendUnavailableError", "ConfigurationError", "ContractError",
        "GatewayError", "MissingVariablesError", "PromptConfigError", "PromptNotFoundError", "PromptwireError",
        "TemplateError",
    ),
    "events": ("Event",),
    "gateway.answers": ("Answer",),
    "gateway.completion": ("acompletion", "completion"),
    "log": ("set_verbose",),
    "messages": ("Placeholder",),
    "notebook": ("playground",),
    "prompts": ("Prompt",),
    "refs": ("PromptRef",),
    "rendered": ("RenderedPrompt",),
    "resolver": ("Resolver",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Backend",
    "BackendAuthError",
    "BackendError",
    "BackendUnavailableError",
    "ConfigurationError",
    "ContractError",
    "Event",
    "GatewayError",
    "MissingVariablesError",
    "Placeholder",
    "Prompt",
    "PromptConfigError",
    "PromptNotFoundError",
    "PromptRef",
    "PromptSummary",
    "PromptVersion",
    "PromptwireError",
    "RenderedPrompt",
    "Resolver",
    "TemplateError",
    "__version__",
    "acompare",
    "acompletion",
    "aget_prompt",
    "aresolve",
    "compare",
    "completion",
    "get_prompt",
    "invalidate",
    "playground",
    "resolve",
    "set_verbose",
    "variables",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'promptwire' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"promptwire.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


class _Module(ModuleType):
    """Lets ``promptwire.set_verbose = True`` do what ``set_verbose(True)`` does, as LiteLLM's users write it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "set_verbose" and isinstance(value, bool):
            importlib.import_module("promptwire.log").set_verbose(value)
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
