"""The composition root of the public service: opens what it needs in order, closes in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import stamina
import structlog
from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from github_banners.api import routes
from github_banners.api.banners import Banners
from github_banners.api.clients import Shares
from github_banners.api.cors import Cors
from github_banners.api.delivery import origins_of
from github_banners.api.hot import HotPath, make_hot
from github_banners.api.pictures import Pictures
from github_banners.api.problems import ExplainProblem, explain_http
from github_banners.database.connect import Database
from github_banners.database.migrations import migrate
from github_banners.errors import DatabaseUnavailable
from github_banners.github.accounts import accounts_of
from github_banners.github.client import GitHub, open_http
from github_banners.model import Clock, utc_now
from github_banners.settings import Settings
from github_banners.stats.freshness import Ttls
from github_banners.stats.lookup import Lookup

_log = structlog.get_logger(__name__)

_PICTURES_BYTES = 96 << 20
_MIGRATE_AGAIN_SECONDS = 2.0


@asynccontextmanager
async def open_api(
    settings: Settings, *, conninfo: str, clock: Clock = utc_now
) -> AsyncIterator[ASGIApp]:
    """Open the api: an ASGI application without a lifespan of its own."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(timeout=settings.request_timeout))
        github = GitHub(
            http,
            api_url=settings.github_api_url,
            accounts=accounts_of(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
        )
        database = await stack.enter_async_context(Database(conninfo))
        await stack.enter_async_context(_migrated(conninfo))
        ttls = Ttls(settings.soft_ttl, settings.hard_ttl, settings.cache_ttl)
        lookup = Lookup(database=database, github=github, ttls=ttls, clock=clock)
        stack.push_async_callback(lookup.close)
        pictures = Pictures(clock=clock, memory_bytes=_PICTURES_BYTES)
        banners = Banners(lookup=lookup, database=database, pictures=pictures, clock=clock)
        hot = make_hot(pictures, clock=clock, soft_seconds=ttls.soft.total_seconds())
        door = routes.Door(
            banners=banners,
            database=database,
            hot=hot,
            shares=Shares(per_second=settings.rate_limit_rps),
            trusted_proxies=settings.trusted_proxies,
            request_seconds=settings.request_timeout.total_seconds(),
        )
        framework = _make_framework(door, host=_host(settings))
        async with framework.lifespan():
            yield Cors(HotPath(framework, hot=hot), origins=origins_of(settings.cors_origins))


@asynccontextmanager
async def _migrated(conninfo: str) -> AsyncIterator[None]:
    """Bring the tables up to date; a database that is away is brought there when it is back."""
    try:
        await migrate(conninfo)
    except DatabaseUnavailable:
        _log.warning("database.away_at_start")
        task = asyncio.create_task(_migrate_when_back(conninfo), name="migrate")
        yield
        task.cancel()
    else:
        yield


async def _migrate_when_back(conninfo: str) -> None:
    async for attempt in stamina.retry_context(
        on=DatabaseUnavailable, attempts=None, timeout=None, wait_max=_MIGRATE_AGAIN_SECONDS
    ):
        with attempt:
            await migrate(conninfo)
    _log.info("database.migrated")


def _make_framework(door: routes.Door, *, host: str) -> Litestar:
    explain_problem = ExplainProblem(host=host)
    return Litestar(
        [routes.preview, routes.permanent, routes.make, routes.healthz, routes.readyz],
        dependencies={"door": Provide(lambda: door, sync_to_thread=False)},
        exception_handlers={Exception: explain_problem, HTTPException: explain_http},
        openapi_config=None,
        logging_config=None,
    )


def _host(settings: Settings) -> str:
    return urlsplit(settings.public_url).netloc if settings.public_url else ""
