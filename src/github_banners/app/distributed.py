"""The api among other services: renderer and storage by signed HTTP, updates by Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from github_banners.api.app import open_api
from github_banners.api.neighbours import DRAWERS, Drawer, Neighbours, Publish, to_update
from github_banners.circuit import Circuit
from github_banners.database.banners import Banner
from github_banners.messages.calls import Renderer, Storage, open_http
from github_banners.messages.events import TOPIC
from github_banners.messages.producer import Producer
from github_banners.messages.signing import Signer
from github_banners.messages.tracing import TRACEPARENT, outgoing
from github_banners.messages.translation import event_of
from github_banners.model import Clock, Snapshot, utc_now
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service, owning
from github_banners.settings import Service as Of
from github_banners.settings import Settings

_CALL = timedelta(seconds=5)
_KNOCK_SECONDS = 5.0


@asynccontextmanager
async def open_distributed_api(
    settings: Settings, *, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Open the api among its neighbours, none of which needs to be there; settings name them."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        signer = Signer(settings.signing_keys[0], service=Of.API, clock=clock)
        http = await stack.enter_async_context(open_http(timeout=_CALL))
        renderer = Renderer(http, base_url=settings.renderer_base_url or "", signer=signer)
        storage = Storage(http, base_url=settings.storage_base_url or "", signer=signer)
        producer = Producer(settings.kafka_brokers_addrs)
        stack.push_async_callback(producer.close)
        neighbours = Neighbours(
            draw=_drawer(renderer, metrics).draw,
            keep=storage.keep,
            stored=storage.get,
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
            neighbours=neighbours,
            metrics=metrics,
            clock=clock,
        )
        service = await stack.enter_async_context(opened)
        knocking = owning(_knock(renderer, storage), name="neighbours")
        task = await stack.enter_async_context(knocking)
        yield replace(service, tasks=[*service.tasks, task])


def publish_to(producer: Producer, *, clock: Clock) -> Publish:
    """Return a function that hands a new version on as an event."""

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        event = event_of(to_update(banner, snapshot), produced_at=clock())
        headers = ((TRACEPARENT, outgoing().encode()),)
        await producer.send(TOPIC, key=event.key, value=event.to_json(), headers=headers)

    return publish


async def _knock(*neighbours: Renderer | Storage) -> None:
    """Find out that a neighbour is back which nobody has a reason to call."""
    while True:
        await asyncio.sleep(_KNOCK_SECONDS)
        for neighbour in neighbours:
            await neighbour.knock()


def _drawer(renderer: Renderer, metrics: Metrics) -> Drawer:
    count = metrics.counter("drawn_total", "Banners drawn, by whom.", by="whom", kinds=DRAWERS)
    return Drawer(renderer.draw, circuit=Circuit(time.monotonic), count=count)
