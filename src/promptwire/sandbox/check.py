"""What is refused before anything runs: all that isn't on the lists, and what is long or deep."""

import re

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from promptwire.sandbox.data import MAX_BITS, MAX_DEPTH, words
from promptwire.sandbox.environment import ENVIRONMENT
from promptwire.sandbox.filters import FILTERS, TESTS

MAX_TEXT = 1_000_000
MAX_TOKENS = 20_000

_DIGITS = re.compile(r"[0-9_]{10000}")
_NODES = words(
    "Template Output TemplateData For If Macro CallBlock FilterBlock Scope With Assign AssignBlock Name NSRef Const "
    "Tuple List Dict Pair Keyword CondExpr Filter Test Call Getitem Getattr Slice Concat Compare Operand And Or Not "
    "Add Sub Mul Div FloorDiv Mod Pow Neg Pos"
)


def read_words(text: str) -> list[str]:
    """The words of a template in their order, read before anything is built from them."""
    if len(text) > MAX_TEXT:
        raise TemplateSyntaxError(f"it is longer than {MAX_TEXT:,} characters", 1)
    if _DIGITS.search(text):  # jinja2's lexer takes 300 bytes for each
        raise TemplateSyntaxError("a number is too large", 1)
    found: dict[str, None] = {}
    depth = 0
    for count, (line, kind, value) in enumerate(ENVIRONMENT.lex(text)):
        if kind == "name":
            found[value] = None
        elif kind == "operator":
            depth += (value in "([{") - (value in ")]}")
        if count > MAX_TOKENS or depth > MAX_DEPTH:
            raise TemplateSyntaxError(f"it has more than {MAX_TOKENS:,} tokens, or brackets {MAX_DEPTH} deep", line)
    return list(found)


def check(tree: nodes.Node) -> None:
    """Refuse all that isn't on the lists, however deep."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        for node in level:
            if reason := _objection(node):
                raise TemplateSyntaxError(reason, node.lineno)
        if not level:
            return
    raise TemplateSyntaxError(f"it is nested more than {MAX_DEPTH} deep", 1)


def _objection(node: nodes.Node) -> str | None:
    if type(node).__name__ not in _NODES:
        name = "autoescape" if isinstance(node, nodes.EvalContextModifier) else type(node).__name__.lower()
        return f"'{name}' is not available"
    match node:
        case nodes.Filter() | nodes.Test() if node.name not in (FILTERS if isinstance(node, nodes.Filter) else TESTS):
            return f"there is no {type(node).__name__.lower()} {node.name!r}"
        case nodes.Call() | nodes.Filter() | nodes.Test() if node.dyn_args or node.dyn_kwargs:
            return "'*' and '**' in a call are not available"
        case nodes.Const(value=int() | float() as number) if not abs(number) < 1 << MAX_BITS:
            return "a number is too large"
        case _:
            return None
