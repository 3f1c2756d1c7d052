"""Every made-up key of the suite is a canary by its form; a test that lets the project show one has failed.

Watched over each test: our errors, with their fields and the errors behind them, what goes through one of ``DOORS``,
the output and the files that the test leaves, and what a Redis held when it was stopped.
"""

import base64
import contextlib
import functools
import importlib
import logging
import pickle
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# No tag of a model or a word of prose: what keys and webhooks' secrets begin with, and more, or Basic credentials that
# begin with "pk-lf".
FORM = re.compile(
    rb"(?<![\w.-])(?:sk-|hl-|hl_sk_|lf-whsec_)[A-Za-z0-9][\w-]*|"
    + base64.b64encode(b"pk-lf-").rstrip(b"=")
    + rb"[\w+/]{8,}"
)
LOGGERS = ("promptwire", "langchain_promptwire", "llama_index.llms.promptwire", "uvicorn", "asyncio")
MAX_BYTES = 5_000_000
_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({})))  # what is more was given as ``extra=``
# What tests write keys into themselves, as a user would.
OWN_FILES = re.compile(r"(^|/)\.?env|proxy.*\.ya?ml$|config\.ya?ml$")


class Canaries:
    """What was seen of keys, and where, since the last test began."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._errors: dict[int, weakref.ref[BaseException]] = {}

    def look(self, where: str, *shown: object) -> None:
        """Note a key in bytes, or in the text of anything else, masked: the note is shown."""
        data = b"\n".join(one if isinstance(one, bytes) else str(one).encode("utf-8", "replace") for one in shown)
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


def _of_record(made: logging.LogRecord, *_: Any) -> tuple[object, ...]:
    error = made.exc_info[1] if made.exc_info else None
    extra = [value for name, value in vars(made).items() if name not in _PLAIN_RECORD]
    ours = made.name.startswith(LOGGERS)
    return f"log of {made.name}", *((made.msg, made.args, extra, _told(error)) if ours else ())


def _of_file(path: Path, *_: Any) -> tuple[object, ...]:
    """One of a store or of prompts, which are written aside and moved into place."""
    if not OWN_FILES.search(path.name):
        with contextlib.suppress(OSError):  # another process has removed it
            return f"file {path.name}", path.read_bytes()
    return (f"file {path.name}",)


def _of_redis(_: None, __: Any, command: Any, **___: Any) -> tuple[object, ...]:
    """What is sent, but for the password, which is for Redis."""
    sent = b"".join(command) if isinstance(command, list) else command
    return "Redis", b"" if re.match(rb"\*\d+\r\n\$\d+\r\n(AUTH|HELLO)\r\n", sent) else sent


# Where what somebody sees goes through: for each function or method, of what it returned and was called with, what
# that is called and what is to be looked at. Of what isn't installed the packages' tests run without.
DOORS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "logging:Logger.makeRecord": _of_record,
    "pickle:dumps": lambda data, thing, *_, **__: (f"pickle of {type(thing).__name__}", data),
    "subprocess:Popen.communicate": lambda told, *_, **__: ("subprocess", *told),
    "pathlib:Path.replace": _of_file,
    "_pytest.capture:CaptureFixture.readouterr": lambda told, *_: ("captured output", *told),
    "click.testing:CliRunner.invoke": lambda done, *_, **__: ("command", done.stdout_bytes, done.stderr_bytes),
    "promptwire.display:Displayed._repr_mimebundle_": lambda shown, *_, **__: ("display", *shown.values()),
    "promptwire.notebook.widget:Playground._repr_mimebundle_": lambda shown, *_, **__: ("display", shown),
    "ipywidgets:Widget.get_state": lambda state, *_, **__: ("widget", state),
    "nbclient:NotebookClient.process_message": lambda output, *_, **__: ("notebook", output),
    "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send": lambda _, __, message: (
        "answer", *message.get("headers", ()), message.get("body", b"")
    ),
    "redis.connection:AbstractConnection.send_packed_command": _of_redis,
    "opentelemetry.sdk.trace.export.in_memory_span_exporter:InMemorySpanExporter.export": lambda _, __, spans: (
        f"span {spans[0].name}", *(span.to_json() for span in spans)
    ),
    "opentelemetry.sdk.metrics.export:InMemoryMetricReader.get_metrics_data": lambda data, *_: (
        "metrics", data and data.to_json()
    ),
}  # fmt: skip


class _Pickler(pickle.Pickler):
    """The built-in one can't be given a door."""

    def __init__(self, file: Any, *args: Any, **kwargs: Any) -> None:
        def write(data: Any) -> Any:
            CANARIES.look("pickle", bytes(data))
            return file.write(data)

        super().__init__(SimpleNamespace(write=write), *args, **kwargs)


def _dump(thing: object, file: Any, *args: Any, **kwargs: Any) -> None:
    _Pickler(file, *args, **kwargs).dump(thing)


def _watched(real: Callable[..., Any], shown: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
    @functools.wraps(real)
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        CANARIES.look(*shown(result, *args, **kwargs))
        return result

    return watched


@contextlib.contextmanager
def watching() -> Iterator[Canaries]:
    """While it lasts, what the project shows is looked at."""
    from promptwire import PromptwireError

    def made(cls: type[PromptwireError], *args: object, **_: object) -> PromptwireError:
        error = Exception.__new__(cls, *args)
        CANARIES.await_end(error)
        return error

    def dying(error: PromptwireError) -> None:
        CANARIES.look_at_error(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PromptwireError, "__new__", made, raising=False)
        patch.setattr(PromptwireError, "__del__", dying, raising=False)
        patch.setattr(pickle, "Pickler", _Pickler)
        patch.setattr(pickle, "dump", _dump)
        for place, shown in DOORS.items():
            module, _, path = place.partition(":")
            *owners, name = path.split(".")
            if module == "nbclient" and module not in sys.modules:
                continue  # a second, which only those need spend who run notebooks, and they have imported it by now
            with contextlib.suppress(ImportError):
                owner = functools.reduce(getattr, owners, importlib.import_module(module))
                patch.setattr(owner, name, _watched(getattr(owner, name), shown))
        yield CANARIES
