"""OpenInference's spans: Langfuse's link is on that of the model's own call, and on none of those around it."""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.llms.promptwire.convert import PromptMessage
from llama_index_instrumentation import get_dispatcher

from promptwire.gateway.answers import PromptInfo
from promptwire.tracing import is_heard_of, is_linkable, link_span, linked, told_openinference

_NOTHING = nullcontext()
_ASKS_ANOTHER = StructuredLLM.class_name()
_LOGGER = "openinference.instrumentation.llama_index._handler"


class Links(BaseEventHandler):
    """Links the span of each call that sends a prompt's messages; LlamaIndex tells of one only where a model is asked.

    What helps around it, ``structured_predict`` or the preparation of tools, is a generation to OpenInference too.
    """

    @classmethod
    def class_name(cls) -> str:
        return "PromptwireLinks"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if not isinstance(event, LLMChatStartEvent) or event.model_dict.get("class_name") == _ASKS_ANOTHER:
            return
        if (tracer := _tracer()) is not None:
            told = (one.origin for one in event.messages if isinstance(one, PromptMessage))
            link_span(next(filter(None, told), None), tracer.get_current_span())


def followed(info: PromptInfo) -> PromptInfo:
    """The prompt; from here on, the spans of calls that send its messages are linked to it."""
    if is_linkable(info) and _tracer() is not None:
        root = get_dispatcher()
        if not any(isinstance(one, Links) for one in root.event_handlers):
            root.add_event_handler(Links())
    return info


def spread(info: PromptInfo) -> AbstractContextManager[None]:
    """``linked``, for what traces a call below LlamaIndex; where LlamaIndex is traced, ``Links`` links its spans."""
    if _tracer() is not None:
        return told_openinference(info)
    return linked(info) if is_heard_of(info) else _NOTHING


class _Expected(logging.Filter):
    """OpenInference warns of each event that it has no use for."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "PromptResolvedEvent" not in record.getMessage()


_EXPECTED = _Expected()


def expect_unused() -> None:
    """Have OpenInference pass over our events in silence."""
    if _tracer() is not None:
        logging.getLogger(_LOGGER).addFilter(_EXPECTED)  # which keeps one of each


def _tracer() -> Any:
    """OpenInference's module, if it is at work."""
    module: Any = sys.modules.get("openinference.instrumentation.llama_index")
    made = getattr(module, "LlamaIndexInstrumentor", None)  # none yet, while another thread imports it
    return module if made is not None and made().is_instrumented_by_opentelemetry else None
