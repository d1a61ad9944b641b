"""
The background refresh of data that only some banners show: contributions, sizes, one repository.

Several processes may run it: each leases what is due, a few owners at a time. What fails is retried
with growing delays and does not hold up others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from github_banners.api.admission import NOT_SERVED_RETRY_AFTER, ServedUsers
from github_banners.api.retries import Failures, TraceBatch, run_batches, untraced
from github_banners.database.connect import Database
from github_banners.database.data_leases import DueData, lease_due_data, release_data, schedule_data
from github_banners.database.leases import MAX_RETRY_DELAY
from github_banners.database.owner_data import save_data
from github_banners.errors import Unavailable, UnknownUser
from github_banners.github.credentials import Priority
from github_banners.models import Clock
from github_banners.stats.data_fetch import DataRequest, fetch_stored
from github_banners.stats.fetch import DataSource

_log = structlog.get_logger(__name__)

BATCH_SIZE = 3
"""How much is fetched at once: contributions take GitHub seconds, and its time is limited."""

_IDLE_SECONDS = 5.0
_RETRY_AFTER = timedelta(minutes=5)
_DELETED_RETRY_AFTER = timedelta(days=7)


class DataRefresh:
    """Refreshes the data that banners need, in tiers of `interval`."""

    def __init__(
        self,
        *,
        database: Database,
        github: DataSource,
        interval: timedelta,
        clock: Clock,
        served_users: ServedUsers | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        trace_batch: TraceBatch = untraced,
    ) -> None:
        self._database = database
        self._github = github
        self._interval = interval
        self._clock = clock
        self._served_users = served_users or ServedUsers()
        self._sleep = sleep
        self._trace_batch = trace_batch
        self._failures = Failures(first_delay=_RETRY_AFTER, max_delay=MAX_RETRY_DELAY)
        self._batch_failures = Failures()

    async def run(self) -> None:
        """Refresh data for ever; pause while none is due, or the database or GitHub is down."""
        await run_batches(
            self.refresh_batch,
            event="data_refresh.failed",
            failures=self._batch_failures,
            pause_seconds=lambda refreshed: 0 if refreshed else _IDLE_SECONDS,
            sleep=self._sleep,
        )

    async def refresh_batch(self) -> int:
        """
        Fetch and save the data that is due longest; return how much of it is no longer due.

        :raises DatabaseUnavailable: it could not be leased
        """
        async with self._database.transaction() as connection:
            leased = await lease_due_data(connection, now=self._clock(), limit=BATCH_SIZE)
        due = [data for data in leased if self._served_users.is_served(data.owner.login)]
        for data in leased:
            if data not in due:
                await self._release(data, NOT_SERVED_RETRY_AFTER)
        saved = 0
        if due:
            with self._trace_batch(len(due)):
                saved = sum(await asyncio.gather(*map(self._refresh, due)))
                _log.info("data_refresh.saved", saved=saved, failed=len(due) - saved)
        return saved + len(leased) - len(due)

    async def _refresh(self, due: DueData) -> bool:
        """Fetch and save data of one owner; release it with a retry time if that fails."""
        key = due.owner.id, due.need
        try:
            await self._fetch_and_save(due)
        except Exception as error:  # noqa: BLE001 - no data may hold up that of others
            delay = self._failures.record(
                key, error, event="data_refresh.owner_failed", owner=due.owner.login, need=due.need
            )
            # An outage of GitHub says nothing about the owner: its delay does not grow.
            if isinstance(error, Unavailable):
                self._failures.clear(key)
                delay = _RETRY_AFTER
            elif isinstance(error, UnknownUser):
                delay = _DELETED_RETRY_AFTER
            await self._release(due, delay)
            return False
        self._failures.clear(key)
        return True

    async def _release(self, due: DueData, delay: timedelta) -> None:
        async with self._database.transaction() as connection:
            await release_data(connection, due, retry_at=self._clock() + delay)

    async def _fetch_and_save(self, due: DueData) -> None:
        fetched_at = self._clock()
        request = DataRequest(due.owner, due.kind, repository_id=due.repository_id)
        content = await fetch_stored(
            self._github, self._database, request, clock=self._clock, priority=Priority.BACKGROUND
        )
        async with self._database.transaction() as connection:
            await save_data(
                connection,
                due.owner.id,
                due.need,
                content,
                fetched_at=fetched_at,
                now=self._clock(),
            )
        # A transaction of its own, since unchanged data is saved without a lock on its owner.
        async with self._database.transaction() as connection:
            await schedule_data(
                connection, [due.owner.id], now=self._clock(), interval=self._interval
            )
