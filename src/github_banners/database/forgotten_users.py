"""
Delete everything that is stored of a user, and record what remains to be done outside of the database.

The pictures of deleted banners are listed in `removed_pictures` until the storage has removed them, and
`forgotten_users` says for a week up to when data of a user must not be saved: a request to GitHub that
was sent before may still be saved afterwards. `denied_logins` has the logins not to be served any more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from github_banners.database.banner_versions import latest_time, latest_version
from github_banners.database.session import Connection
from github_banners.database.users import notify_changed
from github_banners.models import Owner, to_epoch_microseconds

FORGOTTEN_CHANNEL = "users_forgotten"
"""Channel that is notified when users were forgotten, or logins denied or allowed again."""

MAX_DELETED_BANNERS = 1000
"""Maximum number of one user's banners that a transaction deletes."""

_RETENTION = timedelta(days=7)
_REMOVAL_LEASE = timedelta(minutes=2)
_GONE_LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class UserRows:
    """Numbers of rows of a user; `data` are the rows of `owner_data` and of `contribution_years`."""

    users: int = 0
    logins: int = 0
    repositories: int = 0
    data: int = 0
    banners: int = 0

    def __add__(self, other: "UserRows") -> "UserRows":
        """Add up the numbers."""
        names = [field.name for field in fields(self)]
        return UserRows(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class RemovedPicture:
    """A picture that the storage has to remove, up to a version."""

    path: str
    version: int


async def select_user(conn: Connection, login: str) -> tuple[Owner, list[str]] | None:
    """Select the user who has a login, or had it last, and all logins of the user; ignoring case."""
    query = """
        select users.id, users.login, users.node_id, users.display_name, array(
            select login from logins where owner_id = users.id order by held_since desc, login
        )
        from logins join users on users.id = logins.owner_id where logins.login = %s
    """
    row = await (await conn.execute(query, [login.lower()])).fetchone()
    return (Owner(*row[:-1]), row[-1]) if row else None


async def count_user_rows(conn: Connection, owner_id: int) -> UserRows:
    """Count the rows of a user."""
    query = """
        select (select count(*) from users where id = %(id)s),
            (select count(*) from logins where owner_id = %(id)s),
            (select count(*) from repositories where owner_id = %(id)s),
            (select count(*) from owner_data where owner_id = %(id)s)
                + (select count(*) from contribution_years where owner_id = %(id)s),
            (select count(*) from banners where owner_id = %(id)s)
    """
    row = await (await conn.execute(query, {"id": owner_id})).fetchone()
    return UserRows(*(row or ()))


async def delete_user_rows(
    conn: Connection, owner_id: int, *, now: datetime, removal_due_at: datetime
) -> UserRows:
    """
    Delete up to MAX_DELETED_BANNERS banners of a user, and with the last of them the other rows.

    Return the numbers of deleted rows; with `users` = 0, call it again in another transaction, unless
    all are 0. Their pictures are due for removal at `removal_due_at`, up to a version that none of the
    banners exceeds. All processes are notified at commit.
    """
    query = "select id from users where id = %s for update"
    if await (await conn.execute(query, [owner_id])).fetchone() is None:
        return UserRows()
    query = """
        insert into forgotten_users as stored (owner_id, forgotten_at, version)
        select %(id)s, %(now)s, greatest(%(now_version)s, (
            select max(greatest(
                case when version <= %(latest)s then version end,
                case when published_version <= %(latest)s then published_version end
            ))
            from banners where owner_id = %(id)s
        ))
        on conflict (owner_id) do update set
            forgotten_at = excluded.forgotten_at,
            version = greatest(stored.version, excluded.version)
    """
    parameters = {
        "id": owner_id,
        "now": now,
        "now_version": to_epoch_microseconds(now),
        "latest": latest_version(now),
        "due_at": removal_due_at,
        "limit": MAX_DELETED_BANNERS,
    }
    await conn.execute(query, parameters)
    query = """
        with picked as (
            select id from banners where owner_id = %(id)s order by id limit %(limit)s for update
        ), deleted as (
            delete from banners using picked where picked.id = banners.id
            returning banners.storage_path
        ), listed as (
            insert into removed_pictures as stored (storage_path, version, due_at)
            select distinct deleted.storage_path, forgotten_users.version, %(due_at)s
            from deleted join forgotten_users on forgotten_users.owner_id = %(id)s
            order by deleted.storage_path
            on conflict (storage_path) do update set
                version = greatest(stored.version, excluded.version), due_at = excluded.due_at
        )
        select count(*) from deleted
    """
    row = await (await conn.execute(query, parameters)).fetchone()
    banners = int(row[0]) if row else 0
    await notify_changed(conn, [owner_id])
    await notify_forgotten(conn)
    if banners == MAX_DELETED_BANNERS:
        return UserRows(banners=banners)
    return UserRows(banners=banners) + await _delete_other_rows(conn, owner_id)


async def _delete_other_rows(conn: Connection, owner_id: int) -> UserRows:
    statements = {
        "logins": """
            with locked as (
                select login from logins where owner_id = %s order by login for update
            )
            delete from logins using locked where locked.login = logins.login
        """,
        "repositories": "delete from repositories where owner_id = %s",
        "data": "delete from owner_data where owner_id = %s",
        "years": "delete from contribution_years where owner_id = %s",
        "users": "delete from users where id = %s",
    }
    counts = dict.fromkeys(statements, 0)
    for name, query in statements.items():
        counts[name] = (await conn.execute(query, [owner_id])).rowcount
    counts["data"] += counts.pop("years")
    return UserRows(**counts)


async def select_forgotten(conn: Connection, *, since: datetime) -> set[tuple[int, datetime]]:
    """Select the ids of users who were forgotten since a time, each with the last time."""
    query = "select owner_id, forgotten_at from forgotten_users where forgotten_at >= %s"
    return {(row[0], row[1]) for row in await (await conn.execute(query, [since])).fetchall()}


async def delete_expired(conn: Connection, *, now: datetime) -> None:
    """Delete the records of users who were forgotten a week ago: nothing can be saved so late."""
    query = "delete from forgotten_users where forgotten_at < %s"
    await conn.execute(query, [now - _RETENTION])


async def lease_removed_pictures(
    conn: Connection, *, now: datetime, limit: int
) -> list[RemovedPicture]:
    """Lease pictures that the storage has to remove; they are due again after two minutes."""
    query = """
        with picked as (
            select storage_path from removed_pictures
            where due_at <= %(now)s or due_at > %(latest)s
            order by due_at, storage_path limit %(limit)s
            for update skip locked
        )
        update removed_pictures set due_at = %(now)s + %(lease)s
        from picked where picked.storage_path = removed_pictures.storage_path
        returning removed_pictures.storage_path, removed_pictures.version
    """
    parameters = {"now": now, "latest": latest_time(now), "lease": _REMOVAL_LEASE, "limit": limit}
    rows = await (await conn.execute(query, parameters)).fetchall()
    return [RemovedPicture(*row) for row in rows]


async def select_removed_pictures(
    conn: Connection, *, after: str, limit: int
) -> list[RemovedPicture]:
    """Select pictures that the storage has to remove, leased or not, in the order of their paths."""
    query = """
        select storage_path, version from removed_pictures
        where storage_path > %s order by storage_path limit %s
    """
    rows = await (await conn.execute(query, [after, limit])).fetchall()
    return [RemovedPicture(*row) for row in rows]


async def count_removed_pictures(conn: Connection) -> int:
    """Count the pictures that the storage has to remove."""
    row = await (await conn.execute("select count(*) from removed_pictures")).fetchone()
    return int(row[0]) if row else 0


async def delete_removed_pictures(conn: Connection, pictures: Sequence[RemovedPicture]) -> None:
    """Record that the storage has removed pictures, unless a higher version must be removed since."""
    query = """
        with locked as (
            select removed_pictures.storage_path
            from unnest(%s::text[], %s::bigint[]) as removed (path, version)
            join removed_pictures on removed_pictures.storage_path = removed.path
                and removed_pictures.version = removed.version
            order by removed_pictures.storage_path
            for update of removed_pictures
        )
        delete from removed_pictures using locked
        where locked.storage_path = removed_pictures.storage_path
    """
    paths = [picture.path for picture in pictures]
    await conn.execute(query, [paths, [picture.version for picture in pictures]])


async def insert_denied_logins(conn: Connection, logins: Collection[str], *, now: datetime) -> None:
    """Deny logins from now on; all processes are notified at commit."""
    query = """
        insert into denied_logins (login, denied_at) select login, %s from unnest(%s::text[]) as login
        on conflict do nothing
    """
    await conn.execute(query, [now, sorted({login.lower() for login in logins})])
    await notify_forgotten(conn)


async def delete_denied_login(conn: Connection, login: str) -> bool:
    """Allow a login again; return whether it was denied. All processes are notified at commit."""
    query = "delete from denied_logins where login = %s"
    deleted = (await conn.execute(query, [login.lower()])).rowcount
    await notify_forgotten(conn)
    return deleted > 0


async def select_denied_logins(conn: Connection) -> list[str]:
    """Select the denied logins, in lower case."""
    query = "select login from denied_logins order by login"
    return [login for (login,) in await (await conn.execute(query)).fetchall()]


async def lease_gone_users(
    conn: Connection,
    *,
    gone_before: datetime,
    after: tuple[datetime, int],
    now: datetime,
    limit: int,
) -> list[tuple[datetime, Owner]]:
    """
    Lease users who are deleted on GitHub since before a time, in the order of that time and their ids.

    Return the time too. Only those behind `after` are leased, which is such a pair. The lease ends after
    two minutes, or when the user is saved.
    """
    query = """
        with picked as (
            select id from users
            where gone_since < %(before)s and (gone_since, id) > (%(after)s, %(after_id)s)
                and (leased_until is null or leased_until <= %(now)s or leased_until > %(latest)s)
            order by gone_since, id limit %(limit)s
            for update skip locked
        )
        update users set leased_until = %(now)s + %(lease)s from picked where picked.id = users.id
        returning gone_since, users.id, users.login, users.node_id, users.display_name
    """
    parameters = {
        "before": gone_before,
        "after": after[0],
        "after_id": after[1],
        "now": now,
        "latest": latest_time(now),
        "lease": _GONE_LEASE,
        "limit": limit,
    }
    rows = await (await conn.execute(query, parameters)).fetchall()
    return sorted(
        ((gone_since, Owner(*owner)) for gone_since, *owner in rows),
        key=lambda item: (item[0], item[1].id),
    )


async def notify_forgotten(conn: Connection) -> None:
    """Tell all processes at commit to read what has changed in these tables."""
    await conn.execute("select pg_notify(%s, '')", [FORGOTTEN_CHANNEL])
