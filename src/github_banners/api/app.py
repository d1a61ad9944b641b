"""The composition root of the public service: opens what it needs in order, closes in reverse."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from github_banners.api import routes
from github_banners.api.background import keep_running
from github_banners.api.banners import Banners
from github_banners.api.base_path import StripBasePath, base_path_from_url
from github_banners.api.clients import Shares
from github_banners.api.cors import Cors
from github_banners.api.delivery import origins_of
from github_banners.api.neighbours import Neighbours
from github_banners.api.outbox import OUTCOMES, Outbox
from github_banners.api.pictures import Pictures
from github_banners.api.pngs import OUTCOMES as PNG_OUTCOMES
from github_banners.api.pngs import Pngs
from github_banners.api.problems import ExplainProblem
from github_banners.api.refresh import MAX_NOTED_REQUESTS, Refresh
from github_banners.api.response_cache import ResponseCache
from github_banners.database.changes import Changes
from github_banners.database.connect import Database, error_text
from github_banners.database.migrations import migrate
from github_banners.drawing.png import to_png
from github_banners.errors import DatabaseUnavailable
from github_banners.github.accounts import Budget, Priority, accounts_of
from github_banners.github.batch import Batch
from github_banners.github.client import GitHub
from github_banners.github.holders import group_by_holder
from github_banners.github.transport import open_http
from github_banners.log_throttle import LogThrottle
from github_banners.messages.tracing import Traced
from github_banners.model import Clock, utc_now
from github_banners.serving.access import Measured
from github_banners.serving.framework import make_framework
from github_banners.serving.health import Health, health_routes
from github_banners.serving.metrics import Metrics
from github_banners.serving.service import Service
from github_banners.serving.workshop import Workshop
from github_banners.settings import Settings
from github_banners.stats.budget import ReservedBudget
from github_banners.stats.freshness import Ttls
from github_banners.stats.lookup import Lookup
from github_banners.stats.trust import Trust

_log = structlog.get_logger(__name__)

# Ten thousand pictures, and their owners; a quarter more than is counted is spent in fact.
_PICTURES_BYTES = 80 << 20
_SNAPSHOTS_BYTES = 24 << 20
_PNGS_BYTES = 16 << 20
_FIRST_ATTEMPT_SECONDS = 10.0
_MIGRATE_AGAIN_SECONDS = 1.0
_NOTE_REQUESTS_SECONDS = 60.0
_STOP_SECONDS = 2.0


@asynccontextmanager
async def open_api(
    settings: Settings,
    *,
    conninfo: str,
    neighbours: Neighbours,
    metrics: Metrics,
    clock: Clock = utc_now,
) -> AsyncIterator[Service]:
    """
    Open the api: an ASGI application without a lifespan of its own, and its background work.

    `neighbours` draw, store and hand on what is new.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(conninfo))
        budget = ReservedBudget(database, clock=clock)
        github = await stack.enter_async_context(_open_github(settings, budget=budget, clock=clock))
        trust = Trust(clock=clock)
        ttls = Ttls(settings.soft_ttl, settings.hard_ttl, settings.cache_ttl)
        lookup = Lookup(
            database=database,
            github=github,
            batch=Batch(github, clock=clock, priority=Priority.STALE),
            ttls=ttls,
            clock=clock,
            trust=trust,
            memory_bytes=_SNAPSHOTS_BYTES,
        )
        stack.push_async_callback(lookup.close)
        pictures = Pictures(
            clock=clock, memory_bytes=_PICTURES_BYTES, draw=neighbours.draw, trust=trust
        )
        base_path = base_path_from_url(settings.public_url)
        cache = _make_cache(pictures, metrics, ttls, base_path=base_path, clock=clock)
        interval = settings.refresh_interval
        banners = Banners(
            lookup=lookup,
            database=database,
            pictures=pictures,
            neighbours=neighbours,
            refresh_interval=interval,
            max_banners_per_user=settings.max_banners_per_user,
            clock=clock,
        )
        pngs = _pngs(metrics)
        stack.push_async_callback(pngs.close)
        handlers = _make_handlers(banners, cache, pngs, settings)
        health = Health({"database": lambda: database.is_available, **neighbours.health})
        health.expose(metrics)
        application = _make_application(handlers, health, metrics, settings)
        batch = Batch(github, clock=clock)
        refresh = Refresh(database=database, github=batch, interval=interval, clock=clock)
        outbox = _outbox(database, neighbours, metrics, clock=clock)
        changes = Changes(conninfo, database=database, trust=trust, wake=outbox.wake)
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "refresh": refresh.run,
            "versions": refresh.raise_versions,
            "outbox": outbox.run,
            "changes": changes.run,
            "requests": partial(_note_requests, cache, refresh),
            "holders": partial(_group_tokens, github, clock=clock),
        }
        tasks = await stack.enter_async_context(_working(conninfo, work))
        yield Service(application, metrics, tasks, cache)


def _make_cache(
    pictures: Pictures, metrics: Metrics, ttls: Ttls, *, base_path: str, clock: Clock
) -> ResponseCache:
    cache = ResponseCache(
        pictures, clock=clock, soft_seconds=ttls.soft.total_seconds(), base_path=base_path
    )
    metrics.counts("remembered_total", "Pictures answered from memory.", by="form", read=cache.hits)
    return cache


def _make_handlers(
    banners: Banners, cache: ResponseCache, pngs: Pngs, settings: Settings
) -> routes.BannerRoutes:
    return routes.BannerRoutes(
        banners=banners,
        cache=cache,
        pngs=pngs,
        shares=Shares(per_second=settings.rate_limit_rps),
        trusted_proxies=settings.trusted_proxies,
        request_seconds=settings.request_timeout.total_seconds(),
        base_path=base_path_from_url(settings.public_url),
    )


def _pngs(metrics: Metrics) -> Pngs:
    count = metrics.counter(
        "pngs_total",
        "PNG pictures that were not in memory, by what became of the wish.",
        by="outcome",
        kinds=PNG_OUTCOMES,
    )
    return Pngs(workshop=Workshop(to_png), memory_bytes=_PNGS_BYTES, count=count)


def _outbox(
    database: Database, neighbours: Neighbours, metrics: Metrics, *, clock: Clock
) -> Outbox:
    count = metrics.counter(
        "published_total",
        "New versions of banners, by whether they were handed on.",
        by="outcome",
        kinds=OUTCOMES,
    )
    return Outbox(database=database, publish=neighbours.publish, clock=clock, count=count)


def _make_application(
    handlers: routes.BannerRoutes, health: Health, metrics: Metrics, settings: Settings
) -> Starlette:
    base_path = base_path_from_url(settings.public_url)
    host = urlsplit(settings.public_url).netloc + base_path if settings.public_url else ""
    explain = ExplainProblem(host=host, draw_png=handlers.draw_png)
    below_path = [Middleware(StripBasePath, base_path=base_path)] if base_path else []
    return make_framework(
        [*handlers.routes(), *health_routes(health), *routes.page_routes(base_path)],
        middleware=[
            *below_path,
            Middleware(Cors, origins=origins_of(settings.cors_origins)),
            Middleware(Measured, metrics=metrics, name=routes.name_of),
            Middleware(Traced),
        ],
        on_error={Exception: explain, HTTPException: explain.explain_http},
    )


@asynccontextmanager
async def _open_github(
    settings: Settings, *, budget: Budget, clock: Clock
) -> AsyncIterator[GitHub]:
    async with open_http(timeout=settings.request_timeout, api_url=settings.github_api_url) as http:
        yield GitHub(
            http,
            api_url=settings.github_api_url,
            accounts=accounts_of(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
            budget=budget,
        )


@asynccontextmanager
async def _working(
    conninfo: str, work: Mapping[str, Callable[[], Awaitable[None]]]
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Bring the tables up to date, and then begin; a database that is down is waited for.

    None of the tasks ends by an error of data, of the database or of GitHub.
    """
    attempted, ready = asyncio.Event(), asyncio.Event()
    migrating = _migrate(conninfo, attempted=attempted, ready=ready)
    tasks = [asyncio.create_task(migrating, name="migrate")]
    tasks += [
        asyncio.create_task(_run_after(ready, name, run), name=name) for name, run in work.items()
    ]
    try:
        await _first_attempt(tasks[0], attempted)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_SECONDS)


async def _run_after(ready: asyncio.Event, name: str, work: Callable[[], Awaitable[None]]) -> None:
    await ready.wait()
    await keep_running(name, work)
    await asyncio.Event().wait()


async def _first_attempt(migrating: asyncio.Task[None], attempted: asyncio.Event) -> None:
    """Wait for what the first attempt brings; a server that says nothing is not waited for."""
    waiting = asyncio.create_task(attempted.wait(), name="first attempt")
    ends = {migrating, waiting}
    try:
        await asyncio.wait(
            ends, timeout=_FIRST_ATTEMPT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        waiting.cancel()
    if migrating.done():
        migrating.result()


async def _migrate(conninfo: str, *, attempted: asyncio.Event, ready: asyncio.Event) -> None:
    """Migrate; the first attempt may end the process, later ones wait for somebody to mend it."""
    throttle = LogThrottle(time.monotonic)
    while not ready.is_set():
        try:
            await migrate(conninfo, is_first_attempt=not attempted.is_set())
            ready.set()
        except DatabaseUnavailable as error:
            if not attempted.is_set():
                _log.warning("database.away_at_start", reason=str(error))
            attempted.set()
            await asyncio.sleep(_MIGRATE_AGAIN_SECONDS)
        except Exception as error:
            if not attempted.is_set():
                raise
            if throttle.allows(str(error)):
                _log.error("database.not_migrated", reason=error_text(error))
            await asyncio.sleep(_MIGRATE_AGAIN_SECONDS)
    _log.info("database.migrated")
    attempted.set()
    await asyncio.Event().wait()


async def _note_requests(cache: ResponseCache, refresh: Refresh) -> None:
    """Save once a minute which permanent banners were requested, in chunks."""
    while True:
        await asyncio.sleep(_NOTE_REQUESTS_SECONDS)
        requested_at = list(cache.drain_access_times().items())
        for start in range(0, len(requested_at), MAX_NOTED_REQUESTS):
            try:
                await refresh.note_requests(dict(requested_at[start : start + MAX_NOTED_REQUESTS]))
            except DatabaseUnavailable:
                cache.restore_access_times(dict(requested_at[start:]))
                break


async def _group_tokens(github: GitHub, *, clock: Clock) -> None:
    """Find out which tokens share a budget."""
    await group_by_holder(github.sender, clock=clock)
