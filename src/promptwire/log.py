"""Logging: quiet unless asked; with ``set_verbose(True)`` each model request is shown, its keys masked."""

import json
import logging
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from promptwire.masking import masked
from promptwire.params import PROMPT_PARAMS
from promptwire.unseen import one_line, printable

if TYPE_CHECKING:
    from promptwire.exchange import Request

logger = logging.getLogger("promptwire")


class _Lines(str):
    """A text of several lines, all of which are ours."""

    __slots__ = ()


def _on_one_line(record: logging.LogRecord) -> bool:
    """Whatever names a record tells, of prompts, variables or files: none begins a line or drives a terminal."""
    if isinstance(record.args, Mapping):
        record.args = {name: _told(value) for name, value in record.args.items()}
    else:
        record.args = tuple(map(_told, record.args or ()))
    return True


def _told(value: object) -> object:
    foreign = isinstance(value, str | BaseException) and not isinstance(value, _Lines)
    return one_line(str(value)) if foreign else value


logger.addFilter(_on_one_line)

_USER = re.compile(r"(?<=://)[^/?#]*@")
_SAFE_HEADERS = {"content-type", "accept", "anthropic-version", "user-agent"}


def set_verbose(on: bool = True) -> None:  # noqa: FBT001, FBT002 - the signature that LiteLLM's users know
    """Log every model request, as curl, to stderr (or to the handlers that the application has set)."""
    logger.setLevel(logging.DEBUG if on else logging.NOTSET)
    ours = [handler for handler in logger.handlers if isinstance(handler, _Stderr)]
    if on and not ours and not logger.hasHandlers():
        logger.addHandler(_Stderr())
    elif not on:
        for handler in ours:
            logger.removeHandler(handler)


def configure_from_environment() -> None:
    """Honour ``PROMPTWIRE_LOG`` (``debug``, ``info``, …); called at a resolver's or gateway's first use."""
    level = os.environ.get("PROMPTWIRE_LOG", "").strip().upper()
    if level == "DEBUG":
        set_verbose()
    elif level in logging.getLevelNamesMapping():
        logger.setLevel(level)


def show_request(request: "Request") -> None:
    """Log the request that goes out, as a curl command without its keys."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    logger.debug("POST Request Sent from Promptwire:\n%s", _Lines(as_curl(request)))


def as_curl(request: "Request") -> str:
    """A request as a curl command without its keys."""
    lines = [f"curl -X {request.method} {shlex.quote(_USER.sub('*****@', request.url))}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in safe_headers(request).items()]
    if request.body:
        lines.append(f"-d {shlex.quote(_readable(partial(json.loads, request.body)))}")
    return " \\\n  ".join(lines)


def safe_headers(request: "Request") -> dict[str, str]:
    """A request's headers, all but the harmless ones masked."""
    return {name: _masked(name, value) for name, value in request.headers.items()}


def show_resolved(model: object, messages: Callable[[], Sequence[object]], params: Mapping[str, object]) -> None:
    """Log what a framework's own model is handed; of its parameters only those that a prompt may set show a value."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    shown = {name: value if name in PROMPT_PARAMS else "*****" for name, value in params.items() if value is not None}
    text = _readable(lambda: {"model": model, "messages": messages(), **shown})
    logger.debug("POST Request Sent from Promptwire:\n%s", _Lines(text))


def show_foreign(what: str, error: BaseException) -> None:
    """Log an error that isn't ours by its kind and its frames: what its text repeats, nobody knows."""
    frames = _Lines("".join(traceback.format_tb(error.__traceback__)))
    logger.error("%s raised %s\n%s", what, type(error).__name__, frames)


def _masked(name: str, value: str) -> str:
    return value if name.lower() in _SAFE_HEADERS else "*****"


def _readable(made: Callable[[], object]) -> str:
    """A request's body with its keys masked; what can't be shown is named by its error, and fails no call."""
    body = None
    try:
        body = made()
        return _json(masked(body))
    except Exception as error:  # noqa: BLE001 - a value may raise anything
        if not isinstance(body, dict):
            return f"<{type(error).__name__}>"
    return _json({name: _pieces(name, value) for name, value in body.items()})


def _pieces(name: str, value: object) -> object:
    return [_piece(name, one) for one in value] if isinstance(value, list) else _piece(name, value)


def _piece(name: str, value: object) -> object:
    try:
        shown = masked({name: value})
        _json([[[shown]]])  # as deep as it will stand
    except Exception as error:  # noqa: BLE001 - as above
        return f"<{type(error).__name__}>"
    return shown[name]


def _json(value: object) -> str:
    return printable(json.dumps(value, indent=2, ensure_ascii=False, default=lambda odd: f"<{type(odd).__name__}>"))


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the stderr of the moment, which tests and notebooks replace."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)
