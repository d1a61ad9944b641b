"""
Owners and their numbers, as GitHub last told them.

The identity is GitHub's number. A save is set-based, however many owners it has, and the caller owns
its transaction. Nothing here counts, or decides when to ask again.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.sql import SQL

from github_banners.database.banner_versions import (
    latest_time,
    latest_version,
    raise_banner_versions,
    repair_banner_versions,
)
from github_banners.database.session import Connection
from github_banners.models import (
    Owner,
    OwnerRepositories,
    Repository,
    Snapshot,
    Stats,
    to_epoch_microseconds,
    without_implausible_times,
)

CHANGED_CHANNEL = "users_changed"
"""Where every committed change of numbers is told: user ids with commas between them, or `*`."""

_MAX_NOTIFIED_IDS = 100

COLUMNS = SQL(
    "users.id, users.node_id, users.login, users.display_name, users.total_repos,"
    " users.original_repos, users.forked_repos, users.total_stars, users.total_forks,"
    " users.languages, users.fetched_at, users.version, users.gone_since is not null"
)
"""What `snapshot_from_row` reads, in its order."""

_UPSERT_USERS = """
    insert into users as kept (
        id, node_id, login, display_name, total_repos, original_repos, forked_repos,
        total_stars, total_forks, languages, fetched_at, version, content_digest
    )
    select * from unnest(
        %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[],
        %s::bigint[], %s::bigint[], %s::json[], %s::timestamptz[], %s::bigint[], %s::bytea[]
    ) as fresh (id)
    order by fresh.id
    on conflict (id) do update set
        node_id = coalesce(excluded.node_id, kept.node_id),
        login = excluded.login,
        display_name = excluded.display_name,
        total_repos = excluded.total_repos,
        original_repos = excluded.original_repos,
        forked_repos = excluded.forked_repos,
        total_stars = excluded.total_stars,
        total_forks = excluded.total_forks,
        languages = excluded.languages,
        fetched_at = excluded.fetched_at,
        version = case when kept.version > %s then excluded.version when (
            kept.login, kept.display_name, kept.total_repos, kept.original_repos,
            kept.forked_repos, kept.total_stars, kept.total_forks, kept.languages::text
        ) is distinct from (
            excluded.login, excluded.display_name, excluded.total_repos,
            excluded.original_repos, excluded.forked_repos, excluded.total_stars,
            excluded.total_forks, excluded.languages::text
        ) then greatest(kept.version + 1, excluded.version) else kept.version end,
        content_digest = excluded.content_digest,
        gone_since = null,
        due_at = coalesce(excluded.fetched_at + kept.refresh_every, kept.due_at),
        leased_until = null
    where kept.fetched_at <= excluded.fetched_at or kept.fetched_at > %s
    returning kept.id, kept.version
"""


def snapshot_from_row(row: Sequence[Any], *, now: datetime | None = None) -> Snapshot:
    """Read a snapshot out of a row of COLUMNS; a time or version from a wrong clock is unknown."""
    owner_id, node_id, login, display_name, *numbers, fetched_at, version, is_gone = row
    snapshot = Snapshot(
        Owner(owner_id, login, node_id, display_name), Stats(*numbers), fetched_at, version, is_gone
    )
    return snapshot if now is None else without_implausible_times(snapshot, now=now)


async def select_snapshot(
    conn: Connection, login: str, *, now: datetime | None = None
) -> Snapshot | None:
    """Find whoever holds a name now, or held it last; in any case of letters."""
    query = SQL(
        "select {} from logins join users on users.id = logins.owner_id where logins.login = %s"
    )
    cursor = await conn.execute(query.format(COLUMNS), [login.lower()])
    row = await cursor.fetchone()
    return snapshot_from_row(row, now=now) if row else None


async def select_snapshot_by_id(
    conn: Connection, owner_id: int, *, now: datetime | None = None
) -> Snapshot | None:
    """Find an owner by GitHub's number."""
    snapshots = await select_snapshots(conn, [owner_id], now=now)
    return snapshots[0] if snapshots else None


async def select_snapshots(
    conn: Connection, owner_ids: Sequence[int], *, now: datetime | None = None
) -> list[Snapshot]:
    """Find owners by GitHub's numbers, in their order; unknown ones are left out."""
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
    Save GitHub's answers, and return what stands then, in the order of the owners' ids.

    An answer older than the row changes nothing, unless the row's time is ahead of `now` and so from
    a wrong clock (None believes every time). A version, and that of each of the owner's banners,
    changes only with numbers, login or display name; then `CHANGED_CHANNEL` is notified at commit.
    A deleted owner is back. Login and repositories are written only where they differ.
    """
    if not owners:
        return []
    answers = _latest_per_owner(owners)
    ids = [answer.owner_id for answer in answers]
    before = await _lock_users(conn, answers)
    after = await _upsert_users(conn, answers, now=now)
    differing = [
        answer
        for answer in answers
        if before.get(answer.owner_id, _NOT_STORED).digest != answer.digest
    ]
    if differing:
        await _upsert_logins(conn, [answer.owner_repositories for answer in differing], now=now)
        saved = [answer.owner_repositories for answer in differing if answer.owner_id in after]
        await _replace_repositories(conn, saved)
    changed = [
        owner_id
        for owner_id, version in sorted(after.items())
        if version != before.get(owner_id, _NOT_STORED).version
    ]
    if changed:
        await raise_banner_versions(conn, changed, now=now)
        await _notify(conn, changed)
    if now is not None:
        await repair_banner_versions(conn, list(after), now=now)
    return await select_snapshots(conn, ids)


@dataclass(frozen=True, slots=True)
class _FetchedOwner:
    """An answer of GitHub, and the digest of what it makes of rows besides that in `users`."""

    owner_repositories: OwnerRepositories
    stats: Stats
    digest: bytes

    @property
    def owner_id(self) -> int:
        return self.owner_repositories.owner.id


@dataclass(frozen=True, slots=True)
class _StoredUser:
    """What `users` has of an owner; no digest where the name has another holder."""

    version: int
    digest: bytes | None


_NOT_STORED = _StoredUser(0, None)


async def mark_user_deleted(
    conn: Connection, owner_id: int, *, requested_at: datetime, now: datetime | None = None
) -> None:
    """
    Note that GitHub no longer knows an owner: all is kept, and it is asked again in a week.

    An answer from before the last save changes nothing, unless that has a time ahead of `now`.
    """
    query = """
        update users set
            gone_since = coalesce(gone_since, %(asked_at)s),
            due_at = case when due_at is not null then %(asked_at)s + interval '7 days' end,
            leased_until = null
        where id = %(owner_id)s and (fetched_at <= %(asked_at)s or fetched_at > %(latest)s)
        returning gone_since = %(asked_at)s
    """
    parameters = {
        "owner_id": owner_id,
        "asked_at": requested_at,
        "latest": latest_time(now),
    }
    cursor = await conn.execute(query, parameters)
    if await cursor.fetchone() == (True,):
        await _notify(conn, [owner_id])


def _latest_per_owner(
    owners: Iterable[tuple[OwnerRepositories, Stats]],
) -> list[_FetchedOwner]:
    """Keep each owner's latest answer, in the order of ids: the order of all row locks."""
    by_age = sorted(owners, key=lambda answer: answer[0].fetched_at)
    latest = {portfolio.owner.id: (portfolio, stats) for portfolio, stats in by_age}
    return [
        _FetchedOwner(portfolio, stats, _content_digest(portfolio))
        for _, (portfolio, stats) in sorted(latest.items())
    ]


def _content_digest(owner_repositories: OwnerRepositories) -> bytes:
    rows = [
        _repository_row(owner_repositories.owner.id, repository)
        for repository in sorted(
            owner_repositories.repositories, key=lambda repository: repository.id
        )
    ]
    content = msgspec.json.encode([_strip_unstorable(owner_repositories.owner.login), rows])
    return hashlib.blake2b(content, digest_size=8).digest()


async def _lock_users(
    conn: Connection, fetched_owners: Sequence[_FetchedOwner]
) -> dict[int, _StoredUser]:
    query = """
        select users.id, users.version,
            case when logins.owner_id = users.id then users.content_digest end
        from unnest(%s::bigint[], %s::text[]) as fresh (id, login)
        join users on users.id = fresh.id
        left join logins on logins.login = fresh.login
        order by users.id for no key update of users
    """
    logins = [
        _strip_unstorable(answer.owner_repositories.owner.login.lower())
        for answer in fetched_owners
    ]
    cursor = await conn.execute(query, [[answer.owner_id for answer in fetched_owners], logins])
    return {owner_id: _StoredUser(*row) for owner_id, *row in await cursor.fetchall()}


async def _upsert_users(
    conn: Connection, fetched_owners: Sequence[_FetchedOwner], *, now: datetime | None
) -> dict[int, int]:
    """Save what is not late; return the new versions of those saved."""
    columns = _to_columns((_user_row(answer) for answer in fetched_owners), column_count=13)
    parameters = [*columns, latest_version(now), latest_time(now)]
    return dict(await (await conn.execute(_UPSERT_USERS, parameters)).fetchall())


async def _upsert_logins(
    conn: Connection, owners: list[OwnerRepositories], *, now: datetime | None
) -> None:
    """Point names to their holders; whoever was seen under one later has it."""
    by_age = sorted(owners, key=lambda portfolio: portfolio.fetched_at)
    holders = {
        portfolio.owner.login.lower(): (portfolio.owner.id, portfolio.fetched_at)
        for portfolio in by_age
    }
    query = """
        insert into logins as kept (login, owner_id, held_since)
        select seen.*
        from unnest(%(logins)s::text[], %(owner_ids)s::bigint[], %(times)s::timestamptz[])
            as seen (login, owner_id, held_since)
        where not exists (
            select from logins as stored
            where stored.login = seen.login and stored.owner_id = seen.owner_id
                and stored.held_since <= %(latest)s
        )
        order by seen.login
        on conflict (login) do update
        set owner_id = excluded.owner_id, held_since = excluded.held_since
        where kept.owner_id <> excluded.owner_id and kept.held_since <= excluded.held_since
            or kept.held_since > %(latest)s
    """
    rows = ((_strip_unstorable(login), *holder) for login, holder in holders.items())
    logins, owner_ids, times = _to_columns(rows, column_count=3)
    parameters = {
        "logins": logins,
        "owner_ids": owner_ids,
        "times": times,
        "latest": latest_time(now),
    }
    await conn.execute(query, parameters)


async def _replace_repositories(conn: Connection, owners: list[OwnerRepositories]) -> None:
    """Make the repositories what the answers say, touching no row that is right already."""
    rows = {
        (portfolio.owner.id, repository.id): _repository_row(portfolio.owner.id, repository)
        for portfolio in owners
        for repository in portfolio.repositories
    }
    columns = _to_columns((rows[key] for key in sorted(rows)), column_count=7)
    remove = """
        delete from repositories where owner_id = any(%s) and not exists (
            select from unnest(%s::bigint[], %s::bigint[]) as fresh (owner_id, id)
            where fresh.owner_id = repositories.owner_id and fresh.id = repositories.id
        )
    """
    owner_ids = [portfolio.owner.id for portfolio in owners]
    await conn.execute(remove, [owner_ids, *columns[:2]])
    upsert = """
        insert into repositories (owner_id, id, name, stars, forks, is_fork, language)
        select fresh.* from unnest(
            %s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::int[], %s::bool[], %s::text[]
        ) as fresh (owner_id, id, name, stars, forks, is_fork, language)
        left join repositories as stored
            on stored.owner_id = fresh.owner_id and stored.id = fresh.id
        -- before the conflict, which locks the stored row and so writes it to the WAL
        where stored.id is null
            or (stored.name, stored.stars, stored.forks, stored.is_fork, stored.language)
            is distinct from (fresh.name, fresh.stars, fresh.forks, fresh.is_fork, fresh.language)
        on conflict (owner_id, id) do update set
            name = excluded.name, stars = excluded.stars, forks = excluded.forks,
            is_fork = excluded.is_fork, language = excluded.language
    """
    await conn.execute(upsert, columns)


async def _notify(conn: Connection, owner_ids: list[int]) -> None:
    is_short = len(owner_ids) <= _MAX_NOTIFIED_IDS
    payload = ",".join(map(str, owner_ids)) if is_short else "*"
    await conn.execute("select pg_notify(%s, %s)", [CHANGED_CHANNEL, payload])


def _user_row(fetched_owner: _FetchedOwner) -> tuple[Any, ...]:
    owner, fetched_at, stats = (
        fetched_owner.owner_repositories.owner,
        fetched_owner.owner_repositories.fetched_at,
        fetched_owner.stats,
    )
    languages = {_strip_unstorable(name): number for name, number in stats.languages.items()}
    return (
        owner.id,
        _strip_unstorable(owner.node_id),
        _strip_unstorable(owner.login),
        _strip_unstorable(owner.display_name),
        stats.total_repos,
        stats.original_repos,
        stats.forked_repos,
        stats.total_stars,
        stats.total_forks,
        msgspec.json.encode(languages).decode(),
        fetched_at,
        to_epoch_microseconds(fetched_at),
        fetched_owner.digest,
    )


def _repository_row(owner_id: int, repository: Repository) -> tuple[Any, ...]:
    return (
        owner_id,
        repository.id,
        _strip_unstorable(repository.name),
        repository.stars,
        repository.forks,
        repository.is_fork,
        _strip_unstorable(repository.language),
    )


def _to_columns(rows: Iterable[tuple[Any, ...]], *, column_count: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes; no rows are so many empty arrays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(column_count)]


def _strip_unstorable(text: str | None) -> str | None:
    """Take out what PostgreSQL's text can't hold: NUL, and halves of surrogate pairs."""
    if not text or text.isascii():
        return text.replace("\0", "") if text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
