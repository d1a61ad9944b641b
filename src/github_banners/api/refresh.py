"""
Keeps tracked owners fresh in the background: who is due, GitHub, PostgreSQL.

Several processes may do it at once: a turn is leased, never locked. People come first, since what
they wait for is asked by `Lookup` and not here. While GitHub is away it is asked less and less. An
owner who can't be saved fails alone, and is retried less and less.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from github_banners.api.background import Failures
from github_banners.database import banners, leases, users
from github_banners.database.banner_versions import raise_remaining_banners
from github_banners.database.batches import save_separately
from github_banners.database.connect import Connection, Database
from github_banners.errors import BannersError, DatabaseUnavailable, Unavailable, UnknownUser
from github_banners.models import Clock, Owner, OwnerRepositories, Stats
from github_banners.stats.aggregation import aggregate
from github_banners.stats.fetch import BatchOwnerFetcher

_log = structlog.get_logger(__name__)

BATCH_SIZE = 20
PARALLEL_BATCHES = 3
_IDLE_SECONDS = 2.0
_MAX_PAUSE_SECONDS = 30.0
_RETRY_AFTER = timedelta(minutes=1)
_FIRST_PAUSE = timedelta(seconds=1)
_MAX_PAUSE = timedelta(minutes=1)
_RAISE_SECONDS = 2.0
MAX_RECORDED_REQUESTS = 1000
"""In one transaction."""

_FetchResult: TypeAlias = tuple[Owner, OwnerRepositories | Exception]


class Refresh:
    """Refreshes owners in turn; `interval` is the shortest distance of two turns."""

    def __init__(
        self,
        *,
        database: Database,
        github: BatchOwnerFetcher,
        interval: timedelta,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._github = github
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._failed_batches = 0
        self._owner_failures = Failures(first_delay=_RETRY_AFTER, max_delay=leases.MAX_RETRY_DELAY)
        self._batch_failures = Failures(first_delay=_FIRST_PAUSE, max_delay=_MAX_PAUSE)

    async def run(self) -> None:
        """Refresh for ever; nobody due, no database or no GitHub is waited out."""
        async with asyncio.TaskGroup() as group:
            for number in range(PARALLEL_BATCHES):
                group.create_task(self._work(), name=f"refresh {number}")

    async def refresh_batch(self) -> int:
        """
        Ask about those who are due longest, and save what comes back; returns how many they were.

        :raises DatabaseUnavailable: nothing could be leased or saved
        """
        async with self._database.transaction() as connection:
            due = await leases.lease_due_users(
                connection, now=self._clock(), limit=BATCH_SIZE, interval=self._interval
            )
        if due:
            asked_at = self._clock()
            answers = await self._fetch(due, await self._read_previous(due))
            await self._save(list(zip(due, answers, strict=True)), asked_at)
        return len(due)

    async def _read_previous(self, owners: Sequence[Owner]) -> dict[int, Stats]:
        """Read owners' last numbers, with which answers are compared; who can't be read has none."""
        known: dict[int, Stats] = {}

        async def read(connection: Connection, part: Sequence[Owner]) -> None:
            owner_ids = [owner.id for owner in part]
            for snapshot in await users.select_snapshots(connection, owner_ids, now=self._clock()):
                known[snapshot.owner.id] = snapshot.stats

        for owner, error in await save_separately(self._database, owners, read):
            self._batch_failures.record(
                owner.id, error, event="refresh.not_read", owner=owner.login, owner_id=owner.id
            )
        return known

    async def _fetch(
        self, owners: Sequence[Owner], previous: Mapping[int, Stats]
    ) -> Sequence[OwnerRepositories | Exception]:
        """Ask about owners; where that fails unexpectedly, about each alone: one of them is odd."""
        try:
            return await self._github.fetch_many(owners, previous=previous)
        except BannersError as error:
            return [error] * len(owners)
        except Exception as error:  # noqa: BLE001 - no data may end a task
            if len(owners) == 1:
                return [error]
        return [answer for owner in owners for answer in await self._fetch([owner], previous)]

    async def record_requests(self, requested_at: Mapping[str, datetime]) -> None:
        """
        Save when banners were last requested, and move their owners' turns accordingly.

        :raises DatabaseUnavailable: not all could be saved; those that were are not to be saved again
        """
        owner_ids: set[int] = set()

        async def touch(connection: Connection, part: Sequence[tuple[str, datetime]]) -> None:
            touched = await banners.touch_banners(connection, dict(part), now=self._clock())
            owner_ids.update(touched)

        for name, error in await save_separately(self._database, list(requested_at.items()), touch):
            self._batch_failures.record(name, error, event="requests.not_noted", banner=name[0])
        for owner_id, error in await save_separately(
            self._database, sorted(owner_ids), self._schedule
        ):
            self._batch_failures.record(
                owner_id, error, event="requests.not_scheduled", owner_id=owner_id
            )

    async def raise_versions(self) -> None:
        """Raise, for ever and little by little, the versions that a save has left to be raised."""
        while True:
            # A server that is down is logged by the database.
            with suppress(DatabaseUnavailable):
                async with self._database.transaction() as connection:
                    await raise_remaining_banners(connection, now=self._clock())
            await self._sleep(_RAISE_SECONDS)

    async def _work(self) -> None:
        while True:
            try:
                refreshed = await self.refresh_batch()
                self._batch_failures.clear("refresh")
            except DatabaseUnavailable:
                refreshed = 0
            except Exception as error:  # noqa: BLE001 - no data may end a task
                refreshed = 0
                pause = self._batch_failures.record("refresh", error, event="refresh.failed")
                await self._sleep(pause.total_seconds())
            # A short batch means that nobody else is due yet.
            if self._failed_batches or refreshed < BATCH_SIZE:
                await self._sleep(pause_seconds(self._failed_batches))

    async def _save(self, results: Sequence[_FetchResult], requested_at: datetime) -> None:
        """Save what GitHub has answered; an owner who fails, here or there, is retried later."""
        known = [
            answer for answer in results if isinstance(answer[1], OwnerRepositories | UnknownUser)
        ]
        failed = {
            owner: answer
            for owner, answer in results
            if isinstance(answer, Exception) and not isinstance(answer, UnknownUser)
        }
        self._failed_batches = 0 if known else self._failed_batches + 1

        async def save(connection: Connection, part: Sequence[_FetchResult]) -> None:
            await self._save_in_transaction(connection, part, requested_at)

        unsaved = await save_separately(self._database, known, save)
        retry_at = {owner.id: self._retry_at(owner, error) for owner, error in failed.items()}
        for (owner, _), error in unsaved:
            failed[owner] = error
            retry_at[owner.id] = self._retry_later(owner, error)
        for owner, _ in known:
            if owner not in failed:
                self._owner_failures.clear(owner.id)
        if retry_at:
            async with self._database.transaction() as connection:
                await leases.release_users(connection, retry_at)
        gone = sum(
            isinstance(answer, UnknownUser) and owner not in failed for owner, answer in known
        )
        reason = {"reason": str(next(iter(failed.values())))} if failed else {}
        saved = len(results) - len(failed) - gone
        _log.info("refresh.saved", saved=saved, gone=gone, failed=len(failed), **reason)

    def _retry_at(self, owner: Owner, error: Exception) -> datetime:
        """Decide when to request an owner again: soon if GitHub is down, else later every time."""
        if isinstance(error, Unavailable):
            return self._clock() + _RETRY_AFTER
        return self._retry_later(owner, error)

    def _retry_later(self, owner: Owner, error: Exception) -> datetime:
        delay = self._owner_failures.record(
            owner.id, error, event="refresh.owner_failed", owner=owner.login, owner_id=owner.id
        )
        return self._clock() + delay

    async def _save_in_transaction(
        self, connection: Connection, results: Sequence[_FetchResult], requested_at: datetime
    ) -> None:
        portfolios = [answer for _, answer in results if isinstance(answer, OwnerRepositories)]
        counted = [(portfolio, aggregate(portfolio.repositories)) for portfolio in portfolios]
        await users.upsert_owners(connection, counted, now=self._clock())
        await self._schedule(connection, [portfolio.owner.id for portfolio in portfolios])
        for owner_id in sorted(owner.id for owner, one in results if isinstance(one, UnknownUser)):
            await users.mark_user_deleted(
                connection, owner_id, requested_at=requested_at, now=self._clock()
            )

    async def _schedule(self, connection: Connection, owner_ids: Sequence[int]) -> None:
        await leases.schedule_users(
            connection, owner_ids, now=self._clock(), interval=self._interval
        )


def pause_seconds(failed_batches: int) -> float:
    """Tell how long to wait after so many batches in a row without one answer."""
    return min(_IDLE_SECONDS * 2.0 ** min(failed_batches, 10), _MAX_PAUSE_SECONDS)
