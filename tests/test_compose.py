"""What is sent when a prompt meets the caller's messages, written as ``tests.doubles.conversations`` says."""

from collections.abc import Sequence
from typing import Any

import pytest

from promptwire.compose import MODES, Turn, compose, take_question, text_of
from promptwire.errors import ConfigurationError, MissingVariablesError
from promptwire.messages import Placeholder, parse_messages
from promptwire.prompts import Prompt
from tests.doubles.conversations import Item, prompt_of, turns_of, words_of

# The situation, the prompt, the caller's messages, and what is sent under auto, replace and prepend.
# "!" before it: auto left out a text of the caller's. "=": the same as under auto.
PERSONA = [
    ("chat", "S", "u1", "S u1", "S", "="),
    ("chat with memory", "S", "u1 a1 u2", "S u1 a1 u2", "S a1 u2", "="),
    ("developer persona", "D", "u1", "D u1", "D", "="),
    ("nothing from the caller", "S", "", "S", "=", "="),
    ("RAG engine's own system prompt", "S", "s1 u1", "S+s1 u1", "S", "="),
    ("two system messages of the caller's", "S", "s1 s2 u1", "S+s1+s2 u1", "S", "="),
    ("caller's developer message", "S", "d1 u1", "S+d1 u1", "S", "="),
    ("developer persona, caller's system message", "D", "s1 u1", "D+s1 u1", "D", "="),
    ("two system messages of the prompt's", "S1 S2", "s1 u1", "S1+s1 S2 u1", "S1 S2", "="),
    ("system message late in the chat", "S", "u1 a1 s1 u2", "S u1 a1 s1 u2", "S a1 u2", "="),
    ("system messages early and late", "S", "s1 u1 a1 s2 u2", "S+s1 u1 a1 s2 u2", "S a1 u2", "="),
    ("greeting by the assistant", "S", "a1 u1", "S a1 u1", "=", "="),
    ("empty user turn", "S", "e1", "S", "=", "="),
    ("empty user turn in the midst", "S", "u1 e1 a1 u2", "S u1 a1 u2", "S a1 u2", "="),
    ("empty user turn before the system message", "S", "e1 s1 u1", "S+s1 u1", "S", "="),
]
ASKING = [
    ("text prompt", "U", "u1", "! U", "U", "U u1"),
    ("text prompt alone", "U", "", "U", "=", "="),
    ("text prompt, empty turn", "U", "e1", "U", "=", "="),
    ("question and persona", "S U", "u1", "! S U", "S U", "S U u1"),
    ("RAG engine's system prompt", "S U", "s1 u1", "! S U", "S U", "S+s1 U u1"),
    ("only the caller's system text is lost", "S U", "s1", "! S U", "S U", "S+s1 U"),
    ("system text goes first where the prompt has none", "U", "s1 d2 u1", "! U", "U", "s1 d2 U u1"),
    ("chat with memory", "S U", "u1 a1 u2", "! S U a1 u2", "S U a1 u2", "S U u1 a1 u2"),
    ("system message late in the chat", "S U", "a1 s1 u1", "! S U a1 u1", "S U a1 u1", "S U a1 s1 u1"),
    ("greeting by the assistant", "U", "a1 u1", "U a1 u1", "=", "="),
    ("few-shot prompt that asks", "S U1 A1 U2", "u1", "! S U1 A1 U2", "S U1 A1 U2", "S U1 A1 U2 u1"),
    ("system message that isn't the prompt's first", "U S", "s1 u1", "U S+s1 u1", "U S", "="),
]
FEW_SHOT = [
    ("ending in the assistant", "S U A", "u1", "S U A u1", "S U A", "="),
    ("with the caller's system message", "S U A", "s1 u1", "S+s1 U A u1", "S U A", "="),
    ("without a system message", "U A", "s1 u1", "s1 U A u1", "U A", "="),
    ("with a tool's result", "S U C T", "u1", "S U C T u1", "S U C T", "="),
    ("chat with memory", "U A", "u1 a1 u2", "U A u1 a1 u2", "U A a1 u2", "="),
]
AGENTS = [
    ("first call", "S", "s1 u1", "S+s1 u1", "S", "="),
    ("tool step", "S", "u1 c1 t1", "S u1 c1 t1", "S c1 t1", "="),
    ("tool step, prompt that asks", "S U", "u1 c1 t1", "! S U c1 t1", "S U c1 t1", "S U u1 c1 t1"),
    ("system prompt of the agent's", "S U", "s1 u1 c1 t1", "! S U c1 t1", "S U c1 t1", "S+s1 U u1 c1 t1"),
    ("parallel calls", "S U", "u1 c1 t1 t2", "! S U c1 t1 t2", "S U c1 t1 t2", "S U u1 c1 t1 t2"),
    ("two steps", "U", "u1 c1 t1 c2 t2", "! U c1 t1 c2 t2", "U c1 t1 c2 t2", "U u1 c1 t1 c2 t2"),
    ("second turn", "U", "u1 c1 t1 a1 u2", "! U c1 t1 a1 u2", "U c1 t1 a1 u2", "U u1 c1 t1 a1 u2"),
    ("step in the second turn", "U", "u1 a1 u2 c1 t1", "! U a1 u2 c1 t1", "U a1 u2 c1 t1", "U u1 a1 u2 c1 t1"),
    ("both turns have steps", "S", "u1 c1 t1 a1 u2 c2 t2", "S u1 c1 t1 a1 u2 c2 t2", "S c1 t1 a1 u2 c2 t2", "="),
    ("message after the result", "U", "u1 c1 t1 u2", "! U c1 t1 u2", "U c1 t1 u2", "U u1 c1 t1 u2"),
    ("reminder in the step", "U", "u1 c1 t1 s1", "! U c1 t1 s1", "U c1 t1 s1", "U u1 c1 t1 s1"),
    ("step alone", "U", "c1 t1", "U c1 t1", "=", "="),
    ("call without a result", "U", "u1 c1", "! U c1", "U c1", "U u1 c1"),
    ("result whose call is gone", "U", "t1 a1 u1", "! U a1 u1", "U a1 u1", "U t1 a1 u1"),
    ("ReAct: tools in the system message", "S", "s1 u1 a1 u2", "S+s1 u1 a1 u2", "S a1 u2", "="),
    ("ReAct, prompt that asks", "S U", "s1 u1 a1 u2", "! S U a1 u2", "S U a1 u2", "S+s1 U u1 a1 u2"),
]
SLOTS = [
    ("history", "S [history] U", "u1 a1", "S u1 a1 U", "=", "="),
    ("at the end", "S [messages]", "u1", "S u1", "=", "="),
    ("alone", "[chat_history]", "s1 u1", "s1 u1", "=", "="),
    ("of any name, if single", "S [examples] U", "u1", "S u1 U", "=", "="),
    ("the same name twice", "[history] S [history]", "u1", "u1 S", "=", "="),
    ("the same name twice, whatever it is", "[examples] S [examples]", "u1", "u1 S", "=", "="),
    ("call without a result", "S [history] U", "u1 c1", "S u1 c1 U", "=", "="),
    ("no turns", "S [history] U", "", "S U", "=", "="),
    ("no turns, three slots", "[history] S [messages] U [chat_history]", "", "S U", "=", "="),
    ("empty turn", "S [history] U", "e1", "S U", "=", "="),
    ("messages before history", "S [history] U [messages]", "u1", "S U u1", "=", "="),
    ("history before chat_history", "S [chat_history] U [history]", "u1", "S U u1", "=", "="),
    ("caller's system message", "S [history] U", "s1 u1", "S+s1 u1 U", "=", "="),
    ("caller's system message, none in the prompt", "[history] U", "s1 u1", "s1 u1 U", "=", "="),
    ("system message after the slot", "[history] S", "s1 u1", "u1 S+s1", "=", "="),
    ("late system message", "S [history] U", "u1 s1 u2", "S u1 s1 u2 U", "=", "="),
    ("tool step stays last", "S [history] U", "u1 c1 t1", "S u1 U c1 t1", "=", "="),
    ("second turn's step", "S [history] U", "u1 c1 t1 a1 u2 c2 t2", "S u1 c1 t1 a1 u2 U c2 t2", "=", "="),
    ("nothing but a step", "S [examples] U", "c1 t1", "S U c1 t1", "=", "="),
]
EMPTY = [
    ("no messages at all", "", "", "", "=", "="),
    ("prompt without messages", "", "s1 u1", "s1 u1", "=", "="),
    ("prompt without messages, step", "", "u1 c1 t1", "u1 c1 t1", "=", "="),
]
SITUATIONS = [
    pytest.param(*row[1:3], row[3:], id=f"{group}-{row[0]}".replace(" ", "_"))
    for group, rows in [
        ("persona", PERSONA), ("asking", ASKING), ("few-shot", FEW_SHOT),
        ("agent", AGENTS), ("slot", SLOTS), ("empty", EMPTY),
    ]
    for row in rows
]  # fmt: skip


def check_modes(prompt: str, turns: Sequence[Turn], sent: Sequence[str], *, question_taken: bool = False) -> None:
    for mode, expected in zip(("auto", "replace", "prepend"), sent, strict=True):
        composed = compose(prompt_of(prompt), turns, mode=mode, question_taken=question_taken)
        dropped = "! " if composed.dropped else ""
        assert dropped + words_of(composed) == (sent[0] if expected == "=" else expected), mode


@pytest.mark.parametrize(("prompt", "turns", "sent"), SITUATIONS)
def test_what_is_sent(prompt: str, turns: str, sent: Sequence[str]) -> None:
    check_modes(prompt, turns_of(turns), sent)


def test_auto_is_the_default() -> None:
    assert words_of(compose(prompt_of("S U"), turns_of("u1 a1"))) == "S U a1"


# The situation, the prompt, the caller's messages, the question found, and what is sent as above.
QUESTIONS = [
    ("first question", "S Q", "u1", "u1", "S Q", "=", "="),
    ("chat with memory", "S Q", "u1 a1 u2", "u2", "S u1 a1 Q", "=", "S Q u1 a1"),
    ("no system message", "Q", "u1 a1 u2", "u2", "u1 a1 Q", "=", "Q u1 a1"),
    ("system messages lead", "S D Q", "u1 a1 u2", "u2", "S D u1 a1 Q", "=", "S D Q u1 a1"),
    ("few-shot prompt", "S U A Q", "u1 a1 u2", "u2", "S u1 a1 U A Q", "=", "S U A Q u1 a1"),
    ("system message later in the prompt", "U S Q", "u1 a1 u2", "u2", "u1 a1 U S Q", "=", "U S Q u1 a1"),
    ("caller's system message", "S Q", "s1 u1 a1 u2", "u2", "! S u1 a1 Q", "S u1 a1 Q", "S+s1 Q u1 a1"),
    ("late system message", "S Q", "u1 a1 s1 u2", "u2", "! S u1 a1 Q", "S u1 a1 Q", "S Q u1 a1 s1"),
    ("inside the system message", "S", "u1 a1 u2", "u2", "S u1 a1", "=", "="),
    ("tool step", "S Q", "u1 c1 t1 t2", "u1", "S Q c1 t1 t2", "=", "="),
    ("second turn's step", "S Q", "u1 a1 u2 c1 t1", "u2", "S u1 a1 Q c1 t1", "=", "S Q u1 a1 c1 t1"),
    ("earlier turn's step", "S Q", "u1 c1 t1 a1 u2", "u2", "S u1 c1 t1 a1 Q", "=", "S Q u1 c1 t1 a1"),
    ("question after an unfinished step", "S Q", "u1 c1 t1 u2", "u2", "S u1 Q c1 t1", "=", "S Q u1 c1 t1"),
    ("slot", "S [history] Q", "s1 u1 a1 u2", "u2", "S+s1 u1 a1 Q", "=", "="),
    ("slot, first question", "S [history] Q", "u1", "u1", "S Q", "=", "="),
    ("slot of any name, first question", "S [earlier] Q", "u1", "u1", "S Q", "=", "="),
    ("slot and step", "S [history] Q", "u1 a1 u2 c1 t1", "u2", "S u1 a1 Q c1 t1", "=", "="),
    ("empty last turn", "S Q", "u1 a1 e1", None, "! S Q a1", "S Q a1", "S Q u1 a1"),
    ("no user message", "S Q", "s1 a1", None, "! S Q a1", "S Q a1", "S+s1 Q a1"),
]


@pytest.mark.parametrize(
    ("prompt", "turns", "question", "sent"),
    [pytest.param(*row[1:4], row[4:], id=str(row[0]).replace(" ", "_")) for row in QUESTIONS],
)
def test_what_is_sent_around_a_question(prompt: str, turns: str, question: str | None, sent: Sequence[str]) -> None:
    found, rest = take_question(turns_of(turns))
    assert found == question
    check_modes(prompt, rest, sent, question_taken=found is not None)


def test_a_question_is_the_text_of_the_parts() -> None:
    turn = Turn("user", [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}], None)
    assert take_question((turn,)) == ("What is this?", [])


def test_a_message_without_text_asks_nothing_and_stays() -> None:
    picture = Turn("user", [{"type": "image_url", "image_url": {"url": "data:"}}], None)
    assert take_question((picture,)) == (None, [picture])


@pytest.mark.parametrize(
    ("prompt", "turns", "slot", "sent"),
    [
        ("S [history] U [earlier]", "u1 a1", "earlier", "S U u1 a1"),
        ("S [other] U [earlier] [messages]", "u1", "messages", None),
        ("S [earlier] U", "", "earlier", "S U"),
        ("S [earlier] U", "u1 c1 t1", "earlier", "S u1 U c1 t1"),
        ("S [history] U", "u1", "nowhere", "S u1 U"),
        ("S", "u1", "nowhere", "S u1"),
        ("S U", "u1", "nowhere", "S U"),
    ],
)
def test_a_slot_given_by_name(prompt: str, turns: str, slot: str, sent: str | None) -> None:
    if sent is None:
        with pytest.raises(MissingVariablesError):
            compose(prompt_of(prompt), turns_of(turns), slot=slot)
    else:
        assert words_of(compose(prompt_of(prompt), turns_of(turns), slot=slot)) == sent


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("prompt", "turns", "missing"),
    [
        ("S [examples] U", "", ("examples",)),
        ("S [examples] U", "e1", ("examples",)),
        ("[history] S [examples]", "u1", ("examples",)),
        ("[examples] S [more]", "u1", ("examples", "more")),
    ],
)
def test_an_open_placeholder_that_nothing_goes_into(
    prompt: str, turns: str, missing: tuple[str, ...], mode: str
) -> None:
    with pytest.raises(MissingVariablesError, match=r"^files prompt 'x'.*examples") as caught:
        compose(prompt_of(prompt), turns_of(turns), mode=mode, where="files prompt 'x'")
    assert caught.value.missing == missing


def test_an_unknown_mode_is_refused() -> None:
    assert MODES == ("auto", "replace", "prepend")
    with pytest.raises(ConfigurationError, match=r"^files prompt 'x'.*'auto', 'replace' or 'prepend', not 'append'"):
        compose([], [], mode="append", where="files prompt 'x'")


TEXT = {"type": "text", "text": "part"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("own", "callers", "merged"),
    [
        ("own", "s1", "own\n\ns1"),
        ("own", [TEXT, PICTURE], [{"type": "text", "text": "own"}, TEXT, PICTURE]),
        ([TEXT], "s1", [TEXT, {"type": "text", "text": "s1"}]),
        ([TEXT], [PICTURE], [TEXT, PICTURE]),
        ("", "s1", "s1"),
        (None, "s1", "s1"),
    ],
)
def test_the_callers_system_text_joins_the_prompts(own: object, callers: object, merged: object) -> None:
    system: dict[str, object] = {"role": "system", "name": "guide", "content": own}
    composed = compose([system], [Turn("system", callers, Item("s1"))])
    assert composed.messages == [{"role": "system", "name": "guide", "content": merged}]
    assert system["content"] == own


@pytest.mark.parametrize("blank", ["", " \n", None, [], [{"type": "text", "text": " "}]])
def test_nothing_joins_the_prompts_system_message_as_it_is(blank: object) -> None:
    prompt = prompt_of("S")
    (message,) = compose(prompt, [Turn("system", blank, Item("s1"))]).messages
    assert message is prompt[0]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("", False),
        (" \n", False),
        (None, False),
        ([], False),
        ([{"type": "text", "text": " "}, {"type": "text", "text": ""}], False),
        ("u1", True),
        ([{"type": "text", "text": " "}, TEXT], True),
        ([PICTURE], True),
        ([{"type": "text"}], True),
        (["a part of nobody's kind"], True),
        (object(), True),
    ],
)
def test_a_user_turn_is_dropped_if_it_is_empty(content: object, *, kept: bool) -> None:
    item = Item("u1")
    turns = [Turn("user", content, item), *turns_of("a1")]
    assert (item in compose(prompt_of("S"), turns).messages) is kept


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_empty_turns_that_are_not_the_users_stay(role: str) -> None:
    turns = [Turn("assistant", None, Item("c1"), calls_tools=True), Turn(role, None, Item("x1")), *turns_of("u1")]
    assert words_of(compose(prompt_of("D"), turns)) == "D c1 x1 u1"


@pytest.mark.parametrize(
    ("content", "dropped"), [([TEXT], True), ([PICTURE], False), ("u1", True), (" ", False), (None, False)]
)
def test_auto_tells_of_dropped_text_only(content: object, *, dropped: bool) -> None:
    for role in ("user", "system"):
        assert compose(prompt_of("U"), [Turn(role, content, None)]).dropped is dropped


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("text", "text"),
        ([TEXT, PICTURE, TEXT], "partpart"),
        ([{"type": "text", "text": None}, {"type": "text", "text": 7}, {"type": "refusal", "text": "no"}, "loose"], ""),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_text_of(content: object, text: str) -> None:
    assert text_of(content) == text


def test_a_rendered_prompt_whose_other_placeholder_is_filled() -> None:
    stored = [
        {"role": "system", "content": "You are {{who}}."},
        {"type": "placeholder", "name": "examples"},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": "{{question}}"},
    ]
    question, rest = take_question(turns_of("u1 a1 u2"))
    examples = [{"role": "user", "content": "{{who}}?"}]
    variables = {"who": "Ada", "question": question, "examples": examples}
    rendered = Prompt("chat", messages=parse_messages(stored)).render(variables)
    composed = compose(rendered.items, rest, slot="examples", question_taken=True, where=rendered.prompt.where)
    assert words_of(composed) == "You are Ada. {{who}}? u1 a1 u2"


def test_under_keep_a_slot_that_nobody_fills_is_left_out() -> None:
    prompt: list[Any] = [{"role": "system", "content": "S"}, Placeholder("examples"), {"role": "user", "content": "Q"}]
    assert compose(prompt, [], keep=True).messages == [prompt[0], prompt[2]]
