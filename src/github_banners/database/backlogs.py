"""Measure overdue work: banners that are not published, and owners that are not refreshed."""

from dataclasses import dataclass
from datetime import datetime

from github_banners.database.banner_versions import latest_time
from github_banners.database.session import Connection

MAX_COUNTED = 1000
"""More rows are not counted: a long queue must not take long to measure."""

_QUERY = """
    with unpublished as (
        select updated_at from banners
        where is_active and published_version < version
        order by publish_leased_until nulls first, id
        limit %(limit)s
    ), overdue as (
        select due_at from users
        where due_at <= %(now)s and (leased_until is null or leased_until <= %(now)s
            or leased_until > %(latest)s)
        order by due_at, id
        limit %(limit)s
    )
    select
        (select count(*) from unpublished), (select min(updated_at) from unpublished),
        (select count(*) from overdue), (select min(due_at) from overdue)
"""


@dataclass(frozen=True, slots=True)
class Backlogs:
    """
    Overdue work: counts up to `MAX_COUNTED`, and the delay of the longest overdue in seconds.

    An unpublished banner is as late as the numbers that it shows are old.
    """

    unpublished_banners: int = 0
    publish_delay_seconds: float = 0.0
    overdue_owners: int = 0
    refresh_delay_seconds: float = 0.0


async def select_backlogs(conn: Connection, *, now: datetime) -> Backlogs:
    """Measure the backlogs of all processes."""
    parameters = {"now": now, "latest": latest_time(now), "limit": MAX_COUNTED}
    row = await (await conn.execute(_QUERY, parameters)).fetchone()
    assert row is not None
    unpublished, updated_at, overdue, due_at = row
    return Backlogs(
        unpublished, _seconds_since(updated_at, now), overdue, _seconds_since(due_at, now)
    )


def _seconds_since(time: datetime | None, now: datetime) -> float:
    return max(0.0, (now - time).total_seconds()) if time is not None else 0.0
