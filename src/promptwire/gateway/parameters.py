"""The keywords of ``completion()``, for type checkers and for telling a parameter from a misspelling."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from promptwire.resolver import Resolver
from promptwire.rollout import Label
from promptwire.search import Fallback


class OpenAIParameters(TypedDict, total=False):
    """The parameters of OpenAI's Chat Completions."""

    audio: Mapping[str, Any] | None
    frequency_penalty: float | None
    function_call: str | Mapping[str, Any] | None
    functions: Sequence[Mapping[str, Any]] | None
    logit_bias: Mapping[str, int] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, str] | None
    modalities: Sequence[str] | None
    moderation: Mapping[str, Any] | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: Mapping[str, Any] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: Mapping[str, Any] | None
    prompt_cache_retention: str | None
    reasoning_effort: str | int | None
    response_format: Mapping[str, Any] | None
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    stream_options: Mapping[str, Any] | None
    temperature: float | None
    tool_choice: str | Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None
    web_search_options: Mapping[str, Any] | None


class CompletionOptions(OpenAIParameters, total=False):
    """``completion()``'s keywords but for ``stream``; those of a third party's backend work, unchecked."""

    model: str | None
    messages: Sequence[Mapping[str, Any]] | None
    prompt_id: str | None
    prompt_variables: Mapping[str, Any] | None
    prompt_label: Label
    prompt_version: int | str | None
    message_mode: str
    messages_placeholder: str | None
    input_variable: str | None
    text_role: str | None
    missing: str | None
    fallback: Fallback
    rollout_key: str | int | None
    ignore_prompt_model: bool
    ignore_prompt_params: bool
    allowed_models: Sequence[str] | None
    resolver: Resolver | None
    api_key: Any
    api_base: str | None
    api_version: str | None
    base_url: str | None
    timeout: float | None
    max_retries: int | None
    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    langfuse_public_key: Any
    langfuse_secret_key: Any
    langfuse_secret: Any
    langfuse_host: str | None
    humanloop_api_key: Any
    humanloop_base_url: str | None
    humanloop_dir: str | None
    prompts_dir: str | None


OPENAI_PARAMS = frozenset(OpenAIParameters.__annotations__)
