"""
Record what happens to each update: from its event, by drawing, to the call of the storage.

While traces are off, these functions return what they are given.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from github_banners.messaging.events import GROUP, Record
from github_banners.messaging.schemas import BatchedBanner, StoreRequest, StoreResponse
from github_banners.messaging.trace_context import TRACEPARENT, bind_trace
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.renderer.batching import StoreMany
from github_banners.renderer.updates import DrawSvg, StorePicture
from github_banners.renderer.worker import InTrace, bind_record_trace
from github_banners.serving.telemetry import SpanKind, Tracing, version_attributes


def tracing_records(tracing: Tracing) -> InTrace:
    """Return the function that records each attempt to process a record, in the trace of its event."""
    start_span = tracing.start_span
    if start_span is None:
        return bind_record_trace

    @contextmanager
    def in_trace(record: Record) -> Iterator[None]:
        # A record without a trace gets an id first, so that its log lines and its span have the same.
        bind_trace(record.header(TRACEPARENT))
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": GROUP,
        }
        with start_span(
            f"process {record.topic}",
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            parent=record.header(TRACEPARENT),
            is_root=True,
        ):
            yield

    return in_trace


def trace_draw(draw: DrawSvg, *, tracing: Tracing) -> DrawSvg:
    """Return a function that draws within a span."""
    start_span = tracing.start_span
    if start_span is None:
        return draw

    def draw_traced(snapshot: Snapshot, options: BannerOptions) -> bytes:
        attributes = {"banners.user": snapshot.owner.login, "banners.layout": options.layout}
        with start_span("draw banner", attributes=attributes):
            return draw(snapshot, options)

    return draw_traced


def trace_store(store: StorePicture, *, tracing: Tracing) -> StorePicture:
    """Return a function that stores a picture within a span, which includes waiting for its batch."""
    start_span = tracing.start_span
    if start_span is None:
        return store

    async def store_traced(request: StoreRequest) -> object:
        attributes = version_attributes(request.url_path, request.version)
        with start_span("store banner", attributes=attributes):
            return await store(request)

    return store_traced


def trace_store_many(store_many: StoreMany, *, tracing: Tracing) -> StoreMany:
    """Return a function that records a batch as a trace of its own, with links to its pictures."""
    start_span = tracing.start_span
    if start_span is None:
        return store_many

    async def store_many_traced(
        banners: Sequence[BatchedBanner],
    ) -> Sequence[StoreResponse | BaseException]:
        links = [banner.traceparent for banner in banners]
        attributes = {"banners.batch_size": len(banners)}
        with start_span("store batch", attributes=attributes, is_root=True, links=links):
            return await store_many(banners)

    return store_many_traced
