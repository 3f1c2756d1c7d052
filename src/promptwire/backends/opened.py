"""The backends that one resolver has opened, by name and options."""

import hashlib
from collections.abc import Hashable
from typing import Any

from promptwire.backends import Backend, backend_class, check_backend, default_backend_name, open_backend
from promptwire.frozen import freeze
from promptwire.stores.keeper import Keeper

MAX_BACKENDS = 1000


def _told(value: object) -> Hashable:
    """What tells an option's value apart from others: not its ``repr``, in which a class may mask it."""
    if isinstance(value, str):
        text = str.__str__(value).encode("utf-8", "surrogatepass")
        return type(value), hashlib.sha256(text).digest()  # it may be a key
    return type(value), freeze(value)


class Backends:
    """Opens each backend once, so that calls with equal keys share one identity.

    With a frozen lock none is opened: what stands for each of them answers from the lock, and needs no keys.
    """

    def __init__(self, own: str | Backend | None, keeper: Keeper) -> None:
        self._own = own
        self._keeper = keeper
        self._opened: dict[Hashable, Backend] = {}

    def get(self, backend: str | Backend | None) -> Backend:
        """A backend by name; ``None`` is the resolver's own."""
        if backend is None:
            backend = self._own = self._own or default_backend_name()
        if isinstance(backend, str):
            return self.open(backend)
        checked = check_backend(backend)
        if self._keeper.frozen:
            return self._keeper.stand_in(checked.name, checked.default_label)
        return checked

    def known(self) -> list[Backend]:
        """The resolver's own, if it was given as an object, and those that were opened."""
        own = [] if self._own is None or isinstance(self._own, str) else [self._own]
        return own + list(self._opened.values())

    def open(self, name: str, **options: Any) -> Backend:
        """A backend as ``options`` configure it."""
        if self._keeper.frozen:
            return self._keeper.stand_in(name, getattr(backend_class(name), "default_label", None))
        key = (name, *((option, _told(value)) for option, value in sorted(options.items())))
        try:
            opened = self._opened.get(key)
        except TypeError:  # a value that can't be hashed is like no other
            return open_backend(name, **options)
        if opened is None:
            if len(self._opened) >= MAX_BACKENDS:
                self._opened.clear()
            opened = self._opened.setdefault(key, open_backend(name, **options))
        return opened
