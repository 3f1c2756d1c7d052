"""Many machines: a store in Redis or Valkey, one fetch a prompt among all, and invalidation that reaches everybody.

A value is sealed as the disk store's files are. What Redis adds is not sealed: how long the value is fresh for, and the
epochs in which it was fetched, that is, the marks that the last invalidations of its backend and its prompt left. It is
fresh while these are the marks that Redis holds. So whoever can write to Redis but lacks the credentials can delete
prompts, or bring back an older one; they can't make one up, change one, or pass one prompt off as another.
"""

import random
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakMethod

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.prompts import Prompt
from promptwire.stores import Hear, Scope, Stored, StoreKey
from promptwire.stores.records import RecordError, seal, unseal
from promptwire.stores.redis_link import KEEP_SECONDS, Link, epoch_key, living
from promptwire.stores.redis_url import client_options, public_url, whole_url
from promptwire.workers import rebuild_after_fork

MAX_VALUE = 2_000_000
TIMEOUT = 0.3
SHORTEST_LOCK, LONGEST_LOCK = 1.0, 5.0
ABSENT, ABSENT_SECONDS = b"-", 5
FIRST_POLL, LONGEST_POLL = 0.005, 0.1
MAX_REPORTED = 10_000

_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one fetch, on its thread, began with."""

    name: str
    epochs: bytes
    token: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    value: Any
    stored: Stored | None
    epochs: bytes
    absent: bool  # the backend has just said so to another process, whose word is not taken for it
    locked: bool | None = None  # by us; None: Redis won't have a lock, or has one that is no process' of ours

    @property
    def worth_waiting_for(self) -> bool:
        return not self.absent and (self.stored is None or self.stored.fresh_for <= 0)


class RedisStore:
    """``RedisStore("redis://localhost:6379/0")``; also ``rediss://`` (TLS) and ``unix:///path``.

    ``timeout`` bounds each wait for Redis, in seconds. A caller less patient than three of them doesn't ask Redis; of
    any other's time at most a half is spent on it.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        url = whole_url(url)
        self.url = public_url(url)
        self._options = client_options(url)
        self._timeout = timeout
        self._hearers: list[WeakMethod[Hear]] = []
        self._reported: set[str] = set()
        self._link: Link | None = None
        self.reset()
        rebuild_after_fork(self)

    def __repr__(self) -> str:
        return f"RedisStore({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.url, self._timeout)

    def reset(self) -> None:
        """In a forked child: a link of its own. Nothing counts as fresh until that hears of changes."""
        inherited = self._link is not None
        self._mine = threading.local()
        self._link = Link(_client(self._options, self._timeout), self.url, self._timeout, self._hearers)
        weakref.finalize(self, self._link.stop).atexit = False
        if inherited:
            self._link.tell_hearers(None)

    def listen(self, hear: Hear) -> None:
        """Have a bound method called with each scope that another process invalidates; it is held weakly.

        So is one that a resolver which has this very store invalidates.
        """
        living(self._hearers)  # lest those that are gone pile up
        self._hearers.append(WeakMethod(hear))

    def announce(self, scope: Scope) -> None:
        """Without waiting: from here on nothing older counts as fresh here, and elsewhere once ``flush`` has told."""
        self._linked.announce(scope)
        self._linked.tell_hearers(scope)  # only now: what was looked up before the announcement may count as fresh

    def flush(self) -> int | None:
        """Tell what was announced; answers how many processes listen, ``None`` if Redis can't be told now.

        One that is full or read-only tells those who listen, but goes on giving them what it holds.
        """
        listening = self._linked.flush()
        return None if self._linked.pending() else listening

    def get(self, key: StoreKey, deadline: float) -> Stored | None:
        """What was last put. A value that is torn, forged, foreign or too large is reported once, and left alone."""
        seen = self._look(key, deadline) if self._has_time(deadline) else None
        return seen.stored if seen else None

    def claim(self, key: StoreKey, deadline: float) -> Stored | None:
        """``get``, where a fetch comes next: one process at a time; the others wait for it, for half their time.

        If the one dies, its lock ends with its deadline, after five seconds at most; whoever can't wait for that
        fetches without, and so does one more process every five seconds of a fetch that takes longer.
        """
        give_up = (time.monotonic() + deadline) / 2
        seen = self._look(key, deadline) if self._has_time(deadline) else None
        token, pause = secrets.token_hex(8), FIRST_POLL
        while seen and seen.worth_waiting_for and time.monotonic() < give_up:
            seen = self._look(key, deadline, token, seen)
            if seen is None or seen.locked is not False:
                break
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that not all ask at once
            pause = min(pause * 1.5, LONGEST_POLL)
        if seen is None:
            return None
        self._mine.claim = _Claim(key.name, seen.epochs, token if seen.locked else None)
        return seen.stored

    def put(self, key: StoreKey, prompt: Prompt, ttl: float, deadline: float) -> None:
        """Write, and let the next one in. Raises ``RecordError``, or what a Redis that is full or read-only says."""
        claim = self._claimed(key)
        # What was fetched without a look at the epochs may be older than an invalidation: it is for outages alone.
        milliseconds, epochs = (int(min(ttl, KEEP_SECONDS) * 1000), claim.epochs) if claim else (0, b".")
        value = b"%d %s\n%s" % (milliseconds, epochs, seal(key, prompt))
        if len(value) > MAX_VALUE:
            raise RecordError(f"it is larger than {MAX_VALUE // 1_000_000} MB")
        self._write(key, value, KEEP_SECONDS, deadline)

    def drop(self, key: StoreKey, deadline: float) -> None:
        """Remove, and for a moment let all in: each asks for itself, since whoever can write here could say so too."""
        self._write(key, ABSENT, ABSENT_SECONDS, deadline)

    def release(self, key: StoreKey) -> None:
        """The fetch is over, however it ended, on the thread that made the claim."""
        unlock = self._unlock(key)
        if unlock and self._linked.is_up():
            self._check_unlocked(self._linked.ask(unlock))

    @property
    def _linked(self) -> Link:
        assert self._link is not None  # noqa: S101 - reset() made it
        return self._link

    def _claimed(self, key: StoreKey) -> _Claim | None:
        claim: _Claim | None = getattr(self._mine, "claim", None)
        return claim if claim and claim.name == key.name else None

    def _write(self, key: StoreKey, value: bytes, seconds: int, deadline: float) -> None:
        if not self._has_time(deadline):
            return
        unlock = self._unlock(key)

        def fill(pipe: Any) -> None:
            pipe.set(_value(key.name), value, ex=seconds)
            if unlock:
                unlock(pipe)

        answers = self._linked.ask(fill)
        if answers and isinstance(refusal := answers[0], Exception):
            raise refusal
        self._check_unlocked(answers)

    def _unlock(self, key: StoreKey) -> Callable[[Any], object] | None:
        """The claim of this thread ends; what lets the next one in, if it has the lock."""
        claim = self._claimed(key)
        self._mine.claim = None
        token = claim and claim.token
        return (lambda pipe: pipe.eval(_UNLOCK, 1, _lock(key.name), token)) if token else None

    def _check_unlocked(self, answers: list[Any] | None) -> None:
        if answers and isinstance(refusal := answers[-1], Exception) and _UNLOCK not in self._reported:
            self._reported.add(_UNLOCK)
            log.logger.warning(
                "the store at %s won't have locks ended, which others then wait for: %s: %s",
                self.url, type(refusal).__name__, refusal,
            )  # fmt: skip

    def _has_time(self, deadline: float) -> bool:
        return deadline - time.monotonic() > 3 * self._timeout and self._linked.is_up()

    def _look(
        self, key: StoreKey, deadline: float, token: str | None = None, before: _Seen | None = None
    ) -> _Seen | None:
        """The value, and with ``token`` the lock, which is taken first: nobody else can write in between."""
        scopes = key.scopes
        lasts = int(1000 * min(max(deadline - time.monotonic(), SHORTEST_LOCK), LONGEST_LOCK))

        def fill(pipe: Any) -> None:
            if token is not None:
                pipe.set(_lock(key.name), token, nx=True, px=lasts)
                pipe.pttl(_lock(key.name))
            pipe.getrange(_value(key.name), 0, MAX_VALUE)
            pipe.pttl(_value(key.name))
            for scope in scopes:
                pipe.getrange(epoch_key(scope.digest), 0, 32)

        if self._linked.flush() is None or (answers := self._linked.ask(fill)) is None:
            return None
        value, left, *marks = answers[-4:]
        epochs = b".".join(mark if isinstance(mark, bytes) else b"" for mark in marks)
        current = None if any(self._linked.pending(scope) for scope in scopes) else epochs
        locked = None if token is None else _is_ours(*answers[:2])
        stored = self._opened(key, value, left, current, before)
        return _Seen(value, stored, epochs, value == ABSENT, locked)

    def _opened(
        self, key: StoreKey, value: Any, left: Any, epochs: bytes | None, before: _Seen | None
    ) -> Stored | None:
        if value in {b"", ABSENT} or isinstance(value, Exception):  # which writing will tell of
            return None
        try:
            return _read(key, value, left, epochs, before.stored if before and before.value == value else None)
        except RecordError as error:
            if key.name not in self._reported and len(self._reported) < MAX_REPORTED:
                self._reported.add(key.name)
                log.logger.warning(
                    "%s prompt %r: ignoring what the store at %s holds: %s",
                    key.backend, key.ref.id, self.url, error,
                )  # fmt: skip
            return None


def _read(key: StoreKey, value: Any, left: Any, epochs: bytes | None, before: Stored | None) -> Stored:
    """``left`` is the milliseconds until Redis removes it, by Redis' own clock: machines' clocks may differ.

    ``before`` is what the same bytes were read as: the prompt is that one, unless they have been written once more.
    """
    if not isinstance(value, bytes) or not isinstance(left, int) or len(value) > MAX_VALUE:
        raise RecordError("it is no value of a prompt's kind or size")
    head, _, sealed = value.partition(b"\n")
    milliseconds, _, marks = head.partition(b" ")
    if not milliseconds.isdigit() or len(milliseconds) > 12:
        raise RecordError("it is no record of a prompt")
    age = max(KEEP_SECONDS - left / 1000, 0.0)
    prompt = unseal(key, sealed, fetched_at=time.time() - age) if before is None or before.age > age else before.prompt
    is_current = marks == epochs and 0 < left <= KEEP_SECONDS * 1000  # beyond, that clock has been set back
    fresh_for = int(milliseconds) / 1000 - age if is_current else 0.0
    return Stored(prompt, max(fresh_for, 0.0), age)


def _is_ours(taken: Any, left: Any) -> bool | None:
    """Whether the lock was taken; one that outlasts all of ours is somebody else's, and holds nobody up."""
    if isinstance(taken, Exception) or not isinstance(left, int):
        return None
    return bool(taken) or (None if left == -1 or left > LONGEST_LOCK * 1000 else False)


def _value(name: str) -> str:
    return f"promptwire:prompt:{name}"


def _lock(name: str) -> str:
    return f"promptwire:lock:{name}"


def _client(options: dict[str, Any], timeout: float) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigurationError("a store in Redis needs an extra: pip install 'promptwire[redis]'") from error
    return redis.Redis(
        **options, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0), protocol=2
    )


def _again(url: str, timeout: float) -> RedisStore:
    return RedisStore(url, timeout=timeout)
