"""One render: what it may still spend, and the names it missed."""

from collections.abc import Callable, Collection, Iterable, Iterator

from jinja2 import Environment, Undefined
from jinja2.runtime import Context

from promptwire.errors import TemplateError
from promptwire.sandbox.data import CONTAINERS, MAX_DEPTH, SCALARS, SEQUENCES, Data, check_bits

MAX_STEPS = 100_000
MAX_OUTPUT = 1_000_000


def _path(value: Undefined) -> str | None:
    name = value._undefined_name  # noqa: SLF001 - jinja2 tells it in no other way
    # A macro asks whether it has a caller; that is no variable.
    return None if name == "caller" else name


class Run(Context):
    """The context of one render, which every hook is given."""

    def __init__(
        self, environment: Environment, values: dict[str, Data], missing: list[str] | None, known: frozenset[str]
    ) -> None:
        super().__init__(environment, {**environment.globals, **values}, None, {})
        self.missing = missing
        self.known = known
        self.left = MAX_STEPS
        self.room = MAX_OUTPUT
        self.calls = 0

    def charge(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TemplateError(f"it takes more than {MAX_STEPS:,} steps")

    def pay(self, items: Collection[Data], times: int = 1) -> None:
        """Charge for writing a text or a list so many times."""
        self.charge(len(items) * times >> (7 if isinstance(items, str) else 3))

    def use(self, value: object) -> bool:
        """Whether the value is undefined; if it has a name, that is a missing variable."""
        if not isinstance(value, Undefined):
            return False
        path = _path(value)
        if path is not None and self.missing is not None:
            # A name computed from a variable's value must not get into a message.
            self.missing.append(path if path in self.known else "an item of a variable")
        return True

    def hash(self, keys: Collection[Data]) -> None:
        """Charge for a table of such keys: numbers, unlike texts, can be chosen so that each meets all the others."""
        numbers = sum(type(key) is not str for key in keys)
        self.charge(1 + (numbers * numbers >> 6))

    def weigh(self, *values: object) -> None:
        """Charge for all that the values hold, counting what is shared as often as it is reached."""
        level: Iterable[object] = values
        for _ in range(MAX_DEPTH):
            nested: list[object] = []
            for value in level:
                if isinstance(value, str):
                    self.pay(value)
                elif isinstance(value, CONTAINERS):
                    self.charge(1)
                    self.pay(value)
                    nested.extend(value)
                    nested.extend(value.values() if isinstance(value, dict) else ())
                elif isinstance(value, int):
                    self.charge(value.bit_length() >> 9)
                elif type(value) not in SCALARS and not self.use(value):
                    raise TemplateError("a macro, loop, method or namespace is no text or data")
            if not nested:
                return
            level = nested
        raise TemplateError(f"data is nested more than {MAX_DEPTH} deep")

    def made(self, value: Data) -> Data:
        """Charge for a result, and let nothing lazy, huge or foreign through."""
        if isinstance(value, str):
            self.pay(value)
            return str.__str__(value)
        if isinstance(value, CONTAINERS):
            self.pay(value)
        elif isinstance(value, int):
            check_bits(value.bit_length())
        elif isinstance(value, Iterator):
            return list(self.each(value, self._item))
        elif type(value) not in SCALARS and not isinstance(value, Undefined):
            raise TemplateError("an operation gives what is no text or data")
        return value

    def _item(self, item: Data) -> None:
        self.charge(1)
        if isinstance(item, list | tuple):  # made for the purpose, as batch does
            self.pay(item)

    def each(self, items: Iterable[Data], price: Callable[[Data], None]) -> Iterator[Data]:
        """What a builtin makes, paid for piece by piece."""
        for item in items:
            price(item)
            yield item

    def text(self, value: Data) -> str:
        if type(value) is str:
            result = value
        elif self.use(value):
            path = _path(value)
            result = "" if path is None else f"{{{{ {path} }}}}"
        else:
            self.weigh(value)
            result = str(value)
        self.charge(1)
        self.pay(result)
        return result

    def emit(self, piece: str) -> None:
        """Charge for a piece of the output."""
        self.room -= len(piece)
        if self.room < 0:
            raise TemplateError(f"its output is longer than {MAX_OUTPUT:,} characters")

    def arguments(self, receiver: Data, values: Iterable[Data]) -> bool:
        """Charge for a builtin's arguments; whether one of them is undefined."""
        undefined = False
        for value in values:
            undefined |= self.use(value)
            self.weigh(value)
            if isinstance(value, str) and isinstance(receiver, SEQUENCES):
                # At worst each character is compared with each, or each item is looked up along a path.
                self.charge(len(value) * len(receiver) >> (16 if isinstance(receiver, str) else 4))
        return undefined
