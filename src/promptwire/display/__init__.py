"""How prompts, answers and errors show themselves in notebooks; nothing of it is imported before one does."""

from collections.abc import Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptwire.display.view import View


class Displayed:
    """Shows itself as text, Markdown and HTML. Displaying fetches nothing, and never raises."""

    __slots__ = ()

    def _view(self) -> "View":
        raise NotImplementedError

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """IPython's, Jupyter's and marimo's hook."""
        from promptwire.display.bundle import bundle

        shown = bundle(self)
        return {
            kind: text
            for kind, text in shown.items()
            if (include is None or kind in include) and (exclude is None or kind not in exclude)
        }

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - IPython's signature
        """For IPython: else errors, lists and dicts that show themselves would be printed as such."""
        printer.text(repr(self) if cycle or len(printer.stack) > 1 else self._repr_mimebundle_()["text/plain"])

    def _repr_html_(self) -> Any:
        """For those who know no bundles."""
        return self._repr_mimebundle_().get("text/html")
