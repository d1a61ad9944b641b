"""
Shares the rate limit of each GitHub account among all processes, through the table `accounts`.

A process leases a chunk of an account's points for a minute, and spends it without further queries; what
it has not spent by then, or when it is killed, is free again. Nobody knows the remaining points of a new
window: one process requests them from GitHub and saves them at once, while the others wait.
Background work queries the database each time, and leaves the last points of an hour alone. While
PostgreSQL is down, background work stops; interactive requests spend the leased points, then rely on
GitHub's headers while these report more than a tenth of the hourly limit.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from github_banners.database import account_budgets
from github_banners.database.account_budgets import BudgetReport
from github_banners.database.connect import Connection, Database
from github_banners.errors import DatabaseUnavailable
from github_banners.github.credentials import Account, Priority
from github_banners.github.protocol import RateLimit, Resource
from github_banners.models import LONG_AGO, Clock
from github_banners.stats.fetch import DATABASE_TIMEOUT_SECONDS

CHUNK_POINTS = 50
"""Largest lease of a process; of a small remainder it leases a tenth."""

LEASE = timedelta(minutes=1)

PROBE_POLLS = 20
"""How often a process polls for the remaining points that another one is requesting from GitHub."""

_REMAINING_DIVISOR = 10
_BACKGROUND_TIMEOUT_SECONDS = 2.0
_PROBE_POLL_SECONDS = 0.05
_PROBE_TIMEOUT = timedelta(seconds=2)


@dataclass(slots=True)
class _BudgetLease:
    """
    The points of one rate limit that this process has leased.

    `points` may be spent until `leased_until`; `in_flight` are being spent. `unreported` points were
    spent since the last update of the database, by requests whose response had no rate-limit headers.
    `is_probed_elsewhere`: another process has just sent the first request, whose response will tell
    the remaining points. `is_unknown`: no process has reported them yet.
    """

    points: int = 0
    in_flight: int = 0
    unreported: int = 0
    is_probed_elsewhere: bool = False
    is_unknown: bool = False
    leased_until: datetime = LONG_AGO
    observed_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ReservedBudget:
    """Reserves points for this process, which is identified by `random_hex(8)`."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        random_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._database = database
        self._clock = clock
        self._process = random_hex(8)
        self._leases: defaultdict[tuple[str, Resource], _BudgetLease] = defaultdict(_BudgetLease)

    async def reserve(self, account: Account, resource: Resource, priority: Priority) -> bool:
        """Reserve one point, if one is left for this priority; renew the lease where needed."""
        lease = self._leases[account.name, resource]
        is_background = priority is Priority.BACKGROUND
        async with lease.lock:
            is_spent = lease.points <= 0 or lease.leased_until <= self._clock()
            if is_spent or is_background:
                try:
                    spare = await self._renew(account, resource, lease, is_background)
                    if lease.points <= 0 and not is_background:
                        spare = await self._await_probe(account, resource, lease, spare)
                except DatabaseUnavailable:
                    spare = 0
                    if not is_background and self._has_ample_budget(account, resource):
                        lease.points = max(lease.points, 1)
                if lease.points <= 0 or (is_background and spare < 1):
                    return False
            lease.points -= 1
            lease.in_flight += 1
        return True

    def mark_spent(self, account: Account, resource: Resource) -> None:
        """Record that a reserved point is spent."""
        lease = self._leases[account.name, resource]
        lease.in_flight = max(0, lease.in_flight - 1)

    async def observe(
        self, account: Account, resource: Resource, rate_limit: RateLimit | None
    ) -> None:
        """Record the rate limit of a response; None if it had no such headers."""
        lease = self._leases[account.name, resource]
        if rate_limit is None or rate_limit.resource is not resource:
            lease.unreported += 1
            return
        lease.observed_at = self._clock()
        if lease.is_unknown:
            # Not with the next renewal: requests of other processes wait for this.
            lease.is_unknown = False
            job = partial(
                self._update_budget, account, resource, lease, unreported=0, now=self._clock()
            )
            with suppress(DatabaseUnavailable):
                await self._database.run_within(job, timeout_seconds=DATABASE_TIMEOUT_SECONDS)

    def _has_ample_budget(self, account: Account, resource: Resource) -> bool:
        """Return whether GitHub reports so many points that other processes can't exhaust them."""
        return account.is_usable(resource, now=self._clock(), priority=Priority.UNKNOWN_LOGIN)

    async def _await_probe(
        self, account: Account, resource: Resource, lease: _BudgetLease, spare: int
    ) -> int:
        """Wait for the process that is requesting the remaining points from GitHub."""
        for _ in range(PROBE_POLLS):
            if not lease.is_probed_elsewhere:
                break
            await asyncio.sleep(_PROBE_POLL_SECONDS)
            spare = await self._renew(account, resource, lease, is_background=False)
        else:
            lease.points = max(lease.points, 1)
        return spare

    async def _renew(
        self, account: Account, resource: Resource, lease: _BudgetLease, is_background: bool
    ) -> int:
        """Report to the database and renew the lease; return the points left for background work."""
        now = self._clock()
        if lease.leased_until <= now:
            lease.points = 0
        job = partial(self._reserve_points, account, resource, lease, now)
        seconds = _BACKGROUND_TIMEOUT_SECONDS if is_background else DATABASE_TIMEOUT_SECONDS
        reservation = await self._database.run_within(job, timeout_seconds=seconds)
        lease.points, lease.leased_until = reservation.points, now + LEASE
        lease.is_probed_elsewhere = reservation.is_probed_elsewhere
        lease.is_unknown = not reservation.is_known
        lease.unreported = max(0, lease.unreported - reservation.reported)
        account.process_count = reservation.processes
        return reservation.unallocated - account.reserved_points(resource, Priority.BACKGROUND)

    async def _reserve_points(
        self,
        account: Account,
        resource: Resource,
        lease: _BudgetLease,
        now: datetime,
        conn: Connection,
    ) -> "_Reservation":
        unreported = lease.unreported
        remaining, is_known = await self._update_budget(
            account, resource, lease, conn, unreported=unreported, now=now
        )
        await account_budgets.delete_expired_leases(
            conn, account.name, resource, observed_at=lease.observed_at, now=now
        )
        others = await account_budgets.select_leases(
            conn, account.name, resource, process=self._process
        )
        unspent = remaining - others.points - lease.in_flight
        points, is_probed_elsewhere = lease.points, False
        if points <= 0:
            is_probed_elsewhere = not is_known and _is_recent(others.newest_at, now)
            points = 0 if is_probed_elsewhere else choose_points(unspent, is_known=is_known)
        await account_budgets.upsert_lease(
            conn,
            account.name,
            resource,
            process=self._process,
            points=points + lease.in_flight,
            expires_at=now + LEASE,
            now=now,
        )
        return _Reservation(
            points,
            others.processes + 1,
            is_known=is_known,
            is_probed_elsewhere=is_probed_elsewhere,
            unallocated=unspent,
            reported=unreported,
        )

    async def _update_budget(
        self,
        account: Account,
        resource: Resource,
        lease: _BudgetLease,
        conn: Connection,
        *,
        unreported: int,
        now: datetime,
    ) -> tuple[int, bool]:
        return await account_budgets.update_budget(
            conn,
            account.name,
            resource,
            limit=account.limit(resource),
            report=_to_report(account.rate_limits.get(resource), lease.observed_at, now),
            unreported=unreported,
            now=now,
        )


@dataclass(frozen=True, slots=True)
class _Reservation:
    """
    Result of a renewal: `points` are leased now, `unallocated` are left once all leases are spent.

    No points are leased while another process sends the first request (`is_probed_elsewhere`).
    """

    points: int
    processes: int
    is_known: bool
    is_probed_elsewhere: bool
    unallocated: int
    reported: int


def choose_points(unspent: int, *, is_known: bool) -> int:
    """
    Choose how many unleased points to lease: a tenth of them, at most a chunk.

    Only one while the remaining points are unknown: the response to that request will tell.
    """
    if unspent <= 0:
        return 0
    return min(CHUNK_POINTS, max(1, unspent // _REMAINING_DIVISOR)) if is_known else 1


def _is_recent(newest_at: datetime | None, now: datetime) -> bool:
    return newest_at is not None and newest_at > now - _PROBE_TIMEOUT


def _to_report(
    rate_limit: RateLimit | None, observed_at: datetime | None, now: datetime
) -> BudgetReport | None:
    if rate_limit is None or observed_at is None or rate_limit.reset_at <= now:
        return None
    return BudgetReport(rate_limit.remaining, rate_limit.reset_at, observed_at)
