"""The compiled template, and what becomes of its errors."""

import re
from collections.abc import Iterator, Mapping
from traceback import walk_tb
from typing import NoReturn

from jinja2 import nodes
from jinja2.environment import Template as CompiledJinja
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import TrackingCodeGenerator

from promptwire.errors import TemplateError, raise_bare
from promptwire.sandbox.check import check, read_words
from promptwire.sandbox.data import plain
from promptwire.sandbox.environment import ENVIRONMENT
from promptwire.sandbox.rewriter import Rewriter, read_paths, settled_names, spelled_names
from promptwire.sandbox.run import Run
from promptwire.templates import Segment, add_missing

_OPENING = re.compile(r"\{[{%#]")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_FILENAME = "<prompt template>"
_BROKEN = (
    JinjaError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NameError, RuntimeError,
    SyntaxError, TemplateError, TypeError, ValueError,
)  # fmt: skip


def _reason(error: BaseException) -> str:
    if isinstance(error, TemplateError):
        return str(error)
    # The messages of Python and of jinja2 quote values.
    return "it is nested too deeply" if isinstance(error, RecursionError) else f"it fails with {type(error).__name__}"


def split_tags(text: str) -> Iterator[Segment]:
    """The text between tags, and the tags; in time linear in the text, whatever is in it."""
    end = 0
    for start in _OPENING.finditer(text):
        if start.start() < end:
            continue
        close = text.find(_CLOSING[start[0]], start.end())
        if close < 0:
            break
        if end < start.start():
            yield Segment(text[end : start.start()])
        end = close + 2
        yield Segment(text[start.start() : end], text[start.end() : close].strip(" -+"))
    if text[end:]:
        yield Segment(text[end:])


def _undeclared(tree: nodes.Template) -> set[str]:
    """As ``jinja2.meta`` finds them, but its optimizer, which visits the whole of each expression at every depth."""
    generator = TrackingCodeGenerator(ENVIRONMENT)
    generator.optimizer = None
    generator.visit(tree)
    return generator.undeclared_identifiers


class JinjaTemplate:
    """A compiled jinja template; rendering shares nothing between calls."""

    def __init__(self, text: str, where: str) -> None:
        self.source = text
        self._where = where
        try:
            self._build(text)
        except TemplateSyntaxError as error:
            raise_bare(TemplateError(f"{where}, line {error.lineno}: {error.message}"))
        except _BROKEN as error:
            raise_bare(TemplateError(f"{where}: {_reason(error)}"))

    def _build(self, text: str) -> None:
        words = read_words(text)
        tree = ENVIRONMENT.parse(text)
        check(tree)
        self._known, settled = spelled_names(tree), settled_names(tree)
        self.reads = read_paths(tree)
        Rewriter().visit(tree)
        asked = _undeclared(tree)
        self.variables: tuple[str, ...] = tuple(word for word in words if word in asked)
        self._required = [name for name in self.variables if name not in settled]
        self._read = [word for word in words if word in asked or word in ENVIRONMENT.globals]
        code = ENVIRONMENT.compile(tree, filename=_FILENAME)
        self._compiled = CompiledJinja.from_code(ENVIRONMENT, code, {})

    def __reduce__(self) -> tuple[type["JinjaTemplate"], tuple[str, str]]:
        return type(self), (self.source, self._where)

    def render(self, values: Mapping[str, object], missing: list[str] | None) -> str:
        found = None if missing is None else [name for name in self._required if name not in values]
        text = ""
        try:
            given = {name: plain(values[name]) for name in self._read if name in values}
            run = Run(ENVIRONMENT, given, found, self._known)
            text = "".join(run.each(self._compiled.root_render_func(run), run.emit))
        except _BROKEN as error:
            # What is missing explains whatever went wrong after it.
            if not found:
                self._fail(error)
        if missing is not None and found:
            add_missing(missing, found)
        return text

    def segments(self, values: Mapping[str, object]) -> list[Segment]:  # noqa: ARG002 - blocks may drop or repeat text
        return list(split_tags(self.source))

    def _fail(self, error: BaseException) -> NoReturn:
        steps = walk_tb(error.__traceback__)
        lines = [line for frame, line in steps if frame.f_code.co_filename == _FILENAME]
        place = f", line {self._compiled.get_corresponding_lineno(lines[-1])}" if lines else ""
        raise_bare(TemplateError(f"{self._where}{place}: {_reason(error)}"))
