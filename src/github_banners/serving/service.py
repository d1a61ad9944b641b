"""What is served: an application, its metrics, and the work that goes on beside it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp

from github_banners.serving.health import WithMetrics
from github_banners.serving.metrics import Metrics
from github_banners.serving.run import listening


@dataclass(frozen=True, slots=True)
class Service:
    """An application without a lifespan, and tasks none of which ever ends by itself."""

    app: ASGIApp
    metrics: Metrics
    tasks: Sequence[asyncio.Task[None]] = ()


@asynccontextmanager
async def serving(
    service: Service, *, host: str, port: int, metrics_port: int | None
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Serve while the context lasts; metrics on a port of their own, else beside all else."""
    async with AsyncExitStack() as stack:
        app = service.app
        servers = []
        if metrics_port is None:
            app = WithMetrics(app, metrics=service.metrics.app)
        else:
            on_its_own = listening(service.metrics.app, host=host, port=metrics_port)
            servers.append(await stack.enter_async_context(on_its_own))
        servers.append(await stack.enter_async_context(listening(app, host=host, port=port)))
        yield [*servers, *service.tasks]


@asynccontextmanager
async def owning(
    work: Coroutine[Any, Any, None], *, name: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Let work go on while the context lasts, and end it then."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
