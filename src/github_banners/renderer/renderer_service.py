"""The composition root of the renderer: its HTTP application and the consumer of update events."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.middleware import Middleware

from github_banners.drawing import TO_PNG, draw
from github_banners.messaging.clients import StorageClient, open_service_http
from github_banners.messaging.consumer import KafkaConsumer
from github_banners.messaging.nonces import NonceCache
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.signature_middleware import SignatureMiddleware
from github_banners.messaging.signing import Signer, Verifier
from github_banners.models import Clock, utc_now
from github_banners.renderer import preview_route
from github_banners.renderer.batching import Batcher
from github_banners.renderer.traced_updates import (
    trace_draw,
    trace_store,
    trace_store_many,
    tracing_records,
)
from github_banners.renderer.update_consumer import UpdateConsumer, consume_forever
from github_banners.renderer.updates import render_and_store
from github_banners.renderer.worker import Outcome
from github_banners.serving.framework import build_app
from github_banners.serving.health import PUBLIC_PATHS, Health, health_routes
from github_banners.serving.metrics import Metrics, RequestMetricsMiddleware
from github_banners.serving.service import Service, background_task
from github_banners.serving.telemetry import OFF, Tracing
from github_banners.serving.worker_process import WorkerProcess
from github_banners.settings import ServiceName, Settings

CALLERS = (ServiceName.API,)
"""The services whose calls are accepted."""


@asynccontextmanager
async def open_renderer(
    settings: Settings, *, clock: Clock = utc_now, tracing: Tracing = OFF
) -> AsyncIterator[Service]:
    """Open the renderer; it starts without the broker and the storage, and waits for them."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            open_service_http(wrap_transport=tracing.trace_service_calls)
        )
        signer = Signer(settings.signing_keys[0], service=ServiceName.RENDERER, clock=clock)
        storage = StorageClient(http, base_url=settings.storage_base_url or "", signer=signer)
        batcher = Batcher(trace_store_many(storage.store_many, tracing=tracing))
        stack.push_async_callback(batcher.close)
        producer = KafkaProducer(settings.kafka_brokers_addrs)
        stack.push_async_callback(producer.close)
        consumer = KafkaConsumer(settings.kafka_brokers_addrs)
        create_updates = _update_consumer_factory(
            consumer, producer, batcher, metrics, clock=clock, tracing=tracing
        )
        health = Health(
            {
                "storage": lambda: storage.is_available,
                "broker": lambda: consumer.is_available and producer.is_available,
            }
        )
        health.register_metrics(metrics)
        png_worker = WorkerProcess(TO_PNG)
        stack.push_async_callback(png_worker.close)
        count_refusal = metrics.counter(
            "refused_calls_total", "Calls refused by signature or size.", labels="reason"
        )
        application = build_app(
            [*preview_route.RendererRoutes(png_worker).routes(), *health_routes(health)],
            middleware=[
                *tracing.middleware(preview_route.route_label),
                Middleware(
                    RequestMetricsMiddleware, metrics=metrics, label_path=preview_route.route_label
                ),
                Middleware(
                    SignatureMiddleware,
                    verifier=Verifier(
                        settings.signing_keys, callers=CALLERS, nonces=NonceCache(), clock=clock
                    ),
                    public_paths=PUBLIC_PATHS,
                    max_body_bytes=preview_route.MAX_BODY_BYTES,
                    on_refused=count_refusal,
                ),
            ],
        )
        task = await stack.enter_async_context(
            background_task(consume_forever(create_updates), name="updates")
        )
        yield Service(application, metrics, [task])


def _update_consumer_factory(
    consumer: KafkaConsumer,
    producer: KafkaProducer,
    batcher: Batcher,
    metrics: Metrics,
    *,
    clock: Clock,
    tracing: Tracing,
) -> Callable[[], UpdateConsumer]:
    """Return a function that creates an update consumer; the metrics are those of the last one."""
    running: list[UpdateConsumer] = []
    count = metrics.counter(
        "updates_total",
        "Attempts to process a banner update, by outcome.",
        labels="outcome",
        label_values=Outcome,
    )
    metrics.unlabelled_gauge(
        "updates_lag",
        "Updates in Kafka that were not received, of the partitions assigned to this process.",
        callback=lambda: consumer.lag,
    )
    metrics.unlabelled_gauge(
        "updates_unfinished",
        "Updates that were received and are not finished.",
        callback=lambda: sum(updates.unfinished for updates in running),
    )

    handle = partial(
        render_and_store,
        draw=trace_draw(draw, tracing=tracing),
        store=trace_store(batcher.store, tracing=tracing),
    )
    in_trace = tracing_records(tracing)

    def create() -> UpdateConsumer:
        updates = UpdateConsumer(
            consumer=consumer,
            producer=producer,
            handle=handle,
            on_outcome=count,
            now=clock,
            in_trace=in_trace,
        )
        running[:] = [updates]
        return updates

    return create
