"""Which characters a reader can't see, or is misled by: one rule for displays, terminals and files that are reviewed.

What can't be seen can say anything: a model reads a sentence out of selectors that follow one letter.
"""

import json
import re
import unicodedata
from collections.abc import Callable

ZWNJ, ZWJ, EMOJI_STYLE = "\u200c\u200d\ufe0f"

# Controls, whatever turns the order of what follows, fillers and blanks, selectors, tags, and the rest of what Unicode
# has a text engine leave out; tabs and line feeds are seen.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U00016fe4\U0001bca0-\U0001bca3"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Letters and signs of the scripts of Arabia and India, and of their neighbours: joiners are part of a word's spelling.
_JOINED = re.compile(r"[\u0620-\u0dff\u0f00-\u109f\u1780-\u1cff\ua800-\uabff\U00010a00-\U00011fff]")
_UNUSUAL = re.compile(f"[^\n -~{ZWNJ}{ZWJ}]")
_SYMBOLS = "\u203c\u2049\u2139\u3030"  # emoji that Unicode files elsewhere than under symbols


def readable(text: str) -> str:
    """The text with its unseen characters spelled out, as in ``[U+202E]``."""
    if text.isascii() and text.isprintable():
        return text
    return _spelled(text.replace("\r\n", "\n"), lambda char: f"[U+{ord(char):04X}]")


def one_line(text: str) -> str:
    """The same on one line, for errors and logs: a name with a line break would pass for a line of its own."""
    return readable(text).replace("\n", " ")


def printable(text: str) -> str:
    """The text, with what a terminal or a reviewer's eye could be misled by as JSON's escapes."""
    seen = _spelled(text, _escaped)
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else _escaped(found[0]), seen)


def _spelled(text: str, spell: Callable[[str], str]) -> str:
    """The text with ``spell`` of each character that can't be seen, but where a script or an emoji needs it."""

    def told(found: re.Match[str]) -> str:
        char, start = found[0], found.start()
        return char if _belongs(char, text[max(0, start - 2) : start], text[start + 1 : start + 2]) else spell(char)

    return UNSEEN.sub(told, text)


def _belongs(char: str, before: str, after: str) -> bool:
    """Whether an emoji's or a word's own character: one alone, right after what it belongs to."""
    last = before[-1:]
    if char == EMOJI_STYLE:
        return _is_symbol(last) or (last in set("0123456789#*") and after == "\u20e3")
    if char == ZWJ and _is_symbol(after):
        return _is_symbol(last) or (last == EMOJI_STYLE and _is_symbol(before[:1]))
    return char in {ZWNJ, ZWJ} and bool(_JOINED.match(last)) and not UNSEEN.match(last)


def _is_symbol(char: str) -> bool:
    if not char or char.isascii() or UNSEEN.match(char):
        return False
    return char in _SYMBOLS or unicodedata.category(char) in {"So", "Sk", "Sm"}


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]
