"""A service: an application, its metrics and its background tasks; and how it is served."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from github_banners.serving.cached_responses import CachedResponses
from github_banners.serving.metrics import Metrics, MetricsMiddleware
from github_banners.serving.server import serve_app

_GC_THRESHOLDS = (10_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Service:
    """An application without a lifespan, and background tasks that do not end by themselves."""

    app: ASGIApp
    metrics: Metrics
    tasks: Sequence[asyncio.Task[None]] = ()
    cached: CachedResponses | None = None


@asynccontextmanager
async def serve_service(
    service: Service,
    listener: socket.socket,
    *,
    is_shared: bool = False,
    metrics_listener: socket.socket | None = None,
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Serve while the context lasts; yield the tasks of servers and service.

    Metrics are served on `metrics_listener`, or at `/metrics` of the service if it is None.
    """
    async with AsyncExitStack() as stack:
        app = service.app
        servers = []
        if metrics_listener is None:
            app = MetricsMiddleware(app, metrics=service.metrics.app)
        else:
            metrics_server = serve_app(service.metrics.app, metrics_listener, is_shared=is_shared)
            servers.append(await stack.enter_async_context(metrics_server))
        server = serve_app(app, listener, is_shared=is_shared, cached=service.cached)
        servers.append(await stack.enter_async_context(server))
        tune_garbage_collection()
        yield [*servers, *service.tasks]


def tune_garbage_collection() -> None:
    """
    Exclude all current objects from garbage collection, and collect rarely.

    A full collection stops the process while it visits every tracked object. The caches hold
    untracked objects (`gc=False`), so that only the leftovers of requests are visited.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@asynccontextmanager
async def background_task(
    coroutine: Coroutine[Any, Any, None], *, name: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a coroutine as a task while the context lasts, then cancel it."""
    task = asyncio.create_task(coroutine, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
