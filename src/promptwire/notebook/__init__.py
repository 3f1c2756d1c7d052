"""What notebooks show with the extra ``promptwire[notebook]``: the playground."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from promptwire.ambient import ambient_variables
from promptwire.comparison.columns import Column, acolumns, check_models
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError
from promptwire.frozen import is_object
from promptwire.gateway.ask import check_names
from promptwire.gateway.parameters import CompletionOptions
from promptwire.jobs import Job
from promptwire.optional import needed
from promptwire.params import merge_variables

if TYPE_CHECKING:
    from promptwire.notebook.widget import Playground

_ITS_OWN = ("messages", "prompt_id", "prompt_label", "prompt_variables", "prompt_version", "stream")
_INSTALL = "'promptwire[notebook]' (where Jupyter's server has an environment of its own, there too)"


class PlaygroundOptions(CompletionOptions, total=False):
    """``playground()``'s keywords, and ``completion()``'s."""

    variables: Mapping[str, Any] | None
    models: Sequence[str] | None


def playground(*prompts: Any, **options: Unpack[PlaygroundOptions]) -> "Playground":
    """A prompt to play with in a notebook: fields for its variables, versions, models, Run and Stop.

    ``prompts`` are one or two references (``"support/reply@3"``, ``"langfuse:support/reply@candidate"``) or prompts;
    two are shown side by side. ``variables`` are what the fields hold at first. ``models`` are model strings to choose
    from, besides the prompt's own. The other options are ``completion()``'s, and are used by every run; no key among
    them reaches the browser.

    Raises ``ConfigurationError`` without the extra ``promptwire[notebook]``, and the errors of ``get_prompt``.
    """
    needed("anywidget", _INSTALL)
    rest: dict[str, Any] = dict(options)
    if given := sorted(rest.keys() & set(_ITS_OWN)):
        raise ConfigurationError(f"playground(): {', '.join(given)} is what its own fields are for; use variables=")
    check_names(rest.keys() - PlaygroundOptions.__annotations__.keys(), "playground()", PlaygroundOptions)
    if not 1 <= len(prompts) <= 2:
        raise ConfigurationError(f"playground() takes a prompt, or two to put side by side, not {len(prompts)}")
    variables, models = rest.pop("variables", None), rest.pop("models", None)
    if variables is None or isinstance(variables, Mapping):
        variables = merge_variables(variables)
    if not is_object(variables):
        raise ConfigurationError("variables is a mapping of names to values")
    check_models(models)
    resolver = rest["resolver"] = rest.get("resolver") or default_resolver()
    columns: list[Column] = []

    async def find() -> None:
        columns.extend(await acolumns(prompts, None, resolver))

    Job(find, "promptwire-playground").result()

    from promptwire.notebook.widget import Playground

    return Playground(columns, list(models or ()), merge_variables(ambient_variables(), variables), rest)
