"""Tracing that keeps its spans; needs the extra `otel`."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from github_banners.serving.telemetry import StartSpan
from github_banners.serving.telemetry.spans import LoggedTraceIds, OpenTelemetryTracing


class Recorder:
    """Tracing that keeps its spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, id_generator=LoggedTraceIds())
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = OpenTelemetryTracing(provider.get_tracer("tests"))

    @property
    def start_span(self) -> StartSpan:
        return self.tracing.start_span

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()


def read_trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def read_span_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def read_parent_id(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent is not None else None


def read_attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})
