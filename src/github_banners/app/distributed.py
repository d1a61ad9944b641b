"""The api among other services: renderer and storage by signed HTTP, updates by Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from github_banners.api.api_service import open_api
from github_banners.api.backends import (
    DRAWERS,
    Backends,
    FallbackRenderer,
    Publish,
    to_render_job,
)
from github_banners.circuit_breaker import CircuitBreaker
from github_banners.database.banners import Banner
from github_banners.messaging.clients import RendererClient, StorageClient, open_http
from github_banners.messaging.events import TOPIC
from github_banners.messaging.mapping import to_event
from github_banners.messaging.producer import KafkaProducer
from github_banners.messaging.signing import Signer
from github_banners.messaging.tracing import TRACEPARENT, make_traceparent
from github_banners.models import Clock, Snapshot, utc_now
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service, background_task
from github_banners.settings import ServiceName, Settings

_PROBE_INTERVAL_SECONDS = 5.0


@asynccontextmanager
async def open_distributed_api(
    settings: Settings, *, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Open the api among its neighbours, none of which needs to be there; settings name them."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        signer = Signer(settings.signing_keys[0], service=ServiceName.API, clock=clock)
        http = await stack.enter_async_context(open_http())
        renderer = RendererClient(http, base_url=settings.renderer_base_url or "", signer=signer)
        storage = StorageClient(http, base_url=settings.storage_base_url or "", signer=signer)
        producer = KafkaProducer(settings.kafka_brokers_addrs)
        stack.push_async_callback(producer.close)
        neighbours = Backends(
            draw=_fallback_renderer(renderer, metrics).draw,
            store=storage.store,
            read_stored=storage.get,
            publish=publish_to(producer, clock=clock),
            health={
                "renderer": lambda: renderer.is_available,
                "storage": lambda: storage.is_available,
                "broker": lambda: producer.is_available,
            },
        )
        opened = open_api(
            settings,
            conninfo=settings.conninfo or "",
            backends=neighbours,
            metrics=metrics,
            clock=clock,
        )
        service = await stack.enter_async_context(opened)
        knocking = background_task(_probe_health(renderer, storage), name="neighbours")
        task = await stack.enter_async_context(knocking)
        yield replace(service, tasks=[*service.tasks, task])


def publish_to(producer: KafkaProducer, *, clock: Clock) -> Publish:
    """Return a function that hands a new version on as an event."""

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        event = to_event(to_render_job(banner, snapshot), produced_at=clock())
        headers = ((TRACEPARENT, make_traceparent().encode()),)
        await producer.send(TOPIC, key=event.key, value=event.to_json(), headers=headers)

    return publish


async def _probe_health(*clients: RendererClient | StorageClient) -> None:
    """Find out that a neighbour is back which nobody has a reason to call."""
    while True:
        await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
        for neighbour in clients:
            await neighbour.check_health()


def _fallback_renderer(renderer: RendererClient, metrics: Metrics) -> FallbackRenderer:
    count = metrics.counter(
        "drawn_total", "Banners drawn, by whom.", labels="whom", label_values=DRAWERS
    )
    return FallbackRenderer(renderer.draw, circuit=CircuitBreaker(time.monotonic), count=count)
