"""
What Prometheus may ask for: numbers of one process, each declared where it is counted.

Rooms get plain functions to count with and know no Prometheus. https://prometheus.io/docs/practices/naming/
"""

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
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Count: TypeAlias = Callable[..., None]
"""Counts one more of a kind, given as the values of the labels."""

Observe: TypeAlias = Callable[[str, float], None]
"""Notes how many seconds one of a kind has taken."""

# When a counter began is one more series for each, and Prometheus finds out without it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_PREFIX = "banners_"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3.5, 10)


class Metrics:
    """A registry of its own for each service, so that several can live in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    @property
    def app(self) -> ASGIApp:
        """Return the application that answers with all of it, whatever the path."""
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
        """Declare a counter; `kinds` of a single label stand there from the start, with 0."""
        labels = (labels,) if isinstance(labels, str) else labels
        counter = Counter(_PREFIX + name, description, labels, registry=self._registry)
        children: dict[tuple[str, ...], Callable[[], None]] = {}

        def count(*kind: str) -> None:
            increase = children.get(kind)
            if increase is None:
                increase = children[kind] = counter.labels(*kind).inc
            increase()

        for kind in label_values:
            counter.labels(kind)
        return count

    def external_counter(
        self, name: str, description: str, *, label: str, counts: Mapping[str, int]
    ) -> None:
        """Declare counters that somebody else counts, and which are read when they are asked for."""
        self._registry.register(_ExternalCounter(_PREFIX + name, description, label, counts))

    def histogram(self, name: str, description: str, *, label: str) -> Observe:
        """Declare a histogram of durations with one label."""
        histogram = Histogram(
            _PREFIX + name, description, [label], registry=self._registry, buckets=_BUCKETS
        )
        return lambda kind, seconds: histogram.labels(kind).observe(seconds)

    def gauge(
        self,
        name: str,
        description: str,
        *,
        label: str,
        callbacks: Mapping[str, Callable[[], float]],
    ) -> None:
        """Declare numbers that are read when they are asked for."""
        gauge = Gauge(_PREFIX + name, description, [label], registry=self._registry)
        for kind, tell in callbacks.items():
            gauge.labels(kind).set_function(tell)

    def unlabelled_gauge(
        self, name: str, description: str, *, callback: Callable[[], float]
    ) -> None:
        """Declare a single number that is read when it is asked for."""
        Gauge(_PREFIX + name, description, registry=self._registry).set_function(callback)


class _ExternalCounter(Collector):
    """Counters that are plain numbers: where even a lock is too slow."""

    def __init__(self, name: str, description: str, label: str, counts: Mapping[str, int]) -> None:
        self._name = name
        self._description = description
        self._label = label
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Read them."""
        family = CounterMetricFamily(self._name, self._description, labels=[self._label])
        for kind, count in self._counts.items():
            family.add_metric([kind], count)
        return [family]
