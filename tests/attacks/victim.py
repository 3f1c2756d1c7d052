"""Tries entries of the corpus, named by number, in a process of bounded memory; tells on stdout what each took."""

import cProfile
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from promptwire import Prompt, PromptwireError, Resolver
from promptwire.backends.files import FilesBackend
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.testing import FakeLangfuse
from tests.attacks.corpus import entries, expand

VALUES: dict[str, Any] = {"x": "SECRET", "y": "5", "docs": [{"t": "a", "n": 1}], "a": "A"}
MEMORY = 1 << 30
SMALL = 2000
FILED = ("jinja", "mustache")

Door = Callable[[], list[dict[str, Any]]]


def main(*numbers: str) -> None:
    """A line of JSON for each entry."""
    known = entries()
    with tempfile.TemporaryDirectory() as folder, FakeLangfuse() as langfuse:
        doors = Doors(Path(folder), langfuse)
        for entry in ({"dialect": "answer", "text": "{}"}, {"dialect": "jinja", "text": "{{ x }}"}):
            doors.measured(entry)  # what is imported late
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for number in map(int, numbers):
            sys.stdout.write(json.dumps({"entry": number, **doors.measured(known[number])}) + "\n")


class Doors:
    """How a text of each kind reaches the application; each text is a prompt of its own, so that none is stale."""

    def __init__(self, folder: Path, langfuse: FakeLangfuse) -> None:
        self._folder = folder
        self._langfuse = langfuse
        self._names = map("p{}".format, count())
        backend = LangfuseBackend(langfuse.public_key, langfuse.secret_key, langfuse.url)
        self._files = Resolver(FilesBackend(folder), store=False, timeout=60)
        self._remote = Resolver(backend, store=False, timeout=60)

    def measured(self, entry: dict[str, Any]) -> dict[str, Any]:
        """What an entry took, and what came of it; of a small one by a file, too, which must be the same."""
        text, dialect = expand(entry["text"]), entry["dialect"]
        doors: dict[str, Door] = {"file": partial(self._file, text), "answer": partial(self._answer, text)}
        door = doors.get(dialect) or partial(_prompt, text, dialect)
        with memory() as peak, counted() as calls:
            begun = time.process_time()
            told = _outcome(door)
            seconds = time.process_time() - begun
        if dialect in FILED and len(text) < SMALL:
            filed = json.dumps({"text": text, "template_format": dialect})
            told["filed"] = _outcome(partial(self._file, filed))["outcome"]
        return {**told, "seconds": seconds, "peak": peak[0], "calls": calls[0]}

    def _file(self, content: str) -> list[dict[str, Any]]:
        name = next(self._names)
        self._folder.joinpath(f"{name}.yaml").write_bytes(content.encode("utf-8", "surrogatepass"))
        return self._files.resolve(name, variables=VALUES).messages

    def _answer(self, body: str) -> list[dict[str, Any]]:
        self._langfuse.garbage(body)
        return self._remote.resolve(next(self._names), variables=VALUES).messages


def _prompt(text: str, dialect: str) -> list[dict[str, Any]]:
    return Prompt("p", text=text, dialect=dialect).render(VALUES).messages


def _outcome(door: Door) -> dict[str, Any]:
    try:
        messages = door()
    except PromptwireError as error:
        return {"outcome": "refused", "says": f"{type(error).__name__}: {error}"[:2000]}
    written = json.dumps(messages)
    roles = [message["role"] for message in messages]
    return {"outcome": "text", "says": written[:2000], "length": len(written), "roles": roles}


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many calls, of Python and of C, this thread made: the same number on any machine."""
    calls = [0]
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield calls
    finally:
        profile.disable()
        calls[0] = sum(row.callcount for row in profile.getstats())


@contextmanager
def memory() -> Iterator[list[int]]:
    """By how many bytes the process grew at most; 0 where Linux doesn't tell."""
    peak = [0]
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        yield peak
        return
    before = _status("VmRSS")
    yield peak
    peak[0] = max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
