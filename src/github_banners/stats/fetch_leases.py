"""
Leases that keep several processes from fetching the same owner at the same time.

A lease is a column of the owner's row. A process that does not get it polls for what the holder saves.
Without PostgreSQL every process fetches: one request too many is better than none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from github_banners.database import leases, users
from github_banners.database.connect import Connection, Database
from github_banners.errors import DatabaseUnavailable
from github_banners.models import Clock, Snapshot
from github_banners.stats.fetch import DATABASE_TIMEOUT_SECONDS
from github_banners.stats.snapshots import BackgroundWriter

# A request to GitHub takes REQUEST_TIMEOUT at most, 10 s by default.
_LEASE_DURATION = timedelta(seconds=15)
_POLL_ATTEMPTS = 10
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """
    Result of acquiring a lease.

    Either another process has saved a `newer_snapshot`, or it holds the lease (`is_held_elsewhere`),
    or this process fetches. `leased_until` is None if there was no row to lease.
    """

    newer_snapshot: Snapshot | None = None
    is_held_elsewhere: bool = False
    leased_until: datetime | None = None

    @property
    def should_fetch(self) -> bool:
        """Return whether this process is to fetch the owner."""
        return self.newer_snapshot is None and not self.is_held_elsewhere


class FetchLeases:
    """Acquires and releases leases on owners; `sleep` takes seconds."""

    def __init__(
        self,
        *,
        database: Database,
        writer: BackgroundWriter,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._sleep = sleep

    async def acquire(self, known: Snapshot) -> LeaseResult:
        """Acquire a lease; poll for two seconds while another process holds it."""
        lease = (await self.acquire_many([known]))[known.owner.id]
        for _ in range(_POLL_ATTEMPTS):
            if not lease.is_held_elsewhere:
                break
            await self._sleep(_POLL_SECONDS)
            lease = (await self.acquire_many([known]))[known.owner.id]
        return lease

    async def acquire_many(self, snapshots: Sequence[Snapshot]) -> dict[int, LeaseResult]:
        """Acquire the leases of several owners, by owner id, without waiting for held ones."""
        lease_all = partial(_lease_many, snapshots=snapshots, now=self._clock())
        try:
            return await self._database.run_within(
                lease_all, timeout_seconds=DATABASE_TIMEOUT_SECONDS
            )
        except DatabaseUnavailable:
            return {snapshot.owner.id: LeaseResult() for snapshot in snapshots}

    def release(self, owner_id: int, lease: LeaseResult) -> None:
        """Release a lease in the background, so that other processes may fetch at once."""
        # Saving the owner's numbers ends the lease as well.
        if lease.leased_until is not None and not self._writer.is_saving(owner_id):
            self._writer.schedule([owner_id], self._release(owner_id, lease.leased_until))

    async def _release(self, owner_id: int, leased_until: datetime) -> None:
        async with self._database.transaction() as connection:
            await leases.release_user(connection, owner_id, leased_until=leased_until)


async def _lease_many(
    connection: Connection, *, snapshots: Sequence[Snapshot], now: datetime
) -> dict[int, LeaseResult]:
    fetched_at = {snapshot.owner.id: snapshot.fetched_at for snapshot in snapshots}
    leased = await leases.lease_users(connection, fetched_at, now=now, lease=_LEASE_DURATION)
    results = {owner_id: LeaseResult(leased_until=now + _LEASE_DURATION) for owner_id in leased}
    others = [owner_id for owner_id in fetched_at if owner_id not in leased]
    for stored in await users.select_snapshots(connection, others, now=now):
        is_newer = stored.fetched_at > fetched_at[stored.owner.id]
        results[stored.owner.id] = (
            LeaseResult(newer_snapshot=stored) if is_newer else LeaseResult(is_held_elsewhere=True)
        )
    # An owner without a row can't be leased: it is fetched all the same.
    return {owner_id: results.get(owner_id, LeaseResult()) for owner_id in fetched_at}
