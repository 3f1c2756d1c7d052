"""A prompt with its variables filled in."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from promptwire.display import Displayed
from promptwire.messages import Placeholder, close_slots

if TYPE_CHECKING:
    from promptwire.display.view import View
    from promptwire.prompts import Prompt

Source = Literal["fresh", "cached", "stale", "store", "fallback"]


_NO_VALUES: Mapping[str, Any] = {}


class RenderedPrompt(Displayed):
    """A prompt with its variables filled in. ``items`` are its messages and the placeholders still open.

    ``values`` are the variables it was filled with, the caller's own objects.
    """

    __slots__ = ("is_open", "items", "missing", "prompt", "source", "values")

    def __init__(
        self,
        prompt: "Prompt",
        items: list[dict[str, Any] | Placeholder],
        source: Source,
        missing: str = "error",
        *,
        is_open: bool = False,
        values: Mapping[str, Any] = _NO_VALUES,
    ) -> None:
        self.prompt = prompt
        self.items = items
        self.source = source
        self.missing = missing
        self.is_open = is_open
        self.values = values

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

    def _view(self) -> "View":
        from promptwire.display.prompts import rendered_view

        return rendered_view(self)

    def __repr__(self) -> str:
        return f"<RenderedPrompt {self.prompt.where}: {len(self.items)} messages, {self.source}>"
