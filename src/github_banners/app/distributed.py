"""The composition root of the api with separate services: signed HTTP, and Kafka for updates."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from github_banners.api.api_service import open_api
from github_banners.api.backends import Backends, DrawnBy, FallbackRenderer, Publish, to_render_job
from github_banners.api.traced_backends import trace_backends
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database.banners import Banner
from github_banners.messaging.clients import RendererClient, StorageClient, open_service_http
from github_banners.messaging.events import TOPIC
from github_banners.messaging.mapping import to_event
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.signing import Signer
from github_banners.messaging.trace_context import TRACEPARENT, make_traceparent
from github_banners.models import Clock, Snapshot, utc_now
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service, background_task
from github_banners.serving.telemetry import OFF, Tracing
from github_banners.settings import ServiceName, Settings

_PROBE_INTERVAL_SECONDS = 5.0


@asynccontextmanager
async def open_distributed_api(
    settings: Settings, *, clock: Clock = utc_now, tracing: Tracing = OFF
) -> AsyncIterator[Service]:
    """Open the api; renderer, storage and broker may be down when it starts."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        signer = Signer(settings.signing_keys[0], service=ServiceName.API, clock=clock)
        http = await stack.enter_async_context(
            open_service_http(wrap_transport=tracing.trace_service_calls)
        )
        renderer = RendererClient(http, base_url=settings.renderer_base_url or "", signer=signer)
        storage = StorageClient(http, base_url=settings.storage_base_url or "", signer=signer)
        producer = KafkaProducer(settings.kafka_brokers_addrs)
        stack.push_async_callback(producer.close)
        count_drawn = metrics.counter(
            "drawn_total",
            "Banners drawn, by the renderer or by the api itself.",
            labels="by",
            label_values=DrawnBy,
        )
        fallback_renderer = FallbackRenderer(
            renderer.draw,
            circuit=CircuitBreaker(time.monotonic, name="renderer"),
            count=count_drawn,
        )
        backends = Backends(
            draw=fallback_renderer.draw,
            store=storage.store,
            read_stored=storage.get,
            publish=publish_to(producer, clock=clock),
            remove=lambda picture: storage.remove(picture.path, version=picture.version),
            health={
                "renderer": lambda: renderer.is_available,
                "storage": lambda: storage.is_available,
                "broker": lambda: producer.is_available,
            },
        )
        api = open_api(
            settings,
            conninfo=settings.conninfo or "",
            backends=trace_backends(backends, tracing=tracing, topic=TOPIC),
            metrics=metrics,
            clock=clock,
            tracing=tracing,
        )
        service = await stack.enter_async_context(api)
        probing = background_task(_probe_health(renderer, storage), name="health probes")
        task = await stack.enter_async_context(probing)
        yield replace(service, tasks=[*service.tasks, task])


def publish_to(producer: KafkaProducer, *, clock: Clock) -> Publish:
    """Return a function that publishes a new version as an event in Kafka."""

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        event = to_event(to_render_job(banner, snapshot), produced_at=clock())
        headers = ((TRACEPARENT, make_traceparent().encode()),)
        await producer.send(TOPIC, key=event.key, value=event.to_json(), headers=headers)

    return publish


async def _probe_health(*clients: RendererClient | StorageClient) -> None:
    """Poll services that were down, so that recovery is noticed without traffic."""
    while True:
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
        for client in clients:
            await client.check_health()
