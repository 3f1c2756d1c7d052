"""Names and values by the conventions of OpenTelemetry (GenAI), Langfuse and OpenInference; the only place for them."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from promptwire.errors import GatewayError, PromptwireError
from promptwire.messages import stored_messages
from promptwire.telemetry.content import as_json, told_messages
from promptwire.tracing import is_langfuses, used_variables

if TYPE_CHECKING:
    from promptwire.gateway.answers import PromptInfo
    from promptwire.gateway.ask import Plan
    from promptwire.rendered import RenderedPrompt

Attributes = dict[str, Any]

OPERATION = "chat"
# The conventions' names, where they aren't ours.
_PROVIDERS = {
    "azure": "azure.ai.openai", "bedrock": "aws.bedrock", "gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"
}  # fmt: skip
_REQUEST: dict[str, tuple[str, type]] = {
    "frequency_penalty": ("frequency_penalty", float),
    "max_completion_tokens": ("max_tokens", int),
    "max_tokens": ("max_tokens", int),
    "n": ("choice.count", int),
    "presence_penalty": ("presence_penalty", float),
    "reasoning_effort": ("reasoning.level", str),
    "seed": ("seed", int),
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
}


def call_attributes(plan: "Plan") -> Attributes:
    """What tells one kind of call from another: of spans and of metrics."""
    target = plan.target
    found: Attributes = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": _PROVIDERS.get(target.provider, target.provider),
        "gen_ai.request.model": target.model,
    }
    url = urlsplit(plan.call.request.url)
    if url.hostname:
        found["server.address"] = url.hostname
        found["server.port"] = url.port or (80 if url.scheme == "http" else 443)
    return found


def request_attributes(plan: "Plan") -> Attributes:
    """What a request asks for, as far as it is as it should be."""
    found: Attributes = {"openinference.span.kind": "LLM"}
    for name, (told, kind) in _REQUEST.items():
        value = plan.params.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is kind and not (name == "n" and value == 1):
            found[f"gen_ai.request.{told}"] = value
    stop = plan.params.get("stop")
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    if stops and all(isinstance(text, str) for text in stops):
        found["gen_ai.request.stop_sequences"] = stops
    if plan.stream:
        found["gen_ai.request.stream"] = True
    return found


def prompt_attributes(info: "PromptInfo", rendered: "RenderedPrompt") -> Attributes:
    """Which prompt it is, where it came from, and how old it is: seconds since its content was read there."""
    told: Attributes = {
        "gen_ai.prompt.name": info.prompt_id,
        "gen_ai.prompt.version": None if info.prompt_version is None else str(info.prompt_version),
        "promptwire.prompt.backend": info.prompt_backend,
        "promptwire.prompt.content_hash": info.content_hash,
        "promptwire.prompt.label": info.prompt_label,
        "promptwire.prompt.source": info.prompt_source,
        "prompt.id": info.prompt_id,
        "prompt.vendor": info.prompt_backend,
        "llm.prompt_template.version": None if info.prompt_version is None else str(info.prompt_version),
    }
    if info.prompt_source != "fallback":
        told["promptwire.prompt.age"] = max(time.time() - rendered.prompt.fetched_at, 0.0)
    return {name: value for name, value in told.items() if value is not None}


def link_attributes(plan: "Plan") -> Attributes:
    """What Langfuse counts a version's generations by; set late, it beats what is propagated to every span."""
    if plan.info is None or not is_langfuses(plan.info):
        return {}
    return {
        "langfuse.observation.prompt.name": plan.info.prompt_id,
        "langfuse.observation.prompt.version": plan.info.prompt_version,
    }


def content_attributes(plan: "Plan") -> Attributes:
    """What is sent, the variables' values in it, and the template that they are put into; no sampler sees it."""
    told = {"gen_ai.input.messages": told_messages(plan.messages)}
    return told if plan.rendered is None else {**told, **_variables(plan.rendered)}


def _variables(rendered: "RenderedPrompt") -> Attributes:
    values = used_variables(rendered.prompt, rendered.values)
    texts = {name: value if isinstance(value, str) else as_json(value) for name, value in values.items()}
    told: Attributes = {f"gen_ai.prompt.variable.{name}": text for name, text in texts.items()}
    return {
        **told,
        "llm.prompt_template.template": _template(rendered),
        "llm.prompt_template.variables": as_json(values),
    }


def response_attributes(said: Mapping[str, Any]) -> Attributes:
    """What a completion, of OpenAI's shape, tells of itself."""
    usage = mapping(said.get("usage"))
    texts = {"gen_ai.response.id": said.get("id"), "gen_ai.response.model": said.get("model")}
    counts = {
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": mapping(usage.get("prompt_tokens_details")).get("cached_tokens"),
        "gen_ai.usage.reasoning.output_tokens": mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"),
    }
    told: Attributes = {name: text for name, text in texts.items() if isinstance(text, str)}
    return told | {name: count for name, count in counts.items() if type(count) is int}


def error_type(error: BaseException) -> str:
    """The provider's status, else the error's class."""
    status = error.status_code if isinstance(error, GatewayError) else None
    return type(error).__qualname__ if status is None else str(status)


def error_message(error: BaseException) -> str | None:
    """Only ours: of what others say, nobody knows whether it repeats a key or a value."""
    return str(error) if isinstance(error, PromptwireError) else None


def _template(rendered: "RenderedPrompt") -> str:
    prompt = rendered.prompt
    return prompt.text if prompt.text is not None else as_json(stored_messages(prompt.messages or ()))


def mapping(value: object) -> Mapping[str, Any]:
    """The value, or an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}
