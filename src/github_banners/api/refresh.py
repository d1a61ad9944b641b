"""
Keeps tracked owners fresh in the background: who is due, GitHub, PostgreSQL.

Several processes may do it at once: a turn is leased, never locked. People come first, since what
they wait for is asked by `Lookup` and not here. While GitHub is away it is asked less and less.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from github_banners.database import banners, queue, users
from github_banners.database.connect import Connection, Database
from github_banners.errors import BannersError, DatabaseUnavailable, UnknownUser
from github_banners.model import Clock, Owner, Portfolio, Stats
from github_banners.stats.counting import count

_log = structlog.get_logger(__name__)

BATCH_SIZE = 20
PARALLEL_BATCHES = 3
_IDLE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 30.0
_RETRY_AFTER = timedelta(minutes=1)


class AsksMany(Protocol):
    """What is needed of GitHub."""

    async def fetch_many(
        self, owners: Sequence[Owner], *, previous: Mapping[int, Stats] | None = None
    ) -> list[Portfolio | BannersError]:
        """
        Ask about owners seen before; each gets an answer or its own error, in their order.

        `previous` are the numbers known so far, by owner's id: a steep fall is confirmed first.
        """


class Refresh:
    """Refreshes owners in turn; `interval` is the shortest distance of two turns."""

    def __init__(
        self,
        *,
        database: Database,
        github: AsksMany,
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
            due = await queue.lease_due_users(connection, now=self._clock(), limit=BATCH_SIZE)
            known = await users.select_snapshots(connection, [owner.id for owner in due])
        if due:
            asked_at = self._clock()
            previous = {snapshot.owner.id: snapshot.stats for snapshot in known}
            answers = await self._github.fetch_many(due, previous=previous)
            await self._save(dict(zip(due, answers, strict=True)), asked_at)
        return len(due)

    async def note_requests(self, requested_at: Mapping[str, datetime]) -> None:
        """Keep when banners were last asked for, and move their owners' turns accordingly."""
        async with self._database.transaction() as connection:
            owner_ids = await banners.touch_banners(connection, requested_at)
        async with self._database.transaction() as connection:
            await self._schedule(connection, owner_ids)

    async def _work(self) -> None:
        while True:
            try:
                refreshed = await self.refresh_batch()
            except DatabaseUnavailable:
                refreshed = 0
            # A short batch means that nobody else is due yet.
            if self._failed_batches or refreshed < BATCH_SIZE:
                await self._sleep(pause_seconds(self._failed_batches))

    async def _save(
        self, answers: Mapping[Owner, Portfolio | BannersError], asked_at: datetime
    ) -> None:
        found = [one for one in answers.values() if isinstance(one, Portfolio)]
        gone = [owner for owner, one in answers.items() if isinstance(one, UnknownUser)]
        saved_ids = [portfolio.owner.id for portfolio in found]
        failed_ids = sorted({owner.id for owner in answers} - set(saved_ids) - {o.id for o in gone})
        self._failed_batches = 0 if found or gone else self._failed_batches + 1
        async with self._database.transaction() as connection:
            counted = [(portfolio, count(portfolio.repositories)) for portfolio in found]
            await users.upsert_portfolios(connection, counted)
            await self._schedule(connection, saved_ids)
            for owner in sorted(gone, key=lambda one: one.id):
                await users.mark_gone(connection, owner.id, asked_at=asked_at)
            if failed_ids:
                retry_at = self._clock() + _RETRY_AFTER
                await queue.release_users(connection, failed_ids, retry_at=retry_at)
        _log.info("refresh.saved", saved=len(found), gone=len(gone), failed=len(failed_ids))

    async def _schedule(self, connection: Connection, owner_ids: Sequence[int]) -> None:
        await queue.schedule_users(
            connection, owner_ids, now=self._clock(), interval=self._interval
        )


def pause_seconds(failed_batches: int) -> float:
    """Tell how long to wait after so many batches in a row without one answer."""
    return min(_IDLE_SECONDS * 2.0 ** min(failed_batches, 10), _LONGEST_PAUSE_SECONDS)
