"""The composition root of the renderer: pictures for the api, and every update that comes by Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from starlette.middleware import Middleware

from github_banners.drawing import draw
from github_banners.drawing.png import to_png
from github_banners.messages.calls import Storage, open_http
from github_banners.messages.nonces import Nonces
from github_banners.messages.producer import Producer
from github_banners.messages.signing import Signer, Verifier
from github_banners.messages.source import Source
from github_banners.messages.verify import Gate
from github_banners.model import Clock, utc_now
from github_banners.renderer import routes
from github_banners.renderer.attempts import Outcome
from github_banners.renderer.batching import Batcher
from github_banners.renderer.consume import Consumption
from github_banners.renderer.updates import handle_update
from github_banners.serving.access import Measured
from github_banners.serving.framework import make_framework
from github_banners.serving.health import OPEN_PATHS, Health, health_routes
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service, owning
from github_banners.serving.workshop import Workshop
from github_banners.settings import Service as Of
from github_banners.settings import Settings

CALLERS = (Of.API,)
"""Who may call."""

_CALL = timedelta(seconds=5)


@asynccontextmanager
async def open_renderer(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Service]:
    """Open the renderer; neither broker nor storage need to be there."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(timeout=_CALL))
        signer = Signer(settings.signing_keys[0], service=Of.RENDERER, clock=clock)
        storage = Storage(http, base_url=settings.storage_base_url or "", signer=signer)
        batcher = Batcher(storage.store_many)
        stack.push_async_callback(batcher.close)
        producer = Producer(settings.kafka_brokers_addrs)
        stack.push_async_callback(producer.close)
        source = Source(settings.kafka_brokers_addrs)
        updates = _updates(source, producer, batcher, metrics, clock=clock)
        health = Health(
            {
                "storage": lambda: storage.is_available,
                "broker": lambda: source.is_available and producer.is_available,
            }
        )
        health.expose(metrics)
        pngs = Workshop(to_png)
        stack.push_async_callback(pngs.close)
        refused = metrics.counter("refused_calls_total", "Calls refused unread.", by="reason")
        application = make_framework(
            [*routes.RendererRoutes(pngs).routes(), *health_routes(health)],
            middleware=[
                Middleware(Measured, metrics=metrics, name=routes.name_of),
                Middleware(
                    Gate,
                    verifier=Verifier(
                        settings.signing_keys, callers=CALLERS, nonces=Nonces(), clock=clock
                    ),
                    open_paths=OPEN_PATHS,
                    most_body_bytes=routes.MOST_BODY_BYTES,
                    note_refusal=refused,
                ),
            ],
        )
        updating = owning(updates.run(asyncio.Event()), name="updates")
        task = await stack.enter_async_context(updating)
        yield Service(application, metrics, [task])


def _updates(
    source: Source, producer: Producer, batcher: Batcher, metrics: Metrics, *, clock: Clock
) -> Consumption:
    count = metrics.counter(
        "updates_total",
        "Updates of banners, by what became of each attempt.",
        by="outcome",
        kinds=Outcome,
    )
    updates = Consumption(
        source=source,
        producer=producer,
        handle=partial(handle_update, draw=draw, store=batcher.store),
        note=count,
        now=clock,
    )
    metrics.value(
        "updates_unfinished",
        "Updates that were taken and are not seen through.",
        read=lambda: updates.unfinished,
    )
    return updates
