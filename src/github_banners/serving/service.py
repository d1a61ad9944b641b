"""What is served: an application, its metrics, and the work that goes on beside it."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from github_banners.serving.cached_responses import CachedResponses
from github_banners.serving.health import MetricsMiddleware
from github_banners.serving.metrics import Metrics
from github_banners.serving.server import serve_app

_GC_THRESHOLDS = (10_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Service:
    """An application without a lifespan, and tasks none of which ever ends by itself."""

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
    """Serve while the context lasts; metrics on a socket of their own, else beside all else."""
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
    Keep what is loaded by now out of all collections, and collect rarely.

    A full collection looks at every object that it tracks, while nothing else runs. Caches hold
    untracked ones, so that what is left to look at is what requests leave behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@asynccontextmanager
async def background_task(
    coroutine: Coroutine[Any, Any, None], *, name: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Let work go on while the context lasts, and end it then."""
    task = asyncio.create_task(coroutine, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
