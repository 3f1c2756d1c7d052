"""The corpus of attacks: one JSON object a line, what it attempts, its dialect, its text and its outcome.

A text is a string, or a list of pieces: a string, ``[piece, times]``, or ``[piece, times, step]``, in which ``№``
stands for the multiples of ``step``, counted up. The dialect ``file`` is a prompt's whole file, ``answer`` what
Langfuse answers. The outcomes are ``refused``, by an error of ours, and ``text``; a ``heavy`` entry takes more than a
moment.
"""

import json
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
