"""One model call, observed: its span, and what the histograms are told of it."""

import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from promptwire.errors import GatewayError
from promptwire.telemetry.switch import QUIETLY, captures_content, provider

if TYPE_CHECKING:
    from promptwire.gateway.ask import Plan
    from promptwire.gateway.wires import Events, Wire

Headers = Iterable[tuple[bytes, bytes]]

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))


class Unobserved:
    """Stands for the observation of a call where nobody wants to know."""

    __slots__ = ()

    def sending(self) -> AbstractContextManager[None]:
        return _NOTHING

    def hear(self, body: Mapping[str, Any]) -> None:
        pass

    def overhearing(self, _: "Wire") -> Callable[[bytes], None]:
        return _ignore

    def answered(self, body: Mapping[str, Any] | bytes) -> None:
        pass

    def closed(self, *_: object) -> None:
        pass


_NOTHING = nullcontext()


def _ignore(data: bytes) -> None:
    pass


UNOBSERVED = Unobserved()


class Operation:
    """A call under way. A whole answer ends it by ``answered``, a stream's end or its being closed by ``closed``."""

    _has_ended = True  # until it has begun

    def __init__(self, plan: "Plan", tracers: Any, meters: Any, headers: Headers) -> None:
        from promptwire.telemetry import attributes
        from promptwire.telemetry.heard import Heard

        self._started = time.perf_counter()
        self._instruments = None if meters is None else _instruments(meters)
        self._common = attributes.call_attributes(plan)
        self._span = _start(plan, tracers, self._common, headers)
        self._error: BaseException | None = None
        self._streams = plan.stream
        self._heard = Heard(keeps_content=captures_content() and self._span.is_recording())
        self._has_ended = False

    @contextmanager
    def sending(self) -> Generator[None]:
        """The span is the current one, for what an HTTP client tells of itself; an error ends the operation."""
        from opentelemetry import trace

        around = trace.use_span(self._span, record_exception=False, set_status_on_exception=False)
        is_one = self._span.get_span_context().is_valid
        try:
            with around if is_one else nullcontext():
                yield
        except BaseException as error:
            self._end(error)
            raise

    def hear(self, body: Mapping[str, Any]) -> None:
        """A chunk of the answer has come."""
        with QUIETLY:
            self._heard.hear(body)

    def overhearing(self, wire: "Wire") -> Callable[[bytes], None]:
        """What to tell of each piece of a stream that is passed on unread; an error in it is the call's."""
        return partial(self._overhear, wire.events())

    def _overhear(self, events: "Events", data: bytes) -> None:
        if self._error is not None:  # the rest can't be read, and would only be held
            return
        with QUIETLY:
            try:
                for chunk in events.feed(data):
                    self._heard.hear(chunk)
            except GatewayError as error:
                self._error = error

    def answered(self, body: Mapping[str, Any] | bytes) -> None:
        """The whole answer is here, decoded or not."""
        with QUIETLY:
            self._heard.hear(json.loads(body) if isinstance(body, bytes) else body)
        self._end(None)

    def closed(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        """The stream is over, by itself, by an error, or since its reader has had enough. As ``ExitStack`` calls it."""
        self._end(None if isinstance(error, GeneratorExit) else error)
        return False

    def __del__(self) -> None:
        """A stream that nobody read, nor closed."""
        with QUIETLY:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        seconds = time.perf_counter() - self._started
        told: dict[str, Any] = {}
        with QUIETLY:
            told = self._heard.attributes()
        with QUIETLY:
            self._conclude(told, error or self._error, seconds)

    def _conclude(self, told: dict[str, Any], error: BaseException | None, seconds: float) -> None:
        from opentelemetry.trace import Status, StatusCode

        from promptwire.telemetry.attributes import error_message, error_type

        if self._streams and self._heard.first is not None:
            told["gen_ai.response.time_to_first_chunk"] = self._heard.first - self._started
        failed = {} if error is None else {"error.type": error_type(error)}
        try:
            if self._span.is_recording():
                self._span.set_attributes({**told, **failed})
                if error is not None:
                    self._span.set_status(Status(StatusCode.ERROR, error_message(error)))
        finally:
            self._span.end()
        if self._instruments is not None:
            self._instruments.record(self._common, told, failed, seconds)


Observed: TypeAlias = Operation | Unobserved


class _Instruments:
    """The histograms of one provider of meters."""

    def __init__(self, meters: Any) -> None:
        make = meters.get_meter("promptwire", _version()).create_histogram
        self._duration = make(
            "gen_ai.client.operation.duration", "s", "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )  # fmt: skip
        self._tokens = make(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )  # fmt: skip

    def record(
        self, common: Mapping[str, Any], told: Mapping[str, Any], failed: Mapping[str, Any], seconds: float
    ) -> None:
        """One operation is over."""
        model = {name: told[name] for name in ("gen_ai.response.model",) if name in told}
        self._duration.record(seconds, {**common, **model, **failed})
        for kind in ("input", "output"):
            if (number := told.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                self._tokens.record(number, {**common, **model, "gen_ai.token.type": kind})


_instruments = lru_cache(maxsize=4)(_Instruments)


@lru_cache(maxsize=4)
def _tracer(tracers: Any) -> Any:
    return tracers.get_tracer("promptwire", _version())


@lru_cache(maxsize=1)
def _version() -> str:
    return version("promptwire")


def begin(plan: "Plan", headers: Headers = ()) -> Observed:
    """Observe the call that a plan comes to, if the program has set OpenTelemetry up.

    ``headers`` are those of a request from outside: the trace that they name is continued, unless one is under way.
    """
    with QUIETLY:
        tracers, meters = provider("trace"), provider("metrics")
        if (tracers is not None or meters is not None) and not _is_suppressed():
            return Operation(plan, tracers, meters, headers)
    return UNOBSERVED


def _is_suppressed() -> bool:
    """Whether an instrumentation around has said that it tells of all that happens inside."""
    from opentelemetry import context

    return bool(context.get_value("suppress_instrumentation"))


def _start(plan: "Plan", tracers: Any, common: Mapping[str, Any], headers: Headers) -> Any:
    from opentelemetry import baggage, propagate, trace

    from promptwire.telemetry import attributes

    if tracers is None:
        return trace.INVALID_SPAN
    told = {**common, **attributes.request_attributes(plan)}
    if plan.info is not None and plan.rendered is not None:
        told |= attributes.prompt_attributes(plan.info, plan.rendered)
    around = None
    if headers and not trace.get_current_span().get_span_context().is_valid:
        told_by_client = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        around = baggage.clear(propagate.extract(told_by_client))  # some processors write it onto spans
    name = f"{attributes.OPERATION} {plan.target.model}"
    span = _tracer(tracers).start_span(name, around, trace.SpanKind.CLIENT, told)
    with QUIETLY:  # what has begun is to end, whatever is odd about the rest
        span.set_attributes(attributes.link_attributes(plan))
        if span.is_recording() and captures_content():
            span.set_attributes(attributes.content_attributes(plan))
    return span
