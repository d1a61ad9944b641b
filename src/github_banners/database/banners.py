"""
Store permanent banners: an owner, options, and a name that never changes.

The row is the banner; pictures are rendered from it and can be rendered again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.sql import SQL

from github_banners.database import users
from github_banners.database.banner_versions import latest_version
from github_banners.database.session import Connection
from github_banners.errors import OwnerNotStored, TooManyBanners, UnreadableBanner
from github_banners.models import MAX_CLOCK_SKEW, Snapshot, to_epoch_microseconds
from github_banners.options import (
    BannerOptions,
    DataKind,
    options_digest,
    parse_need,
    to_canonical_json,
)

COLUMNS = SQL(
    "banners.id, banners.owner_id, banners.name, banners.look::text, banners.needs, banners.version,"
    " banners.published_version, banners.storage_path, banners.is_active, banners.created_at,"
    " banners.updated_at, banners.last_requested_at"
)
"""The columns of a row for `banner_from_row`, in order."""

_COLUMN_COUNT = 12


@dataclass(frozen=True, slots=True)
class Banner:
    """
    A permanent banner.

    `needs` are the data that it shows, as `options.banner_needs` names them. `version` orders its
    pictures, `published_version` is the version that was published last, `storage_path` is where
    the picture is stored.
    """

    id: int
    owner_id: int
    name: str
    options: BannerOptions
    needs: tuple[str, ...]
    version: int
    published_version: int
    storage_path: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    last_requested_at: datetime


def banner_from_row(row: Sequence[Any]) -> Banner:
    """
    Build a banner from a row of COLUMNS.

    :raises UnreadableBanner: this version does not know its options or needs
    """
    banner_id, owner_id, name, options_json, needs, *rest = row
    try:
        options = msgspec.json.decode(options_json, type=BannerOptions)
        for need in needs:
            parse_need(need)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise UnreadableBanner(f"banner {name}: {error}") from error
    return Banner(banner_id, owner_id, name, options, tuple(needs), *rest)


def banner_with_snapshot_from_row(
    row: Sequence[Any], *, now: datetime | None = None
) -> tuple[Banner, Snapshot]:
    """Build a banner and its owner's snapshot from a row of COLUMNS and `users.COLUMNS`."""
    return banner_from_row(row[:_COLUMN_COUNT]), users.snapshot_from_row(
        row[_COLUMN_COUNT:], now=now
    )


async def select_banner_with_snapshot(
    conn: Connection, name: str, *, now: datetime | None = None
) -> tuple[Banner, Snapshot] | None:
    """Select an active banner and its owner's numbers by name; case-insensitive."""
    query = SQL(
        "select {}, {} from banners join users on users.id = banners.owner_id"
        " where banners.name = %s and banners.is_active"
    ).format(COLUMNS, users.COLUMNS)
    row = await (await conn.execute(query, [name.lower()])).fetchone()
    return banner_with_snapshot_from_row(row, now=now) if row else None


async def insert_banner(
    conn: Connection,
    *,
    owner_id: int,
    options: BannerOptions,
    names: Sequence[str],
    now: datetime,
    needs: Sequence[str] = (DataKind.REPOSITORIES,),
    max_banners: int | None = None,
) -> tuple[Banner, bool]:
    """
    Insert a banner under the first free name of `names`; return it, and True if it is new.

    If the owner has a banner with these options, that is returned. From then on the owner is
    refreshed in the background.

    :raises OwnerNotStored: the owner is not stored
    :raises LookupError: all names belong to other banners
    :raises TooManyBanners: the owner already has `max_banners` banners
    """
    if existing := await _select_by_options(conn, owner_id, options):
        return existing, False
    # Locks the owner's row: no concurrent insert, and no save that raises banner versions.
    version = await _mark_due(conn, owner_id, now, needs=needs)
    if existing := await _select_by_options(conn, owner_id, options):
        return existing, False
    if max_banners is not None:
        count = await count_banners(conn, owner_id, limit=max_banners)
        if count >= max_banners:
            raise TooManyBanners
    for name in names:
        banner = await _insert(
            conn,
            owner_id=owner_id,
            options=options,
            needs=needs,
            name=name.lower(),
            version=version,
            now=now,
        )
        if banner is not None:
            return banner, True
    raise LookupError(f"all names are taken for owner {owner_id}: {', '.join(names)}")


async def count_banners(conn: Connection, owner_id: int, *, limit: int) -> int:
    """
    Count an owner's permanent banners, up to `limit`.

    The count is exact within the transaction of `insert_banner`, which locks the owner's row.
    """
    query = "select count(*) from (select from banners where owner_id = %s limit %s) as counted"
    row = await (await conn.execute(query, [owner_id, limit])).fetchone()
    return int(row[0]) if row else 0


async def touch_banners(
    conn: Connection, requested_at: Mapping[str, datetime], *, now: datetime
) -> list[int]:
    """
    Record when banners were last requested, by name; return the ids of their owners.

    A later stored time stays, unless it is implausible at `now` and so from a wrong clock.

    Call `schedule_users` with the returned ids in a separate transaction: owners must be locked
    before banners, never after.
    """
    query = """
        with locked as (
            select banners.id, requests.requested_at
            from unnest(%s::text[], %s::timestamptz[]) as requests (name, requested_at)
            join banners on banners.name = requests.name and (
                banners.last_requested_at < requests.requested_at
                or banners.last_requested_at > %s
            )
            order by banners.id
            for update of banners
        )
        update banners set last_requested_at = locked.requested_at
        from locked where locked.id = banners.id
        returning banners.owner_id
    """
    parameters = [list(requested_at), list(requested_at.values()), now + MAX_CLOCK_SKEW]
    cursor = await conn.execute(query, parameters)
    return sorted({owner_id for (owner_id,) in await cursor.fetchall()})


async def _select_by_options(
    conn: Connection, owner_id: int, options: BannerOptions
) -> Banner | None:
    query = SQL("select {} from banners where owner_id = %s and look_digest = %s").format(COLUMNS)
    row = await (await conn.execute(query, [owner_id, options_digest(options)])).fetchone()
    return banner_from_row(row) if row else None


async def _mark_due(conn: Connection, owner_id: int, now: datetime, *, needs: Sequence[str]) -> int:
    """Lock an owner, whose repositories become due if a banner needs them; return the version."""
    query = """
        update users set due_at = case when %s then coalesce(due_at, %s) else due_at end
        where id = %s
        returning version, (select version from forgotten_users where owner_id = users.id)
    """
    parameters = [DataKind.REPOSITORIES in needs, now, owner_id]
    row = await (await conn.execute(query, parameters)).fetchone()
    if row is None:
        raise OwnerNotStored(f"owner {owner_id} is not stored")
    version, removed_version = row
    # A version from a wrong clock must not become the banner's version.
    version = version if version <= latest_version(now) else 0
    # Above the tombstones of banners that were removed, though the clock here may be behind.
    return version if removed_version is None else max(version, removed_version + 1)


async def _insert(
    conn: Connection,
    *,
    owner_id: int,
    options: BannerOptions,
    needs: Sequence[str],
    name: str,
    version: int,
    now: datetime,
) -> Banner | None:
    """Insert a banner; return None if the name is taken."""
    query = SQL("""
        insert into banners (
            owner_id, name, look, look_digest, needs, version, storage_path,
            created_at, updated_at, last_requested_at
        )
        values (
            %(owner_id)s, %(name)s, %(look)s::jsonb, %(digest)s, %(needs)s, %(version)s, %(name)s,
            %(now)s, %(now)s, %(now)s
        )
        on conflict do nothing returning {}
    """).format(COLUMNS)
    values = {
        "owner_id": owner_id,
        "name": name,
        "look": to_canonical_json(options).decode(),
        "digest": options_digest(options),
        "needs": list(needs),
        # If this database was restored from a backup, the storage may have pictures with higher
        # versions of a banner of this name; a version from the clock exceeds them.
        "version": max(version, to_epoch_microseconds(now)),
        "now": now,
    }
    row = await (await conn.execute(query, values)).fetchone()
    return banner_from_row(row) if row else None
