"""
Removes users whom GitHub has not known for a long time, with all that is stored of them.

Several processes may run it: each leases a batch. Each user is requested from GitHub once more before
being removed, so a user who is back is saved instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from github_banners.api.retries import Failures, run_batches
from github_banners.api.user_removal import delete_user
from github_banners.database import forgotten_users, leases, users
from github_banners.database.connect import Database
from github_banners.errors import BannersError, UnknownUser
from github_banners.models import EPOCH, Clock, Owner, OwnerRepositories, aggregate
from github_banners.stats.fetch import BatchOwnerFetcher

_log = structlog.get_logger(__name__)

BATCH_SIZE = 20
_IDLE_SECONDS = 3600.0
_FIRST_PAUSE, _MAX_PAUSE = timedelta(minutes=1), timedelta(hours=1)
_START = (EPOCH, 0)


class GoneUsers:
    """Removes users who have been gone for longer than `remove_after`; looks once an hour."""

    def __init__(
        self,
        *,
        database: Database,
        github: BatchOwnerFetcher,
        remove_after: timedelta,
        interval: timedelta,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._github = github
        self._remove_after = remove_after
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._after: tuple[datetime, int] = _START
        self._failures = Failures(first_delay=_FIRST_PAUSE, max_delay=_MAX_PAUSE)

    async def run(self) -> None:
        """Remove users until cancelled, longest gone first."""
        await run_batches(
            self.remove_batch,
            event="gone_users.failed",
            failures=self._failures,
            pause_seconds=lambda leased: 0 if leased else _IDLE_SECONDS,
            sleep=self._sleep,
        )

    async def remove_batch(self) -> int:
        """
        Request the next users who are gone from GitHub, and remove them; return how many were leased.

        After the last ones it returns 0 and starts over, so a user that fails holds up nobody.

        :raises DatabaseUnavailable: the database is down; some may have been removed
        """
        now = self._clock()
        async with self._database.transaction() as connection:
            leased = await forgotten_users.lease_gone_users(
                connection,
                gone_before=now - self._remove_after,
                after=self._after,
                now=now,
                limit=BATCH_SIZE,
            )
        self._after = (leased[-1][0], leased[-1][1].id) if leased else _START
        owners = [owner for _, owner in leased]
        results = await self._github.fetch_many(owners) if owners else []
        for owner, result in zip(owners, results, strict=True):
            try:
                await self._apply(owner, result)
            except Exception as error:  # noqa: BLE001 - no user may hold up others
                self._failures.record(
                    owner.id, error, event="gone_users.not_removed", owner_id=owner.id
                )
        return len(leased)

    async def _apply(self, owner: Owner, result: OwnerRepositories | BannersError) -> None:
        """
        Remove a user who is still gone, or save one who is back.

        :raises BannersError: GitHub did not say which, or the database is down
        """
        if isinstance(result, UnknownUser):
            rows = await delete_user(self._database, owner.id, clock=self._clock)
            _log.info("gone_users.removed", owner_id=owner.id, banners=rows.banners)
            return
        if isinstance(result, BannersError):
            raise result
        async with self._database.transaction() as connection:
            fetched = [(result, aggregate(result.repositories))]
            await users.upsert_owners(connection, fetched, now=self._clock())
            await leases.schedule_users(
                connection, [owner.id], now=self._clock(), interval=self._interval
            )
        _log.info("gone_users.returned", owner_id=owner.id)
