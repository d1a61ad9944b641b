"""
Record what the api does: transactions, drawing, storing, publishing, and batches of the refresh.

While traces are off, these functions return what they are given, or what records nothing.
"""

from contextlib import AbstractContextManager
from dataclasses import replace

from github_banners.api.backends import Backends
from github_banners.api.retries import TraceBatch, untraced
from github_banners.cache import ByteBoundedLru
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.database.traced import TracedDatabase
from github_banners.messaging.schemas import StoreRequest
from github_banners.messaging.trace_context import bind_trace
from github_banners.models import Snapshot
from github_banners.options import BannerOptions
from github_banners.serving.telemetry import SpanKind, Tracing, version_attributes
from github_banners.stats.fetch import Deadline

_UNSTORED_BYTES = 1 << 20


def open_traced_database(conninfo: str, *, tracing: Tracing) -> Database:
    """Create the connection pool; transactions outside of a trace, such as polling, are not recorded."""
    start_span = tracing.start_span
    if start_span is None:
        return Database(conninfo)

    def start_transaction_span(function_name: str) -> AbstractContextManager[str]:
        return start_span(
            f"transaction {function_name}".rstrip(),
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql"},
            only_in_trace=True,
        )

    return TracedDatabase(conninfo, start_span=start_transaction_span)


def trace_backends(backends: Backends, *, tracing: Tracing, topic: str | None = None) -> Backends:
    """
    Return backends that record drawing, storing and publishing.

    `topic` is the topic in Kafka that updates are published to; None if no broker is involved. A
    version that a request could not store is published in the trace of that request, if the same
    process publishes it; every other version has a trace of its own.
    """
    start_span = tracing.start_span
    if start_span is None:
        return backends
    unstored: ByteBoundedLru[tuple[str, int | None], str] = ByteBoundedLru(
        _UNSTORED_BYTES, entry_bytes=lambda key, traceparent: len(key[0]) + len(traceparent)
    )

    async def draw(snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
        attributes = {"banners.user": snapshot.owner.login, "banners.layout": options.layout}
        with start_span("draw banner", attributes=attributes, only_in_trace=True):
            return await backends.draw(snapshot, options, deadline)

    async def store(request: StoreRequest) -> object:
        attributes = version_attributes(request.url_path, request.version)
        with start_span("store banner", attributes=attributes) as traceparent:
            # From here on, since the outbox may publish the version before this call fails.
            unstored.put((request.url_path, request.version), traceparent)
            response = await backends.store(request)
            unstored.drop((request.url_path, request.version))
            return response

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        version = (banner.storage_path, banner.version)
        attributes = version_attributes(*version)
        kind, name = SpanKind.INTERNAL, "publish banner"
        if topic is not None:
            kind, name = SpanKind.PRODUCER, f"send {topic}"
            attributes |= {
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
            }
        parent = unstored.get(version)
        if parent is not None:
            # The log lines of this task so far have the trace id of an update without a request.
            bind_trace(parent)
        with start_span(name, kind=kind, attributes=attributes, parent=parent, is_root=True):
            await backends.publish(banner, snapshot)
        unstored.drop(version)

    return replace(backends, draw=draw, store=store, publish=publish)


def tracing_batches(name: str, *, tracing: Tracing) -> TraceBatch:
    """Return a function that records a batch of background work as a trace of its own."""
    start_span = tracing.start_span
    if start_span is None:
        return untraced
    return lambda size: start_span(name, attributes={"banners.batch_size": size}, is_root=True)
