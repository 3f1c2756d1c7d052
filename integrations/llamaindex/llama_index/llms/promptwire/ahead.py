"""What of a prompt is settled before calls: the metadata that engines are built with, and a version to stay at."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.utils import get_tokenizer
from llama_index.llms.promptwire.peers import LIMITS

from promptwire.backends import Backend
from promptwire.calls import PromptCall
from promptwire.compose import text_of
from promptwire.frozen import thaw
from promptwire.messages import Placeholder
from promptwire.prompts import Prompt
from promptwire.search import Found


class Known(NamedTuple):
    """The metadata of the LLM that runs the prompt, and the tokens that the prompt's own text takes."""

    metadata: LLMMetadata
    size: int = 0


class Selected(NamedTuple):
    """Which prompt a call names."""

    id: str
    label: str | None
    version: int | str | None
    backend: str | Backend | None


class Pin(NamedTuple):
    """A prompt as it was found; its content, too, since a composed prompt can change under its version."""

    call: Selected
    found: Found


def selected(call: PromptCall | None) -> Selected | None:
    """Which prompt a call names, if one."""
    return Selected(call.prompt_id, call.label, call.version, call.backend) if call else None


def stay(call: PromptCall, found: Found) -> Pin:
    """The pin that calls for the same prompt, and for no version or the found one, are answered with."""
    prompt, source = found
    label, version = (call.label, call.version) if prompt.version is None else (None, prompt.version)
    wanted = Selected(call.prompt_id, label, version, call.backend)
    return Pin(wanted, (prompt, "cached" if source == "fresh" else source))


def look_ahead(metadata: LLMMetadata, params: Mapping[str, Any], prompt: Prompt | None) -> Known:
    """What a prompt and its parameters make of the metadata of the LLM that runs it."""
    limit = next((params[name] for name in LIMITS if name in params), None)
    told = metadata if limit is None else metadata.model_copy(update={"num_output": limit})
    return Known(told, _size(prompt) if prompt else 0)


def _size(prompt: Prompt) -> int:
    """The tokens of the text as it is stored, by LlamaIndex's tokenizer; what variables add is not known yet."""
    messages = [item for item in prompt.messages or () if not isinstance(item, Placeholder)]
    text = prompt.text or "\n".join(text_of(thaw(item.get("content"))) for item in messages)
    return len(get_tokenizer()(text))
