"""What holds of every prompt that meets a caller's messages, whatever they are."""

import copy
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from promptwire.compose import MODES, Turn, compose
from tests.doubles.conversations import Item, prompt_of, turns_of, words_of

# Conversations are made of whole steps, so that every result has its call.
PROMPTS = st.lists(st.sampled_from(["S", "D", "U", "A", "C T", "[history]", "[messages]"]), max_size=6).map(" ".join)
TURNS = st.lists(st.sampled_from(["s", "d", "u", "u", "e", "a", "c", "c t", "c t t"]), max_size=9).map(" ".join)
OPTIONS = st.fixed_dictionaries(
    {"mode": st.sampled_from(MODES), "slot": st.sampled_from([None, "history", "x"]), "question_taken": st.booleans()}
)


def numbered(words: str) -> list[Turn]:
    return turns_of(" ".join(f"{word}{number}" for number, word in enumerate(words.split())))


def is_subsequence(part: Sequence[object], whole: Sequence[object]) -> bool:
    rest = iter(whole)
    return all(any(item is other for other in rest) for item in part)


def word_of(message: object) -> str:
    return message.word if isinstance(message, Item) else str(message["content"])  # type: ignore[index]


@given(PROMPTS, TURNS, OPTIONS)
def test_the_prompts_own_messages_are_all_there_in_order(prompt: str, turns: str, options: dict[str, Any]) -> None:
    messages = prompt_of(prompt)
    sent = [m for m in compose(messages, numbered(turns), **options).messages if isinstance(m, dict)]
    own = [m for m in messages if isinstance(m, dict)]
    assert len(sent) == len(own)
    changed = [index for index, (before, after) in enumerate(zip(own, sent, strict=True)) if before is not after]
    first_system = next((index for index, m in enumerate(own) if m["role"] in {"system", "developer"}), None)
    assert changed in ([], [first_system])
    for index in changed:
        assert str(sent[index]["content"]).startswith(f"{own[index]['content']}\n\n")


@given(PROMPTS, TURNS, OPTIONS)
def test_the_callers_items_stay_in_order_and_come_once(prompt: str, turns: str, options: dict[str, Any]) -> None:
    given_turns = numbered(turns)
    sent = [m for m in compose(prompt_of(prompt), given_turns, **options).messages if isinstance(m, Item)]
    assert is_subsequence(sent, [turn.item for turn in given_turns])


@given(PROMPTS, TURNS, OPTIONS)
@example("U [messages] S", "u c t t", {"mode": "auto", "slot": None, "question_taken": False})
def test_a_running_step_comes_last(prompt: str, turns: str, options: dict[str, Any]) -> None:
    step = re.search(r"c[^a]*\Z", turns.replace("e", "").replace(" ", ""))
    given_turns = numbered(turns)
    items = [turn.item for turn in given_turns if str(turn.content).strip()]
    tail = items[step.start() :] if step and "t" in step.group() else []
    sent = compose(prompt_of(prompt), given_turns, **options).messages
    assert sent[len(sent) - len(tail) :] == tail


@given(PROMPTS, TURNS, OPTIONS)
def test_every_result_follows_its_call(prompt: str, turns: str, options: dict[str, Any]) -> None:
    sent = compose(prompt_of(prompt), numbered(turns), **options).messages
    kinds = "".join(word_of(message)[0] for message in sent).lower()
    assert re.fullmatch(r"(ct*|[^ct])*", kinds)


@given(PROMPTS, TURNS, OPTIONS)
def test_inputs_stay_and_the_same_inputs_give_the_same(prompt: str, turns: str, options: dict[str, Any]) -> None:
    messages, given_turns = prompt_of(prompt), numbered(turns)
    before = copy.deepcopy(messages), [(turn.role, turn.content, vars(turn.item).copy()) for turn in given_turns]
    first = compose(messages, given_turns, **options)
    assert compose(messages, given_turns, **options) == first
    assert (messages, [(turn.role, turn.content, vars(turn.item)) for turn in given_turns]) == before


@given(PROMPTS, TURNS, st.booleans())
def test_prepend_loses_nothing_and_makes_one_system_message_of_two(
    prompt: str,
    turns: str,
    question_taken: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    composed = compose(prompt_of(prompt), numbered(turns), mode="prepend", question_taken=question_taken)
    words = words_of(composed).replace("+", " ").split()
    assert sorted(words) == sorted(
        [word for word in prompt.split() if word[0] != "["]
        + [f"{word}{number}" for number, word in enumerate(turns.split()) if word != "e"]
    )
    assert not composed.dropped


@given(
    st.sampled_from(["S", "D", "S U", "D A", "S [history] U", "D U [messages]"]),
    st.sampled_from(["s", "d", "e s d", "s s"]),
    TURNS,
)
def test_prepend_never_leads_with_two_system_messages(prompt: str, lead: str, turns: str) -> None:
    words = words_of(compose(prompt_of(prompt), numbered(f"{lead} {turns}"), mode="prepend")).split()
    assert re.match(r"[SD](\+[sd]\d+)+\Z", words[0])
    assert not any(word[0] in "SDsd" for word in words[1:2])
