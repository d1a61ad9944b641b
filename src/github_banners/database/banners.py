"""
Permanent banners: an owner, a look, and a name for ever.

A banner's row is the banner; its drawings are made from it. Nothing here draws or publishes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.sql import SQL

from github_banners.database import users
from github_banners.database.banner_versions import latest_version
from github_banners.database.session import Connection
from github_banners.errors import TooManyBanners
from github_banners.models import MAX_CLOCK_SKEW, Snapshot, to_epoch_microseconds
from github_banners.options import BannerOptions, to_canonical_json

COLUMNS = SQL(
    "banners.id, banners.owner_id, banners.name, banners.look::text, banners.version,"
    " banners.published_version, banners.storage_path, banners.is_active, banners.created_at,"
    " banners.updated_at, banners.last_requested_at"
)
"""What `banner_from_row` reads, in its order."""

_COLUMN_COUNT = 11


@dataclass(frozen=True, slots=True)
class Banner:
    """
    A banner under its permanent name.

    `version` says which drawing is newer, `published_version` which one has been handed on.
    `storage_path` is where the drawing is stored.
    """

    id: int
    owner_id: int
    name: str
    look: BannerOptions
    version: int
    published_version: int
    storage_path: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    last_requested_at: datetime


def banner_from_row(row: Sequence[Any]) -> Banner:
    """Read a banner out of a row of COLUMNS."""
    banner_id, owner_id, name, look, *rest = row
    return Banner(banner_id, owner_id, name, msgspec.json.decode(look, type=BannerOptions), *rest)


def banner_with_snapshot_from_row(
    row: Sequence[Any], *, now: datetime | None = None
) -> tuple[Banner, Snapshot]:
    """Read a row of COLUMNS and then `users.COLUMNS`."""
    return banner_from_row(row[:_COLUMN_COUNT]), users.snapshot_from_row(
        row[_COLUMN_COUNT:], now=now
    )


async def select_banner_with_snapshot(
    conn: Connection, name: str, *, now: datetime | None = None
) -> tuple[Banner, Snapshot] | None:
    """Find an active banner and its owner's numbers, in any case of letters."""
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
    max_banners: int | None = None,
) -> tuple[Banner, bool]:
    """
    Give an owner's look a name for ever; True says that it had none yet.

    The first of `names` that nobody has is taken. The owner is due for a refresh from then on.

    :raises LookupError: the owner is not kept, or other banners have all the names
    :raises TooManyBanners: the owner has `max_banners` already, and this look is none of them
    """
    if found := await _select_by_look(conn, owner_id, options):
        return found, False
    # The owner's row holds back other inserts, and a save that would raise the versions just now.
    version = await _mark_due(conn, owner_id, now)
    if found := await _select_by_look(conn, owner_id, options):
        return found, False
    # Exact, since the owner is locked.
    if (
        max_banners is not None
        and await count_banners(conn, owner_id, limit=max_banners) >= max_banners
    ):
        raise TooManyBanners
    for name in names:
        banner = await _insert(
            conn, owner_id=owner_id, options=options, name=name.lower(), version=version, now=now
        )
        if banner is not None:
            return banner, True
    raise LookupError(f"owner {owner_id} can have none of the names {', '.join(names)}")


async def count_banners(conn: Connection, owner_id: int, *, limit: int) -> int:
    """
    Count an owner's permanent banners, but no further than `limit`.

    Exact within the transaction of `insert_banner`, which locks the owner's row.
    """
    query = "select count(*) from (select from banners where owner_id = %s limit %s) as counted"
    row = await (await conn.execute(query, [owner_id, limit])).fetchone()
    return int(row[0]) if row else 0


async def touch_banners(
    conn: Connection, requested_at: Mapping[str, datetime], *, now: datetime
) -> list[int]:
    """
    Record when banners were last requested, by name; return their owners' ids, to be scheduled anew.

    A later time stays, unless it lies ahead of `now`: then a clock was wrong.

    Schedule them in a transaction of its own: owners are locked before banners, never after.
    """
    query = """
        with asked as (
            select banners.id, asked.at
            from unnest(%s::text[], %s::timestamptz[]) as asked (name, at)
            join banners on banners.name = asked.name and (
                banners.last_requested_at < asked.at or banners.last_requested_at > %s
            )
            order by banners.id
            for update of banners
        )
        update banners set last_requested_at = asked.at
        from asked where asked.id = banners.id
        returning banners.owner_id
    """
    parameters = [list(requested_at), list(requested_at.values()), now + MAX_CLOCK_SKEW]
    cursor = await conn.execute(query, parameters)
    return sorted({owner_id for (owner_id,) in await cursor.fetchall()})


async def _select_by_look(conn: Connection, owner_id: int, options: BannerOptions) -> Banner | None:
    query = SQL("select {} from banners where owner_id = %s and look_digest = %s").format(COLUMNS)
    row = await (await conn.execute(query, [owner_id, _digest(options)])).fetchone()
    return banner_from_row(row) if row else None


async def _mark_due(conn: Connection, owner_id: int, now: datetime) -> int:
    query = "update users set due_at = coalesce(due_at, %s) where id = %s returning version"
    row = await (await conn.execute(query, [now, owner_id])).fetchone()
    if row is None:
        raise LookupError(f"no owner {owner_id} is kept")
    version = int(row[0])
    return version if version <= latest_version(now) else 0


async def _insert(
    conn: Connection,
    *,
    owner_id: int,
    options: BannerOptions,
    name: str,
    version: int,
    now: datetime,
) -> Banner | None:
    """Insert a banner; None if the name belongs to another one."""
    query = SQL("""
        insert into banners (
            owner_id, name, look, look_digest, version, storage_path,
            created_at, updated_at, last_requested_at
        )
        values (
            %(owner_id)s, %(name)s, %(look)s::jsonb, %(digest)s, %(version)s, %(name)s,
            %(at)s, %(at)s, %(at)s
        )
        on conflict do nothing returning {}
    """).format(COLUMNS)
    values = {
        "owner_id": owner_id,
        "name": name,
        "look": to_canonical_json(options).decode(),
        "digest": _digest(options),
        # Not below what a store may have kept from before this database was restored.
        "version": max(version, to_epoch_microseconds(now)),
        "at": now,
    }
    row = await (await conn.execute(query, values)).fetchone()
    return banner_from_row(row) if row else None


def _digest(options: BannerOptions) -> bytes:
    return hashlib.sha256(to_canonical_json(options)).digest()
