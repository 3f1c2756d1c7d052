"""Every made-up key of the suite is a canary by its form; a test that lets the project show one has failed.

Watched over each test: messages of our errors, our loggers' records, captured output, pickles, spans, the files that
are left in the test's folder, and what a Redis held when it was stopped.
"""

import base64
import contextlib
import logging
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# No tag of a model or a word of prose: "sk-" or "hl-" and more, or Basic credentials that begin with "pk-lf".
FORM = re.compile(
    rb"(?<![\w.-])(?:sk|hl)-[A-Za-z0-9][\w-]{2,}|" + base64.b64encode(b"pk-lf-").rstrip(b"=") + rb"[\w+/]{8,}"
)
LOGGERS = ("promptwire", "langchain_promptwire", "llama_index.llms.promptwire")
MAX_BYTES = 5_000_000
# What tests write keys into themselves, as a user would.
OWN_FILES = re.compile(r"(^|/)\.?env|proxy.*\.ya?ml$|config\.ya?ml$")


class Canaries:
    """What was seen of keys, and where, since the last test began."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def look(self, where: str, shown: str | bytes) -> None:
        """Note a key in a text or in bytes, masked: the note is shown."""
        data = shown if isinstance(shown, bytes) else shown.encode("utf-8", "replace")
        if found := FORM.search(data):
            self.seen.append(
                f"{where}: {found[0][:5].decode()}... in {data[max(found.start() - 60, 0) : found.start()]!r}"
            )

    def look_through(self, folder: Path) -> None:
        """The files that a test has left."""
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not path.is_symlink() and not OWN_FILES.search(name):
                with contextlib.suppress(OSError), path.open("rb") as file:
                    self.look(f"file {name}", file.read(MAX_BYTES))


CANARIES = Canaries()


@contextlib.contextmanager
def watching() -> Iterator[Canaries]:
    """While it lasts, what the project shows is looked at."""
    from promptwire import PromptwireError

    factory, dumps = logging.getLogRecordFactory(), pickle.dumps

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = factory(*args, **kwargs)
        if made.name.startswith(LOGGERS):
            CANARIES.look(f"log of {made.name}", f"{made.msg} {made.args}")
        return made

    def made(cls: type[PromptwireError], *args: object, **_: object) -> PromptwireError:
        CANARIES.look(cls.__name__, " ".join(map(str, args)))
        return Exception.__new__(cls, *args)

    def dumped(*args: Any, **kwargs: Any) -> bytes:
        data = dumps(*args, **kwargs)
        CANARIES.look(f"pickle of {type(args[0]).__name__}", data)
        return data

    logging.setLogRecordFactory(record)
    PromptwireError.__new__ = made  # type: ignore[assignment,method-assign]
    pickle.dumps = dumped
    restore_spans = _watch_spans()
    try:
        yield CANARIES
    finally:
        logging.setLogRecordFactory(factory)
        del PromptwireError.__new__
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
