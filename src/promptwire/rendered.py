"""A prompt with its variables filled in."""

from typing import TYPE_CHECKING, Any, Literal

from promptwire.messages import Placeholder, close_slots

if TYPE_CHECKING:
    from promptwire.prompts import Prompt

Source = Literal["fresh", "cached", "stale", "store", "fallback"]


class RenderedPrompt:
    """A prompt with its variables filled in. ``items`` are its messages and the placeholders still open."""

    __slots__ = ("is_open", "items", "missing", "prompt", "source")

    def __init__(
        self,
        prompt: "Prompt",
        items: list[dict[str, Any] | Placeholder],
        source: Source,
        missing: str = "error",
        *,
        is_open: bool = False,
    ) -> None:
        self.prompt = prompt
        self.items = items
        self.source = source
        self.missing = missing
        self.is_open = is_open

    @property
    def messages(self) -> list[dict[str, Any]]:
        """OpenAI message dicts. An open placeholder is left out if it means the history, else an error."""
        if not self.is_open:
            return self.items  # type: ignore[return-value]
        return close_slots(self.items, self.prompt.where, keep=self.missing == "keep")

    @property
    def model(self) -> str | None:
        """The model that the prompt names."""
        return self.prompt.model

    @property
    def params(self) -> dict[str, Any]:
        """What the prompt sets for the model call; a fresh dict each time."""
        return self.prompt.settings()

    def __repr__(self) -> str:
        return f"<RenderedPrompt {self.prompt.where}: {len(self.items)} messages, {self.source}>"
