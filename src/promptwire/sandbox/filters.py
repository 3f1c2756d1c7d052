"""The filters and tests that a template may name, each paid for before it runs."""

import json
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from jinja2 import Undefined, pass_context
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.tests import TESTS as JINJA_TESTS

from promptwire.errors import TemplateError
from promptwire.sandbox.data import Data, words
from promptwire.sandbox.operations import compare, format_percent, iterate, join, operate, replace
from promptwire.sandbox.run import Run

Function: TypeAlias = Callable[..., Data]

MAX_ARGUMENT = 10_000

# Filters that look at no more of their value than its outside.
_SHALLOW = words(
    "batch count first items join last length list map reject rejectattr reverse select selectattr slice sum"
)
_SIZED = words("batch center indent round slice")
# Of a text, even, odd and divisibleby would be its formatting: "%1000000000d" is even.
_NUMERIC: dict[str, tuple[type, ...]] = {
    "abs": (int, float), "round": (int, float), "even": (int,), "odd": (int,), "divisibleby": (int,)
}  # fmt: skip
_COMPARISONS = {
    "eq": "== eq equalto", "ne": "!= ne", "lt": "< lt lessthan", "lteq": "<= le", "gt": "> gt greaterthan",
    "gteq": ">= ge", "in": "in",
}  # fmt: skip
_JINJA_TESTS = words(
    "boolean defined divisibleby even false float integer iterable lower mapping none number odd sequence string true "
    "undefined upper"
)
_JINJA_FILTERS = words(
    "abs batch capitalize center count dictsort e escape first float groupby int items last length list lower map max "
    "min reject rejectattr reverse round select selectattr slice sort title trim truncate unique upper wordcount"
)


def _indent(run: Run, value: Data, width: Data = 4, *rest: Data, **named: Data) -> Data:
    text = run.text(value)
    margin = " " * width if isinstance(width, int) else width
    run.pay(margin, len(text.splitlines()) + 1)
    return cast("Function", JINJA_FILTERS["indent"])(text, margin, *rest, **named)


def _sum(run: Run, value: Data, attribute: Data = None, start: Data = 0) -> Data:
    for item in iterate(run, value, attribute):
        start = operate(run, "+", start, item)
    return start


def _tojson(run: Run, value: Data, indent: Data = None) -> str:
    if indent not in (None, *range(17)):
        raise TemplateError("tojson indents by 16 at most")
    return "".join(run.each(json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value), run.pay))


def _call_jinja(function: Function, run: Run, value: Data, *args: Data, **kwargs: Data) -> Data:
    # What jinja2's own decorators note: the first argument that a filter asks for.
    wants: str = getattr(getattr(function, "jinja_pass_arg", None), "name", "")
    leads: dict[str, Data] = {"context": run, "eval_context": run.eval_ctx, "environment": run.environment}
    return function(*([leads[wants]] if wants else []), value, *args, **kwargs)


def _need_number(name: str, value: Data) -> None:
    if name in _NUMERIC and not isinstance(value, _NUMERIC[name]):
        raise TemplateError("a number is needed")


def _filter(name: str, function: Function, run: Run, value: Data, /, *args: Data, **kwargs: Data) -> Data:
    run.charge(1)
    if run.use(value):
        return value
    _need_number(name, value)
    if name not in _SHALLOW:
        run.weigh(value)
    else:
        run.charge(len(value) >> 3)
    if name == "unique":
        run.hash(value)
    given = (*args, *kwargs.values())
    if run.arguments(value, given):
        return Undefined()
    if name in _SIZED and any(isinstance(item, int) and item > MAX_ARGUMENT for item in given):
        raise TemplateError(f"a size is over {MAX_ARGUMENT:,}")
    return run.made(function(run, value, *args, **kwargs))


def _test(name: str, function: Function, run: Run, value: Data, /, *args: Data) -> bool:
    run.charge(1)
    if name not in ("defined", "undefined") and run.use(value):
        return False
    if name in ("lower", "upper"):
        run.weigh(value)
    _need_number(name, value)
    return bool(function(value, *args))


def _comparison(sign: str, run: Run, value: Data, other: Data, /) -> bool:
    return compare(run, value, sign, other)


_FUNCTIONS: dict[str, Function] = {
    **{name: partial(_call_jinja, JINJA_FILTERS[name]) for name in _JINJA_FILTERS},
    "format": lambda run, value, *args, **kwargs: format_percent(run, value, kwargs or args),
    "indent": _indent,
    "join": join,
    "replace": replace,
    "safe": Run.text,
    "string": Run.text,
    "sum": _sum,
    "tojson": _tojson,
}
FILTERS: dict[str, Function] = {
    **{name: pass_context(partial(_filter, name, function)) for name, function in _FUNCTIONS.items()},
    **dict.fromkeys(("d", "default"), JINJA_FILTERS["default"]),
}
TESTS: dict[str, Function] = {
    **{name: pass_context(partial(_test, name, cast("Function", JINJA_TESTS[name]))) for name in _JINJA_TESTS},
    **{
        name: pass_context(partial(_comparison, sign)) for sign, names in _COMPARISONS.items() for name in names.split()
    },
}
