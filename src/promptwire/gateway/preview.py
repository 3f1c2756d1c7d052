"""What ``completion()`` would send, for those who want to see it first."""

from typing import Any, Unpack

from promptwire.exchange import Request
from promptwire.gateway.ask import Ask
from promptwire.gateway.parameters import CompletionOptions

_KEY = "no-key-is-set"
_NAMED = (
    "model", "messages", "prompt_id", "prompt_variables", "prompt_label", "prompt_version", "message_mode",
)  # fmt: skip


def preview(*, stream: bool = False, **options: Unpack[CompletionOptions]) -> Request:
    """The request of ``completion()`` with these arguments, which is not sent, and so needs no key of the model's.

    Raises what ``completion()`` would before sending.
    """
    rest: dict[str, Any] = dict(options)
    named = {name: rest.pop(name, None) for name in _NAMED}
    named["message_mode"] = named["message_mode"] or "auto"
    ask = Ask.of({**named, "stream": stream, "options": rest})
    found = ask.resolver.find(ask.call.prompt_id, **ask.call.options()) if ask.call else None
    return ask.plan(found, ask.target(found, _KEY)).call.request
