"""LlamaIndex's spans and events, made where somebody listens: nobody else can tell, and they cost as much as a call."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher
from llama_index_instrumentation.event_handlers import NullEventHandler
from llama_index_instrumentation.span_handlers import NullSpanHandler

M = TypeVar("M", bound=Callable[..., Any])

_DEAF = (NullEventHandler, NullSpanHandler)


def is_heard(dispatcher: Dispatcher) -> bool:
    """Whether what it dispatches reaches anybody."""
    at: Dispatcher | None = dispatcher
    while at is not None:
        for handlers in (at.event_handlers, at.span_handlers):
            for handler in handlers:
                if type(handler) not in _DEAF:
                    return True
        at = at.parent if at.propagate else None
    return False


def spanned(method: M) -> M:
    """LlamaIndex's span around a method. The signature, which a span asks for at every call, is told beforehand."""
    dispatcher = get_dispatcher(method.__module__)
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    inside = cast("Any", dispatcher.span(method))

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = (inside if is_heard(dispatcher) else cast("Any", method)).__get__(self, type(self))
        return bound(*args, **kwargs)

    @wraps(method)
    async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await call(self, *args, **kwargs)

    return cast("M", acall if inspect.iscoroutinefunction(method) else call)
