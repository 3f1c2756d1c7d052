"""What becomes of the caller's messages when a prompt is sent (DESIGN 4.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from promptwire.errors import ConfigurationError
from promptwire.messages import HISTORY_SLOTS, Placeholder, close_slots

MessageMode = Literal["auto", "replace", "prepend"]
MODES: tuple[str, ...] = get_args(MessageMode)

_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the caller's: roles are OpenAI's words, ``content`` is only read, ``item`` is passed on."""

    role: str
    content: object
    item: object
    calls_tools: bool = False


@dataclass(frozen=True, slots=True)
class Composed:
    """What to send; ``dropped`` says that ``auto`` left out a text of the caller's."""

    messages: list[object]
    dropped: bool


def text_of(content: object) -> str:
    """A text as it is, the text parts of a list joined, else nothing."""
    if isinstance(content, str):
        return content
    return "".join(text for part in _parts(content) if (text := _part_text(part)) is not None)


def take_question(turns: Sequence[Turn]) -> tuple[str | None, list[Turn]]:
    """The text of the last user message, and the turns without it; a message without text stays where it is."""
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role == "user":
            text = text_of(turns[index].content)
            return (text, [*turns[:index], *turns[index + 1 :]]) if text.strip() else (None, list(turns))
    return None, list(turns)


def compose(
    prompt: Sequence[dict[str, object] | Placeholder],
    turns: Sequence[Turn],
    *,
    mode: str = "auto",
    slot: str | None = None,
    question_taken: bool = False,
    where: str = "prompt",
    keep: bool = False,
) -> Composed:
    """Join a rendered prompt and the caller's turns; ``slot`` names the placeholder meant for these.

    Raises ``MissingVariablesError`` for every other open placeholder that doesn't mean the history; with ``keep``
    (``missing="keep"``) it is left out, since no provider knows what it is.
    """
    if mode not in MODES:
        raise ConfigurationError(f"{where}: message_mode is 'auto', 'replace' or 'prepend', not {mode!r}")
    given = [turn for turn in turns if turn.role != "user" or not _is_blank(turn.content)]
    head, step = _split_step(given)
    messages, at = _take_slot(prompt, slot, where, keep=keep, has_turns=question_taken or bool(given))
    dropped = False
    if at is None and messages and (mode == "replace" or (mode == "auto" and messages[-1].get("role") == "user")):
        kept, left_out = _sift(head, question_taken=question_taken)
        at = _leading_system([message.get("role") for message in messages]) if question_taken else len(messages)
        composed = [*messages[:at], *kept, *messages[at:]]
        dropped = mode == "auto" and any(text_of(turn.content).strip() for turn in left_out)
    else:
        composed = _surround(messages, len(messages) if at is None else at, head)
    return Composed([*composed, *[turn.item for turn in step]], dropped)


def _split_step(turns: list[Turn]) -> tuple[list[Turn], list[Turn]]:
    """Split off the running tool step: all since the first call after the last plain answer, if it has a result."""
    start = len(turns)
    has_result = False
    for index in range(start - 1, -1, -1):
        turn = turns[index]
        if turn.role == "tool":
            has_result = True
        elif turn.role == "assistant":
            if not turn.calls_tools:
                break
            if has_result:
                start = index
    return turns[:start], turns[start:]


def _take_slot(
    prompt: Sequence[dict[str, object] | Placeholder], slot: str | None, where: str, *, keep: bool, has_turns: bool
) -> tuple[list[dict[str, object]], int | None]:
    """The prompt without its open placeholders, and where the one that takes the turns was."""
    messages = [item for item in prompt if not isinstance(item, Placeholder)]
    names = [item.name for item in prompt if isinstance(item, Placeholder)]
    if not names:
        return messages, None
    takers = [name for name in (slot or "", *HISTORY_SLOTS) if name in names]
    if not takers and has_turns and len(set(names)) == 1:
        takers = names
    close_slots([Placeholder(name) for name in names if name not in takers], where, keep=keep)
    if not takers:
        return messages, None
    return messages, prompt.index(Placeholder(takers[0])) - names.index(takers[0])


def _leading_system(roles: Sequence[object]) -> int:
    return next((index for index, role in enumerate(roles) if role not in _SYSTEM), len(roles))


def _sift(head: list[Turn], *, question_taken: bool) -> tuple[list[object], list[Turn]]:
    """Under replace: the items to keep and the turns left out. Without its question the head is history, and stays."""
    kept: list[object] = []
    left_out: list[Turn] = []
    answered = question_taken
    for turn in head:
        answered = answered or turn.role == "assistant"
        if answered and turn.role not in _SYSTEM:
            kept.append(turn.item)
        else:
            left_out.append(turn)
    return kept, left_out


def _surround(messages: list[dict[str, object]], at: int, head: list[Turn]) -> list[object]:
    """Put the turns into the prompt at an index, but for their leading system messages."""
    lead = _leading_system([turn.role for turn in head])
    front, messages = _add_system(messages, head[:lead]) if lead else ([], messages)
    return [*front, *messages[:at], *[turn.item for turn in head[lead:]], *messages[at:]]


def _add_system(messages: list[dict[str, object]], lead: list[Turn]) -> tuple[list[object], list[dict[str, object]]]:
    """What goes before the prompt, and the prompt; several servers answer 400 to two system messages."""
    for index, message in enumerate(messages):
        if message.get("role") in _SYSTEM:
            contents = [turn.content for turn in lead if not _is_blank(turn.content)]
            if not contents:
                return [], messages
            merged = {**message, "content": _joined([message.get("content"), *contents])}
            return [], [*messages[:index], merged, *messages[index + 1 :]]
    return [turn.item for turn in lead], messages


def _joined(contents: list[object]) -> object:
    """One content for all: paragraphs of a text, or parts if any has parts."""
    filled = [content for content in contents if not _is_blank(content)]
    texts = [content for content in filled if isinstance(content, str)]
    if len(texts) == len(filled):
        return "\n\n".join(texts)
    return [part for content in filled for part in _parts(content)]


def _parts(content: object) -> list[object]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[object]", content) if isinstance(content, list) else []


def _part_text(part: object) -> str | None:
    """The text of a text part; None for a part of another kind."""
    known = cast("dict[str, object]", part) if isinstance(part, dict) else {}
    text = known.get("text") if known.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _is_blank(content: object) -> bool:
    """Whether there is nothing to read or see in it."""
    if isinstance(content, str):
        return not content or content.isspace()
    texts = [_part_text(part) for part in _parts(content)]
    return content is None or (isinstance(content, list) and not any(text is None or text.strip() for text in texts))
