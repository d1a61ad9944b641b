"""
Leases on background work: owners to be refreshed, and banners to be published.

A lease is an expiry time on the row. No lock is held while GitHub or the broker is called, and the
work of a crashed process is available again when its lease expires. An owner has one lease, used by
background refreshes and by requests. Owners are leased in the order in which they became due, so
after an outage every owner is refreshed once before any is refreshed twice.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from psycopg.sql import SQL

from github_banners.database import banners, users
from github_banners.database.banner_versions import latest_time
from github_banners.database.banners import Banner
from github_banners.database.session import Connection
from github_banners.errors import UnreadableBanner
from github_banners.models import EPOCH, MAX_CLOCK_SKEW, Owner, Snapshot

_REFRESH_LEASE = timedelta(minutes=2)
_PUBLISH_LEASE = timedelta(seconds=15)
_WEEK = timedelta(days=7)
_MAX_INTERVAL_FACTOR = 168

MAX_RETRY_DELAY = timedelta(hours=1)
"""Maximum delay before an owner is retried after a failure."""

MAX_PUBLISH_DELAY = timedelta(minutes=5)
"""Maximum delay before a banner is retried; below MAX_CLOCK_SKEW, so it stays plausible."""

REFRESH_TIER = """
    case
        when ago <= interval '1 day' then 1
        when ago <= interval '7 days' then 6
        when ago <= interval '30 days' then 24
        when ago is not null then 168
    end
"""
"""SQL for a multiple of REFRESH_INTERVAL, by the time `ago` since a banner was last requested."""

_SCHEDULE_USERS = """
    with locked as (
        select id, fetched_at, due_at from users where id = any(%(ids)s)
        order by id for no key update
    ), requested as (
        -- a time from a wrong clock counts as 31 days ago, until the next request; so do requests of
        -- banners that show no repositories, for which only a new name or a deletion matters
        select locked.*, newest.ago
        from locked cross join lateral (
            select %(now)s - max(
                case when last_requested_at > %(latest)s or 'repositories' <> all(needs)
                then %(now)s - interval '31 days' else last_requested_at end) as ago
            from banners where owner_id = locked.id and is_active
        ) as newest
    ), planned as (
        select requested.id, tier.pause, case
            -- only the identity is known, since an unknown time
            when fetched_at = %(epoch)s
                then least(coalesce(due_at, %(now)s + tier.pause), %(now)s + tier.pause)
            else fetched_at + tier.pause
        end as next
        from requested
        cross join lateral (select %(interval)s * {tier} as pause) as tier
    )
    update users set
        refresh_every = planned.pause,
        due_at = case
            when planned.pause is null then null
            when fetched_at > %(latest)s then %(now)s
            when gone_since is null then planned.next
            else due_at
        end
    from planned
    where planned.id = users.id and users.id = any(%(ids)s) and (
        refresh_every is distinct from planned.pause
        or gone_since is null and due_at is distinct from planned.next
            -- but not if the owner is waiting for a retry after a failure
            and (
                planned.next <= %(now)s
                and due_at > %(now)s and due_at <= %(now)s + %(longest_retry)s
            ) is not true
    )
"""


async def lease_due_users(
    conn: Connection, *, now: datetime, limit: int, interval: timedelta
) -> list[Owner]:
    """
    Lease the owners that have been due longest; only owners with an active banner become due.

    The lease ends after two minutes, or when the owner is saved, marked deleted or released. Owners due
    later than `interval` allows were scheduled by a wrong clock, and are leased last.
    """
    # Two ordered scans of one index; the second is empty unless a clock was wrong.
    pick = """
        select id from users
        where due_at {range} and (leased_until is null or leased_until <= %(now)s
                or leased_until > %(latest)s)
            and exists (select from banners where owner_id = users.id and is_active)
        order by due_at, id
        limit %(limit)s
        for update skip locked
    """
    query = SQL("""
        with due as ({due}), ahead as ({ahead}), picked as (
            select id from due union all select id from ahead limit %(limit)s
        )
        update users set leased_until = %(now)s + %(lease)s
        from picked where picked.id = users.id
        returning users.id, users.login, users.node_id, users.display_name, users.due_at
    """).format(
        due=SQL(pick).format(range=SQL("<= %(now)s")),
        ahead=SQL(pick).format(range=SQL("> %(last_turn)s")),
    )
    parameters = {
        "now": now,
        "latest": latest_time(now),
        "last_turn": latest_time(now) + max(_MAX_INTERVAL_FACTOR * interval, _WEEK),
        "lease": _REFRESH_LEASE,
        "limit": limit,
    }
    cursor = await conn.execute(query, parameters)
    rows = sorted(await cursor.fetchall(), key=lambda row: (row[-1], row[0]))
    return [Owner(*row[:-1]) for row in rows]


async def lease_users(
    conn: Connection,
    requested_at: Mapping[int, datetime],
    *,
    now: datetime,
    lease: timedelta,
) -> set[int]:
    """
    Lease owners for waiting requests; `requested_at` holds times by owner id. Return the leased ids.

    Not leased are owners that are leased already, were fetched after that time, or are not stored. A
    lease ends after `lease`, or when the owner is saved, marked deleted or released.
    """
    query = """
        with requests as (
            select * from unnest(%(ids)s::bigint[], %(times)s::timestamptz[])
                as requests (id, requested_at)
        ), free as (
            select users.id from users join requests on requests.id = users.id
            where (users.fetched_at <= requests.requested_at or users.fetched_at > %(latest)s)
                and (users.leased_until is null or users.leased_until <= %(now)s
                    or users.leased_until > %(latest)s)
            order by users.id
            -- a locked row is just being saved or leased
            for no key update of users skip locked
        )
        update users set leased_until = %(now)s + %(lease)s from free where free.id = users.id
        returning users.id
    """
    values = {
        "ids": list(requested_at),
        "times": list(requested_at.values()),
        "now": now,
        "latest": latest_time(now),
        "lease": lease,
    }
    return {owner_id for (owner_id,) in await (await conn.execute(query, values)).fetchall()}


async def release_user(conn: Connection, owner_id: int, *, leased_until: datetime) -> None:
    """Release the lease of a failed fetch, unless another process has leased the owner since."""
    query = "update users set leased_until = null where id = %s and leased_until = %s"
    await conn.execute(query, [owner_id, leased_until])


async def schedule_users(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime, interval: timedelta
) -> None:
    """
    Set owners' next refresh, counted from the last save, by the last request of any of their banners.

    Requested within a day: after `interval`; a week: 6 intervals; 30 days: 24; longer ago: 168. Saves
    use the same delay until this is called again. Owners without an active banner are not refreshed;
    deleted owners stay scheduled weekly.
    """
    parameters = {
        "ids": list(owner_ids),
        "now": now,
        "latest": latest_time(now),
        "interval": interval,
        "longest_retry": MAX_RETRY_DELAY + MAX_CLOCK_SKEW,
        "epoch": EPOCH,
    }
    await conn.execute(SQL(_SCHEDULE_USERS).format(tier=SQL(REFRESH_TIER)), parameters)


async def release_users(conn: Connection, retry_at: Mapping[int, datetime]) -> None:
    """
    Release the leases of failed refreshes; each owner is due again at its `retry_at`.

    Requests may fetch the owner earlier: the delay is in `due_at`, not in the lease.
    """
    query = """
        with locked as (
            select users.id, released.retry_at
            from unnest(%s::bigint[], %s::timestamptz[]) as released (id, retry_at)
            join users on users.id = released.id
            order by users.id for no key update of users
        )
        update users set
            leased_until = null,
            due_at = case
                -- scheduled by a wrong clock, not by a save meanwhile
                when due_at > locked.retry_at + greatest(refresh_every, %s) + %s
                    then locked.retry_at
                when due_at is not null then greatest(due_at, locked.retry_at)
            end
        from locked where locked.id = users.id
    """
    parameters = [list(retry_at), list(retry_at.values()), _WEEK, MAX_CLOCK_SKEW]
    await conn.execute(query, parameters)


async def lease_unpublished_banners(
    conn: Connection,
    *,
    now: datetime,
    limit: int,
    on_unreadable: Callable[[int, UnreadableBanner], object] = lambda *_: None,
) -> list[tuple[Banner, Snapshot]]:
    """
    Lease banners whose newest version is not published yet; previously failed ones come last.

    The lease ends after 15 seconds, or by `mark_published` or `release_banners`. Banners that can't be
    read stay leased; `on_unreadable` is called with their ids.
    """
    # Ordered scans of parts of one index: banners that wait for a retry are not read.
    pick = """
        select id from banners
        where is_active and published_version < version and publish_leased_until {range}
        order by publish_leased_until nulls first, id
        limit %(limit)s
        for update skip locked
    """
    query = SQL("""
        with fresh as ({fresh}), expired as ({expired}), ahead as ({ahead}), picked as (
            select id from fresh union all select id from expired union all select id from ahead
            limit %(limit)s
        )
        update banners set publish_leased_until = %(now)s + %(lease)s
        from picked where picked.id = banners.id
        returning banners.id
    """).format(
        fresh=SQL(pick).format(range=SQL("is null")),
        expired=SQL(pick).format(range=SQL("<= %(now)s")),
        ahead=SQL(pick).format(range=SQL("> %(latest)s")),
    )
    parameters = {
        "now": now,
        "latest": latest_time(now),
        "limit": limit,
        "lease": _PUBLISH_LEASE,
    }
    cursor = await conn.execute(query, parameters)
    ids = [banner_id for (banner_id,) in await cursor.fetchall()]
    # A second statement, because locking returns the newest version of a banner, which can be newer
    # than the numbers in the snapshot of the first statement.
    query = SQL(
        "select {}, {} from banners join users on users.id = banners.owner_id"
        " where banners.id = any(%s) order by banners.id"
    ).format(banners.COLUMNS, users.COLUMNS)
    cursor = await conn.execute(query, [ids])
    leased = []
    for row in await cursor.fetchall():
        try:
            leased.append(banners.banner_with_snapshot_from_row(row, now=now))
        except UnreadableBanner as error:
            on_unreadable(row[0], error)
    return leased


async def release_banners(conn: Connection, retry_at: Mapping[int, datetime]) -> None:
    """Release banners that could not be published; each is leased again after its `retry_at`."""
    query = """
        with locked as (
            select banners.id, released.retry_at
            from unnest(%s::bigint[], %s::timestamptz[]) as released (id, retry_at)
            join banners on banners.id = released.id
            order by banners.id
            for no key update of banners
        )
        update banners set publish_leased_until = locked.retry_at
        from locked where locked.id = banners.id
    """
    await conn.execute(query, [list(retry_at), list(retry_at.values())])


async def mark_published(conn: Connection, versions: Mapping[int, int]) -> None:
    """Record the published version of each banner, by id; it never decreases."""
    query = """
        with sent as (
            select banners.id, sent.version
            from unnest(%s::bigint[], %s::bigint[]) as sent (id, version)
            join banners on banners.id = sent.id
            order by banners.id
            for update of banners
        )
        update banners set
            published_version = greatest(published_version, sent.version),
            publish_leased_until = null
        from sent where sent.id = banners.id
    """
    await conn.execute(query, [list(versions), list(versions.values())])
