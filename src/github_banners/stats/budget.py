"""
One budget of GitHub's points for all processes: they reserve in chunks, through the table `accounts`.

A process holds a chunk of each account for a minute and spends it without asking; what it has not used by
then, or when it is killed, is free again. What nobody waits for looks each time, and leaves the last
points of an hour alone. While PostgreSQL is down that stops; those who wait spend what is held, and go on
by GitHub's headers while these leave more than a tenth of the hour.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from github_banners.database import accounts
from github_banners.database.accounts import Report
from github_banners.database.connect import Connection, Database
from github_banners.errors import DatabaseUnavailable
from github_banners.github.accounts import Account, Priority
from github_banners.github.protocol import Resource, Room
from github_banners.model import Clock
from github_banners.stats.deadline import DATABASE_SECONDS

CHUNK_POINTS = 50
"""What a process holds at most; of a small rest it holds a tenth."""

LEASE = timedelta(minutes=1)

PROBE_POLLS = 20
"""How often a process looks whether another one has asked GitHub what is left, before it asks itself."""

_SHARE_OF_REST = 10
_BACKGROUND_WAIT_SECONDS = 2.0
_PROBE_POLL_SECONDS = 0.05
_PROBE_TIME = timedelta(seconds=2)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Purse:
    """
    What this process holds of one budget.

    `points` may be spent until `leased_until`, `on_the_way` are being spent. `unreported` were spent
    since PostgreSQL was told last, without GitHub saying what is left, which another process has just
    asked it if `is_probed_elsewhere`.
    """

    points: int = 0
    on_the_way: int = 0
    unreported: int = 0
    is_probed_elsewhere: bool = False
    leased_until: datetime = _LONG_AGO
    observed_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ReservedBudget:
    """Reserves points for one process, which `make_hex` gives a name of so many bytes."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        make_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._database = database
        self._clock = clock
        self._process = make_hex(8)
        self._purses: defaultdict[tuple[str, Resource], _Purse] = defaultdict(_Purse)

    async def reserve(self, account: Account, resource: Resource, priority: Priority) -> bool:
        """Take one point, if there is one for this priority; the purse is filled up where needed."""
        purse = self._purses[account.name, resource]
        is_background = priority is Priority.BACKGROUND
        async with purse.lock:
            is_spent = purse.points <= 0 or purse.leased_until <= self._clock()
            if is_spent or is_background:
                try:
                    spare = await self._renew(account, resource, purse, is_background)
                    if purse.points <= 0 and not is_background:
                        spare = await self._await_probe(account, resource, purse, spare)
                except DatabaseUnavailable:
                    spare = 0
                    if not is_background and self._is_plenty(account, resource):
                        purse.points = max(purse.points, 1)
                if purse.points <= 0 or (is_background and spare < 1):
                    return False
            purse.points -= 1
            purse.on_the_way += 1
        return True

    def settle(self, account: Account, resource: Resource) -> None:
        """Note that a reserved point is spent."""
        purse = self._purses[account.name, resource]
        purse.on_the_way = max(0, purse.on_the_way - 1)

    def observe(self, account: Account, resource: Resource, room: Room | None) -> None:
        """Note what GitHub says is left after a request; None where it does not say."""
        purse = self._purses[account.name, resource]
        if room is None or room.resource is not resource:
            purse.unreported += 1
        else:
            purse.observed_at = self._clock()

    def _is_plenty(self, account: Account, resource: Resource) -> bool:
        """Tell whether GitHub's own word leaves so much that others can't be overspending as well."""
        return account.may_pay(resource, now=self._clock(), priority=Priority.UNKNOWN)

    async def _await_probe(
        self, account: Account, resource: Resource, purse: _Purse, spare: int
    ) -> int:
        """Wait, while GitHub has not said what is left, for the process that is asking it."""
        for _ in range(PROBE_POLLS):
            if not purse.is_probed_elsewhere:
                break
            await asyncio.sleep(_PROBE_POLL_SECONDS)
            spare = await self._renew(account, resource, purse, is_background=False)
        else:
            purse.points = max(purse.points, 1)
        return spare

    async def _renew(
        self, account: Account, resource: Resource, purse: _Purse, is_background: bool
    ) -> int:
        """Tell PostgreSQL what is known, and fill the purse; returns what the background may take."""
        now = self._clock()
        if purse.leased_until <= now:
            purse.points = 0
        work = partial(self._reserve_points, account, resource, purse, now)
        seconds = _BACKGROUND_WAIT_SECONDS if is_background else DATABASE_SECONDS
        reservation = await self._database.ask(work, within_seconds=seconds)
        purse.points, purse.leased_until = reservation.points, now + LEASE
        purse.is_probed_elsewhere = reservation.is_probed_elsewhere
        purse.unreported = max(0, purse.unreported - reservation.reported)
        account.sharers = reservation.processes
        return reservation.free_for_all - account.reserve(resource, Priority.BACKGROUND)

    async def _reserve_points(
        self,
        account: Account,
        resource: Resource,
        purse: _Purse,
        now: datetime,
        conn: Connection,
    ) -> "_Reservation":
        unreported = purse.unreported
        report = _to_report(account.rooms.get(resource), purse.observed_at, now)
        remaining, is_known = await accounts.update_budget(
            conn,
            account.name,
            resource,
            limit=account.limit(resource),
            report=report,
            unreported=unreported,
            now=now,
        )
        await accounts.delete_ended_leases(
            conn, account.name, resource, observed_at=purse.observed_at, now=now
        )
        others = await accounts.select_leases(conn, account.name, resource, process=self._process)
        unspent = remaining - others.points - purse.on_the_way
        points, is_probed_elsewhere = purse.points, False
        if points <= 0:
            is_probed_elsewhere = not is_known and _is_recent(others.newest_at, now)
            points = 0 if is_probed_elsewhere else choose_points(unspent, is_known=is_known)
        await accounts.upsert_lease(
            conn,
            account.name,
            resource,
            process=self._process,
            points=points + purse.on_the_way,
            until=now + LEASE,
            now=now,
        )
        return _Reservation(
            points,
            others.processes + 1,
            is_probed_elsewhere=is_probed_elsewhere,
            free_for_all=unspent,
            reported=unreported,
        )


@dataclass(frozen=True, slots=True)
class _Reservation:
    """
    `points` are held now; `free_for_all` are left when every other process has spent its own.

    None is held while another process is the first to ask GitHub what is left (`is_probed_elsewhere`).
    """

    points: int
    processes: int
    is_probed_elsewhere: bool
    free_for_all: int
    reported: int


def choose_points(unspent: int, *, is_known: bool) -> int:
    """
    Choose how many of the points that nobody holds a process takes: a tenth, and a chunk at most.

    One alone while GitHub has not said what is left: the answer will tell.
    """
    if unspent <= 0:
        return 0
    return min(CHUNK_POINTS, max(1, unspent // _SHARE_OF_REST)) if is_known else 1


def _is_recent(newest_at: datetime | None, now: datetime) -> bool:
    return newest_at is not None and newest_at > now - _PROBE_TIME


def _to_report(room: Room | None, observed_at: datetime | None, now: datetime) -> Report | None:
    if room is None or observed_at is None or room.reset_at <= now:
        return None
    return Report(room.remaining, room.reset_at, observed_at)
