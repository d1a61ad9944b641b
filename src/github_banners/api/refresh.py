"""
The background refresh: fetches owners that are due from GitHub and saves their numbers.

Several processes may run it: each leases a batch of owners. Interactive requests go through
`Lookup` and do not wait for it. While GitHub is down, the pauses between batches grow. An owner
that can't be saved is retried with growing delays and does not hold up the rest of its batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from github_banners.api.admission import NOT_SERVED_RETRY_AFTER, ServedUsers
from github_banners.api.retries import Failures, TraceBatch, run_batches, untraced
from github_banners.backoff import backoff_delay
from github_banners.database import banners, leases, users
from github_banners.database.banner_versions import raise_remaining_banners
from github_banners.database.batches import save_separately
from github_banners.database.connect import Connection, Database
from github_banners.database.data_leases import schedule_data
from github_banners.database.refresh_costs import SECONDS_BETWEEN_BATCHES
from github_banners.errors import BannersError, DatabaseUnavailable, Unavailable, UnknownUser
from github_banners.models import (
    OWNERS_PER_QUERY,
    PARALLEL_QUERIES,
    Clock,
    Owner,
    OwnerRepositories,
    Stats,
    aggregate,
)
from github_banners.stats.fetch import BatchOwnerFetcher

_log = structlog.get_logger(__name__)

_MAX_PAUSE_SECONDS = 30.0
_RETRY_AFTER = timedelta(minutes=1)
_RAISE_SECONDS = 2.0
MAX_RECORDED_REQUESTS = 1000
"""The most banners whose access times are saved in one transaction."""

_FetchResult: TypeAlias = tuple[Owner, OwnerRepositories | Exception]


class Refresh:
    """Refreshes tracked owners who are served; each at most once per `interval`."""

    def __init__(
        self,
        *,
        database: Database,
        github: BatchOwnerFetcher,
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
        self._failed_batches = 0
        self._owner_failures = Failures(first_delay=_RETRY_AFTER, max_delay=leases.MAX_RETRY_DELAY)
        self._batch_failures = Failures()

    async def run(self) -> None:
        """Refresh owners for ever; pause while none is due, or the database or GitHub is down."""
        async with asyncio.TaskGroup() as group:
            for number in range(PARALLEL_QUERIES):
                group.create_task(self._work(), name=f"refresh {number}")

    async def refresh_batch(self) -> int:
        """
        Fetch and save the owners that are due longest; return how many were leased.

        :raises DatabaseUnavailable: owners could not be leased or saved
        """
        async with self._database.transaction() as connection:
            leased = await leases.lease_due_users(
                connection, now=self._clock(), limit=OWNERS_PER_QUERY, interval=self._interval
            )
        due = [owner for owner in leased if self._served_users.is_served(owner.login)]
        retry_at = self._clock() + NOT_SERVED_RETRY_AFTER
        await self._release({owner.id: retry_at for owner in leased if owner not in due})
        if due:
            with self._trace_batch(len(due)):
                requested_at = self._clock()
                results = await self._fetch(due, await self._read_previous(due))
                await self._save(list(zip(due, results, strict=True)), requested_at)
        return len(leased)

    async def _read_previous(self, owners: Sequence[Owner]) -> dict[int, Stats]:
        """Read owners' stored numbers by id, for comparison; leave out unreadable ones."""
        previous: dict[int, Stats] = {}

        async def read(connection: Connection, part: Sequence[Owner]) -> None:
            owner_ids = [owner.id for owner in part]
            for snapshot in await users.select_snapshots(connection, owner_ids, now=self._clock()):
                previous[snapshot.owner.id] = snapshot.stats

        for owner, error in await save_separately(self._database, owners, read):
            self._batch_failures.record(
                owner.id, error, event="refresh.read_failed", owner=owner.login, owner_id=owner.id
            )
        return previous

    async def _fetch(
        self, owners: Sequence[Owner], previous: Mapping[int, Stats]
    ) -> Sequence[OwnerRepositories | Exception]:
        """
        Fetch owners in one batch; after an unexpected error fetch each alone.

        Then only the owner whose data causes the error fails.
        """
        try:
            return await self._github.fetch_many(owners, previous=previous)
        except BannersError as error:
            return [error] * len(owners)
        except Exception as error:  # noqa: BLE001 - no data may end a task
            if len(owners) == 1:
                return [error]
        return [result for owner in owners for result in await self._fetch([owner], previous)]

    async def record_requests(self, requested_at: Mapping[str, datetime]) -> None:
        """
        Save when banners were last requested, by name, and reschedule their owners.

        :raises DatabaseUnavailable: the database is down; some may have been saved
        """
        owner_ids: set[int] = set()

        async def touch(connection: Connection, part: Sequence[tuple[str, datetime]]) -> None:
            touched = await banners.touch_banners(connection, dict(part), now=self._clock())
            owner_ids.update(touched)

        for name, error in await save_separately(self._database, list(requested_at.items()), touch):
            self._batch_failures.record(name, error, event="requests.not_recorded", banner=name[0])
        for owner_id, error in await save_separately(
            self._database, sorted(owner_ids), self._schedule
        ):
            self._batch_failures.record(
                owner_id, error, event="requests.not_scheduled", owner_id=owner_id
            )

    async def raise_versions(self) -> None:
        """Raise the versions of remaining banners for ever, in small transactions."""
        while True:
            # `Database` logs that the server is down.
            with suppress(DatabaseUnavailable):
                async with self._database.transaction() as connection:
                    await raise_remaining_banners(connection, now=self._clock())
            await self._sleep(_RAISE_SECONDS)

    async def _work(self) -> None:
        await run_batches(
            self.refresh_batch,
            event="refresh.failed",
            failures=self._batch_failures,
            pause_seconds=self._pause_seconds,
            sleep=self._sleep,
        )

    def _pause_seconds(self, refreshed: int) -> float:
        """Return the pause after a batch: none if it was full, since other owners may be due."""
        is_full = refreshed >= OWNERS_PER_QUERY and not self._failed_batches
        return 0 if is_full else pause_seconds(self._failed_batches)

    async def _save(self, results: Sequence[_FetchResult], requested_at: datetime) -> None:
        """Save fetched and deleted owners; release the leases of failed ones with a retry time."""
        completed: list[_FetchResult] = []
        failed: dict[Owner, Exception] = {}
        for owner, result in results:
            if isinstance(result, OwnerRepositories | UnknownUser):
                completed.append((owner, result))
            else:
                failed[owner] = result
        self._failed_batches = 0 if completed else self._failed_batches + 1

        async def save(connection: Connection, part: Sequence[_FetchResult]) -> None:
            await self._save_in_transaction(connection, part, requested_at)

        unsaved = await save_separately(self._database, completed, save)
        retry_at: dict[int, datetime] = {}
        for owner, error in failed.items():
            # An outage of GitHub says nothing about the owner: its delay does not grow.
            is_outage = isinstance(error, Unavailable)
            retry_at[owner.id] = (
                self._clock() + _RETRY_AFTER if is_outage else self._retry_later(owner, error)
            )
        for (owner, _), error in unsaved:
            failed[owner] = error
            retry_at[owner.id] = self._retry_later(owner, error)
        for owner, _ in completed:
            if owner not in failed:
                self._owner_failures.clear(owner.id)
        await self._release(retry_at)
        deleted = sum(
            isinstance(result, UnknownUser) and owner not in failed for owner, result in completed
        )
        reason = {"reason": str(next(iter(failed.values())))} if failed else {}
        saved = len(results) - len(failed) - deleted
        _log.info("refresh.saved", saved=saved, deleted=deleted, failed=len(failed), **reason)

    async def _release(self, retry_at: Mapping[int, datetime]) -> None:
        """Release the leases of owners by id; one that can't be released is due when it expires."""

        async def release(connection: Connection, part: Sequence[tuple[int, datetime]]) -> None:
            await leases.release_users(connection, dict(part))

        for (owner_id, _), error in await save_separately(
            self._database, sorted(retry_at.items()), release
        ):
            self._batch_failures.record(
                owner_id, error, event="refresh.release_failed", owner_id=owner_id
            )

    def _retry_later(self, owner: Owner, error: Exception) -> datetime:
        """Record a failure of an owner and return when to try again."""
        delay = self._owner_failures.record(
            owner.id, error, event="refresh.owner_failed", owner=owner.login, owner_id=owner.id
        )
        return self._clock() + delay

    async def _save_in_transaction(
        self, connection: Connection, results: Sequence[_FetchResult], requested_at: datetime
    ) -> None:
        fetched = [result for _, result in results if isinstance(result, OwnerRepositories)]
        owner_stats = [(owner_data, aggregate(owner_data.repositories)) for owner_data in fetched]
        await users.upsert_owners(connection, owner_stats, now=self._clock())
        owner_ids = [owner_data.owner.id for owner_data in fetched]
        await leases.schedule_users(
            connection, owner_ids, now=self._clock(), interval=self._interval
        )
        # Sorted: every transaction locks rows in the order of ids, which prevents deadlocks.
        for owner_id in sorted(
            owner.id for owner, result in results if isinstance(result, UnknownUser)
        ):
            await users.mark_user_deleted(
                connection, owner_id, requested_at=requested_at, now=self._clock()
            )

    async def _schedule(self, connection: Connection, owner_ids: Sequence[int]) -> None:
        now = self._clock()
        await leases.schedule_users(connection, owner_ids, now=now, interval=self._interval)
        await schedule_data(connection, owner_ids, now=now, interval=self._interval)


def pause_seconds(failed_batches: int) -> float:
    """Return the pause after a number of consecutive batches in which every owner failed."""
    return backoff_delay(
        failed_batches + 1, first=SECONDS_BETWEEN_BATCHES, maximum=_MAX_PAUSE_SECONDS
    )
