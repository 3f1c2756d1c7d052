"""Every failure in OpenAI's error shape, so that its SDK raises the right class."""

import math
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import orjson

from promptwire.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    GatewayError,
    MissingVariablesError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.exchange import TimedOutError

Headers: TypeAlias = list[tuple[bytes, bytes]]

CLOSE = (b"connection", b"close")
JSON = (b"content-type", b"application/json")
# Where a folder of prompts is, in the words of its backend, also as part of a chain's.
_FOLDER = re.compile(r" in (?:/|\w:\\)[^;]*?(?= holds no |;|$)")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES: tuple[tuple[type[PromptwireError], int, str], ...] = (
    (PromptNotFoundError, 404, "prompt_not_found"),
    (MissingVariablesError, 400, "missing_prompt_variable"),
    (TemplateError, 400, "prompt_template_error"),
    (PromptConfigError, 400, "prompt_config_error"),
    (ConfigurationError, 400, "invalid_request"),
    (BackendUnavailableError, 503, "prompt_service_unavailable"),
    (BackendError, 502, "prompt_service_error"),
)


class RefusedError(Exception):
    """An answer that ends a request; ``body`` is JSON of OpenAI's error shape."""

    def __init__(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers: Headers = [JSON, *headers]


def error_body(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return orjson.dumps({"error": error}, default=str)


def refuse(
    status: int,
    message: str,
    code: str | None = None,
    param: str | None = None,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> RefusedError:
    """An error of the proxy's own."""
    return RefusedError(status, error_body(status, message, code, param), headers)


def bad(message: str, param: str | None, code: str = "invalid_request") -> RefusedError:
    """A request that its sender must change; ``param`` is the field to look at."""
    return refuse(400, message, code, param)


def refusal_of(error: PromptwireError, param: str | None = None) -> RefusedError:
    """What a client is told of an error of ours; ``param`` is the field, where the error itself doesn't say."""
    if isinstance(error, GatewayError):
        return _of_upstream(error)
    status, code = next(
        ((status, code) for kind, status, code in _CODES if isinstance(error, kind)), (500, "internal_error")
    )
    if isinstance(error, PromptNotFoundError):
        param = "prompt_id"
    if isinstance(error, MissingVariablesError):
        param = f"prompt_variables.{error.missing[0]}" if error.missing else "prompt_variables"
    seconds = error.retry_after if isinstance(error, BackendError) else None
    words = _FOLDER.sub("", str(error)) if isinstance(error, PromptNotFoundError | BackendError) else str(error)
    return refuse(status, words, code, param, _retry_after(seconds))


def misconfigured(error: ConfigurationError) -> RefusedError:
    """What only the proxy's operator can change."""
    return refuse(500, str(error), "proxy_misconfigured")


def broken() -> RefusedError:
    """A failure of the proxy's own."""
    return refuse(500, "the proxy failed; its log says why", "internal_error", None, [CLOSE])


def _of_upstream(error: GatewayError) -> RefusedError:
    """The provider's status and body, where it refused; a gateway's own where it broke off or didn't answer."""
    status = error.status_code
    if status is None or status < 400 or status > 599:
        timed_out = isinstance(error.__cause__, TimedOutError)
        return refuse(504 if timed_out else 502, str(error), "upstream_timeout" if timed_out else "upstream_error")
    text = error.body or ""
    headers = _retry_after(error.retry_after)
    if _is_error(text):
        return RefusedError(status, text.encode(errors="replace"), headers)
    return refuse(status, f"{error}: {text[:1000]}" if text else str(error), "upstream_error", None, headers)


def _is_error(text: str) -> bool:
    """Whether it already has OpenAI's shape; Anthropic's and Azure's errors do."""
    try:
        body: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def _retry_after(seconds: float | None) -> Headers:
    return [] if seconds is None else [(b"retry-after", b"%d" % math.ceil(seconds))]
