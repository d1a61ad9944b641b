"""
Send spans to an OpenTelemetry collector, in the background and in batches.

Nothing waits for the collector: the SDK has a thread of its own, a bounded queue and drops
spans that do not fit. What it logs while the collector is down is logged once an hour here.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.util.re import parse_env_headers

from github_banners import __version__
from github_banners.log_throttle import LogThrottle
from github_banners.serving.telemetry import Tracing
from github_banners.serving.telemetry.spans import LoggedTraceIds, OpenTelemetryTracing
from github_banners.settings import ServiceName, Settings, TracesSampler

_log = structlog.get_logger(__name__)

FLUSH_TIMEOUT_SECONDS = 2.0


@contextmanager
def exporting(
    settings: Settings, *, service: ServiceName, exporter: SpanExporter | None = None
) -> Iterator[Tracing]:
    """
    Yield the instrumentation of a service; on exit, send the remaining spans within two seconds.

    `exporter` replaces the one that sends to OTEL_EXPORTER_OTLP_ENDPOINT.

    :raises ValueError: OpenTelemetry rejects a variable that it reads itself
    """
    with _logging_sdk_problems():
        exporter = exporter if exporter is not None else build_exporter(settings)
        provider = TracerProvider(
            sampler=build_sampler(settings),
            resource=build_resource(settings, service=service),
            # At the exit of Python it would wait for half a minute.
            shutdown_on_exit=False,
            id_generator=LoggedTraceIds(),
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=settings.otel_bsp_max_queue_size,
                schedule_delay_millis=settings.otel_bsp_schedule_delay,
                max_export_batch_size=settings.traces_batch_size,
            )
        )
        _log.info("traces.on", collector=settings.otel_exporter_otlp_endpoint)
        try:
            yield OpenTelemetryTracing(provider.get_tracer("github_banners", __version__))
        finally:
            _flush(provider, exporter)


def build_exporter(settings: Settings) -> SpanExporter:
    """Build the exporter; certificates, compression and timeouts are read by the SDK (OTEL_*)."""
    # Like our own services, the collector is not reached through the proxy for GitHub.
    session = requests.Session()
    session.trust_env = False
    headers = settings.otel_exporter_otlp_headers
    return OTLPSpanExporter(
        endpoint=f"{settings.otel_exporter_otlp_endpoint}/v1/traces",
        headers=parse_env_headers(headers.reveal(), liberal=True) if headers is not None else None,
        session=session,
    )


def build_sampler(settings: Settings) -> sampling.Sampler:
    """Build the sampler that OTEL_TRACES_SAMPLER names."""
    name = settings.otel_traces_sampler
    root: sampling.Sampler
    if name in {TracesSampler.RATIO, TracesSampler.PARENT_BASED_RATIO}:
        root = sampling.TraceIdRatioBased(settings.otel_traces_sampler_arg)
    elif name in {TracesSampler.ALWAYS_OFF, TracesSampler.PARENT_BASED_ALWAYS_OFF}:
        root = sampling.ALWAYS_OFF
    else:
        root = sampling.ALWAYS_ON
    return sampling.ParentBased(root) if name.startswith("parentbased") else root


def build_resource(settings: Settings, *, service: ServiceName) -> Resource:
    """Describe this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have precedence."""
    suffix = "" if service is ServiceName.ALL_IN_ONE else f"-{service}"
    defaults: dict[str, str | int] = {
        "service.name": f"github-banners{suffix}",
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    resource = Resource.create(defaults).merge(OTELResourceDetector().detect())
    if settings.otel_service_name is not None:
        resource = resource.merge(Resource({"service.name": settings.otel_service_name}))
    return resource


def _flush(provider: TracerProvider, exporter: SpanExporter) -> None:
    """Send the remaining spans, and give up after two seconds."""
    # The SDK's own limit is thirty seconds. Its thread and this one do not keep the process alive.
    flushing = threading.Thread(target=provider.shutdown, name="traces.flush", daemon=True)
    flushing.start()
    flushing.join(FLUSH_TIMEOUT_SECONDS)
    if flushing.is_alive():
        _log.warning("traces.not_sent", reason="the collector does not respond")
        exporter.shutdown()


class _SdkLogHandler(logging.Handler):
    """Logs warnings of the SDK as ours, at most once an hour for each of its modules."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._throttle = LogThrottle(time.monotonic)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; an exception only by its message."""
        if self._throttle.allows(record.name):
            _log.warning("traces.failed", reason=record.getMessage())


@contextmanager
def _logging_sdk_problems() -> Iterator[None]:
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [_SdkLogHandler()]
    try:
        yield
    finally:
        # A thread that is still waiting for the collector has nothing to say any more.
        logger.handlers = [logging.NullHandler()]
