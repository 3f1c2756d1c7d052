"""A display's three forms."""

from typing import Protocol

from promptwire.display.html import html
from promptwire.display.markdown import markdown
from promptwire.display.plain import plain
from promptwire.display.view import View


class Viewed(Protocol):
    """What has a view of itself: whatever is ``Displayed``, and widgets."""

    def _view(self) -> View: ...


def bundle(shown: Viewed) -> dict[str, str]:
    """By MIME type; a display that fails is its object's ``repr``, since it must not hide what was computed."""
    try:
        view = shown._view()  # noqa: SLF001 - its own package
        return {"text/plain": plain(view), "text/markdown": markdown(view), "text/html": html(view)}
    except Exception:  # noqa: BLE001 - variables are anybody's objects, and their text may raise anything
        return {"text/plain": f"<{type(shown).__name__}>"}
