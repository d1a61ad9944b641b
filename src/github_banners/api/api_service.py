"""
The composition root of the api service.

`open_api` opens the database, the GitHub client, the caches and the background tasks in order, and
closes them in reverse.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from github_banners.api import public_routes
from github_banners.api.admission import RateLimiter, ServedUsers
from github_banners.api.backends import Backends
from github_banners.api.background_tasks import run_background_tasks
from github_banners.api.background_work import build_background_work
from github_banners.api.banner_page import PAGE_PATH
from github_banners.api.banner_page_routes import BannerPageRoutes
from github_banners.api.banner_service import BannerService
from github_banners.api.base_path import StripBasePathMiddleware, base_path_from_url
from github_banners.api.error_handlers import ErrorHandler
from github_banners.api.pictures import BannerDataFinder, PictureCache
from github_banners.api.png_converter import PngConverter, PngOutcome
from github_banners.api.response_cache import ResponseCache
from github_banners.api.retries import keep_running
from github_banners.api.traced_backends import open_traced_database
from github_banners.database.connect import Database
from github_banners.drawing import TO_PNG
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import Priority, create_accounts
from github_banners.github.data_fetcher import DataFetcher
from github_banners.github.transport import open_github_http
from github_banners.messaging.trace_context import TraceMiddleware
from github_banners.models import Clock, utc_now
from github_banners.serving.framework import CorsMiddleware, build_app, expand_origins
from github_banners.serving.health import Health, health_routes
from github_banners.serving.metrics import Metrics, RequestMetricsMiddleware
from github_banners.serving.service import Service, background_task
from github_banners.serving.telemetry import OFF, Tracing
from github_banners.serving.worker_process import WorkerProcess
from github_banners.settings import Settings
from github_banners.stats.budget import ReservedBudget
from github_banners.stats.data_lookup import DataLookup
from github_banners.stats.identity import IdentityLookup
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Invalidations, Ttls

# Room for ten thousand pictures and their owners. The process uses about a quarter more than is
# counted here, since the overhead of Python objects is estimated.
_PICTURES_BYTES = 80 << 20
_SNAPSHOTS_BYTES = 24 << 20
_PNGS_BYTES = 16 << 20


@asynccontextmanager
async def open_api(
    settings: Settings,
    *,
    conninfo: str,
    backends: Backends,
    metrics: Metrics,
    clock: Clock = utc_now,
    tracing: Tracing = OFF,
) -> AsyncIterator[Service]:
    """
    Open the api: an ASGI application without a lifespan of its own, and its background tasks.

    `backends` draw, store and publish banners. `clock` returns the current time in UTC.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_traced_database(conninfo, tracing=tracing))
        github = await stack.enter_async_context(
            _open_github(settings, database, clock=clock, tracing=tracing)
        )
        invalidations = Invalidations(clock=clock)
        served_users = ServedUsers.from_settings(settings)
        banner_service = await stack.enter_async_context(
            _open_banner_service(
                settings,
                database,
                github,
                backends,
                served_users,
                invalidations=invalidations,
                clock=clock,
            )
        )
        picture_cache = PictureCache(
            clock=clock,
            memory_bytes=_PICTURES_BYTES,
            draw=backends.draw,
            invalidations=invalidations,
        )
        response_cache = _build_response_cache(picture_cache, metrics, settings, clock=clock)
        served_users.watch(response_cache.clear)
        png_converter = await stack.enter_async_context(_open_png_converter(metrics))
        routes = _build_routes(
            banner_service,
            picture_cache,
            response_cache,
            png_converter,
            served_users=served_users,
            settings=settings,
        )
        health = _build_health(database, backends, metrics)
        application = build_application(routes, health, metrics, settings, tracing=tracing)
        work = build_background_work(
            settings,
            database,
            github,
            conninfo=conninfo,
            backends=backends,
            routes=routes,
            metrics=metrics,
            invalidations=invalidations,
            clock=clock,
            tracing=tracing,
        )
        tasks = await stack.enter_async_context(run_background_tasks(conninfo, work))
        # It must not wait for the database, as the others do.
        reading = keep_running("served users", served_users.run)
        tasks.append(await stack.enter_async_context(background_task(reading, name="served users")))
        yield Service(application, metrics, tasks, response_cache)


@asynccontextmanager
async def _open_banner_service(
    settings: Settings,
    database: Database,
    github: GitHubClient,
    backends: Backends,
    served_users: ServedUsers,
    *,
    invalidations: Invalidations,
    clock: Clock,
) -> AsyncIterator[BannerService]:
    """Open the services that find a banner's data, and close them in reverse."""
    ttls = Ttls(settings.soft_ttl, settings.hard_ttl, settings.cache_ttl)
    data_fetcher = DataFetcher(github)
    lookup = Lookup(
        database=database,
        github=github,
        batch_fetcher=BatchFetcher(github, clock=clock, priority=Priority.STALE),
        ttls=ttls,
        clock=clock,
        invalidations=invalidations,
        memory_bytes=_SNAPSHOTS_BYTES,
    )
    data_lookup = DataLookup(
        database=database,
        github=data_fetcher,
        writer=lookup.writer,
        ttls=ttls,
        clock=clock,
        invalidations=invalidations,
    )
    identities = IdentityLookup(
        lookup=lookup, database=database, github=data_fetcher, max_age=ttls.hard, clock=clock
    )
    try:
        yield BannerService(
            finder=BannerDataFinder(
                lookup=lookup,
                identities=identities,
                data_lookup=data_lookup,
                served_users=served_users,
                database=database,
                clock=clock,
            ),
            lookup=lookup,
            served_users=served_users,
            database=database,
            backends=backends,
            refresh_interval=settings.refresh_interval,
            max_banners_per_user=settings.max_banners_per_user,
            clock=clock,
        )
    finally:
        await identities.close()
        await data_lookup.close()
        await lookup.close()


def _build_response_cache(
    picture_cache: PictureCache, metrics: Metrics, settings: Settings, *, clock: Clock
) -> ResponseCache:
    cache = ResponseCache(
        picture_cache,
        clock=clock,
        base_path=base_path_from_url(settings.public_url),
    )
    metrics.external_counter(
        "response_cache_hits_total",
        "Pictures answered from the response cache.",
        label="kind",
        counts=cache.hits,
    )
    return cache


@asynccontextmanager
async def _open_png_converter(metrics: Metrics) -> AsyncIterator[PngConverter]:
    count = metrics.counter(
        "pngs_total", "PNG cache misses by outcome.", labels="outcome", label_values=PngOutcome
    )
    converter = PngConverter(worker=WorkerProcess(TO_PNG), memory_bytes=_PNGS_BYTES, count=count)
    try:
        yield converter
    finally:
        await converter.close()


def _build_health(database: Database, backends: Backends, metrics: Metrics) -> Health:
    health = Health({"database": lambda: database.is_available, **backends.health})
    health.register_metrics(metrics)
    return health


def _build_routes(
    banner_service: BannerService,
    picture_cache: PictureCache,
    response_cache: ResponseCache,
    png_converter: PngConverter,
    *,
    served_users: ServedUsers,
    settings: Settings,
) -> public_routes.BannerRoutes:
    return public_routes.BannerRoutes(
        banners=banner_service,
        pictures=picture_cache,
        cache=response_cache,
        png_converter=png_converter,
        served_users=served_users,
        rate_limiter=RateLimiter(per_second=settings.rate_limit_rps),
        trusted_proxies=settings.trusted_proxies,
        request_timeout_seconds=settings.request_timeout.total_seconds(),
        base_path=base_path_from_url(settings.public_url),
    )


def build_application(
    routes: public_routes.BannerRoutes,
    health: Health,
    metrics: Metrics,
    settings: Settings,
    *,
    tracing: Tracing = OFF,
) -> Starlette:
    """Build the application of the api with all routes and its middleware."""
    base_path = base_path_from_url(settings.public_url)
    host = urlsplit(settings.public_url).netloc + base_path if settings.public_url else ""
    count_error = metrics.counter(
        "errors_total", "Errors of responses, by kind and status.", labels=("error", "status")
    )
    error_handler = ErrorHandler(
        host=host, draw_png=routes.draw_png, base_path=base_path, count=count_error
    )
    strip_base_path = (
        [Middleware(StripBasePathMiddleware, base_path=base_path)] if base_path else []
    )
    return build_app(
        [
            *routes.routes(),
            *BannerPageRoutes(
                routes, public_url=settings.public_url, github_api_url=settings.github_api_url
            ).routes(),
            *health_routes(health),
            *public_routes.page_routes(
                settings.public_url, trusted_proxies=settings.trusted_proxies
            ),
        ],
        middleware=[
            *strip_base_path,
            *tracing.middleware(public_routes.route_label),
            Middleware(CorsMiddleware, origins=expand_origins(settings.cors_origins)),
            Middleware(
                RequestMetricsMiddleware, metrics=metrics, label_path=public_routes.route_label
            ),
            Middleware(TraceMiddleware),
        ],
        on_error={Exception: error_handler, HTTPException: error_handler.handle_http_error},
        paths_with_slash=PAGE_PATH,
    )


@asynccontextmanager
async def _open_github(
    settings: Settings, database: Database, *, clock: Clock, tracing: Tracing
) -> AsyncIterator[GitHubClient]:
    async with open_github_http(
        timeout=settings.request_timeout,
        api_url=settings.github_api_url,
        wrap_transport=tracing.trace_github_requests,
    ) as http:
        yield GitHubClient(
            http,
            api_url=settings.github_api_url,
            accounts=create_accounts(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
            budget=ReservedBudget(database, clock=clock),
        )
