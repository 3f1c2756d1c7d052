"""Anthropic's wire, the Messages API: pure, no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptwire.errors import GatewayError, raise_bare
from promptwire.exchange import Request
from promptwire.gateway.anthropic.answer import to_completion
from promptwire.gateway.anthropic.parameters import LACKS, lacks
from promptwire.gateway.anthropic.request import build_body
from promptwire.gateway.anthropic.reverse import to_openai
from promptwire.gateway.anthropic.stream import AnthropicEvents
from promptwire.gateway.openai import encode
from promptwire.gateway.providers import Target

__all__ = ["LACKS", "AnthropicWire", "lacks", "to_openai"]

# The last version that takes `temperature` and `top_p`, for the models that do: 2026-10-21 refuses them for all.
VERSION = "2023-06-01"


class AnthropicWire:
    """Builds requests of Anthropic's API from OpenAI's terms, and reads its answers into them.

    ``reasoning_effort`` becomes adaptive thinking of that effort; for Claude before 4.6, and for a whole number always,
    a budget of thinking tokens. Parameters that OpenAI doesn't know go out as they are.
    """

    def request(
        self, target: Target, messages: Sequence[object], params: Mapping[str, object], *, stream: bool
    ) -> Request:
        """The request of one model call; ``params`` with ``None`` are left out."""
        headers = {"content-type": "application/json", "anthropic-version": VERSION}
        if target.api_key:
            headers["x-api-key"] = target.api_key
        body = build_body(target.model, messages, params, stream=stream)
        base = target.api_base.rstrip("/").removesuffix("/v1")
        return Request("POST", f"{base}/v1/messages", headers, encode(body))

    def answer(self, body: Any) -> dict[str, Any]:
        """The message as OpenAI's completion. Its thinking is in ``thinking_blocks``, to be sent back with it."""
        try:
            return to_completion(body)
        except (LookupError, TypeError, AttributeError):
            raise_bare(GatewayError("the provider's answer is not a message of Anthropic's API", status_code=200))

    def events(self) -> AnthropicEvents:
        """A reader for one stream."""
        return AnthropicEvents()
