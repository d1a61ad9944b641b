"""
Store the data of owners that only some banners show: contributions, language sizes, one repository.

A row of `owner_data` belongs to one need of an owner's banners (`options.banner_needs`). It has its
own age, version, refresh time and lease. Contributions are in `contribution_years`, one row per year.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any, TypeAlias

import msgspec

from github_banners.database.banner_versions import (
    latest_time,
    latest_version,
    raise_banner_versions,
)
from github_banners.database.session import Connection, strip_unstorable, to_columns
from github_banners.database.users import notify_changed
from github_banners.models import (
    ContributionAccess,
    Contributions,
    ContributionYear,
    RepositoryDetails,
    RepositoryLanguages,
    to_epoch_microseconds,
)
from github_banners.options import DataKind, parse_need

OwnerData: TypeAlias = Contributions | tuple[RepositoryLanguages, ...] | RepositoryDetails
"""The content of one need: its type follows from the kind."""

_YEAR_COLUMNS = ("years", "days", "commits", "issues", "pull_requests", "reviews")


class _StoredContributions(msgspec.Struct, frozen=True):
    access: ContributionAccess


_CONTENT_TYPES: Mapping[DataKind, Any] = {
    DataKind.CONTRIBUTIONS: _StoredContributions,
    DataKind.LANGUAGE_SIZES: tuple[RepositoryLanguages, ...],
    DataKind.REPOSITORY: RepositoryDetails,
}


@dataclass(frozen=True, slots=True)
class StoredData:
    """Data as stored; `fetched_at` is when GitHub was requested."""

    content: OwnerData
    fetched_at: datetime


async def select_data(
    conn: Connection, owner_id: int, needs: Collection[str], *, now: datetime | None = None
) -> dict[str, StoredData]:
    """Select the stored data of an owner by need; what is missing or unreadable is left out."""
    query = """
        select need, content::text, fetched_at from owner_data
        where owner_id = %s and need = any(%s) and content is not null and fetched_at <= %s
    """
    cursor = await conn.execute(query, [owner_id, list(needs), latest_time(now)])
    rows = await cursor.fetchall()
    stored = {}
    for need, content, fetched_at in rows:
        parsed = parse_content(need, content)
        if isinstance(parsed, _StoredContributions):
            years = await _select_years(conn, owner_id)
            stored[need] = StoredData(Contributions(years, parsed.access), fetched_at)
        elif parsed is not None:
            stored[need] = StoredData(parsed, fetched_at)
    return stored


def parse_content(
    need: str, content: str
) -> _StoredContributions | tuple[RepositoryLanguages, ...] | RepositoryDetails | None:
    """Parse a stored `content`; None if this version can't read it."""
    try:
        return msgspec.json.decode(content, type=_CONTENT_TYPES[parse_need(need)[0]])  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError, LookupError, ValueError):
        return None


async def select_repository_need(conn: Connection, owner_id: int, name: str) -> str | None:
    """Select the need of the stored repository that has a name now, in any case."""
    query = """
        select need from owner_data
        where owner_id = %s and need like 'repository/%%' and lower(content->>'name') = lower(%s)
        order by fetched_at desc limit 1
    """
    row = await (await conn.execute(query, [owner_id, name])).fetchone()
    return str(row[0]) if row else None


async def save_data(
    conn: Connection,
    owner_id: int,
    need: str,
    content: OwnerData,
    *,
    fetched_at: datetime,
    now: datetime,
) -> bool:
    """
    Save fetched data; raise the versions of the banners that show it, if it has changed.

    Older data than the stored one changes nothing. Return whether the owner is stored: otherwise
    nothing is saved. Lock no other row of the owner in the same transaction: the owner's row, which
    comes first, is not locked if nothing has changed.
    """
    encoded = _encode(content)
    years = _to_year_columns(content.years if isinstance(content, Contributions) else ())
    if await _confirm(conn, owner_id, need, encoded, years, fetched_at=fetched_at):
        return True
    # Owners are locked before their data and banners, by every transaction.
    query = """
        select owner_data.content::text
        from users left join owner_data on owner_data.owner_id = users.id and need = %s
        where users.id = %s for no key update of users
    """
    before = await (await conn.execute(query, [need, owner_id])).fetchone()
    if before is None:
        return False
    query = """
        insert into owner_data as stored (owner_id, need, content, version, fetched_at)
        values (%(owner_id)s, %(need)s, %(content)s::json, %(version)s, %(fetched_at)s)
        on conflict (owner_id, need) do update set
            content = excluded.content,
            version = case
                when stored.content::text is not distinct from excluded.content::text
                    then stored.version
                when stored.version > %(latest_version)s then excluded.version
                else greatest(stored.version + 1, excluded.version)
            end,
            fetched_at = excluded.fetched_at,
            due_at = excluded.fetched_at + stored.refresh_every,
            leased_until = null
        where stored.fetched_at <= excluded.fetched_at or stored.fetched_at > %(latest)s
        returning need
    """
    parameters = {
        "owner_id": owner_id,
        "need": need,
        "content": encoded,
        "version": to_epoch_microseconds(fetched_at),
        "fetched_at": fetched_at,
        "latest": latest_time(now),
        "latest_version": latest_version(now),
    }
    if await (await conn.execute(query, parameters)).fetchone() is None:
        return True
    is_changed = before != (encoded,)
    if isinstance(content, Contributions):
        is_changed |= await _upsert_years(conn, owner_id, years)
    if is_changed:
        await raise_banner_versions(
            conn, {owner_id: [need]}, now=now, min_version=to_epoch_microseconds(fetched_at)
        )
        await notify_changed(conn, [owner_id])
    return True


async def _confirm(
    conn: Connection,
    owner_id: int,
    need: str,
    encoded: str,
    years: Sequence[Sequence[Any]],
    *,
    fetched_at: datetime,
) -> bool:
    """
    Record that data was fetched if it is the same as stored, which locks only the row itself.

    Return False if the data differs, or may differ, since it was saved meanwhile; nothing is locked.
    """
    query = """
        select fetched_at from owner_data
        where owner_id = %(owner_id)s and need = %(need)s and content::text = %(content)s
            and fetched_at <= %(fetched_at)s
            and not exists (
                select from unnest(
                    %(years)s::smallint[], %(days)s::text[], %(commits)s::int[], %(issues)s::int[],
                    %(pull_requests)s::int[], %(reviews)s::int[]
                ) as fresh (year, days, commits, issues, pull_requests, reviews)
                left join contribution_years as stored
                    on stored.owner_id = %(owner_id)s and stored.year = fresh.year
                where (
                    stored.days, stored.commits, stored.issues, stored.pull_requests, stored.reviews
                ) is distinct from (
                    fresh.days::integer[], fresh.commits, fresh.issues, fresh.pull_requests,
                    fresh.reviews
                )
            )
    """
    parameters = {
        "owner_id": owner_id,
        "need": need,
        "content": encoded,
        "fetched_at": fetched_at,
        **dict(zip(_YEAR_COLUMNS, years, strict=True)),
    }
    row = await (await conn.execute(query, parameters)).fetchone()
    if row is None:
        return False
    query = """
        update owner_data set
            fetched_at = %s, due_at = %s + refresh_every, leased_until = null
        where owner_id = %s and need = %s and fetched_at = %s
        returning need
    """
    cursor = await conn.execute(query, [fetched_at, fetched_at, owner_id, need, row[0]])
    return await cursor.fetchone() is not None


async def _upsert_years(conn: Connection, owner_id: int, years: Sequence[Sequence[Any]]) -> bool:
    """Save years, as columns; return whether any of them differs from what is stored."""
    query = """
        insert into contribution_years as stored (
            owner_id, year, days, commits, issues, pull_requests, reviews
        )
        select %(owner_id)s, fresh.year, fresh.days::integer[], fresh.commits, fresh.issues,
            fresh.pull_requests, fresh.reviews
        from unnest(
            %(years)s::smallint[], %(days)s::text[], %(commits)s::int[], %(issues)s::int[],
            %(pull_requests)s::int[], %(reviews)s::int[]
        ) as fresh (year, days, commits, issues, pull_requests, reviews)
        left join contribution_years as same
            on same.owner_id = %(owner_id)s and same.year = fresh.year
        -- before the conflict, which locks the stored row and so writes it to the WAL
        where (same.days, same.commits, same.issues, same.pull_requests, same.reviews)
            is distinct from (
                fresh.days::integer[], fresh.commits, fresh.issues, fresh.pull_requests,
                fresh.reviews
            )
        order by fresh.year
        on conflict (owner_id, year) do update set
            days = excluded.days, commits = excluded.commits, issues = excluded.issues,
            pull_requests = excluded.pull_requests, reviews = excluded.reviews
        returning year
    """
    parameters = {"owner_id": owner_id, **dict(zip(_YEAR_COLUMNS, years, strict=True))}
    cursor = await conn.execute(query, parameters)
    return bool(await cursor.fetchall())


def _to_year_columns(years: Sequence[ContributionYear]) -> list[list[Any]]:
    """Return years as the columns that `_YEAR_COLUMNS` names."""
    rows = (
        (
            year.year,
            # Arrays of arrays must have equal lengths, so each is passed as text.
            f"{{{','.join(map(str, year.days))}}}",
            year.commits,
            year.issues,
            year.pull_requests,
            year.reviews,
        )
        for year in years
    )
    return to_columns(rows, column_count=len(_YEAR_COLUMNS))


async def _select_years(conn: Connection, owner_id: int) -> tuple[ContributionYear, ...]:
    """Select the years that can be read."""
    query = """
        select year, days, commits, issues, pull_requests, reviews from contribution_years
        where owner_id = %s and year between %s and %s
        order by year
    """
    rows = await (await conn.execute(query, [owner_id, MINYEAR, MAXYEAR])).fetchall()
    return tuple(ContributionYear(year, tuple(days), *counts) for year, days, *counts in rows)


def _encode(content: OwnerData) -> str:
    stored = _StoredContributions(content.access) if isinstance(content, Contributions) else content
    return strip_unstorable(msgspec.json.encode(stored).decode()) or ""
