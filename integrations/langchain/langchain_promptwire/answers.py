"""The model's answers on OpenAI's wire as LangChain's messages and chunks."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, UsageMetadata
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_promptwire.messages import read_tool_calls
from langchain_promptwire.thinking import BlockStream, in_blocks, speaks_in_blocks
from promptwire.errors import GatewayError, raise_bare

_EXTRAS = ("refusal", "reasoning_content", "reasoning", "audio")
_EXTRAS_BESIDE_BLOCKS = ("refusal",)
_METADATA = ("id", "system_fingerprint", "service_tier")


def to_result(body: Mapping[str, Any], provider: str) -> ChatResult:
    """A completion's choices; its usage is on the first."""
    with _shaped(provider):
        shared = _metadata(body, provider)
        usage = _usage(body.get("usage"))
        generations: list[ChatGeneration] = []
        for choice in body["choices"]:
            message = _message(choice, shared, None if generations else usage, speaks_in_blocks(provider))
            generations.append(ChatGeneration(message=message))
        if not generations:
            raise KeyError("choices")
        return ChatResult(generations=generations)


def _message(
    choice: Mapping[str, Any], shared: Mapping[str, Any], usage: UsageMetadata | None, blocks: bool
) -> AIMessage:
    said = choice["message"]
    calls, invalid = read_tool_calls(said.get("tool_calls") or ())
    return AIMessage(
        content=in_blocks(said, calls) if blocks else said.get("content") or "",
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage,
        additional_kwargs=_present(said, _EXTRAS_BESIDE_BLOCKS if blocks else _EXTRAS),
        response_metadata={**shared, **_present(choice, ("finish_reason", "logprobs"))},
    )


class ChunkReader:
    """One stream's state: what is told once, at its end."""

    def __init__(self, provider: str, *, in_blocks: bool = False) -> None:
        self._provider = provider
        self._usage: UsageMetadata | None = None
        self._told: dict[str, Any] = {"model_provider": provider}
        self._blocks = BlockStream(in_blocks=in_blocks) if speaks_in_blocks(provider) else None

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[ChatGenerationChunk]:
        """What a chunk adds to the first choice."""
        with _shaped(self._provider):
            # Some hosts count in every chunk; the last count is the whole.
            self._usage = _usage(chunk.get("usage")) or self._usage
            self._told.update(_metadata(chunk, self._provider))
            for choice in chunk.get("choices") or ():
                if not choice.get("index"):
                    self._told.update(_present(choice, ("finish_reason",)))
                    made = self._made(choice)
                    if made is not None:
                        yield made

    def _made(self, choice: Mapping[str, Any]) -> ChatGenerationChunk | None:
        delta, calls = choice.get("delta") or {}, (choice.get("delta") or {}).get("tool_calls") or ()
        extras, rest = _present(delta, _EXTRAS), _present(choice, ("logprobs",))
        content = delta.get("content") or ""
        if self._blocks:
            content, extras = self._blocks.content(delta), _present(delta, _EXTRAS_BESIDE_BLOCKS)
        if not (content or calls or extras or rest):
            return None
        message = AIMessageChunk(
            content=content,
            tool_call_chunks=[self._call(call) for call in calls],
            additional_kwargs=extras,
            response_metadata={"model_provider": self._provider, **rest},
        )
        return ChatGenerationChunk(message=message)

    def _call(self, call: Mapping[str, Any]) -> ToolCallChunk:
        function = call.get("function") or {}
        index = self._blocks.index_of(call) if self._blocks else call.get("index")
        return tool_call_chunk(
            name=function.get("name"), args=function.get("arguments"), id=call.get("id"), index=index
        )

    def end(self) -> ChatGenerationChunk:
        """The last chunk: usage, model and reason to finish."""
        content: str | list[str | dict[str, Any]] = [] if self._blocks and self._blocks.in_blocks else ""
        last = AIMessageChunk(
            content=content, usage_metadata=self._usage, response_metadata=self._told, chunk_position="last"
        )
        return ChatGenerationChunk(message=last)


def _metadata(body: Mapping[str, Any], provider: str) -> dict[str, Any]:
    model = {"model_name": body["model"]} if body.get("model") else {}
    return {**model, "model_provider": provider, **_present(body, _METADATA)}


def _present(source: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: source[name] for name in names if source.get(name)}


def _usage(usage: Mapping[str, Any] | None) -> UsageMetadata | None:
    if not usage:
        return None
    read, made = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    told = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    inputs = {
        "audio": told[0].get("audio_tokens"),
        "cache_creation": told[0].get("cache_creation_tokens"),
        "cache_read": told[0].get("cached_tokens"),
    }
    outputs = {"audio": told[1].get("audio_tokens"), "reasoning": told[1].get("reasoning_tokens")}
    return UsageMetadata(
        input_tokens=read,
        output_tokens=made,
        total_tokens=usage.get("total_tokens") or read + made,
        input_token_details=InputTokenDetails(**{k: v for k, v in inputs.items() if v is not None}),  # type: ignore[typeddict-item]
        output_token_details=OutputTokenDetails(**{k: v for k, v in outputs.items() if v is not None}),  # type: ignore[typeddict-item]
    )


@contextmanager
def _shaped(provider: str) -> Generator[None]:
    """Hosts that are nearly OpenAI's answer all sorts of JSON."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError):
        raise_bare(GatewayError(f"{provider}: the model provider's answer is not a chat completion"))
