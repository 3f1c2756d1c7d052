"""What a wire is: a provider's API as pure functions between OpenAI's JSON and its own."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from promptwire.exchange import Request

if TYPE_CHECKING:
    from promptwire.gateway.providers import Target

WIRES = {
    "anthropic": "promptwire.gateway.anthropic.wire:AnthropicWire",
    "azure": "promptwire.gateway.azure:AzureWire",
    "openai": "promptwire.gateway.openai:OpenAIWire",
}


class Events(Protocol):
    """One stream's state."""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The chunks, of OpenAI's shape, that ``data`` completes. Raises ``GatewayError`` for an error event."""
        ...

    def end(self) -> None:
        """The stream has ended; raises ``GatewayError`` if it broke off."""
        ...


class Wire(Protocol):
    """Stateless; does no I/O."""

    def request(
        self, target: "Target", messages: Sequence[object], params: Mapping[str, object], *, stream: bool
    ) -> Request:
        """The request of one model call, from OpenAI's messages and parameters; ``None`` is "not given"."""
        ...

    def answer(self, body: Any) -> dict[str, Any]:
        """The completion, of OpenAI's shape. Raises ``GatewayError`` if ``body`` is none."""
        ...

    def events(self) -> Events:
        """A reader for one stream."""
        ...


@cache
def find_wire(name: str) -> Wire:
    """A wire by name, imported when first used."""
    module, _, attribute = WIRES[name].partition(":")
    made: Wire = getattr(importlib.import_module(module), attribute)()
    return made
