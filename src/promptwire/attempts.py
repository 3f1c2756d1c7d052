"""Asking a backend: again where that may help, all before one deadline, and every failure an error of our tree."""

import random
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

from promptwire.backends import Backend
from promptwire.backends.http import Http, NotModifiedError
from promptwire.errors import BackendError, PromptwireError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

T = TypeVar("T")

RETRY_PAUSES = (0.1, 0.4)


def attempt(fetch: Callable[[Http], T], http: Http) -> T:
    """Fetch, and again where it may help, all before ``http.deadline``."""
    for pause in (*RETRY_PAUSES, None):
        try:
            return fetch(http)
        except (PromptwireError, NotModifiedError) as error:
            if pause is None or not _may_retry(error, pause, http):
                raise
        except BaseException as error:  # a third party's backend may raise anything
            raise BackendError(f"{http.where}: the backend raised {type(error).__name__}") from error
    raise AssertionError  # pragma: no cover - the last pause is None


def fetch_prompt(backend: Backend, ref: PromptRef, http: Http) -> Prompt:
    """What ``backend.fetch`` answers, if it is a prompt."""
    prompt: object = backend.fetch(ref, http)
    if not isinstance(prompt, Prompt):
        raise BackendError(f"{http.where}: the backend returned {type(prompt).__name__}, not a Prompt")
    return prompt


def _may_retry(error: Exception, pause: float, http: Http) -> bool:
    """Wait before the next attempt, if one makes sense in the time that remains."""
    if not isinstance(error, BackendError) or not error.retryable:
        return False
    wait = pause * random.uniform(0.5, 1.5) if error.retry_after is None else error.retry_after  # noqa: S311
    if time.monotonic() + wait >= http.deadline():
        return False
    time.sleep(wait)
    return True


def without_locals(error: PromptwireError) -> PromptwireError:
    """The same, to be remembered: its tracebacks stay, but not what was in their frames, answers and keys among it."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    return error
