"""One side of a playground: a version on a model, filled in with what is typed."""

from dataclasses import dataclass, replace
from typing import Any

from promptwire.display.errors import error_view
from promptwire.display.prompts import rendered_view
from promptwire.display.view import Block, Span, View
from promptwire.errors import ConfigurationError, MissingVariablesError, PromptwireError
from promptwire.gateway.ask import Plan, plan_of
from promptwire.notebook.drawing import drawn
from promptwire.notebook.fields import Typed
from promptwire.prompts import Prompt
from promptwire.unseen import readable


@dataclass(frozen=True, slots=True)
class Pane:
    """``version`` is a key of ``Versions``; an empty ``model`` is the prompt's own, or the call's.

    While the version is fetched there is neither a prompt nor an error.
    """

    version: str
    model: str
    prompt: Prompt | None = None
    error: PromptwireError | None = None

    def shown(self, typed: Typed | PromptwireError) -> "Shown":
        """The messages to send, or why there are none."""
        problem = self.error or (typed if isinstance(typed, PromptwireError) else None)
        try:
            if problem is not None:
                raise problem.again()
            return Shown(View("")) if self.prompt is None else _rendered(self.prompt, typed)  # type: ignore[arg-type]
        except PromptwireError as error:
            return Shown(error_view(error), failed=True)

    def told(self, typed: Typed | PromptwireError, called: str | None) -> dict[str, Any]:
        """For the browser; ``called`` is the model that the call names, for a prompt that names none."""
        shown = self.shown(typed)
        own = self.prompt and "/".join(part for part in (self.prompt.provider, self.prompt.model) if part)
        return {
            **drawn(shown.view),
            "state": "loading" if self.prompt is None and self.error is None else "failed" if shown.failed else "ready",
            "missing": [readable(name) for name in shown.missing],
            "own": readable(own or called or ""),
        }

    def plan(self, typed: Typed | PromptwireError, options: dict[str, Any]) -> Plan:
        """The call to make. Raises what keeps it from being made."""
        if self.error is not None:
            raise self.error.again()
        if isinstance(typed, PromptwireError):
            raise typed.again()
        if self.prompt is None:
            raise ConfigurationError("this version is still being fetched; run it when it is there")
        messages = [{"role": "user", "content": typed.message}] if typed.message else None
        asked = {**options, "messages": messages}
        return plan_of((self.prompt, "fresh"), typed.variables, asked, model=self.model or None, stream=True)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a pane shows: messages, with the names of the variables that they miss, or an error."""

    view: View
    missing: tuple[str, ...] = ()
    failed: bool = False


def _rendered(prompt: Prompt, typed: Typed) -> Shown:
    missing: tuple[str, ...] = ()
    try:
        rendered = prompt.render(typed.variables)
    except MissingVariablesError as error:
        missing = error.missing
        rendered = prompt.render(typed.variables, missing="keep")
    view = rendered_view(rendered)
    if typed.message:
        asked = Block("user", [Span(typed.message, "value", "message")])
        view = replace(view, blocks=[*view.blocks, asked])
    return Shown(view, missing)
