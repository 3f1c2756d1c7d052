"""What a prompt is compiled to: its steps, the variables they ask for, and the digest of what it says."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from promptwire.errors import TemplateError
from promptwire.frozen import FrozenDict
from promptwire.messages import Placeholder, PlainStep, Step, compile_message

if TYPE_CHECKING:
    from promptwire.prompts import Prompt


def compile_steps(prompt: "Prompt") -> tuple[PlainStep | Step | Placeholder, ...]:
    """Each message, compiled. Raises ``TemplateError``."""
    if prompt.text is not None:
        if not isinstance(prompt.text, str):
            raise TemplateError(f"{prompt.where}: its text is not a text but {type(prompt.text).__name__}")
        return (compile_message(FrozenDict(role="user", content=prompt.text), prompt.dialect, prompt.where),)
    if not isinstance(prompt.messages, tuple):
        raise TemplateError(f"{prompt.where}: its messages are not a list but {type(prompt.messages).__name__}")
    return tuple(
        compile_message(item, prompt.dialect, f"{prompt.where}, message {number}")
        for number, item in enumerate(prompt.messages, 1)
    )


def asked_variables(steps: Sequence[PlainStep | Step | Placeholder], partials: Mapping[str, Any]) -> tuple[str, ...]:
    """What the caller must give; a single message's own tuple where it says the same."""
    each = [step.variables for step in steps if not isinstance(step, Placeholder)]
    named = tuple(name for name in dict.fromkeys(chain(*each)) if name not in partials)
    return each[0] if len(each) == 1 and each[0] == named else named


def digest(prompt: "Prompt") -> bytes:
    """SHA-256 of what it says and sets, whatever its version and labels."""
    messages = prompt.messages and [
        {"placeholder": item.name} if isinstance(item, Placeholder) else item for item in prompt.messages
    ]
    partials = {name: str(value) for name, value in prompt.partials.items()}
    parts = [prompt.dialect, prompt.text, messages, prompt.model, prompt.provider, prompt.settings(), partials]
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()
