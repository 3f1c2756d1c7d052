"""Every made-up key of the suite is a canary by its form; a test that lets the project show one has failed.

Watched over each test: our errors, with their fields and the errors behind them, our loggers' records, captured output,
pickles, spans, the files that are left in the test's folder, and what a Redis held when it was stopped.
"""

import base64
import contextlib
import logging
import pickle
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# No tag of a model or a word of prose: what keys and webhooks' secrets begin with, and more, or Basic credentials that
# begin with "pk-lf".
FORM = re.compile(
    rb"(?<![\w.-])(?:sk-|hl-|hl_sk_|lf-whsec_)[A-Za-z0-9][\w-]*|"
    + base64.b64encode(b"pk-lf-").rstrip(b"=")
    + rb"[\w+/]{8,}"
)
LOGGERS = ("promptwire", "langchain_promptwire", "llama_index.llms.promptwire")
MAX_BYTES = 5_000_000
_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({})))  # what is more was given as ``extra=``
# What tests write keys into themselves, as a user would.
OWN_FILES = re.compile(r"(^|/)\.?env|proxy.*\.ya?ml$|config\.ya?ml$")


class Canaries:
    """What was seen of keys, and where, since the last test began."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._errors: dict[int, weakref.ref[BaseException]] = {}

    def look(self, where: str, shown: str | bytes) -> None:
        """Note a key in a text or in bytes, masked: the note is shown."""
        data = shown if isinstance(shown, bytes) else shown.encode("utf-8", "replace")
        if found := FORM.search(data):
            self.seen.append(
                f"{where}: {found[0][:5].decode()}... in {data[max(found.start() - 60, 0) : found.start()]!r}"
            )

    def await_end(self, error: BaseException) -> None:
        """Look at it when it dies, or when the test ends: what an answer repeats is masked after an error is made."""
        self._errors[id(error)] = weakref.ref(error)

    def look_at_error(self, error: BaseException) -> None:
        """Once: its words and fields, and those of the errors behind it."""
        if self._errors.pop(id(error), None) is not None:
            self.look(type(error).__name__, _told(error))

    def end(self) -> None:
        """The errors that outlive their test, which must not be another's."""
        for held in list(self._errors.values()):
            if (error := held()) is not None:
                self.look_at_error(error)

    def look_through(self, folder: Path) -> None:
        """The files that a test has left."""
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not path.is_symlink() and not OWN_FILES.search(name):
                with contextlib.suppress(OSError), path.open("rb") as file:
                    self.look(f"file {name}", file.read(MAX_BYTES))


CANARIES = Canaries()


def _told(error: BaseException | None) -> str:
    """All that is shown of it: its fields, and its words and those of the errors behind it."""
    told: list[object] = []
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        told += [error, *error.args, *vars(error).values(), getattr(error, "object", "")]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    with contextlib.suppress(Exception):  # a third party's may not have a text
        return " ".join(map(str, told))
    return ""


@contextlib.contextmanager
def watching() -> Iterator[Canaries]:
    """While it lasts, what the project shows is looked at."""
    from promptwire import PromptwireError

    record_of, dumps = logging.Logger.makeRecord, pickle.dumps

    def record(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        made = record_of(self, *args, **kwargs)
        if made.name.startswith(LOGGERS):
            error = made.exc_info[1] if made.exc_info else None
            extra = [value for name, value in vars(made).items() if name not in _PLAIN_RECORD]
            CANARIES.look(f"log of {made.name}", f"{made.msg} {made.args} {extra} {_told(error)}")
        return made

    def made(cls: type[PromptwireError], *args: object, **_: object) -> PromptwireError:
        error = Exception.__new__(cls, *args)
        CANARIES.await_end(error)
        return error

    def dying(error: PromptwireError) -> None:
        CANARIES.look_at_error(error)

    def dumped(*args: Any, **kwargs: Any) -> bytes:
        data = dumps(*args, **kwargs)
        CANARIES.look(f"pickle of {type(args[0]).__name__}", data)
        return data

    logging.Logger.makeRecord = record  # type: ignore[method-assign]
    PromptwireError.__new__ = made  # type: ignore[assignment,method-assign]
    PromptwireError.__del__ = dying  # type: ignore[attr-defined]
    pickle.dumps = dumped
    restore_spans = _watch_spans()
    try:
        yield CANARIES
    finally:
        logging.Logger.makeRecord = record_of  # type: ignore[method-assign]
        del PromptwireError.__new__, PromptwireError.__del__  # type: ignore[attr-defined]
        pickle.dumps = dumps
        restore_spans()


def _watch_spans() -> Callable[[], None]:
    try:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:  # the packages' tests run without it, too
        return lambda: None
    export = InMemorySpanExporter.export

    def exported(self: Any, spans: Any) -> Any:
        for span in spans:
            CANARIES.look(f"span {span.name}", span.to_json())
        return export(self, spans)

    InMemorySpanExporter.export = exported  # type: ignore[method-assign]

    def restore() -> None:
        InMemorySpanExporter.export = export  # type: ignore[method-assign]

    return restore
