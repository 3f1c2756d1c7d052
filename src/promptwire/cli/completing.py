"""Shell completion of prompt references, from the backend if it answers at once."""

import re

from promptwire.backends import PromptSummary, backend_prefix
from promptwire.errors import PromptwireError
from promptwire.resolver import Resolver

SECONDS = 1.0

# bash puts what is offered on the command line as it stands: whoever may name a prompt must not write a command there.
_HARMLESS = re.compile(r"[\w./:@+][\w./:@+-]*")


def references(begun: str, backend: str | None) -> list[str]:
    """The references that go on from what was typed: ids, and after an ``@`` versions and labels.

    A name that would need quotes is left out.
    """
    prefix = backend_prefix(f"{begun}x")  # what follows the colon may be still to come
    head = f"{prefix}:" if prefix else ""
    try:
        listed = Resolver(timeout=SECONDS).list_prompts(backend=prefix or backend)
    except PromptwireError:
        return []
    if "@" in begun:
        listed = [summary for summary in listed if begun.startswith(f"{head}{summary.id}@")]
        found = [f"{head}{summary.id}@{one}" for summary in listed for one in _selectors(summary)]
    else:
        found = [f"{head}{summary.id}" for summary in listed]
    return [reference for reference in found if reference.startswith(begun) and _HARMLESS.fullmatch(reference)]


def _selectors(summary: PromptSummary) -> tuple[str, ...]:
    return (*map(str, summary.versions), *summary.labels)
