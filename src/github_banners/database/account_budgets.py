"""
What is left of GitHub's rate limits, shared by all processes.

A row is a budget: `graphql` is what GitHub has last said of an account, `graphql/<process>` the part of it that a
process holds until `reset_at`, to spend without asking anybody. What a process has not used is free again when
its row has ended. How much may be held is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from github_banners.database.connect import Connection
from github_banners.models import MAX_CLOCK_SKEW

_WINDOW_TOLERANCE = timedelta(seconds=60)
_MAX_IN_FLIGHT = timedelta(seconds=10)
_EXPIRED_LEASE_GRACE = timedelta(minutes=1)
# GitHub's are an hour long; what ends later was noted by a wrong clock.
_MAX_WINDOW = timedelta(hours=2) + MAX_CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What GitHub has said of a budget: `remaining` points until `reset_at`, said at `observed_at`."""

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
    Note what GitHub has said last, and lock the budget until the end of the transaction.

    In one window `remaining` only falls, so that reports may come in any order. `unreported` points
    were spent without an answer that tells what is left. Returns what is left, and whether GitHub has
    said so of the present window.
    """
    query = """
        insert into accounts as kept (
            account, resource, remaining, points_limit, reset_at, updated_at
        ) values (
            %(account)s, %(resource)s, coalesce(%(reported)s, %(limit)s), %(limit)s,
            coalesce(%(reset_at)s, %(now)s), %(now)s
        )
        on conflict (account, resource) do update set
            remaining = case
                when %(reset_at)s::timestamptz > kept.reset_at + %(same)s
                    or kept.reset_at > %(latest)s and %(reset_at)s::timestamptz > %(now)s
                    then %(reported)s
                when %(reset_at)s::timestamptz >= greatest(kept.reset_at - %(same)s, %(now)s)
                    then least(kept.remaining - %(unreported)s, %(reported)s)
                -- a window that has ended, or that a wrong clock has noted
                when kept.reset_at <= %(now)s or kept.reset_at > %(latest)s then %(limit)s
                else kept.remaining - %(unreported)s
            end,
            points_limit = %(limit)s,
            reset_at = greatest(
                case when kept.reset_at > %(latest)s then %(now)s else kept.reset_at end,
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
    Free what dead processes held.

    What such a process has spent without telling is known once GitHub has said, after the end of its
    lease, what is left; or else it is not waited for long.
    """
    query = """
        delete from accounts
        where account = %s and starts_with(resource, %s)
            and (reset_at < greatest(%s, %s) or reset_at > %s)
    """
    seen = observed_at - _MAX_IN_FLIGHT if observed_at is not None else None
    values = [account, f"{resource}/", seen, now - _EXPIRED_LEASE_GRACE, now + _MAX_WINDOW]
    await conn.execute(query, values)


@dataclass(frozen=True, slots=True)
class OtherLeases:
    """`points` are held by other processes, of which there are `processes`; some since `newest_at`."""

    points: int
    processes: int
    newest_at: datetime | None


async def select_leases(
    conn: Connection, account: str, resource: str, *, process: str
) -> OtherLeases:
    """Sum up what other processes hold of a budget."""
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
    """Let a process hold so many points until a time."""
    query = """
        insert into accounts (account, resource, remaining, points_limit, reset_at, updated_at)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (account, resource) do update set
            remaining = excluded.remaining, points_limit = excluded.points_limit,
            reset_at = excluded.reset_at, updated_at = excluded.updated_at
    """
    values = [account, f"{resource}/{process}", points, points, expires_at, now]
    await conn.execute(query, values)
