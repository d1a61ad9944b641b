"""
Store owners, their repositories and their numbers as last fetched from GitHub.

Owners are identified by GitHub's id. A save uses a constant number of statements, however many
owners it has; the caller owns the transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.sql import SQL

from github_banners.database import banner_versions
from github_banners.database.login_holders import upsert_logins
from github_banners.database.repositories import content_digest, replace_repositories
from github_banners.database.session import Connection, strip_unstorable, to_columns
from github_banners.models import (
    EPOCH,
    Owner,
    OwnerRepositories,
    Snapshot,
    Stats,
    to_epoch_microseconds,
    without_implausible_times,
)
from github_banners.options import DataKind

CHANGED_CHANNEL = "users_changed"
"""Channel that is notified of committed changes: user ids separated by commas, or `*` for any."""

_MAX_NOTIFIED_IDS = 100

COLUMNS = SQL(
    "users.id, users.node_id, users.login, users.display_name, users.total_repos,"
    " users.original_repos, users.forked_repos, users.total_stars, users.total_forks,"
    " users.languages, users.followers, users.fetched_at, users.version,"
    " users.gone_since is not null"
)
"""The columns of a row for `snapshot_from_row`, in order."""

_UPSERT_USERS = """
    insert into users as stored (
        id, node_id, login, display_name, total_repos, original_repos, forked_repos,
        total_stars, total_forks, languages, fetched_at, version, content_digest, followers
    )
    select * from unnest(
        %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[],
        %s::bigint[], %s::bigint[], %s::json[], %s::timestamptz[], %s::bigint[], %s::bytea[],
        %s::int[]
    ) as fresh (
        id, node_id, login, display_name, total_repos, original_repos, forked_repos, total_stars,
        total_forks, languages, fetched_at
    )
    where not exists (
        select from forgotten_users
        where owner_id = any(%s) and owner_id = fresh.id and forgotten_at >= fresh.fetched_at
    )
    order by fresh.id
    on conflict (id) do update set
        node_id = coalesce(excluded.node_id, stored.node_id),
        login = excluded.login,
        display_name = excluded.display_name,
        total_repos = excluded.total_repos,
        original_repos = excluded.original_repos,
        forked_repos = excluded.forked_repos,
        total_stars = excluded.total_stars,
        total_forks = excluded.total_forks,
        languages = excluded.languages,
        fetched_at = excluded.fetched_at,
        version = case when stored.version > %s then excluded.version when (
            stored.login, stored.display_name, stored.total_repos, stored.original_repos,
            stored.forked_repos, stored.total_stars, stored.total_forks, stored.languages::text
        ) is distinct from (
            excluded.login, excluded.display_name, excluded.total_repos,
            excluded.original_repos, excluded.forked_repos, excluded.total_stars,
            excluded.total_forks, excluded.languages::text
        ) then greatest(stored.version + 1, excluded.version) else stored.version end,
        content_digest = excluded.content_digest,
        followers = coalesce(excluded.followers, stored.followers),
        gone_since = null,
        due_at = coalesce(excluded.fetched_at + stored.refresh_every, stored.due_at),
        leased_until = null
    where stored.fetched_at <= excluded.fetched_at or stored.fetched_at > %s
    returning stored.id, stored.version
"""


def snapshot_from_row(row: Sequence[Any], *, now: datetime | None = None) -> Snapshot:
    """Build a snapshot from a row of COLUMNS; with `now`, implausible times are reset."""
    owner_id, node_id, login, display_name, *numbers, followers, fetched_at, version, is_deleted = (
        row
    )
    snapshot = Snapshot(
        Owner(owner_id, login, node_id, display_name),
        Stats(*numbers),
        fetched_at,
        version,
        is_deleted,
        followers,
        has_numbers=fetched_at > EPOCH,
    )
    return snapshot if now is None else without_implausible_times(snapshot, now=now)


async def select_snapshot(
    conn: Connection, login: str, *, now: datetime | None = None
) -> Snapshot | None:
    """Select the owner who has a login, or had it last; case-insensitive."""
    query = SQL(
        "select {} from logins join users on users.id = logins.owner_id where logins.login = %s"
    )
    cursor = await conn.execute(query.format(COLUMNS), [login.lower()])
    row = await cursor.fetchone()
    return snapshot_from_row(row, now=now) if row else None


async def select_snapshot_by_id(
    conn: Connection, owner_id: int, *, now: datetime | None = None
) -> Snapshot | None:
    """Select an owner by GitHub's id."""
    snapshots = await select_snapshots(conn, [owner_id], now=now)
    return snapshots[0] if snapshots else None


async def select_snapshots(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime | None = None
) -> list[Snapshot]:
    """Select owners by GitHub's ids, sorted by id; unknown ones are left out."""
    query = SQL("select {} from users where id = any(%s) order by id").format(COLUMNS)
    cursor = await conn.execute(query, [list(owner_ids)])
    return [snapshot_from_row(row, now=now) for row in await cursor.fetchall()]


async def upsert_owners(
    conn: Connection,
    owners: Sequence[tuple[OwnerRepositories, Stats]],
    *,
    now: datetime | None = None,
) -> list[Snapshot]:
    """
    Save fetched owners; return the stored snapshots afterwards, sorted by id.

    Data older than the row changes nothing, unless the row's time is so far ahead of `now` that a
    wrong clock must have written it (with None, every time is trusted). The version rises only if
    numbers, login or display name change; then `CHANGED_CHANNEL` is notified at commit.
    The versions of those banners rise that show what has changed.
    An owner marked as deleted is restored. Login and repositories are written only if they differ.
    Data that was requested before its owner was forgotten is not saved.
    """
    if not owners:
        return []
    fetched_owners = _latest_per_owner(owners)
    ids = [fetched_owner.owner_id for fetched_owner in fetched_owners]
    before = await _lock_users(conn, fetched_owners)
    after = await _upsert_users(conn, fetched_owners, now=now)
    # The digest saves the comparison of all repositories, which rarely change.
    differing = [
        fetched_owner
        for fetched_owner in fetched_owners
        if before.get(fetched_owner.owner_id, _NOT_STORED).digest != fetched_owner.digest
    ]
    if differing:
        stored_ids = before.keys() | after.keys()
        named = [
            fetched_owner.owner_repositories
            for fetched_owner in differing
            if fetched_owner.owner_id in stored_ids
        ]
        await upsert_logins(conn, named, now=now)
        saved = [
            fetched_owner.owner_repositories
            for fetched_owner in differing
            if fetched_owner.owner_id in after
        ]
        await replace_repositories(conn, saved)
    differing_ids = {fetched_owner.owner_id for fetched_owner in differing}
    changes = {
        fetched_owner.owner_id: fetched_owner.find_changes(
            before.get(fetched_owner.owner_id, _NOT_STORED),
            version=after[fetched_owner.owner_id],
            rows_differ=fetched_owner.owner_id in differing_ids,
        )
        for fetched_owner in fetched_owners
        if fetched_owner.owner_id in after
    }
    if any(changes.values()):
        raised = await banner_versions.raise_banner_versions(conn, changes, now=now)
        versions = {
            owner_id
            for owner_id, version in after.items()
            if version != before.get(owner_id, _NOT_STORED).version
        }
        if notified := sorted(versions | raised.keys()):
            await notify_changed(conn, notified)
    if now is not None:
        await banner_versions.repair_banner_versions(conn, list(after), now=now)
    return await select_snapshots(conn, ids)


@dataclass(frozen=True, slots=True)
class _FetchedOwner:
    """A fetched owner, with the digest of its rows in `logins` and `repositories`."""

    owner_repositories: OwnerRepositories
    stats: Stats
    digest: bytes

    @property
    def owner_id(self) -> int:
        return self.owner_repositories.owner.id

    @property
    def names(self) -> tuple[str | None, str | None]:
        """Login and display name as they are stored."""
        owner = self.owner_repositories.owner
        return strip_unstorable(owner.login), strip_unstorable(owner.display_name)

    def find_changes(self, stored: "_StoredUser", *, version: int, rows_differ: bool) -> list[str]:
        """Return what banners have to be drawn anew for; `version` is the owner's new version."""
        changes = []
        if version != stored.version:
            is_renamed = self.names != stored.names
            changes.append(banner_versions.NAMES if is_renamed else DataKind.REPOSITORIES)
        elif rows_differ:
            changes.append(banner_versions.SELECTION)
        followers = self.owner_repositories.followers
        if followers is not None and followers != stored.followers:
            changes.append(DataKind.FOLLOWERS)
        return changes


@dataclass(frozen=True, slots=True)
class _StoredUser:
    """
    What is stored of an owner.

    `digest` is None if another owner has the login; `names` are login and display name.
    """

    version: int
    digest: bytes | None = None
    followers: int | None = None
    names: tuple[str | None, str | None] = (None, None)


_NOT_STORED = _StoredUser(0)


async def mark_user_deleted(
    conn: Connection, owner_id: int, *, requested_at: datetime, now: datetime | None = None
) -> None:
    """
    Mark an owner as deleted on GitHub; all rows stay, and the owner is checked weekly.

    A request sent before the last save changes nothing, unless the save's time is implausible at `now`.
    """
    query = """
        update users set
            gone_since = coalesce(gone_since, %(requested_at)s),
            due_at = case when due_at is not null then %(requested_at)s + interval '7 days' end,
            leased_until = null
        where id = %(owner_id)s and (fetched_at <= %(requested_at)s or fetched_at > %(latest)s)
        returning gone_since = %(requested_at)s
    """
    parameters = {
        "owner_id": owner_id,
        "requested_at": requested_at,
        "latest": banner_versions.latest_time(now),
    }
    cursor = await conn.execute(query, parameters)
    if await cursor.fetchone() == (True,):
        await notify_changed(conn, [owner_id])


def _latest_per_owner(
    owners: Iterable[tuple[OwnerRepositories, Stats]],
) -> list[_FetchedOwner]:
    """Return the latest data of each owner, sorted by id, which is the order of row locks."""
    by_age = sorted(owners, key=lambda item: item[0].fetched_at)
    latest = {
        owner_repositories.owner.id: (owner_repositories, stats)
        for owner_repositories, stats in by_age
    }
    return [
        _FetchedOwner(owner_repositories, stats, content_digest(owner_repositories))
        for _, (owner_repositories, stats) in sorted(latest.items())
    ]


async def _lock_users(
    conn: Connection, fetched_owners: Sequence[_FetchedOwner]
) -> dict[int, _StoredUser]:
    query = """
        select users.id, users.version,
            case when logins.owner_id = users.id then users.content_digest end,
            users.followers, users.login, users.display_name
        from unnest(%s::bigint[], %s::text[]) as fresh (id, login)
        join users on users.id = fresh.id
        left join logins on logins.login = fresh.login
        order by users.id for no key update of users
    """
    ids = [fetched_owner.owner_id for fetched_owner in fetched_owners]
    logins = [
        strip_unstorable(fetched_owner.owner_repositories.owner.login.lower())
        for fetched_owner in fetched_owners
    ]
    cursor = await conn.execute(query, [ids, logins])
    return {
        owner_id: _StoredUser(version, digest, followers, (login, display_name))
        for owner_id, version, digest, followers, login, display_name in await cursor.fetchall()
    }


async def _upsert_users(
    conn: Connection, fetched_owners: Sequence[_FetchedOwner], *, now: datetime | None
) -> dict[int, int]:
    """Upsert owners, except those with a newer row; return the new versions by owner id."""
    rows = (_user_row(fetched_owner) for fetched_owner in fetched_owners)
    columns = to_columns(rows, column_count=14)
    parameters = [
        *columns,
        [fetched_owner.owner_id for fetched_owner in fetched_owners],
        banner_versions.latest_version(now),
        banner_versions.latest_time(now),
    ]
    return dict(await (await conn.execute(_UPSERT_USERS, parameters)).fetchall())


async def notify_changed(conn: Connection, owner_ids: Sequence[int]) -> None:
    """Tell all processes at commit that data of these owners has changed."""
    is_short = len(owner_ids) <= _MAX_NOTIFIED_IDS
    payload = ",".join(map(str, owner_ids)) if is_short else "*"
    await conn.execute("select pg_notify(%s, %s)", [CHANGED_CHANNEL, payload])


def _user_row(fetched_owner: _FetchedOwner) -> tuple[Any, ...]:
    owner = fetched_owner.owner_repositories.owner
    fetched_at = fetched_owner.owner_repositories.fetched_at
    stats = fetched_owner.stats
    languages = {strip_unstorable(name): count for name, count in stats.languages.items()}
    return (
        owner.id,
        strip_unstorable(owner.node_id),
        strip_unstorable(owner.login),
        strip_unstorable(owner.display_name),
        stats.total_repos,
        stats.original_repos,
        stats.forked_repos,
        stats.total_stars,
        stats.total_forks,
        msgspec.json.encode(languages).decode(),
        fetched_at,
        to_epoch_microseconds(fetched_at),
        fetched_owner.digest,
        fetched_owner.owner_repositories.followers,
    )
