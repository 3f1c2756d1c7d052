"""A prompt's versions, as a list that shows itself."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from promptwire.backends import PromptVersion
from promptwire.display import Displayed
from promptwire.optional import needed

if TYPE_CHECKING:
    from promptwire.display.view import View


class History(Displayed, list[PromptVersion]):
    """The newest first: ``history[0]``."""

    def __init__(self, prompt_id: str, versions: Iterable[PromptVersion]) -> None:
        super().__init__(versions)
        self.prompt_id = prompt_id

    def to_pandas(self) -> Any:
        """A row for each version. Raises ``ConfigurationError`` without pandas."""
        return needed("pandas").DataFrame([asdict(version) for version in self])

    def _view(self) -> "View":
        from promptwire.display.differences import history_view

        return history_view(self)
