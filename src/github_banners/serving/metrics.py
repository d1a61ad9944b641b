"""
Prometheus metrics of one process, and the middleware that measures requests and sends `/metrics`.

Other packages get plain functions to count with, so that they need not know Prometheus. Names
follow https://prometheus.io/docs/practices/naming/
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Count: TypeAlias = Callable[..., None]
"""Increments a counter; the arguments are the values of its labels."""

Observe: TypeAlias = Callable[[str, float], None]
"""Records a duration in seconds for a label value."""

LabelledValue: TypeAlias = tuple[tuple[str, ...], float]
"""The values of the labels of a sample, and its value."""

# `_created` doubles the number of series; Prometheus detects resets of counters without it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_PREFIX = "banners_"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3.5, 10)
_OTHER = "other"
# Unknown methods share one label, so that clients can't create series in Prometheus.
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}


class Metrics:
    """A registry of metrics; each service has its own, so that several can share a process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    @property
    def app(self) -> ASGIApp:
        """Return an ASGI application that sends all metrics, whatever the path."""
        return self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        encode, content_type = choose_encoder(Request(scope).headers.get("accept", ""))
        response = Response(encode(self._registry), headers={"content-type": content_type})
        await response(scope, receive, send)

    def counter(
        self,
        name: str,
        description: str,
        *,
        labels: str | tuple[str, ...],
        label_values: Iterable[str] = (),
    ) -> Count:
        """Register a counter; `label_values` of a single label are exported as 0 from the start."""
        label_names = (labels,) if isinstance(labels, str) else labels
        counter = Counter(_PREFIX + name, description, label_names, registry=self._registry)
        # `Counter.labels` validates its arguments and takes a lock; this is on the path of
        # requests.
        increments: dict[tuple[str, ...], Callable[[], None]] = {}

        def count(*values: str) -> None:
            increment = increments.get(values)
            if increment is None:
                increment = increments[values] = counter.labels(*values).inc
            increment()

        for label_value in label_values:
            counter.labels(label_value)
        return count

    def external_counter(
        self, name: str, description: str, *, label: str, counts: Mapping[str, int]
    ) -> None:
        """Register a counter by label whose values are read from `counts` at every scrape."""
        self._registry.register(_ExternalCounter(_PREFIX + name, description, label, counts))

    def histogram(self, name: str, description: str, *, label: str) -> Observe:
        """Register a histogram of durations in seconds with one label."""
        histogram = Histogram(
            _PREFIX + name, description, [label], registry=self._registry, buckets=_BUCKETS
        )
        return lambda label_value, seconds: histogram.labels(label_value).observe(seconds)

    def gauge(
        self,
        name: str,
        description: str,
        *,
        label: str,
        callbacks: Mapping[str, Callable[[], float]],
    ) -> None:
        """Register a gauge by label whose values are read from `callbacks` at every scrape."""
        gauge = Gauge(_PREFIX + name, description, [label], registry=self._registry)
        for label_value, callback in callbacks.items():
            gauge.labels(label_value).set_function(callback)

    def external_gauge(
        self,
        name: str,
        description: str,
        *,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[LabelledValue]],
    ) -> None:
        """Register a gauge whose samples are read at every scrape; their labels may change."""
        self._registry.register(_ExternalGauge(_PREFIX + name, description, labels, read))

    def unlabelled_gauge(
        self, name: str, description: str, *, callback: Callable[[], float]
    ) -> None:
        """Register a gauge whose value is read from `callback` at every scrape."""
        Gauge(_PREFIX + name, description, registry=self._registry).set_function(callback)


class _ExternalCounter(Collector):
    """A counter over plain integers, for places where the lock of `Counter` is too slow."""

    def __init__(self, name: str, description: str, label: str, counts: Mapping[str, int]) -> None:
        self._name = name
        self._description = description
        self._label = label
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the current values."""
        family = CounterMetricFamily(self._name, self._description, labels=[self._label])
        for label_value, count in self._counts.items():
            family.add_metric([label_value], count)
        return [family]


class _ExternalGauge(Collector):
    """A gauge whose label values are known at a scrape only."""

    def __init__(
        self,
        name: str,
        description: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[LabelledValue]],
    ) -> None:
        self._name = name
        self._description = description
        self._labels = labels
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the current values."""
        family = GaugeMetricFamily(self._name, self._description, labels=self._labels)
        for label_values, value in self._read():
            family.add_metric(label_values, value)
        return [family]


class RequestMetricsMiddleware:
    """
    Middleware that counts requests by method, path label and status, and records their duration.

    `label_path` returns the label of a path, None for unknown ones; it must have few values.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        label_path: Callable[[str], str | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._label_path = label_path
        self._monotonic = monotonic
        self._count = metrics.counter(
            "requests_total", "Requests by method, path and status.", labels=("call", "status")
        )
        self._observe = metrics.histogram("request_seconds", "Duration of requests.", label="call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application and record status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "aborted"

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        call = f"{method} {self._label_path(scope['path']) or _OTHER}"
        started_at = self._monotonic()
        try:
            await self._app(scope, receive, record_status)
        finally:
            self._count(call, status)
            self._observe(call, self._monotonic() - started_at)


class MetricsMiddleware:
    """Middleware that sends `/metrics` to the application `metrics`."""

    def __init__(self, app: ASGIApp, *, metrics: ASGIApp) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the metrics application for `/metrics`, else the wrapped one."""
        is_metrics_path = scope["type"] == "http" and scope["path"] == "/metrics"
        await (self._metrics if is_metrics_path else self._app)(scope, receive, send)
