"""What the proxy counts, for Prometheus. No label holds what a client or a prompt's editor can choose freely."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """One process's counts; ``model`` is the name of an entry, or empty where none was found."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._in_flight = Gauge("promptwire_requests_in_flight", "Requests being served.", registry=registry)
        self._requests = Counter(
            "promptwire_requests", "Requests served.", ("route", "model", "status"), registry=registry
        )
        self._duration = Histogram(
            "promptwire_request_seconds", "From the head of a request to the last byte of its answer.",
            ("route", "model"), registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self._prompts = Counter(
            "promptwire_prompts", "Prompts used, by where they came from.", ("source",), registry=registry
        )
        self._reloads = Counter("promptwire_config_reloads", "Config files read anew.", ("outcome",), registry=registry)
        # Looking a child up by its labels takes a lock and a tuple of texts each time.
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._sources: dict[str, Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def count(self, route: str, model: str, status: int, seconds: float) -> None:
        """A request is over; 499 means that its client left before an answer began."""
        counter = self._counters.get((route, model, status))
        if counter is None:
            counter = self._counters[route, model, status] = self._requests.labels(route, model, str(status))
        counter.inc()
        histogram = self._histograms.get((route, model))
        if histogram is None:
            histogram = self._histograms[route, model] = self._duration.labels(route, model)
        histogram.observe(seconds)

    def count_prompt(self, source: str) -> None:
        """A prompt was used."""
        counter = self._sources.get(source)
        if counter is None:
            counter = self._sources[source] = self._prompts.labels(source)
        counter.inc()

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Ask ``count`` for the number of requests being served, whenever it is wanted."""
        self._in_flight.set_function(count)

    def count_reload(self, outcome: str) -> None:
        """A config file was read: ``kept`` means that it was broken, and the one before is served."""
        self._reloads.labels(outcome).inc()

    def exposed(self) -> tuple[bytes, str]:
        """All of it in OpenMetrics' text, and the content type of that."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text, CONTENT_TYPE_LATEST
