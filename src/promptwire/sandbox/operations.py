"""Operators, comparisons, formats and methods, each refused before it makes something huge."""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import Formatter

from jinja2 import Undefined
from jinja2.filters import make_attrgetter
from jinja2.runtime import LoopContext
from jinja2.sandbox import SandboxedEnvironment

from promptwire.errors import TemplateError
from promptwire.sandbox.data import ITERABLES, SCALARS, SEQUENCES, Data, check_bits, words
from promptwire.sandbox.run import Run

_METHODS = {
    str: words(
        "capitalize casefold count endswith find format isalnum isalpha isdigit islower isnumeric isspace isupper "
        "join lower lstrip partition removeprefix removesuffix replace rfind rpartition rsplit rstrip split splitlines "
        "startswith strip swapcase title upper"
    ),
    list: words("count index"),
    tuple: words("count index"),
    dict: words("get items keys values"),
    LoopContext: words("changed cycle"),
}
_COMPARISONS: dict[str, Callable[[Data, Data], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge, "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip
_CONVERSION = re.compile(r"%(?:\(\w*\))?[-+ #0]{0,5}\d{0,3}(?:\.\d{0,3})?[diouxXeEfFgGcrsa%]")
_WIDE = re.compile(r"[{}]|\d{4}")


def operate(run: Run, sign: str, left: Data, right: Data) -> Data:
    """A binary operator."""
    run.charge(1)
    for value in (left, right):
        if run.use(value):
            return value
    if sign == "*":
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, SEQUENCES) and isinstance(times, int):
                run.pay(sequence, max(times, 0))
    if sign == "**" and isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() * right)
    if sign == "%" and isinstance(left, str):
        return format_percent(run, left, right)
    return run.made(SandboxedEnvironment.default_binop_table[sign](left, right))


def compare(run: Run, left: Data, *rest: Data) -> bool:
    """A chain of comparisons, given as signs and operands in turn."""
    for sign, right in zip(rest[::2], rest[1::2], strict=True):
        run.charge(1)
        absent = [value for value in (left, right) if run.use(value)]
        if absent:
            outcome = sign in ("ne", "notin")
        else:
            run.weigh(left)
            if sign in ("in", "notin"):
                _search(run, left, right)
            outcome = _COMPARISONS[sign](left, right)
        if not outcome:
            return False
        left = right
    return True


def _search(run: Run, item: Data, items: Data) -> None:
    items = iterable(run, items)
    if type(item) not in SCALARS:
        run.weigh(items)
    elif not isinstance(items, dict):
        run.charge(len(items) >> 7)


def format_percent(run: Run, text: str, values: Data) -> Data:
    """``%`` of a text, as an operator or a filter."""
    rest, count = _CONVERSION.subn("", text)
    if "%" in rest:
        raise TemplateError("a format has a conversion that isn't plain, or wider than 999")
    _pay_format(run, count, values)
    return run.made(text % values)


def _format_braces(run: Run, text: str, args: Data, kwargs: Data) -> Data:
    fields = [(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None]
    if any(not re.fullmatch(r"\w*", name) or _WIDE.search(spec) for name, spec in fields):
        raise TemplateError("a format reads attributes or items, is nested, or wider than 999")
    _pay_format(run, len(fields), [args, kwargs])
    return run.made(text.format(*args, **kwargs))


def _pay_format(run: Run, fields: int, values: Data) -> None:
    run.charge(fields * (1000 + len(run.text(values))) >> 7)


def iterable(run: Run, value: Data) -> Data:
    """What a loop may go over."""
    if run.use(value):
        return ()
    if isinstance(value, ITERABLES):
        run.charge(1)
        return value
    raise TemplateError("only a text, list or mapping can be iterated")


def iterate(run: Run, value: Data, attribute: Data) -> Iterable[Data]:
    """Its items, or what the attribute's path leads to in each."""
    items: Iterable[Data] = iterable(run, value)
    return items if attribute is None else map(make_attrgetter(run.environment, attribute), items)


def join(run: Run, value: Data, d: Data = "", attribute: Data = None) -> str:
    """The filter, and the text's method with its two sides exchanged."""
    separator = run.text(d)
    pieces = [run.text(item) for item in iterate(run, value, attribute)]
    run.pay(separator, len(pieces))
    return separator.join(pieces)


def replace(run: Run, value: Data, old: Data, new: Data, count: Data = -1) -> str:
    """The filter and the text's method."""
    text, old, new = run.text(value), run.text(old), run.text(new)
    run.pay(new, text.count(old))
    return text.replace(old, new, -1 if count is None else count)


_OWN_METHODS: dict[str, Callable[[Run, Data, Data, Data], Data]] = {
    "format": _format_braces,
    "join": lambda run, text, args, _: join(run, args[0], text),
    "replace": lambda run, text, args, kwargs: replace(run, text, *args, **kwargs),
}


@dataclass(slots=True)
class Method:
    """A method named for a call; nothing else can be done with it."""

    run: Run
    receiver: Data
    name: str

    def call(self, args: Data, kwargs: Data) -> Data:
        run, receiver, name = self.run, self.receiver, self.name
        if run.use(receiver):
            return receiver
        if name not in _METHODS.get(type(receiver), ()):
            raise TemplateError(f"there is no method {name!r} here")
        if isinstance(receiver, SEQUENCES):
            run.weigh(receiver)
        if run.arguments(receiver, (*args, *kwargs.values())):
            return Undefined()
        if name in _OWN_METHODS:
            return _OWN_METHODS[name](run, receiver, args, kwargs)
        result = getattr(receiver, name)(*args, **kwargs)
        # The views of a mapping are no data; an item that a loop or a mapping hands back is.
        return list(result) if name in ("items", "keys", "values") else result if name == "cycle" else run.made(result)
