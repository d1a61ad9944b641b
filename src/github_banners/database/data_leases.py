"""
When the data of owners is refreshed (see `owner_data`), and leases on what is due.

As with owners, no lock is held during a request to GitHub, and what a crashed process has leased is
available again when its lease expires.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.sql import SQL

from github_banners.database.banner_versions import latest_time
from github_banners.database.leases import MAX_RETRY_DELAY, REFRESH_TIER
from github_banners.database.session import Connection
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Owner
from github_banners.options import DataKind, parse_need

# A long history of contributions takes up to two minutes.
_LEASE = timedelta(minutes=3)
_DAILY_KINDS = (DataKind.CONTRIBUTIONS, DataKind.LANGUAGE_SIZES)
_KINDS_OF_USERS = (DataKind.REPOSITORIES, DataKind.FOLLOWERS)


@dataclass(frozen=True, slots=True)
class DueData:
    """Data to be fetched anew, and its owner."""

    owner: Owner
    need: str

    @property
    def kind(self) -> DataKind:
        """The kind of the data."""
        return parse_need(self.need)[0]

    @property
    def repository_id(self) -> int | None:
        """The id of the repository if the data is one, else None."""
        return parse_need(self.need)[1]


async def schedule_data(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime, interval: timedelta
) -> None:
    """
    Set when the data that owners' banners need is refreshed next, by the last request of a banner.

    Data that was never fetched is due at once. Contributions and language sizes are refreshed once
    a day at most, other data in the same tiers as owners.
    """
    query = SQL("""
        with wanted as (
            select owner_id, need, %(now)s - max(case when last_requested_at > %(latest)s
                then %(now)s - interval '31 days' else last_requested_at end) as ago
            from banners cross join unnest(needs) as need
            where owner_id = any(%(ids)s) and is_active and need <> all(%(others)s)
            group by owner_id, need
        ), planned as (
            select owner_id, need, greatest(
                %(interval)s * {tier},
                case when need = any(%(daily)s) then interval '1 day' end
            ) as pause
            from wanted
        )
        insert into owner_data as stored (
            owner_id, need, version, fetched_at, due_at, refresh_every
        )
        select owner_id, need, 0, %(epoch)s, %(now)s, pause from planned
        -- before the conflict, which locks the stored row and so writes it to the WAL
        where not exists (
            select from (select * from owner_data where owner_id = any(%(ids)s)) as same
            where same.owner_id = planned.owner_id and same.need = planned.need
                and same.refresh_every is not distinct from planned.pause
                and same.fetched_at <= %(latest)s
        )
        order by owner_id, need
        on conflict (owner_id, need) do update set
            refresh_every = excluded.refresh_every,
            due_at = case
                when stored.fetched_at > %(latest)s then %(now)s
                when stored.fetched_at + excluded.refresh_every > %(now)s
                    then stored.fetched_at + excluded.refresh_every
                -- waiting for a retry after a failure
                when stored.due_at <= %(now)s + %(longest_retry)s then stored.due_at
                else %(now)s
            end
        where stored.refresh_every is distinct from excluded.refresh_every
            or stored.fetched_at > %(latest)s
    """).format(tier=SQL(REFRESH_TIER))
    parameters = {
        "now": now,
        "latest": latest_time(now),
        "ids": sorted(owner_ids),
        "others": list(_KINDS_OF_USERS),
        "interval": interval,
        "daily": list(_DAILY_KINDS),
        "epoch": EPOCH,
        "longest_retry": MAX_RETRY_DELAY + MAX_CLOCK_SKEW,
    }
    await conn.execute(query, parameters)


async def lease_due_data(conn: Connection, *, now: datetime, limit: int) -> list[DueData]:
    """Lease the data that has been due longest; only what an active banner of the owner shows."""
    query = """
        with picked as (
            select owner_id, need from owner_data
            where due_at <= %(now)s
                and (leased_until is null or leased_until <= %(now)s or leased_until > %(latest)s)
                and exists (
                    select from banners
                    where banners.owner_id = owner_data.owner_id and is_active
                        and need = any(banners.needs)
                )
            order by due_at, owner_id
            limit %(limit)s
            for update skip locked
        ), leased as (
            update owner_data set leased_until = %(now)s + %(lease)s
            from picked
            where picked.owner_id = owner_data.owner_id and picked.need = owner_data.need
            returning owner_data.owner_id, owner_data.need, owner_data.due_at
        )
        select users.id, users.login, users.node_id, users.display_name, leased.need
        from leased join users on users.id = leased.owner_id
        order by leased.due_at, users.id
    """
    parameters = {"now": now, "latest": latest_time(now), "limit": limit, "lease": _LEASE}
    rows = await (await conn.execute(query, parameters)).fetchall()
    return [DueData(Owner(*owner), need) for *owner, need in rows]


async def release_data(conn: Connection, due: DueData, *, retry_at: datetime) -> None:
    """Release data that could not be fetched or saved; it is due again at `retry_at`."""
    query = """
        update owner_data set leased_until = null, due_at = greatest(due_at, %s)
        where owner_id = %s and need = %s and due_at is not null
    """
    await conn.execute(query, [retry_at, due.owner.id, due.need])
