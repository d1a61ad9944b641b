"""
The composition roots: all in one process, or the api among its neighbours.

In one process a function stands where between services a broker and signed HTTP do.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from github_banners.api.app import open_api
from github_banners.api.neighbours import DRAWERS, Drawer, Neighbours, Publish, draw_here
from github_banners.circuit import Circuit
from github_banners.database.banners import Banner
from github_banners.drawing import draw
from github_banners.messages.calls import Renderer, Storage, open_http
from github_banners.messages.events import TOPIC
from github_banners.messages.producer import Producer
from github_banners.messages.signing import Signer
from github_banners.messages.tracing import TRACEPARENT, outgoing
from github_banners.messages.translation import Update, event_of
from github_banners.model import Clock, Snapshot, utc_now
from github_banners.renderer.updates import handle_update
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service, owning
from github_banners.settings import Service as Of
from github_banners.settings import Settings
from github_banners.storage.store import open_store

_CALL = timedelta(seconds=5)
_KNOCK_SECONDS = 5.0


@asynccontextmanager
async def open_all_in_one(
    settings: Settings, *, conninfo: str, banners_dir: Path, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Open everything; drawn banners are kept in `banners_dir` unless a setting says otherwise."""
    store = open_store(settings.banners_storage_url or banners_dir.as_uri())

    async def publish(banner: Banner, snapshot: Snapshot) -> None:
        await handle_update(_update(banner, snapshot), draw=draw, store=store.keep)

    async def stored(name: str) -> bytes | None:
        found = await store.get(name)
        return found.body if found is not None else None

    neighbours = Neighbours(
        draw=draw_here,
        keep=store.keep,
        stored=stored,
        publish=publish,
        health={"store": lambda: store.is_available},
    )
    try:
        async with open_api(
            settings, conninfo=conninfo, neighbours=neighbours, metrics=Metrics(), clock=clock
        ) as service:
            yield service
    finally:
        store.close()


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
        event = event_of(_update(banner, snapshot), produced_at=clock())
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


def _update(banner: Banner, snapshot: Snapshot) -> Update:
    return Update(banner.storage_path, snapshot, banner.look, banner.version)
