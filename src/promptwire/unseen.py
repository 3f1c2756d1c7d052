"""Characters that are not seen, or mislead whoever reads what others have named or written."""

import json
import re

# Controls that are not seen, or that turn the order of what follows: shown by their numbers.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNUSUAL = re.compile(r"[^\n -~]")


def readable(text: str) -> str:
    """The text with its unseen characters spelled out, as in ``[U+202E]``."""
    if text.isascii() and text.isprintable():
        return text
    return UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on one line, for errors and logs: a name with a line break would pass for a line of its own."""
    return readable(text).replace("\n", " ")


def printable(text: str) -> str:
    """A JSON text, with what a terminal or a reviewer's eye could be misled by as JSON's escapes."""
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)
