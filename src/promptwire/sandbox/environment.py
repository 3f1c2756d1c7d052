"""The jinja2 environment: the hooks that rewritten templates call, and what may be called."""

from typing import cast

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from promptwire.errors import TemplateError
from promptwire.sandbox.data import SCALARS, SEQUENCES, Data, keys_of, lookup
from promptwire.sandbox.filters import FILTERS, TESTS, Function
from promptwire.sandbox.operations import Method, compare, iterable, operate
from promptwire.sandbox.run import Run

MAX_CALLS = 50


def _used(run: Run, value: Data) -> Data:
    run.charge(1)
    run.use(value)
    return value


def _get(run: Run, value: Data, key: Data, path: str) -> Data:
    run.charge(1)
    if run.use(value):
        return value
    return key if run.use(key) else lookup(value, key, path)


def _slice(run: Run, value: Data, *bounds: Data) -> Data:
    if run.use(value):
        return value
    if not isinstance(value, SEQUENCES):
        raise TemplateError("only a text or list can be sliced")
    return run.made(value[slice(*bounds)])


def _key(run: Run, value: Data) -> Data:
    if type(value) not in SCALARS and not run.use(value):
        raise TemplateError("a mapping's keys are texts or numbers")
    return value


def _literal(run: Run, value: Data) -> Data:
    run.hash(value if isinstance(value, dict) else ())
    return value


def _concat(run: Run, *values: Data) -> str:
    return "".join([run.text(value) for value in values])


_HOOKS: dict[str, Function] = {
    "$compare": compare, "$concat": _concat, "$enter": Run.charge, "$get": _get, "$key": _key,
    "$literal": _literal, "$loop": iterable,
    "$method": Method, "$slice": _slice, "$used": _used,
}  # fmt: skip


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)

    def __init__(self) -> None:
        super().__init__(optimized=False, keep_trailing_newline=True, finalize=pass_context(Run.text))
        self.globals = {"range": range, "dict": dict, "namespace": Namespace}
        self.filters = {**FILTERS, **{name: pass_context(hook) for name, hook in _HOOKS.items()}}
        self.tests = dict(TESTS)

    def getitem(self, obj: Data, argument: Data) -> Data:
        return lookup(obj, argument, str(argument))

    def call_binop(self, context: Context, operator: str, left: Data, right: Data) -> Data:
        return operate(cast("Run", context), operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Data) -> Data:
        run = cast("Run", context)
        run.charge(1)
        return arg if run.use(arg) else run.made(self.unop_table[operator](arg))

    def call_filter(self, name: str, *args: Data, **kwargs: Data) -> Data:
        # The only way to name a filter by a text, and so to reach a hook.
        if name not in FILTERS:
            raise TemplateError("there is no filter of that name")
        return super().call_filter(name, *args, **kwargs)

    def call(self, context: Context, obj: Data, /, *args: Data, **kwargs: Data) -> Data:
        run = cast("Run", context)
        run.charge(1)
        kwargs.pop("_loop_vars", None)
        if isinstance(obj, Method):
            return obj.call(args, kwargs)
        if isinstance(obj, Macro | LoopContext):
            return self._descend(run, obj, args, kwargs)
        if run.use(obj) or run.arguments(None, (*args, *kwargs.values())):
            return Undefined()
        if obj is range:
            numbers = range(*args)
            run.pay(numbers)
            return list(numbers)
        if obj is dict or obj is Namespace:
            for table in args:
                run.hash(keys_of(iterable(run, table)))
            return obj(*args, **kwargs)
        raise TemplateError("only macros, methods, loop, range, dict and namespace can be called")

    def _descend(self, run: Run, obj: Data, args: Data, kwargs: Data) -> Data:
        run.calls += 1
        if run.calls > MAX_CALLS:
            raise TemplateError(f"macros or loops call each other more than {MAX_CALLS} deep")
        if isinstance(obj, LoopContext):
            args = [iterable(run, value) for value in args]
        try:
            return run.made(obj(*args, **kwargs))
        finally:
            run.calls -= 1


ENVIRONMENT = _Environment()
