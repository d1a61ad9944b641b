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

from github_banners.api import public_routes
from github_banners.api.backends import Backends
from github_banners.api.background import keep_running
from github_banners.api.banner_responses import expand_origins
from github_banners.api.banner_service import BannerService
from github_banners.api.base_path import StripBasePathMiddleware, base_path_from_url
from github_banners.api.cors import CorsMiddleware
from github_banners.api.error_handlers import ErrorHandler
from github_banners.api.outbox import PUBLISH_OUTCOMES, Outbox
from github_banners.api.picture_cache import PictureCache
from github_banners.api.png_converter import PNG_OUTCOMES, PngConverter
from github_banners.api.rate_limit import RateLimiter
from github_banners.api.refresh import MAX_RECORDED_REQUESTS, Refresh
from github_banners.api.response_cache import ResponseCache
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database, error_text
from github_banners.database.migrations import migrate
from github_banners.drawing.png import to_png
from github_banners.errors import DatabaseUnavailable
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import Budget, Priority, create_accounts
from github_banners.github.token_owners import group_by_account
from github_banners.github.transport import open_http
from github_banners.log_throttle import LogThrottle
from github_banners.messaging.tracing import TraceMiddleware
from github_banners.models import Clock, utc_now
from github_banners.serving.framework import build_app
from github_banners.serving.health import Health, health_routes
from github_banners.serving.metrics import Metrics
from github_banners.serving.request_metrics import RequestMetricsMiddleware
from github_banners.serving.service import Service
from github_banners.serving.worker_process import WorkerProcess
from github_banners.settings import Settings
from github_banners.stats.budget import ReservedBudget
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Invalidations, Ttls

_log = structlog.get_logger(__name__)

# Ten thousand pictures, and their owners; a quarter more than is counted is spent in fact.
_PICTURES_BYTES = 80 << 20
_SNAPSHOTS_BYTES = 24 << 20
_PNGS_BYTES = 16 << 20
_FIRST_ATTEMPT_TIMEOUT_SECONDS = 10.0
_MIGRATE_RETRY_SECONDS = 1.0
_RECORD_REQUESTS_INTERVAL_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 2.0


@asynccontextmanager
async def open_api(
    settings: Settings,
    *,
    conninfo: str,
    backends: Backends,
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
        trust = Invalidations(clock=clock)
        ttls = Ttls(settings.soft_ttl, settings.hard_ttl, settings.cache_ttl)
        lookup = Lookup(
            database=database,
            github=github,
            batch_fetcher=BatchFetcher(github, clock=clock, priority=Priority.STALE),
            ttls=ttls,
            clock=clock,
            invalidations=trust,
            memory_bytes=_SNAPSHOTS_BYTES,
        )
        stack.push_async_callback(lookup.close)
        pictures = PictureCache(
            clock=clock, memory_bytes=_PICTURES_BYTES, draw=backends.draw, invalidations=trust
        )
        base_path = base_path_from_url(settings.public_url)
        cache = _make_cache(pictures, metrics, ttls, base_path=base_path, clock=clock)
        interval = settings.refresh_interval
        banners = BannerService(
            lookup=lookup,
            database=database,
            picture_cache=pictures,
            backends=backends,
            refresh_interval=interval,
            max_banners_per_user=settings.max_banners_per_user,
            clock=clock,
        )
        pngs = _make_png_converter(metrics)
        stack.push_async_callback(pngs.close)
        handlers = _make_handlers(banners, cache, pngs, settings)
        health = Health({"database": lambda: database.is_available, **backends.health})
        health.register_metrics(metrics)
        application = _make_application(handlers, health, metrics, settings)
        batch = BatchFetcher(github, clock=clock)
        refresh = Refresh(database=database, github=batch, interval=interval, clock=clock)
        outbox = _make_outbox(database, backends, metrics, clock=clock)
        changes = ChangeListener(
            conninfo, database=database, invalidations=trust, on_change=outbox.wake
        )
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "refresh": refresh.run,
            "versions": refresh.raise_versions,
            "outbox": outbox.run,
            "changes": changes.run,
            "requests": partial(_record_requests, cache, refresh),
            "holders": partial(_group_tokens, github, clock=clock),
        }
        tasks = await stack.enter_async_context(_background_tasks(conninfo, work))
        yield Service(application, metrics, tasks, cache)


def _make_cache(
    picture_cache: PictureCache, metrics: Metrics, ttls: Ttls, *, base_path: str, clock: Clock
) -> ResponseCache:
    cache = ResponseCache(
        picture_cache, clock=clock, soft_seconds=ttls.soft.total_seconds(), base_path=base_path
    )
    metrics.external_counter(
        "remembered_total", "Pictures answered from memory.", label="form", counts=cache.hits
    )
    return cache


def _make_handlers(
    banner_service: BannerService,
    cache: ResponseCache,
    png_converter: PngConverter,
    settings: Settings,
) -> public_routes.BannerRoutes:
    return public_routes.BannerRoutes(
        banners=banner_service,
        cache=cache,
        png_converter=png_converter,
        rate_limiter=RateLimiter(per_second=settings.rate_limit_rps),
        trusted_proxies=settings.trusted_proxies,
        request_timeout_seconds=settings.request_timeout.total_seconds(),
        base_path=base_path_from_url(settings.public_url),
    )


def _make_png_converter(metrics: Metrics) -> PngConverter:
    count = metrics.counter(
        "pngs_total",
        "PNG pictures that were not in memory, by what became of the wish.",
        labels="outcome",
        label_values=PNG_OUTCOMES,
    )
    return PngConverter(worker=WorkerProcess(to_png), memory_bytes=_PNGS_BYTES, count=count)


def _make_outbox(
    database: Database, backends: Backends, metrics: Metrics, *, clock: Clock
) -> Outbox:
    count = metrics.counter(
        "published_total",
        "New versions of banners, by whether they were handed on.",
        labels="outcome",
        label_values=PUBLISH_OUTCOMES,
    )
    return Outbox(database=database, publish=backends.publish, clock=clock, count=count)


def _make_application(
    handlers: public_routes.BannerRoutes, health: Health, metrics: Metrics, settings: Settings
) -> Starlette:
    base_path = base_path_from_url(settings.public_url)
    host = urlsplit(settings.public_url).netloc + base_path if settings.public_url else ""
    explain = ErrorHandler(host=host, draw_png=handlers.draw_png)
    below_path = [Middleware(StripBasePathMiddleware, base_path=base_path)] if base_path else []
    return build_app(
        [*handlers.routes(), *health_routes(health), *public_routes.page_routes(base_path)],
        middleware=[
            *below_path,
            Middleware(CorsMiddleware, origins=expand_origins(settings.cors_origins)),
            Middleware(RequestMetricsMiddleware, metrics=metrics, name=public_routes.route_label),
            Middleware(TraceMiddleware),
        ],
        on_error={Exception: explain, HTTPException: explain.handle_http_error},
    )


@asynccontextmanager
async def _open_github(
    settings: Settings, *, budget: Budget, clock: Clock
) -> AsyncIterator[GitHubClient]:
    async with open_http(timeout=settings.request_timeout, api_url=settings.github_api_url) as http:
        yield GitHubClient(
            http,
            api_url=settings.github_api_url,
            accounts=create_accounts(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
            budget=budget,
        )


@asynccontextmanager
async def _background_tasks(
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
        await _wait_for_first_attempt(tasks[0], attempted)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_SECONDS)


async def _run_after(ready: asyncio.Event, name: str, work: Callable[[], Awaitable[None]]) -> None:
    await ready.wait()
    await keep_running(name, work)
    await asyncio.Event().wait()


async def _wait_for_first_attempt(migrating: asyncio.Task[None], attempted: asyncio.Event) -> None:
    """Wait for what the first attempt brings; a server that says nothing is not waited for."""
    waiting = asyncio.create_task(attempted.wait(), name="first attempt")
    ends = {migrating, waiting}
    try:
        await asyncio.wait(
            ends, timeout=_FIRST_ATTEMPT_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
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
            await migrate(conninfo, explain_login_errors=not attempted.is_set())
            ready.set()
        except DatabaseUnavailable as error:
            if not attempted.is_set():
                _log.warning("database.away_at_start", reason=str(error))
            attempted.set()
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
        except Exception as error:
            if not attempted.is_set():
                raise
            if throttle.allows(str(error)):
                _log.error("database.not_migrated", reason=error_text(error))
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
    _log.info("database.migrated")
    attempted.set()
    await asyncio.Event().wait()


async def _record_requests(cache: ResponseCache, refresh: Refresh) -> None:
    """Save once a minute which permanent banners were requested, in chunks."""
    while True:
        await asyncio.sleep(_RECORD_REQUESTS_INTERVAL_SECONDS)
        requested_at = list(cache.drain_access_times().items())
        for start in range(0, len(requested_at), MAX_RECORDED_REQUESTS):
            try:
                await refresh.record_requests(
                    dict(requested_at[start : start + MAX_RECORDED_REQUESTS])
                )
            except DatabaseUnavailable:
                cache.restore_access_times(dict(requested_at[start:]))
                break


async def _group_tokens(github: GitHubClient, *, clock: Clock) -> None:
    """Find out which tokens share a budget."""
    await group_by_account(github.sender, clock=clock)
