"""Jinja for templates that somebody else may edit: bounded in time, memory and reach by construction.

Templates are parsed by jinja2, checked against lists of what is allowed, and rewritten so that every lookup, loop,
operator, comparison, filter, test, call and piece of output goes through a hook that sees the render's own budget.
Hooks are filters whose names start with ``$``, which a template can't spell. They take the context, so jinja2
folds nothing at compile time. Values are JSON-like copies: there is no Python object to walk from.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from string import Formatter
from typing import Any, NoReturn, TypeAlias, cast

from jinja2 import Undefined, nodes, pass_context
from jinja2.environment import Template as CompiledJinja
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from promptwire.errors import TemplateError
from promptwire.templates import add_missing

# What a template computes with: jinja2 types all of it so, and the lists below say what it can be.
Data: TypeAlias = Any

MAX_STEPS = 100_000
MAX_OUTPUT = 1_000_000
MAX_TEXT = 1_000_000
MAX_TOKENS = 50_000
MAX_DEPTH = 80
MAX_BITS = 4096
MAX_ARGUMENT = 10_000
MAX_CALLS = 50

_FILENAME = "<prompt template>"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCALARS = frozenset({str, int, float, bool, type(None)})
_GLOBALS: dict[str, Data] = {"range": range, "dict": dict, "namespace": Namespace}
_LOOP_ITEMS = _words("index index0 revindex revindex0 first last length depth depth0 previtem nextitem")
_METHODS: dict[type, frozenset[str]] = {
    str: _words(
        "capitalize casefold count endswith find format isalnum isalpha isdigit islower isnumeric isspace isupper "
        "join lower lstrip partition removeprefix removesuffix replace rfind rpartition rsplit rstrip split splitlines "
        "startswith strip swapcase title upper"
    ),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    dict: frozenset({"get", "items", "keys", "values"}),
    LoopContext: frozenset({"changed", "cycle"}),
}
_NODES: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Macro, nodes.CallBlock,
    nodes.FilterBlock, nodes.Scope, nodes.With, nodes.Assign, nodes.AssignBlock, nodes.Name, nodes.NSRef, nodes.Const,
    nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test,
    nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg,
    nodes.Pos,
)  # fmt: skip
# Filters that look at no more of their value than its outside.
_SHALLOW = _words(
    "batch count first items join last length list map reject rejectattr reverse select selectattr slice sum"
)
_SIZED = frozenset({"batch", "center", "indent", "round", "slice"})
_NUMERIC = frozenset({"abs", "round"})
_PRESENCE = frozenset({"defined", "undefined"})
_COMPARISONS: dict[str, Callable[[Data, Data], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge, "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip
_BROKEN = (
    JinjaError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NameError, RuntimeError,
    SyntaxError, TemplateError, TypeError, ValueError,
)  # fmt: skip
_CONVERSION = re.compile(r"%(?:\(\w*\))?[-+ #0]{0,5}\d{0,3}(?:\.\d{0,3})?[diouxXeEfFgGcrsa%]")
_WIDE = re.compile(r"[{}]|\d{4}")


class _Absent(Undefined):
    """A value that was not given; ``path`` is how the template names it."""

    @property
    def path(self) -> str | None:
        # A macro asks whether it has a caller; that is no variable.
        return None if self._undefined_name == "caller" else self._undefined_name


class _Run(Context):
    """One render: its values, what is left of its budget, and the names it missed."""

    def __init__(self, values: dict[str, Data], missing: list[str] | None, known: frozenset[str]) -> None:
        super().__init__(_ENVIRONMENT, {**_GLOBALS, **values}, None, {})
        self.missing = missing
        self.known = known
        self.left = MAX_STEPS
        self.calls = 0

    def charge(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TemplateError(f"it takes more than {MAX_STEPS:,} steps")

    def use(self, value: object) -> bool:
        """Whether the value is undefined; if it has a name, that is a missing variable."""
        if not isinstance(value, Undefined):
            return False
        path = value.path if isinstance(value, _Absent) else None
        if path is not None and self.missing is not None:
            # A name computed from a variable's value must not get into a message.
            self.missing.append(path if path in self.known else "an item of a variable")
        return True

    def weigh(self, *values: object) -> None:
        """Charge for all that the values hold, counting what is shared as often as it is reached."""
        level: Iterable[object] = values
        for _ in range(MAX_DEPTH):
            nested: list[object] = []
            for value in level:
                if isinstance(value, str):
                    self.charge(len(value) >> 7)
                elif isinstance(value, list | tuple | dict):
                    self.charge(1 + (len(value) >> 3))
                    nested.extend(value)
                    nested.extend(value.values() if isinstance(value, dict) else ())
                elif type(value) not in _SCALARS and not self.use(value):
                    raise TemplateError("a macro, loop, method or namespace is no text or data")
            if not nested:
                return
            level = nested
        raise TemplateError(f"data is nested more than {MAX_DEPTH} deep")

    def made(self, value: Data) -> Data:
        """Charge for a result, and let nothing lazy, huge or foreign through."""
        if isinstance(value, str):
            self.charge(len(value) >> 7)
            return str.__str__(value)
        if isinstance(value, list | tuple | dict):
            self.charge(len(value) >> 3)
        elif isinstance(value, int):
            _check_integer(value)
        elif isinstance(value, Iterator):
            return self._collect(value)
        elif type(value) not in _SCALARS and not isinstance(value, Undefined):
            raise TemplateError("an operation gives what is no text or data")
        return value

    def _collect(self, items: Iterator[Data]) -> list[Data]:
        collected = []
        for item in items:
            self.charge(1)
            collected.append(item)
        return collected

    def text(self, value: Data) -> str:
        if type(value) is str:
            result = value
        elif isinstance(value, Undefined):
            self.use(value)
            path = value.path if isinstance(value, _Absent) else None
            result = "" if path is None else f"{{{{ {path} }}}}"
        else:
            self.weigh(value)
            result = str(value)
        self.charge(1 + (len(result) >> 7))
        return result

    def drain(self, pieces: Iterable[str]) -> str:
        output: list[str] = []
        room = MAX_OUTPUT
        for piece in pieces:
            room -= len(piece)
            if room < 0:
                raise TemplateError(f"its output is longer than {MAX_OUTPUT:,} characters")
            output.append(piece)
        return "".join(output)

    def arguments(self, receiver: Data, values: Iterable[Data]) -> bool:
        """Charge for a builtin's arguments; whether one of them is undefined."""
        undefined = False
        for value in values:
            undefined |= self.use(value)
            self.weigh(value)
            if isinstance(value, str) and isinstance(receiver, str | list | tuple):
                # At worst each character is compared with each, or each item is looked up along a path.
                self.charge(len(value) * len(receiver) >> (16 if isinstance(receiver, str) else 4))
        return undefined


class _Method:
    """A method named for a call; nothing else can be done with it."""

    __slots__ = ("name", "receiver")

    def __init__(self, receiver: Data, name: str) -> None:
        self.receiver = receiver
        self.name = name


def _check_integer(value: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise TemplateError(f"a number has more than {MAX_BITS:,} bits")
    return value


def _plain(value: Data, depth: int = 0) -> Data:
    """A JSON-like copy; of any other object only its text."""
    if type(value) in _SCALARS:
        return _check_integer(value) if type(value) is int else value
    if depth == MAX_DEPTH:
        raise TemplateError(f"a variable is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return {_plain_scalar(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item, depth + 1) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return _plain_scalar(value)


def _plain_scalar(value: Data) -> Data:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    return str.__str__(value if isinstance(value, str) else str(value))


def _lookup(value: Data, key: Data, path: str) -> Data:
    """An item of the data, never an attribute of an object."""
    if isinstance(value, Undefined):
        return value
    if isinstance(value, dict) and type(key) in _SCALARS and key in value:
        return value[key]
    if isinstance(value, list | tuple | str) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    if isinstance(key, str):
        if key.startswith("__"):
            raise TemplateError("attributes of Python objects can't be read")
        fields = _LOOP_ITEMS if isinstance(value, LoopContext) else getattr(type(value), "_fields", ())
        if key in fields or (isinstance(value, Namespace) and key[:1] != "_"):
            found = getattr(value, key, _Absent(name=path))
            return _Absent(name=path) if isinstance(found, Undefined) else found
    return _Absent(name=path)


def _operate(run: _Run, sign: str, left: Data, right: Data) -> Data:
    """A binary operator, refused before it makes something huge."""
    run.charge(1)
    for value in (left, right):
        if run.use(value):
            return value
    if sign == "*":
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, str | list | tuple) and isinstance(times, int):
                run.charge(len(sequence) * max(times, 0) >> (7 if isinstance(sequence, str) else 3))
    if sign == "**" and isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > MAX_BITS:
        raise TemplateError(f"a number has more than {MAX_BITS:,} bits")
    if sign == "%" and isinstance(left, str):
        return _format_percent(run, left, right)
    return run.made(_ENVIRONMENT.binop_table[sign](left, right))


def _compare(run: _Run, left: Data, *rest: Data) -> bool:
    """A chain of comparisons, given as signs and operands in turn."""
    for sign, right in zip(rest[::2], rest[1::2], strict=True):
        run.charge(1)
        absent = [value for value in (left, right) if run.use(value)]
        if absent:
            outcome = sign in ("ne", "notin")
        else:
            _weigh_comparison(run, sign, left, right)
            outcome = _COMPARISONS[sign](left, right)
        if not outcome:
            return False
        left = right
    return True


def _weigh_comparison(run: _Run, sign: str, left: Data, right: Data) -> None:
    run.weigh(left)
    if sign in ("in", "notin"):
        if not isinstance(right, str | list | tuple | dict):
            raise TemplateError("'in' needs a text, list or mapping on its right")
        if type(left) in _SCALARS:
            run.charge(0 if isinstance(right, dict) else len(right) >> 7)
        else:
            run.weigh(right)


def _format_percent(run: _Run, text: str, values: Data) -> str:
    rest, count = _CONVERSION.subn("", text)
    if "%" in rest:
        raise TemplateError("a format has a conversion that isn't plain, or wider than 999")
    run.charge(count * (1000 + len(run.text(values))) >> 7)
    return cast("str", run.made(text % values))


def _format_braces(run: _Run, text: str, args: Data, kwargs: Data) -> str:
    fields = [(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None]
    if any(not re.fullmatch(r"\w*", name) or _WIDE.search(spec) for name, spec in fields):
        raise TemplateError("a format reads attributes or items, is nested, or wider than 999")
    run.charge(len(fields) * (1000 + len(run.text([args, kwargs]))) >> 7)
    return cast("str", run.made(text.format(*args, **kwargs)))


def _call_method(run: _Run, receiver: Data, name: str, args: Data, kwargs: Data) -> Data:
    if run.use(receiver):
        return receiver
    if name not in _METHODS.get(type(receiver), ()):
        raise TemplateError(f"there is no method {name!r} here")
    if isinstance(receiver, str):
        run.weigh(receiver)
    if run.arguments(receiver, (*args, *kwargs.values())):
        return _Absent()
    if name == "format":
        return _format_braces(run, receiver, args, kwargs)
    if name == "replace":
        return _replace(run, receiver, *args, **kwargs)
    if name == "join":
        return _join(run, args[0], receiver)
    result = getattr(receiver, name)(*args, **kwargs)
    # The views of a mapping are no data; an item that a loop or a mapping hands back is.
    return list(result) if name in ("items", "keys", "values") else result if name == "cycle" else run.made(result)


def _iterable(run: _Run, value: Data) -> Data:
    if run.use(value):
        return ()
    if isinstance(value, str | list | tuple | dict):
        run.charge(1)
        return value
    raise TemplateError("only a text, list or mapping can be iterated")


def _items(run: _Run, value: Data, attribute: Data) -> Iterable[Data]:
    items = _iterable(run, value)
    return items if attribute is None else map(make_attrgetter(run.environment, attribute), items)


def _join(run: _Run, value: Data, d: Data = "", attribute: Data = None) -> str:
    separator = run.text(d)
    pieces = [run.text(item) for item in _items(run, value, attribute)]
    run.charge(len(separator) * len(pieces) >> 7)
    return separator.join(pieces)


def _replace(run: _Run, value: Data, old: Data, new: Data, count: Data = -1) -> str:
    text, old, new = run.text(value), run.text(old), run.text(new)
    run.charge(text.count(old) * len(new) >> 7)
    return text.replace(old, new, -1 if count is None else count)


def _indent(run: _Run, value: Data, width: Data = 4, *rest: Data, **named: Data) -> Data:
    text = run.text(value)
    run.charge((width if isinstance(width, int) else len(width)) * (len(text.splitlines()) + 1) >> 7)
    indent: Callable[..., Data] = FILTERS["indent"]
    return indent(text, width, *rest, **named)


def _sum(run: _Run, value: Data, attribute: Data = None, start: Data = 0) -> Data:
    for item in _items(run, value, attribute):
        start = _operate(run, "+", start, item)
    return start


def _tojson(run: _Run, value: Data, indent: Data = None) -> str:
    if indent not in (None, *range(17)):
        raise TemplateError("tojson indents by 16 at most")
    pieces = []
    for piece in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value):
        run.charge(len(piece) >> 7)
        pieces.append(piece)
    return "".join(pieces)


def _need_number(value: Data, *kinds: type) -> None:
    if not isinstance(value, kinds):
        raise TemplateError("a number is needed")


def _from_jinja(name: str) -> Callable[..., Data]:
    function: Callable[..., Data] = FILTERS[name]
    # What jinja2's own decorators note: the first argument that a filter asks for.
    wants: str = getattr(getattr(function, "jinja_pass_arg", None), "name", "")

    def call(run: _Run, value: Data, *args: Data, **kwargs: Data) -> Data:
        leads: dict[str, Data] = {"context": run, "eval_context": run.eval_ctx, "environment": run.environment}
        return function(*([leads[wants]] if wants else []), value, *args, **kwargs)

    return call


def _filter(name: str, function: Callable[..., Data]) -> Callable[..., Data]:
    @pass_context
    def run_filter(run: _Run, value: Data, /, *args: Data, **kwargs: Data) -> Data:
        run.charge(1)
        if run.use(value):
            return value
        if name in _NUMERIC:
            _need_number(value, int, float)
        if name not in _SHALLOW:
            run.weigh(value)
        else:
            run.charge(len(value) >> 3)
        if run.arguments(value, (*args, *kwargs.values())):
            return _Absent()
        if name in _SIZED and any(isinstance(item, int) and item > MAX_ARGUMENT for item in (*args, *kwargs.values())):
            raise TemplateError(f"a size is over {MAX_ARGUMENT:,}")
        return run.made(function(run, value, *args, **kwargs))

    return run_filter


def _test(name: str, function: Callable[..., Data]) -> Callable[..., Data]:
    @pass_context
    def run_test(run: _Run, value: Data, /, *args: Data) -> bool:
        run.charge(1)
        if name not in _PRESENCE and run.use(value):
            return False
        if name in ("lower", "upper"):
            run.weigh(value)
        if name in ("even", "odd", "divisibleby"):
            # Of a text they would be its formatting: "%1000000000d" is even.
            _need_number(value, int)
        return bool(function(value, *args))

    return run_test


def _comparison(sign: str) -> Callable[..., bool]:
    @pass_context
    def run_comparison(run: _Run, value: Data, other: Data, /) -> bool:
        return _compare(run, value, sign, other)

    return run_comparison


@pass_context
def _used(run: _Run, value: Data) -> Data:
    run.charge(1)
    run.use(value)
    return value


@pass_context
def _enter(run: _Run, value: str, weight: int) -> str:
    run.charge(weight)
    return value


@pass_context
def _get(run: _Run, value: Data, key: Data, path: str) -> Data:
    run.charge(1)
    if run.use(value):
        return value
    return key if run.use(key) else _lookup(value, key, path)


@pass_context
def _slice(run: _Run, value: Data, *bounds: Data) -> Data:
    if run.use(value):
        return value
    if not isinstance(value, str | list | tuple):
        raise TemplateError("only a text or list can be sliced")
    return run.made(value[slice(*bounds)])


@pass_context
def _key(run: _Run, value: Data) -> Data:
    if type(value) not in _SCALARS and not run.use(value):
        raise TemplateError("a mapping's keys are texts or numbers")
    return value


@pass_context
def _concat(run: _Run, *values: Data) -> str:
    return "".join([run.text(value) for value in values])


@pass_context
def _finalize(run: _Run, value: Data) -> str:
    return run.text(value)


def _method(value: Data, name: str) -> _Method:
    return _Method(value, name)


_FILTERS: dict[str, Callable[..., Data]] = {
    name: _filter(name, _from_jinja(name))
    for name in _words(
        "abs batch capitalize center count dictsort e escape first float groupby int items last length list lower map "
        "max min reject rejectattr reverse round select selectattr slice sort title trim truncate unique upper "
        "wordcount"
    )
} | {
    "d": FILTERS["d"],
    "default": FILTERS["default"],
    "format": _filter("format", lambda run, value, *args, **kwargs: _format_percent(run, value, kwargs or args)),
    "indent": _filter("indent", _indent),
    "join": _filter("join", _join),
    "replace": _filter("replace", _replace),
    "safe": _filter("safe", _Run.text),
    "string": _filter("string", _Run.text),
    "sum": _filter("sum", _sum),
    "tojson": _filter("tojson", _tojson),
}
_HOOKS = {
    "$compare": pass_context(_compare),
    "$concat": _concat,
    "$enter": _enter,
    "$get": _get,
    "$key": _key,
    "$loop": pass_context(_iterable),
    "$method": _method,
    "$slice": _slice,
    "$used": _used,
}
_TESTS = {
    name: _test(name, cast("Callable[..., Data]", TESTS[name]))
    for name in _words(
        "boolean defined divisibleby even false float integer iterable lower mapping none number odd sequence string "
        "true undefined upper"
    )
} | {
    name: _comparison(sign)
    for sign, names in {
        "eq": "== eq equalto", "ne": "!= ne", "lt": "< lt lessthan", "lteq": "<= le",
        "gt": "> gt greaterthan", "gteq": ">= ge", "in": "in",
    }.items()
    for name in names.split()
}  # fmt: skip


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)

    def __init__(self) -> None:
        super().__init__(
            optimized=False, autoescape=False, keep_trailing_newline=True, finalize=_finalize, undefined=_Absent
        )
        self.globals = _GLOBALS
        self.filters = {**_FILTERS, **_HOOKS}
        self.tests = dict(_TESTS)

    def getitem(self, obj: Data, argument: Data) -> Data:
        return _lookup(obj, argument, str(argument))

    def call_binop(self, context: Context, operator: str, left: Data, right: Data) -> Data:
        return _operate(cast("_Run", context), operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Data) -> Data:
        run = cast("_Run", context)
        run.charge(1)
        return arg if run.use(arg) else run.made(self.unop_table[operator](arg))

    def call_filter(self, name: str, *args: Data, **kwargs: Data) -> Data:
        # The only way to name a filter by a text, and so to reach a hook.
        if name not in _FILTERS:
            raise TemplateError("there is no filter of that name")
        return super().call_filter(name, *args, **kwargs)

    def call(self, context: Context, obj: Data, /, *args: Data, **kwargs: Data) -> Data:
        run = cast("_Run", context)
        run.charge(1)
        kwargs.pop("_loop_vars", None)
        if isinstance(obj, _Method):
            return _call_method(run, obj.receiver, obj.name, args, kwargs)
        if isinstance(obj, Macro | LoopContext):
            return self._descend(run, obj, args, kwargs)
        if run.use(obj) or run.arguments(None, (*args, *kwargs.values())):
            return _Absent()
        if obj is range:
            numbers = range(*args)
            run.charge(len(numbers) >> 3)
            return list(numbers)
        if obj is dict or obj is Namespace:
            return obj(*args, **kwargs)
        raise TemplateError("only macros, methods, loop, range, dict and namespace can be called")

    def _descend(self, run: _Run, obj: Data, args: Data, kwargs: Data) -> Data:
        run.calls += 1
        if run.calls > MAX_CALLS:
            raise TemplateError(f"macros or loops call each other more than {MAX_CALLS} deep")
        if isinstance(obj, LoopContext):
            args = [_iterable(run, value) for value in args]
        try:
            return run.made(obj(*args, **kwargs))
        finally:
            run.calls -= 1


_ENVIRONMENT = _Environment()


def _hook(name: str, node: Data, *args: Data) -> nodes.Filter:
    wrapped = [arg if isinstance(arg, nodes.Node) else nodes.Const(arg) for arg in args]
    return nodes.Filter(node, "$" + name, wrapped, [], None, None, lineno=node.lineno)


def _path(node: nodes.Node) -> str:
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_path(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            return f"{_path(node.node)}.{key}"
        case nodes.Getitem():
            return f"{_path(node.node)}[{node.arg.value if isinstance(node.arg, nodes.Const) else '...'}]"
        case _:
            return "(...)"


class _Rewriter(NodeTransformer):
    """Puts the hooks in, and notes the names that a template guards, assigns or knows."""

    def __init__(self) -> None:
        self.guarded: set[str] = set()
        self.assigned: set[str] = set()
        self.known: set[str] = set()
        self._rules: dict[type[nodes.Node], Callable[..., nodes.Node]] = {
            nodes.TemplateData: self._rewrite_templatedata,
            nodes.Const: self._rewrite_const,
            nodes.Name: self._rewrite_name,
            nodes.Getattr: self._rewrite_getattr,
            nodes.Getitem: self._rewrite_getitem,
            nodes.Call: self._rewrite_call,
            nodes.Filter: self._rewrite_filter,
            nodes.Test: self._rewrite_test,
            nodes.Compare: self._rewrite_compare,
            nodes.Concat: self._rewrite_concat,
            nodes.Pair: self._rewrite_pair,
            nodes.For: self._rewrite_for,
            nodes.Macro: self._rewrite_macro,
            nodes.CallBlock: self._rewrite_callblock,
            **dict.fromkeys((nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not), self._visit_tested),
        }

    def get_visitor(self, node: nodes.Node) -> Callable[..., nodes.Node] | None:
        return self._rules.get(type(node))

    def _rewrite_templatedata(self, node: nodes.TemplateData) -> nodes.Node:
        # As an expression it is charged wherever it is written, in a macro's buffer too.
        return nodes.Const(node.data, lineno=node.lineno)

    def _rewrite_const(self, node: nodes.Const) -> nodes.Node:
        if isinstance(node.value, str):
            self.known.update(node.value.split("."))
        return node

    def _rewrite_name(self, node: nodes.Name) -> nodes.Node:
        self.known.add(node.name)
        if node.ctx != "load":
            self.assigned.add(node.name)
        return node

    def _rewrite_getattr(self, node: nodes.Getattr) -> nodes.Node:
        path = _path(node)
        self.known.add(path)
        self.generic_visit(node)
        return _hook("get", node.node, node.attr, path)

    def _rewrite_getitem(self, node: nodes.Getitem) -> nodes.Node:
        path = _path(node)
        self.known.add(path)
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _hook("slice", node.node, node.arg.start, node.arg.stop, node.arg.step)
        return _hook("get", node.node, node.arg, path)

    def _rewrite_call(self, node: nodes.Call) -> nodes.Node:
        if isinstance(node.node, nodes.Getattr):
            node.node = _hook("method", node.node.node, node.node.attr)
        return self.generic_visit(node)

    def _rewrite_filter(self, node: nodes.Filter) -> nodes.Node:
        if node.name in ("d", "default") and isinstance(node.node, nodes.Name):
            self.guarded.add(node.node.name)
        return self.generic_visit(node)

    def _rewrite_test(self, node: nodes.Test) -> nodes.Node:
        if node.name in _PRESENCE and isinstance(node.node, nodes.Name):
            self.guarded.add(node.node.name)
        return self.generic_visit(node)

    def _rewrite_compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        return _hook("compare", node.expr, *(part for operand in node.ops for part in (operand.op, operand.expr)))

    def _rewrite_concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _hook("concat", *node.nodes)

    def _rewrite_pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = _hook("key", node.key)
        return node

    def _rewrite_for(self, node: nodes.For) -> nodes.Node:
        self._visit_body(node)
        node.iter = _hook("loop", node.iter)
        if node.test is not None:
            node.test = _hook("used", node.test)
        return node

    def _rewrite_macro(self, node: nodes.Macro) -> nodes.Node:
        self.assigned.add(node.name)
        return self._visit_body(node)

    def _rewrite_callblock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._visit_body(node)

    def _visit_body(self, node: Data) -> nodes.Node:
        # What no hook sees, plain names and literals, is paid for by the dozen each time the body runs.
        weight = 1 + (sum(1 for _ in node.find_all(nodes.Node)) >> 5)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_hook("enter", nodes.Const(""), weight), lineno=node.lineno))
        return cast("nodes.Node", node)

    def _visit_tested(self, node: Data) -> nodes.Node:
        self.generic_visit(node)
        field = node.fields[0]
        setattr(node, field, _hook("used", getattr(node, field)))
        return cast("nodes.Node", node)


def _check(tree: nodes.Node) -> None:
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
    if not isinstance(node, _NODES):
        name = "autoescape" if isinstance(node, nodes.EvalContextModifier) else type(node).__name__.lower()
        return f"'{name}' is not available"
    match node:
        case nodes.Filter() if node.name not in _FILTERS:
            return f"there is no filter {node.name!r}"
        case nodes.Test() if node.name not in _TESTS:
            return f"there is no test {node.name!r}"
        case nodes.Call() | nodes.Filter() | nodes.Test() if node.dyn_args or node.dyn_kwargs:
            return "'*' and '**' in a call are not available"
        case nodes.Const(value=int() | float() as number) if not abs(number) < 1 << MAX_BITS:
            return "a number is too large"
        case _:
            return None


def _read_words(text: str) -> tuple[str, ...]:
    """The words of a template in their order, read before anything is built from them."""
    if len(text) > MAX_TEXT:
        raise TemplateSyntaxError(f"it is longer than {MAX_TEXT:,} characters", 1)
    words: dict[str, None] = {}
    depth = 0
    for count, (line, kind, value) in enumerate(_ENVIRONMENT.lex(text)):
        if kind == "name":
            words[value] = None
        elif kind == "operator":
            depth += (value in "([{") - (value in ")]}")
        if count > MAX_TOKENS or depth > MAX_DEPTH:
            raise TemplateSyntaxError(f"it has more than {MAX_TOKENS:,} tokens, or brackets {MAX_DEPTH} deep", line)
    return tuple(words)


def _reason(error: BaseException) -> str:
    if isinstance(error, TemplateError):
        return str(error)
    # The messages of Python and of jinja2 quote values.
    return "it is nested too deeply" if isinstance(error, RecursionError) else f"it fails with {type(error).__name__}"


class JinjaTemplate:
    """A compiled jinja template; rendering shares nothing between calls."""

    def __init__(self, text: str, where: str) -> None:
        self._source = (text, where)
        try:
            self._build(text)
        except TemplateSyntaxError as error:
            raise TemplateError(f"{where}, line {error.lineno}: {error.message}") from None
        except _BROKEN as error:
            raise TemplateError(f"{where}: {_reason(error)}") from None

    def _build(self, text: str) -> None:
        words = _read_words(text)
        tree = _ENVIRONMENT.parse(text)
        _check(tree)
        rewriter = _Rewriter()
        rewriter.visit(tree)
        asked = find_undeclared_variables(tree)
        self.variables: tuple[str, ...] = tuple(word for word in words if word in asked)
        self._required = [name for name in self.variables if name not in rewriter.guarded | rewriter.assigned]
        self._read = [word for word in words if word in asked or word in _GLOBALS]
        self._known = frozenset(rewriter.known)
        code = _ENVIRONMENT.compile(tree, filename=_FILENAME)
        self._compiled = CompiledJinja.from_code(_ENVIRONMENT, code, {})

    def __reduce__(self) -> tuple[type["JinjaTemplate"], tuple[str, str]]:
        return type(self), self._source

    def render(self, values: Mapping[str, object], missing: list[str] | None) -> str:
        found = None if missing is None else [name for name in self._required if name not in values]
        text = ""
        try:
            run = _Run({name: _plain(values[name]) for name in self._read if name in values}, found, self._known)
            text = run.drain(self._compiled.root_render_func(run))
        except _BROKEN as error:
            # What is missing explains whatever went wrong after it.
            if not found:
                self._fail(error)
        if missing is not None and found:
            add_missing(missing, found)
        return text

    def _fail(self, error: BaseException) -> NoReturn:
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == _FILENAME:
                line = self._compiled.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        raise TemplateError(f"{self._source[1]}{f', line {line}' if line else ''}: {_reason(error)}") from None
