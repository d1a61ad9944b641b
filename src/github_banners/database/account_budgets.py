"""
Remaining GitHub rate limits, shared by all processes.

A row is a budget: `graphql` is what GitHub last reported for an account, `graphql/PROCESS` the part
that a process has leased until `reset_at` and may spend without coordination. The unused part of a
lease is free again when it expires. `stats` decides how much may be leased.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from github_banners.database.connect import Connection
from github_banners.models import MAX_CLOCK_SKEW

_WINDOW_TOLERANCE = timedelta(seconds=60)
_MAX_IN_FLIGHT = timedelta(seconds=10)
_EXPIRED_LEASE_GRACE = timedelta(minutes=1)
# GitHub's windows last an hour; a later end was written by a wrong clock.
_MAX_WINDOW = timedelta(hours=2) + MAX_CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A budget as GitHub reported it at `observed_at`: `remaining` points until `reset_at`."""

    remaining: int
    reset_at: datetime
    observed_at: datetime


async def update_budget(
    conn: Connection,
    account: str,
    resource: str,
    *,
    limit: int,
    report: BudgetReport | None,
    unreported: int,
    now: datetime,
) -> tuple[int, bool]:
    """
    Record GitHub's last report, and lock the budget until the end of the transaction.

    Within one window `remaining` only falls, so reports may arrive in any order. `unreported` points
    were spent by requests whose responses reported no budget. Return the remaining points, and True
    if GitHub reported on the current window.
    """
    query = """
        insert into accounts as stored (
            account, resource, remaining, points_limit, reset_at, updated_at
        ) values (
            %(account)s, %(resource)s, coalesce(%(reported)s, %(limit)s), %(limit)s,
            coalesce(%(reset_at)s, %(now)s), %(now)s
        )
        on conflict (account, resource) do update set
            remaining = case
                when %(reset_at)s::timestamptz > stored.reset_at + %(same)s
                    or stored.reset_at > %(latest)s and %(reset_at)s::timestamptz > %(now)s
                    then %(reported)s
                when %(reset_at)s::timestamptz >= greatest(stored.reset_at - %(same)s, %(now)s)
                    then least(stored.remaining - %(unreported)s, %(reported)s)
                -- a window that has ended, or was written by a wrong clock
                when stored.reset_at <= %(now)s or stored.reset_at > %(latest)s then %(limit)s
                else stored.remaining - %(unreported)s
            end,
            points_limit = %(limit)s,
            reset_at = greatest(
                case when stored.reset_at > %(latest)s then %(now)s else stored.reset_at end,
                %(reset_at)s::timestamptz
            ),
            updated_at = %(now)s
        returning remaining, reset_at > %(now)s
    """
    values = {
        "account": account,
        "resource": resource,
        "limit": limit,
        "reported": report.remaining if report is not None else None,
        "reset_at": report.reset_at if report is not None else None,
        "unreported": unreported,
        "same": _WINDOW_TOLERANCE,
        "now": now,
        "latest": now + _MAX_WINDOW,
    }
    row = await (await conn.execute(query, values)).fetchone()
    remaining, is_known = row or (limit, False)
    return remaining, is_known


async def delete_expired_leases(
    conn: Connection, account: str, resource: str, *, observed_at: datetime | None, now: datetime
) -> None:
    """
    Delete the expired leases of other processes, which may have crashed.

    A crashed process may have spent points without reporting them. Its lease counts until GitHub has
    reported the budget after the lease's end, or until a grace period is over.
    """
    query = """
        delete from accounts
        where account = %s and starts_with(resource, %s)
            and (reset_at < greatest(%s, %s) or reset_at > %s)
    """
    reported_until = observed_at - _MAX_IN_FLIGHT if observed_at is not None else None
    oldest = now - _EXPIRED_LEASE_GRACE
    values = [account, f"{resource}/", reported_until, oldest, now + _MAX_WINDOW]
    await conn.execute(query, values)


@dataclass(frozen=True, slots=True)
class OtherLeases:
    """Leases of other processes: total points, number of processes, and time of the newest lease."""

    points: int
    processes: int
    newest_at: datetime | None


async def select_leases(
    conn: Connection, account: str, resource: str, *, process: str
) -> OtherLeases:
    """Sum up the leases that other processes have on a budget."""
    query = """
        select coalesce(sum(remaining), 0)::bigint, count(*),
            max(updated_at) filter (where remaining > 0)
        from accounts
        where account = %s and starts_with(resource, %s) and resource <> %s
    """
    values = [account, f"{resource}/", f"{resource}/{process}"]
    row = await (await conn.execute(query, values)).fetchone()
    return OtherLeases(*(row or (0, 0, None)))


async def upsert_lease(
    conn: Connection,
    account: str,
    resource: str,
    *,
    process: str,
    points: int,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Lease points of a budget to a process until `expires_at`."""
    query = """
        insert into accounts (account, resource, remaining, points_limit, reset_at, updated_at)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (account, resource) do update set
            remaining = excluded.remaining, points_limit = excluded.points_limit,
            reset_at = excluded.reset_at, updated_at = excluded.updated_at
    """
    values = [account, f"{resource}/{process}", points, points, expires_at, now]
    await conn.execute(query, values)
