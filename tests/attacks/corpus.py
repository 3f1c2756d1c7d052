"""The corpus of attacks: one JSON object a line, what it attempts, its dialect, its text and its outcome.

A text is a string, or a list of pieces: a string, ``[piece, times]``, or ``[piece, times, step]``, in which ``№``
stands for the multiples of ``step``, counted up. The outcomes are ``refused``, an error of ours, and ``text``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus.jsonl")


def entries() -> list[dict[str, Any]]:
    """All of them, their texts as they are stored."""
    return [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


def expand(piece: Any) -> str:
    """The text that a piece stands for."""
    if isinstance(piece, str):
        return piece
    if len(piece) > 1 and isinstance(piece[1], int):
        return "".join(_repeated(*piece))
    return "".join(map(expand, piece))


def _repeated(piece: Any, times: int, step: int = 0) -> Iterator[str]:
    text = expand(piece)
    for number in range(1, times + 1):
        yield text.replace("№", str(number * step)) if step else text


class Counter:
    """Counts the calls, of Python and of C, that something makes: the same number on any machine."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "Counter":
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, _: object, event: str, __: object) -> None:
        self.calls += event in {"call", "c_call"}
