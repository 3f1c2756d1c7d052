"""The last good prompts in a folder: one file each, written whole or not at all, and bounded.

Files are named by a digest, so no id reaches the file system. Each is authenticated with a key that is derived from
the backend's identity: for Langfuse and Humanloop, that is from the credentials, which are not in the folder. So
whoever can write to the folder but lacks the credentials can delete prompts, or bring back an older file of the same
prompt, but can't make one up, change one, or pass one prompt off as another. Where a backend has no credentials (files)
the code detects torn files alone; that a file is this user's own, and writable by nobody else, is checked for all.
"""

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from promptwire import log
from promptwire.prompts import Prompt
from promptwire.stores import Stored, StoreKey
from promptwire.stores.records import MAX_RECORD, RecordError, seal, unseal

MAX_FILES = 10_000
MAX_BYTES = 200_000_000
LEFTOVER_SECONDS = 3600.0

# What a planted link, pipe or device could do to a plain open().
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SUFFIX, _UNFINISHED = ".prompt", ".tmp"


class DiskStore:
    """``DiskStore("/var/cache/myapp")``: made when first written to, for this user alone.

    Past ``max_files`` or ``max_bytes`` the files that were confirmed longest ago go, some five percent late.
    """

    shared = False

    def __init__(
        self, folder: str | os.PathLike[str], *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
    ) -> None:
        self.folder = Path(folder).absolute()  # of the folder that the application started in
        self._bounds = (max_files, max_bytes)
        self._room = [0, 0]  # files and bytes that may be written before the folder is looked through again
        self._reported: set[str] = set()

    def get(self, key: StoreKey, deadline: float) -> Stored | None:  # noqa: ARG002 - the protocol's
        """What was last put. A file that is torn, forged or not ours is reported once, and left alone."""
        path = self._path(key)
        try:
            sealed, confirmed = _read(path)
            return Stored(unseal(key, sealed, fetched_at=confirmed))
        except FileNotFoundError:
            return None
        except RecordError as error:
            if path.name not in self._reported and len(self._reported) < MAX_FILES:
                self._reported.add(path.name)
                log.logger.warning("%s prompt %r: ignoring %s: %s", key.backend, key.ref.id, path, error)
            return None

    def put(self, key: StoreKey, prompt: Prompt, ttl: float, deadline: float) -> None:  # noqa: ARG002 - the protocol's
        """Write, if it says something new. Raises ``OSError``, and ``RecordError`` for what JSON can't hold."""
        path = self._path(key)
        sealed = seal(key, prompt)
        if len(sealed) > MAX_RECORD:
            raise RecordError(f"it is larger than {MAX_RECORD // 1_000_000} MB")
        if _holds(path, sealed):
            with contextlib.suppress(FileNotFoundError):  # another process has just made room
                os.utime(path)
                return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(len(sealed))
        _write(path, sealed)

    def drop(self, key: StoreKey, deadline: float) -> None:  # noqa: ARG002 - the protocol's
        """Remove."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: StoreKey) -> Path:
        return self.folder / f"{key.name}{_SUFFIX}"

    def _make_room(self, size: int) -> None:
        """Look through the folder now and then: other processes write too, and each time would be too often."""
        self._room[0] -= 1
        self._room[1] -= size
        if min(self._room) >= 0:
            return
        files, total = 1, size
        for _, entry_size, path in sorted(self._entries(), reverse=True):
            files += 1
            total += entry_size
            if files > self._bounds[0] or total > self._bounds[1]:
                with contextlib.suppress(OSError):
                    Path(path).unlink()
        self._room = [limit // 20 for limit in self._bounds]

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """Time, size and path of each file of ours; what a crash left half-written is removed on the way."""
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):  # another process was faster
                told = entry.stat(follow_symlinks=False)
                if entry.name.endswith(_SUFFIX) and stat.S_ISREG(told.st_mode):
                    yield told.st_mtime, told.st_size, entry.path
                elif entry.name.endswith(_UNFINISHED) and time.time() - told.st_mtime > LEFTOVER_SECONDS:
                    Path(entry.path).unlink()


def _read(path: Path) -> tuple[bytes, float]:
    """A regular file of ours that nobody else may write, and its time; ``RecordError`` for any other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _SAFELY)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise RecordError("it is a link or a socket") from error
        raise
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode) or told.st_size > MAX_RECORD:
            raise RecordError("it is no file of a prompt's size")
        if hasattr(os, "geteuid") and (told.st_uid != os.geteuid() or told.st_mode & 0o022):
            raise RecordError("it belongs to another user, or others may write it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_RECORD), told.st_mtime
    finally:
        os.close(descriptor)


def _holds(path: Path, sealed: bytes) -> bool:
    try:
        return _read(path)[0] == sealed
    except (OSError, RecordError):
        return False


def _write(path: Path, sealed: bytes) -> None:
    """Whole or not at all, even if the machine stops: written aside, flushed, then moved into place."""
    descriptor, aside = tempfile.mkstemp(suffix=_UNFINISHED, dir=path.parent)  # 0600, and no link is followed
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(descriptor)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
