"""
Whose turn it is: owners to be asked about, and banners to be handed on.

A turn is taken as a lease, a time on the row: no lock is held while GitHub or a broker is asked, and
what a dead process took comes back when its lease ends. An owner has one lease, whoever takes it: the
background or somebody who waits. Whoever has been due longest is first, so after a day without power
everybody is asked once before anybody is asked twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from psycopg.sql import SQL

from github_banners.database import banners, users
from github_banners.database.banner_versions import latest_time
from github_banners.database.banners import Banner
from github_banners.database.session import Connection
from github_banners.models import MAX_CLOCK_SKEW, Owner, Snapshot

_log = structlog.get_logger(__name__)

_REFRESH_LEASE = timedelta(minutes=2)
# A question takes REQUEST_TIMEOUT at most.
_FETCH_LEASE = timedelta(seconds=15)
_PUBLISH_LEASE = timedelta(seconds=15)
_HOUR = timedelta(hours=1)
_WEEK = timedelta(days=7)
_MAX_INTERVAL_FACTOR = 168

MAX_RETRY_DELAY = timedelta(hours=1)
"""How far ahead an owner that failed is put at most."""

MAX_PUBLISH_DELAY = timedelta(minutes=5)
"""The same for a banner; what lies further ahead than MAX_CLOCK_SKEW is not believed."""

_SCHEDULE_USERS = """
    with locked as (
        select id from users where id = any(%(ids)s) order by id for no key update
    ), asked as (
        -- what a wrong clock has noted is not known: seldom, until somebody asks again
        select locked.id, %(now)s - max(case when banners.last_requested_at > %(latest)s
            then %(now)s - interval '31 days' else banners.last_requested_at end) as ago
        from locked left join banners on banners.owner_id = locked.id and banners.is_active
        group by locked.id
    ), planned as (
        select id, %(interval)s * case
            when ago <= interval '1 day' then 1
            when ago <= interval '7 days' then 6
            when ago <= interval '30 days' then 24
            when ago is not null then 168
        end as pause from asked
    )
    update users set
        refresh_every = planned.pause,
        due_at = case
            when planned.pause is null then null
            when fetched_at > %(latest)s then %(now)s
            when gone_since is null then fetched_at + planned.pause
            else due_at
        end
    from planned
    where planned.id = users.id and (
        refresh_every is distinct from planned.pause
        or gone_since is null and due_at is distinct from fetched_at + planned.pause
            -- overdue and not due yet: to be tried again after a failure
            and (
                fetched_at + planned.pause <= %(now)s
                and due_at > %(now)s and due_at <= %(now)s + %(longest_retry)s
            ) is not true
    )
"""


async def lease_due_users(
    conn: Connection,
    *,
    now: datetime,
    limit: int = 20,
    lease: timedelta = _REFRESH_LEASE,
    interval: timedelta = _HOUR,
) -> list[Owner]:
    """
    Take the owners that are due longest; only those with an active banner have turns.

    They come back after `lease`, unless they are saved, found gone or released. Who is due later
    than any turn of `interval` can be was scheduled by a wrong clock, and comes after all others.
    """
    # Two ordered scans of one index: the second finds nothing, unless a clock was wrong.
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
        "lease": lease,
        "limit": limit,
    }
    cursor = await conn.execute(query, parameters)
    rows = sorted(await cursor.fetchall(), key=lambda row: (row[-1], row[0]))
    return [Owner(*row[:-1]) for row in rows]


async def lease_user(
    conn: Connection,
    owner_id: int,
    *,
    requested_at: datetime,
    now: datetime,
    lease: timedelta = _FETCH_LEASE,
) -> bool:
    """
    Take one owner's turn for somebody who waits, with a banner or without.

    False if the turn is taken, if GitHub was asked after `requested_at`, or if the owner is not kept. It
    comes back after `lease`, unless the owner is saved, found gone or released.
    """
    leased = await lease_users(conn, {owner_id: requested_at}, now=now, lease=lease)
    return owner_id in leased


async def lease_users(
    conn: Connection,
    requested_at: Mapping[int, datetime],
    *,
    now: datetime,
    lease: timedelta = _FETCH_LEASE,
) -> set[int]:
    """Take the turns of several owners as `lease_user` does; returns the ids of those taken."""
    query = """
        with wanted as (
            select * from unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) as wanted (id, asked_at)
        ), free as (
            select users.id from users join wanted on wanted.id = users.id
            where (users.fetched_at <= wanted.asked_at or users.fetched_at > %(latest)s)
                and (users.leased_until is null or users.leased_until <= %(now)s
                    or users.leased_until > %(latest)s)
            order by users.id
            -- who has it locked is saving or taking it just now
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
    """Give one turn back that came to nothing, unless it is somebody else's by now."""
    query = "update users set leased_until = null where id = %s and leased_until = %s"
    await conn.execute(query, [owner_id, leased_until])


async def schedule_users(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime, interval: timedelta
) -> None:
    """
    Set owners' next turns, counted from their last save, by when a banner was last asked for.

    Within a day: every `interval`; a week: every 6; 30 days: every 24; longer: every 168. Saves
    keep that distance until this is called again. An owner without an active banner has no turn;
    one who is gone keeps the weekly one.
    """
    parameters = {
        "ids": list(owner_ids),
        "now": now,
        "latest": latest_time(now),
        "interval": interval,
        "longest_retry": MAX_RETRY_DELAY + MAX_CLOCK_SKEW,
    }
    await conn.execute(_SCHEDULE_USERS, parameters)


async def release_users(conn: Connection, retry_at: Mapping[int, datetime]) -> None:
    """
    Give turns back that came to nothing; the background does not take an owner before its time.

    Somebody who waits may: the pause is in `due_at`, and a lease says only that GitHub is being asked.
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
                -- a turn from a wrong clock, and not one that was given meanwhile
                when due_at > locked.retry_at + greatest(refresh_every, %s) + %s
                    then locked.retry_at
                when due_at is not null then greatest(due_at, locked.retry_at)
            end
        from locked where locked.id = users.id
    """
    parameters = [list(retry_at), list(retry_at.values()), _WEEK, MAX_CLOCK_SKEW]
    await conn.execute(query, parameters)


async def lease_unpublished_banners(
    conn: Connection, *, now: datetime, limit: int = 100, lease: timedelta = _PUBLISH_LEASE
) -> list[tuple[Banner, Snapshot]]:
    """
    Take banners whose newest version has not been handed on; those that were tried come last.

    They come back after `lease`, unless `mark_published` says otherwise.
    """
    pick = """
        with picked as (
            select id from banners
            where is_active and published_version < version
                and (publish_leased_until is null or publish_leased_until <= %(now)s
                    or publish_leased_until > %(latest)s)
            order by publish_leased_until nulls first, id
            limit %(limit)s
            for update skip locked
        )
        update banners set publish_leased_until = %(now)s + %(lease)s
        from picked where picked.id = banners.id
        returning banners.id
    """
    parameters = {"now": now, "latest": latest_time(now), "limit": limit, "lease": lease}
    cursor = await conn.execute(pick, parameters)
    ids = [banner_id for (banner_id,) in await cursor.fetchall()]
    # A second statement, because the first can see a version that is newer than the numbers it sees.
    query = SQL(
        "select {}, {} from banners join users on users.id = banners.owner_id"
        " where banners.id = any(%s) order by banners.id"
    ).format(banners.COLUMNS, users.COLUMNS)
    cursor = await conn.execute(query, [ids])
    rows = await cursor.fetchall()
    return [banner for row in rows if (banner := _parse_or_skip(row, now=now)) is not None]


def _parse_or_skip(row: Sequence[Any], *, now: datetime) -> tuple[Banner, Snapshot] | None:
    """Read a banner, but for one of a newer version's look: it keeps its lease."""
    try:
        return banners.banner_with_snapshot_from_row(row, now=now)
    except msgspec.DecodeError as error:
        _log.error("queue.unreadable", banner=row[0], reason=str(error))
        return None


async def release_banners(conn: Connection, retry_at: Mapping[int, datetime]) -> None:
    """Give banners back that could not be handed on; none is taken again before its time."""
    query = """
        with given as (
            select banners.id, given.retry_at
            from unnest(%s::bigint[], %s::timestamptz[]) as given (id, retry_at)
            join banners on banners.id = given.id
            order by banners.id
            for no key update of banners
        )
        update banners set publish_leased_until = given.retry_at
        from given where given.id = banners.id
    """
    await conn.execute(query, [list(retry_at), list(retry_at.values())])


async def mark_published(conn: Connection, versions: Mapping[int, int]) -> None:
    """Note which version of each banner, by its id, has been handed on; it never goes back."""
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
