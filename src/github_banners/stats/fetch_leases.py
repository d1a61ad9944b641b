"""
Whose turn it is to ask GitHub about an owner that several processes know.

The turn is a lease on the owner's row. Who does not get it looks for what its holder saves. Without
PostgreSQL everybody asks: a question too many is better than none. Nothing here asks GitHub.
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
from github_banners.stats.deadline import DATABASE_TIMEOUT_SECONDS

_LEASE_DURATION = timedelta(seconds=15)
_POLL_ATTEMPTS = 10
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """
    What came of wanting to ask.

    Another process has saved `newer` numbers, or `is_taken` says that it is still asking; else the
    turn is ours until `leased_until`, None where nothing could be leased.
    """

    newer_snapshot: Snapshot | None = None
    is_held_elsewhere: bool = False
    leased_until: datetime | None = None

    @property
    def should_fetch(self) -> bool:
        """Tell whether GitHub is to be asked by us."""
        return self.newer_snapshot is None and not self.is_held_elsewhere


class FetchLeases:
    """Takes the turn of asking about one owner, and gives it back; `sleep` takes seconds."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep

    async def acquire(self, known: Snapshot) -> LeaseResult:
        """Take a turn; one that is taken is waited for, about two seconds, or for newer numbers."""
        turn = await self._try_acquire(known)
        for _ in range(_POLL_ATTEMPTS):
            if not turn.is_held_elsewhere:
                break
            await self._sleep(_POLL_SECONDS)
            turn = await self._try_acquire(known)
        return turn

    async def acquire_many(self, snapshots: Sequence[Snapshot]) -> dict[int, LeaseResult]:
        """Take the turns of several owners, by their ids; one that is taken is not waited for."""
        lease = partial(_lease_many, known=snapshots, now=self._clock())
        try:
            return await self._database.run_within(lease, timeout_seconds=DATABASE_TIMEOUT_SECONDS)
        except DatabaseUnavailable:
            return {snapshot.owner.id: LeaseResult() for snapshot in snapshots}

    async def release(self, owner_id: int, *, leased_until: datetime) -> None:
        """
        End a turn that came to nothing, so that others may ask at once.

        :raises DatabaseUnavailable: it will end by itself
        """
        async with self._database.transaction() as connection:
            await leases.release_user(connection, owner_id, leased_until=leased_until)

    async def _try_acquire(self, known: Snapshot) -> LeaseResult:
        lease = partial(_lease, known=known, now=self._clock())
        try:
            return await self._database.run_within(lease, timeout_seconds=DATABASE_TIMEOUT_SECONDS)
        except DatabaseUnavailable:
            return LeaseResult()


async def _lease(connection: Connection, *, known: Snapshot, now: datetime) -> LeaseResult:
    owner_id, asked_at = known.owner.id, known.fetched_at
    if await leases.lease_user(
        connection, owner_id, requested_at=asked_at, now=now, lease=_LEASE_DURATION
    ):
        return LeaseResult(leased_until=now + _LEASE_DURATION)
    kept = await users.select_snapshot_by_id(connection, owner_id, now=now)
    if kept is None:
        return LeaseResult()
    return (
        LeaseResult(newer_snapshot=kept)
        if kept.fetched_at > asked_at
        else LeaseResult(is_held_elsewhere=True)
    )


async def _lease_many(
    connection: Connection, *, known: Sequence[Snapshot], now: datetime
) -> dict[int, LeaseResult]:
    asked_at = {snapshot.owner.id: snapshot.fetched_at for snapshot in known}
    leased = await leases.lease_users(connection, asked_at, now=now, lease=_LEASE_DURATION)
    turns = {owner_id: LeaseResult(leased_until=now + _LEASE_DURATION) for owner_id in leased}
    others = [owner_id for owner_id in asked_at if owner_id not in leased]
    for stored in await users.select_snapshots(connection, others, now=now):
        is_newer = stored.fetched_at > asked_at[stored.owner.id]
        turns[stored.owner.id] = (
            LeaseResult(newer_snapshot=stored) if is_newer else LeaseResult(is_held_elsewhere=True)
        )
    return {owner_id: turns.get(owner_id, LeaseResult()) for owner_id in asked_at}
