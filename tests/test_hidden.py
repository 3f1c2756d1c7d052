"""What no eye sees is spelled out, wherever a person reads a prompt; what words and emoji need of it stays."""

from __future__ import annotations

import json

import pytest

from promptwire import Prompt, PromptRef
from promptwire.display import bundle
from promptwire.lock import Locked, dump_lock, parse_lock

HIDDEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200c\u200d\u200e\u2028\u202e\u2060\u2065\u206a"
    "\u206f\u2800\u3164\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff0\ufff9\ufffb\U00016fe4\U0001bca0\U0001d159\U0001d173"
    "\U000e0001\U000e0041\U000e0100\U000e01ef\U000e0fff"
)
READ = {
    "emoji": "❤\ufe0f",
    "a symbol of mathematics": "↔\ufe0f",
    "punctuation": "‼\ufe0f",
    "a keycap": "1\ufe0f\u20e3",
    "a family": "👨\u200d👩\u200d👧",
    "a tone": "👩🏽\u200d🚀",
    "a style before the joiner": "❤\ufe0f\u200d🔥",
    "Persian": "می\u200cکند",
    "Hindi": "क्\u200dष क्\u200cष",
    "Sinhala": "ශ්\u200dරී",
}
HELD = {
    "a style of a letter": "a\ufe0fb",
    "a style of a digit": "1\ufe0fb",
    "two styles": "❤\ufe0f\ufe0f",
    "a style at the start": "\ufe0f",
    "a style of a blank": "\u2800\ufe0f",
    "a joiner at the start": "\u200d👩",
    "a joiner behind nothing": "👩\u200d",
    "two joiners": "👩\u200d\u200d👧",
    "two joiners in a word": "می\u200c\u200cکند",
    "a joiner of Latin letters": "ab\u200dcd\u200cef",
    "a joiner behind what isn't seen": "\u17b4\u200c",
    "a style of a letter, joined": "a\ufe0f\u200d👩",
}


def views(text: str) -> dict[str, str]:
    shown = bundle.bundle(Prompt("p", text=text))
    return {**shown, "lock": dump_lock([Locked("files", PromptRef("p"), Prompt("p", text=text))])}


@pytest.mark.parametrize("char", HIDDEN, ids=lambda char: f"{ord(char):04X}")
def test_what_no_eye_sees_is_spelled_out(char: str) -> None:
    shown = views(f"Hello{char} there{char}")
    for kind, text in shown.items():
        assert char not in text, kind
    assert shown["text/plain"].count(f"[U+{ord(char):04X}]") == 2
    assert shown["lock"].count(json.dumps(char)[1:-1]) == 2


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_what_words_and_emoji_are_made_of_stays(text: str) -> None:
    for kind, shown in views(f"a {text} b").items():
        assert text in shown, kind


@pytest.mark.parametrize("text", HELD.values(), ids=HELD)
def test_one_more_than_they_need_is_spelled_out(text: str) -> None:
    shown = views(text)
    assert "[U+" in shown["text/plain"]
    assert "\\u" in shown["lock"]
    assert parse_lock(shown["lock"])[0].prompt.text == text
