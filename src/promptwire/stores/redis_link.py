"""One process's link to Redis: whether it is up, what it announces, and the thread that hears what others announce."""

import contextlib
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakMethod

from promptwire import log
from promptwire.stores import GAP, Hear, Scope

CHANNEL = "promptwire:invalidate"

KEEP_SECONDS = 7 * 86_400
"""What nobody has confirmed for so long is removed; nothing is fresh for longer."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STEADY_SECONDS = 1.0
"""A link that was up for longer is worth mending at once; one that is not fails again at somebody's cost."""
POLL_SECONDS, PING_SECONDS, SILENT_SECONDS = 0.5, 5.0, 10.0
MAX_PENDING = 1000


@dataclass(slots=True)
class _Notice:
    epoch: str
    told: bool = False  # and it remains to be written


class Link:
    """Up while its thread is subscribed, so that what is read while it is up is also heard to be out of date.

    The thread holds the link, and the link nobody: it ends soon after ``stop``, and never delays an exit.
    """

    def __init__(self, client: Any, where: str, timeout: float, hearers: "list[WeakMethod[Hear]]") -> None:
        self.client = client
        self.where = where
        self._timeout = timeout
        self._hearers = hearers
        self._sender = secrets.token_hex(8)  # we needn't hear ourselves
        self._pending: dict[Scope, _Notice] = {}
        self._tried = threading.Event()
        self._lock = threading.Lock()
        self._found_at = math.inf
        self._started = self._stopped = self._up = self._told = False

    def is_up(self) -> bool:
        """Starts the thread; the first callers wait until it has tried, or the time for an operation is over."""
        with self._lock:
            if not self._started:
                self._started = True
                # If the system has no thread to give, nothing is shared.
                with contextlib.suppress(RuntimeError):
                    threading.Thread(target=self._run, name="promptwire-redis", daemon=True).start()
        if not self._tried.wait(self._timeout):
            self._tried.set()  # it hangs, say in a look-up of the host's name: nobody else need wait
        return self._up

    def stop(self) -> None:
        """Have the thread end."""
        self._stopped = True  # a lock, as an Event has, could be held for ever in a forked child

    def ask(self, fill: Callable[[Any], object]) -> list[Any] | None:
        """The answers to a pipeline of commands, errors among them; ``None`` if Redis isn't there."""
        try:
            with self.client.pipeline(transaction=False) as pipe:
                fill(pipe)
                answers: list[Any] = pipe.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - whatever a server that isn't well makes the client raise
            self._lost(error)
            return None
        return answers

    def announce(self, scope: Scope) -> None:
        """Remember to tell everybody; at most so many for as long as nobody can be told."""
        with self._lock:
            self._pending[scope] = _Notice(secrets.token_hex(8))
            if len(self._pending) > MAX_PENDING:
                del self._pending[next(iter(self._pending))]

    def pending(self, scope: Scope | None = None) -> bool:
        """Whether Redis doesn't know yet of an announcement of ours, this one or any."""
        return bool(self._pending) if scope is None else scope in self._pending

    def flush(self) -> int | None:
        """Tell what is pending, and answer how many listen; ``None`` if it could not be told."""
        if self._started and not self._up:
            return None
        with self._lock:
            notices = [(scope, notice, notice.told) for scope, notice in self._pending.items()]
        if not notices:
            return 0
        answers = self.ask(partial(self._tell, notices=notices))
        if answers is None:
            return None
        heard, left = 0, iter(answers)
        for scope, notice, told in notices:
            written, listening = next(left), 0 if told else next(left)
            if isinstance(listening, int):
                heard, notice.told = max(heard, listening), True
            with self._lock:
                if not isinstance(written, Exception) and notice.told and self._pending.get(scope) is notice:
                    del self._pending[scope]
        return heard

    def _tell(self, pipe: Any, notices: list[tuple[Scope, _Notice, bool]]) -> None:
        """First what is in Redis is out of date, then everybody hears of it, once; in one round trip, however many."""
        for scope, notice, told in notices:
            pipe.set(epoch_key(scope.digest), notice.epoch, ex=2 * KEEP_SECONDS)
            if not told:
                pipe.publish(CHANNEL, f"{self._sender} {scope.backend} {scope.prompt}")

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped:
            self._found_at = math.inf
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - as in ask()
                self._lost(error)
            held = max(time.monotonic() - self._found_at, 0.0)
            pause = FIRST_PAUSE if held > STEADY_SECONDS else min(2 * pause, LONGEST_PAUSE)
            time.sleep(pause)
        self.client.close()

    def _listen(self) -> None:
        """Until it fails, here or in another thread."""
        with self.client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            if pubsub.get_message(timeout=self._timeout) is None:
                raise TimeoutError("it doesn't answer")
            self._found()
            heard = time.monotonic()
            while self._up and not self._stopped:
                message = pubsub.get_message(timeout=POLL_SECONDS)
                quiet = time.monotonic() - heard
                if message is not None:
                    heard = time.monotonic()
                    self._hear(message)
                elif quiet > SILENT_SECONDS:
                    raise TimeoutError("it has fallen silent")
                elif quiet > PING_SECONDS:
                    pubsub.ping()

    def _found(self) -> None:
        self.tell_hearers(GAP)  # of what was announced in the meantime, nothing was heard
        self._up = True
        self._found_at = time.monotonic()
        self._tried.set()
        self.flush()
        self._told = self._told and not self._up

    def _lost(self, error: Exception) -> None:
        with self._lock:
            told, self._told, self._up = self._told, True, False
        self._tried.set()
        if not told:
            log.logger.warning(
                "the store at %s can't be reached, and is done without: %s: %s", self.where, type(error).__name__, error
            )

    def _hear(self, message: dict[str, Any]) -> None:
        """Anybody who may publish can cost us a fetch, and no more."""
        data = message.get("data")
        if message.get("type") != "message" or not isinstance(data, bytes) or len(data) > 200:
            return
        sender, _, scope = data.decode("ascii", "replace").partition(" ")
        if sender != self._sender:
            backend, _, prompt = scope.partition(" ")
            self.tell_hearers(Scope(backend, prompt))

    def tell_hearers(self, scope: Scope | None) -> None:
        """Those of this process."""
        for hear in living(self._hearers):
            hear(scope)


def living(hearers: "list[WeakMethod[Hear]]") -> list[Hear]:
    """Those that are still there; the others leave the list."""
    found = []
    for held in list(hearers):
        if (hear := held()) is not None:
            found.append(hear)
        else:
            with contextlib.suppress(ValueError):  # another thread was first
                hearers.remove(held)
    return found


def epoch_key(digest: str) -> str:
    """Where the mark of a scope's last invalidation is."""
    return f"promptwire:epoch:{digest}"
