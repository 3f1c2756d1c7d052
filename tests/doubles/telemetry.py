"""OpenTelemetry's SDK behind the API, with exporters in memory."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Telemetry:
    """What a program that has set OpenTelemetry up would export."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.start = self.tracers.get_tracer("tests").start_as_current_span

    def trace(self, provider: Any) -> None:
        """Have the process use another provider of tracers, or none."""
        self._monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)

    def measure(self, provider: Any) -> None:
        """Have the process use another provider of meters, or none."""
        self._monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", provider)

    @property
    def spans(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())

    @property
    def calls(self) -> list[Any]:
        """The spans of model calls."""
        return [span for span in self.spans if span.instrumentation_scope.name == "promptwire"]

    def told(self) -> dict[str, Any]:
        """The attributes of the one model call."""
        (span,) = self.calls
        return dict(span.attributes)

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """A metric's points: attributes and value, of a histogram its sum."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        found = [one.data.data_points for scope in scopes for one in scope.metrics if one.name == name]
        return [(dict(p.attributes or {}), getattr(p, "value", getattr(p, "sum", 0))) for one in found for p in one]
