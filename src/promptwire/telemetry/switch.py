"""Whether there is anybody to tell: OpenTelemetry's API imported by the program, and a provider set up behind it."""

import os
import sys
from functools import cache
from typing import Any, Literal

from promptwire import log

_OFF = ("off", "false", "0")
_CONTENT = ("true", "span_only", "span_and_event")


def provider(signal: Literal["trace", "metrics"]) -> Any | None:
    """The provider of tracers or of meters. Who hasn't imported OpenTelemetry has set none up, and is spared it."""
    api: Any = sys.modules.get(f"opentelemetry.{signal}")
    if api is None:
        return None
    found = api.get_tracer_provider() if signal == "trace" else api.get_meter_provider()
    # The API's own classes are stand-ins that do nothing, until a provider is set.
    return None if type(found).__module__.startswith(api.__name__) or is_off() else found


def is_off() -> bool:
    """Whether this program wants to hear of Promptwire nothing, whatever it hears of others."""
    return os.environ.get("PROMPTWIRE_OTEL", "").strip().lower() in _OFF


def captures_content() -> bool:
    """Whether what users said may be told: OpenTelemetry's own switch for all that instruments models."""
    return os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").strip().lower() in _CONTENT


class Quietly:
    """What goes wrong inside fails no call: each kind of error is logged once, and no more."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        _complain(type(error).__name__)
        return True


QUIETLY = Quietly()


@cache
def _complain(kind: str) -> None:
    log.logger.warning("telemetry raised %s; more of its errors are not told of", kind)
