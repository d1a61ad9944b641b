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

from github_banners.database import queue, users
from github_banners.database.connect import Connection, Database
from github_banners.errors import DatabaseUnavailable
from github_banners.model import Clock, Snapshot
from github_banners.stats.deadline import DATABASE_SECONDS

_LEASE = timedelta(seconds=15)
_LOOKS = 10
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What came of wanting to ask.

    Another process has saved `newer` numbers, or `is_taken` says that it is still asking; else the
    turn is ours until `leased_until`, None where nothing could be leased.
    """

    newer: Snapshot | None = None
    is_taken: bool = False
    leased_until: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Tell whether GitHub is to be asked by us."""
        return self.newer is None and not self.is_taken


class Turns:
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

    async def take(self, known: Snapshot) -> Turn:
        """Take a turn; one that is taken is waited for, about two seconds, or for newer numbers."""
        turn = await self._try(known)
        for _ in range(_LOOKS):
            if not turn.is_taken:
                break
            await self._sleep(_PAUSE_SECONDS)
            turn = await self._try(known)
        return turn

    async def take_many(self, known: Sequence[Snapshot]) -> dict[int, Turn]:
        """Take the turns of several owners, by their ids; one that is taken is not waited for."""
        lease = partial(_lease_many, known=known, now=self._clock())
        try:
            return await self._database.ask(lease, within_seconds=DATABASE_SECONDS)
        except DatabaseUnavailable:
            return {snapshot.owner.id: Turn() for snapshot in known}

    async def give_back(self, owner_id: int, *, leased_until: datetime) -> None:
        """
        End a turn that came to nothing, so that others may ask at once.

        :raises DatabaseUnavailable: it will end by itself
        """
        async with self._database.transaction() as connection:
            await queue.release_user(connection, owner_id, leased_until=leased_until)

    async def _try(self, known: Snapshot) -> Turn:
        lease = partial(_lease, known=known, now=self._clock())
        try:
            return await self._database.ask(lease, within_seconds=DATABASE_SECONDS)
        except DatabaseUnavailable:
            return Turn()


async def _lease(connection: Connection, *, known: Snapshot, now: datetime) -> Turn:
    owner_id, asked_at = known.owner.id, known.fetched_at
    if await queue.lease_user(connection, owner_id, asked_at=asked_at, now=now, lease=_LEASE):
        return Turn(leased_until=now + _LEASE)
    kept = await users.select_snapshot_by_id(connection, owner_id, now=now)
    if kept is None:
        return Turn()
    return Turn(newer=kept) if kept.fetched_at > asked_at else Turn(is_taken=True)


async def _lease_many(
    connection: Connection, *, known: Sequence[Snapshot], now: datetime
) -> dict[int, Turn]:
    asked_at = {snapshot.owner.id: snapshot.fetched_at for snapshot in known}
    leased = await queue.lease_users(connection, asked_at, now=now, lease=_LEASE)
    turns = {owner_id: Turn(leased_until=now + _LEASE) for owner_id in leased}
    others = [owner_id for owner_id in asked_at if owner_id not in leased]
    for stored in await users.select_snapshots(connection, others, now=now):
        is_newer = stored.fetched_at > asked_at[stored.owner.id]
        turns[stored.owner.id] = Turn(newer=stored) if is_newer else Turn(is_taken=True)
    return {owner_id: turns.get(owner_id, Turn()) for owner_id in asked_at}
