"""
Owners and their numbers, as GitHub last told them.

The identity is GitHub's number. A save is set-based, however many owners it has, and the caller owns
its transaction. Nothing here counts, or decides when to ask again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.sql import SQL

from github_banners.database.connect import Connection
from github_banners.model import Owner, Portfolio, Repository, Snapshot, Stats, microseconds

CHANGED_CHANNEL = "users_changed"
"""Where every committed change of numbers is told: user ids with commas between them, or `*`."""

_NAMED_CHANGES_AT_MOST = 100

COLUMNS = SQL(
    "users.id, users.node_id, users.login, users.display_name, users.total_repos,"
    " users.original_repos, users.forked_repos, users.total_stars, users.total_forks,"
    " users.languages, users.fetched_at, users.version, users.gone_since is not null"
)
"""What `snapshot_of` reads, in its order."""

_UPSERT_USERS = """
    insert into users as kept (
        id, node_id, login, display_name, total_repos, original_repos, forked_repos,
        total_stars, total_forks, languages, fetched_at, version
    )
    select * from unnest(
        %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[],
        %s::bigint[], %s::bigint[], %s::json[], %s::timestamptz[], %s::bigint[]
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
        version = case when (
            kept.login, kept.display_name, kept.total_repos, kept.original_repos,
            kept.forked_repos, kept.total_stars, kept.total_forks, kept.languages::text
        ) is distinct from (
            excluded.login, excluded.display_name, excluded.total_repos,
            excluded.original_repos, excluded.forked_repos, excluded.total_stars,
            excluded.total_forks, excluded.languages::text
        ) then greatest(kept.version + 1, excluded.version) else kept.version end,
        gone_since = null,
        due_at = coalesce(excluded.fetched_at + kept.refresh_every, kept.due_at),
        leased_until = null
    where kept.fetched_at <= excluded.fetched_at
    returning kept.id, kept.version
"""


def snapshot_of(row: Sequence[Any]) -> Snapshot:
    """Read a snapshot out of a row of COLUMNS."""
    owner_id, node_id, login, display_name, *numbers, fetched_at, version, is_gone = row
    return Snapshot(
        Owner(owner_id, login, node_id, display_name), Stats(*numbers), fetched_at, version, is_gone
    )


async def select_snapshot(conn: Connection, login: str) -> Snapshot | None:
    """Find whoever holds a name now, or held it last; in any case of letters."""
    query = SQL(
        "select {} from logins join users on users.id = logins.owner_id where logins.login = %s"
    )
    cursor = await conn.execute(query.format(COLUMNS), [login.lower()])
    row = await cursor.fetchone()
    return snapshot_of(row) if row else None


async def select_snapshot_by_id(conn: Connection, owner_id: int) -> Snapshot | None:
    """Find an owner by GitHub's number."""
    snapshots = await select_snapshots(conn, [owner_id])
    return snapshots[0] if snapshots else None


async def select_snapshots(conn: Connection, owner_ids: Sequence[int]) -> list[Snapshot]:
    """Find owners by GitHub's numbers, in their order; unknown ones are left out."""
    query = SQL("select {} from users where id = any(%s) order by id").format(COLUMNS)
    cursor = await conn.execute(query, [list(owner_ids)])
    return [snapshot_of(row) for row in await cursor.fetchall()]


async def upsert_portfolios(
    conn: Connection, portfolios: Sequence[tuple[Portfolio, Stats]]
) -> list[Snapshot]:
    """
    Keep GitHub's answers, and give back what stands then, in the order of the owners' ids.

    An answer older than the row changes nothing but the names ever seen. A version, and that of each
    of the owner's banners, rises only with numbers, login or display name; then `CHANGED_CHANNEL`
    is told at commit. Who was gone is back.
    """
    answers = _one_per_owner(portfolios)
    ids = [portfolio.owner.id for portfolio, _ in answers]
    before = await _lock_versions(conn, ids)
    after = await _upsert_users(conn, answers)
    await _upsert_logins(conn, [portfolio for portfolio, _ in answers])
    saved = [portfolio for portfolio, _ in answers if portfolio.owner.id in after]
    await _replace_repositories(conn, saved)
    changed = [owner_id for owner_id in ids if after.get(owner_id, 0) > before.get(owner_id, 0)]
    if changed:
        await _raise_banner_versions(conn, changed)
        await _notify(conn, changed)
    return await select_snapshots(conn, ids)


async def mark_gone(conn: Connection, owner_id: int, *, asked_at: datetime) -> None:
    """
    Note that GitHub no longer knows an owner: all is kept, and it is asked again in a week.

    An answer from before the last save changes nothing.
    """
    query = """
        update users set
            gone_since = coalesce(gone_since, %(asked_at)s),
            due_at = case when due_at is not null then %(asked_at)s + interval '7 days' end,
            leased_until = null
        where id = %(owner_id)s and fetched_at <= %(asked_at)s
        returning gone_since = %(asked_at)s
    """
    cursor = await conn.execute(query, {"owner_id": owner_id, "asked_at": asked_at})
    if await cursor.fetchone() == (True,):
        await _notify(conn, [owner_id])


def _one_per_owner(
    portfolios: Iterable[tuple[Portfolio, Stats]],
) -> list[tuple[Portfolio, Stats]]:
    """Keep each owner's latest answer, in the order of ids: the order of all row locks."""
    by_age = sorted(portfolios, key=lambda answer: answer[0].fetched_at)
    latest = {portfolio.owner.id: (portfolio, stats) for portfolio, stats in by_age}
    return [latest[owner_id] for owner_id in sorted(latest)]


async def _lock_versions(conn: Connection, ids: list[int]) -> dict[int, int]:
    query = "select id, version from users where id = any(%s) order by id for no key update"
    return dict(await (await conn.execute(query, [ids])).fetchall())


async def _upsert_users(conn: Connection, answers: list[tuple[Portfolio, Stats]]) -> dict[int, int]:
    """Save what is not late; gives the new versions of those saved."""
    columns = _columns((_user_row(portfolio, stats) for portfolio, stats in answers), width=12)
    return dict(await (await conn.execute(_UPSERT_USERS, columns)).fetchall())


async def _upsert_logins(conn: Connection, portfolios: list[Portfolio]) -> None:
    """Point names to their holders; whoever was seen under one later has it."""
    by_age = sorted(portfolios, key=lambda portfolio: portfolio.fetched_at)
    holders = {one.owner.login.lower(): (one.owner.id, one.fetched_at) for one in by_age}
    query = """
        insert into logins as kept (login, owner_id, held_since)
        select * from unnest(%s::text[], %s::bigint[], %s::timestamptz[]) as seen (login)
        order by seen.login
        on conflict (login) do update
        set owner_id = excluded.owner_id, held_since = excluded.held_since
        where kept.owner_id <> excluded.owner_id and kept.held_since <= excluded.held_since
    """
    rows = ((_clean(login), *holder) for login, holder in holders.items())
    await conn.execute(query, _columns(rows, width=3))


async def _replace_repositories(conn: Connection, portfolios: list[Portfolio]) -> None:
    """Make the repositories what the answers say, touching no row that is right already."""
    rows = {
        (portfolio.owner.id, repository.id): _repository_row(portfolio.owner.id, repository)
        for portfolio in portfolios
        for repository in portfolio.repositories
    }
    columns = _columns((rows[key] for key in sorted(rows)), width=7)
    remove = """
        delete from repositories where owner_id = any(%s) and not exists (
            select from unnest(%s::bigint[], %s::bigint[]) as fresh (owner_id, id)
            where fresh.owner_id = repositories.owner_id and fresh.id = repositories.id
        )
    """
    await conn.execute(remove, [[one.owner.id for one in portfolios], *columns[:2]])
    upsert = """
        insert into repositories as kept (owner_id, id, name, stars, forks, is_fork, language)
        select * from unnest(
            %s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::int[], %s::bool[], %s::text[]
        )
        on conflict (owner_id, id) do update set
            name = excluded.name, stars = excluded.stars, forks = excluded.forks,
            is_fork = excluded.is_fork, language = excluded.language
        where (kept.name, kept.stars, kept.forks, kept.is_fork, kept.language)
            is distinct from
            (excluded.name, excluded.stars, excluded.forks, excluded.is_fork, excluded.language)
    """
    await conn.execute(upsert, columns)


async def _raise_banner_versions(conn: Connection, owner_ids: list[int]) -> None:
    query = """
        with risen as (
            select banners.id, users.version, users.fetched_at
            from banners join users on users.id = banners.owner_id
            where banners.owner_id = any(%s)
            order by banners.id
            for update of banners
        )
        update banners
        set version = greatest(banners.version + 1, risen.version), updated_at = risen.fetched_at
        from risen where risen.id = banners.id
    """
    await conn.execute(query, [owner_ids])


async def _notify(conn: Connection, owner_ids: list[int]) -> None:
    is_short = len(owner_ids) <= _NAMED_CHANGES_AT_MOST
    payload = ",".join(map(str, owner_ids)) if is_short else "*"
    await conn.execute("select pg_notify(%s, %s)", [CHANGED_CHANNEL, payload])


def _user_row(portfolio: Portfolio, stats: Stats) -> tuple[Any, ...]:
    owner, fetched_at = portfolio.owner, portfolio.fetched_at
    languages = {_clean(name): number for name, number in stats.languages.items()}
    return (
        owner.id,
        _clean(owner.node_id),
        _clean(owner.login),
        _clean(owner.display_name),
        stats.total_repos,
        stats.original_repos,
        stats.forked_repos,
        stats.total_stars,
        stats.total_forks,
        msgspec.json.encode(languages).decode(),
        fetched_at,
        microseconds(fetched_at),
    )


def _repository_row(owner_id: int, repository: Repository) -> tuple[Any, ...]:
    return (
        owner_id,
        repository.id,
        _clean(repository.name),
        repository.stars,
        repository.forks,
        repository.is_fork,
        _clean(repository.language),
    )


def _columns(rows: Iterable[tuple[Any, ...]], *, width: int) -> list[list[Any]]:
    """Turn rows into the arrays that `unnest` takes; no rows are so many empty arrays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _clean(text: str | None) -> str | None:
    """Take out NUL, which PostgreSQL's text can't hold."""
    return text.replace("\0", "") if text else text
