"""
Build the background tasks of the api that need the database, and what they work with.

`background_tasks` runs them once the database is migrated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from github_banners.api import public_routes
from github_banners.api.admission import ServedUsers
from github_banners.api.backends import Backends
from github_banners.api.data_refresh import DataRefresh
from github_banners.api.forgetting import Forgetting, drop_owners
from github_banners.api.gone_users import GoneUsers
from github_banners.api.measurements import Measurements
from github_banners.api.outbox import Outbox, PublishOutcome
from github_banners.api.refresh import MAX_RECORDED_REQUESTS, Refresh
from github_banners.api.response_cache import ResponseCache
from github_banners.api.traced_backends import tracing_batches
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Database
from github_banners.errors import DatabaseUnavailable
from github_banners.github.batch import BatchFetcher
from github_banners.github.client import GitHubClient
from github_banners.github.data_fetcher import DataFetcher
from github_banners.github.token_owners import group_by_account
from github_banners.models import Clock
from github_banners.serving.metrics import Metrics
from github_banners.serving.telemetry import Tracing
from github_banners.settings import Settings
from github_banners.stats.snapshots import Invalidations

_RECORD_REQUESTS_INTERVAL_SECONDS = 60.0


def build_background_work(
    settings: Settings,
    database: Database,
    github: GitHubClient,
    *,
    conninfo: str,
    backends: Backends,
    routes: public_routes.BannerRoutes,
    metrics: Metrics,
    invalidations: Invalidations,
    clock: Clock,
    tracing: Tracing,
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Return the background tasks that need the database, by name."""
    interval, served_users = settings.refresh_interval, routes.served_users
    refresh, data_refresh = _build_refreshes(
        database, github, served_users, interval=interval, clock=clock, tracing=tracing
    )
    outbox = _build_outbox(database, backends, metrics, clock=clock)
    forgetting = Forgetting(
        database=database,
        remove=backends.remove,
        drop_owners=partial(drop_owners, routes),
        deny=served_users.deny,
        clock=clock,
    )
    gone_users = GoneUsers(
        database=database,
        github=BatchFetcher(github, clock=clock),
        remove_after=settings.remove_gone_users_after,
        interval=interval,
        clock=clock,
    )
    change_listener = ChangeListener(
        conninfo,
        database=database,
        invalidations=invalidations,
        on_change=outbox.wake,
        on_forgotten=forgetting.wake,
    )
    measurements = _build_measurements(database, github, metrics, clock=clock)
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "refresh": refresh.run,
        "data refresh": data_refresh.run,
        "versions": refresh.raise_versions,
        "outbox": outbox.run,
        "changes": change_listener.run,
        "forgotten users": forgetting.run,
        "gone users": gone_users.run,
        "measurements": measurements.run,
        "requests": partial(_record_requests, routes.cache, refresh),
        "token owners": partial(group_by_account, github.sender, clock=clock),
    }
    return work


def _build_refreshes(
    database: Database,
    github: GitHubClient,
    served_users: ServedUsers,
    *,
    interval: timedelta,
    clock: Clock,
    tracing: Tracing,
) -> tuple[Refresh, DataRefresh]:
    refresh = Refresh(
        database=database,
        github=BatchFetcher(github, clock=clock),
        interval=interval,
        clock=clock,
        served_users=served_users,
        trace_batch=tracing_batches("refresh users", tracing=tracing),
    )
    data_refresh = DataRefresh(
        database=database,
        github=DataFetcher(github),
        interval=interval,
        clock=clock,
        served_users=served_users,
        trace_batch=tracing_batches("refresh data", tracing=tracing),
    )
    return refresh, data_refresh


def _build_outbox(
    database: Database, backends: Backends, metrics: Metrics, *, clock: Clock
) -> Outbox:
    count = metrics.counter(
        "published_total",
        "New versions of banners by publishing outcome.",
        labels="outcome",
        label_values=PublishOutcome,
    )
    return Outbox(database=database, publish=backends.publish, clock=clock, count=count)


def _build_measurements(
    database: Database, github: GitHubClient, metrics: Metrics, *, clock: Clock
) -> Measurements:
    measurements = Measurements(database=database, accounts=github.sender.accounts, clock=clock)
    measurements.register(metrics)
    return measurements


async def _record_requests(cache: ResponseCache, refresh: Refresh) -> None:
    """Save once a minute when permanent banners were last requested, in chunks."""
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
