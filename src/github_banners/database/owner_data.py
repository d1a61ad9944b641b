"""
Store the data of owners that only some banners show: contributions, language sizes, one repository.

A row of `owner_data` belongs to one need of an owner's banners (`options.banner_needs`). It has its
own age, version, refresh time and lease. Contributions are in `contribution_years`, one row per year.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from psycopg.sql import SQL

from github_banners.database.banner_versions import (
    latest_time,
    latest_version,
    raise_banner_versions,
)
from github_banners.database.leases import MAX_RETRY_DELAY, REFRESH_TIER
from github_banners.database.session import Connection, strip_unstorable, to_columns
from github_banners.database.users import notify_changed
from github_banners.models import (
    EPOCH,
    MAX_CLOCK_SKEW,
    ContributionAccess,
    Contributions,
    ContributionYear,
    Owner,
    RepositoryDetails,
    RepositoryLanguages,
    to_epoch_microseconds,
)
from github_banners.options import DataKind, parse_need

OwnerData: TypeAlias = Contributions | tuple[RepositoryLanguages, ...] | RepositoryDetails
"""The content of one need: its type follows from the kind."""

# A long history of contributions takes up to two minutes.
_LEASE = timedelta(minutes=3)
_DAILY_KINDS = (DataKind.CONTRIBUTIONS, DataKind.LANGUAGE_SIZES)
_KINDS_OF_USERS = (DataKind.REPOSITORIES, DataKind.FOLLOWERS)


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


@dataclass(frozen=True, slots=True)
class DueData:
    """Data to be fetched anew, and the owner; `repository_id` is None unless it is one repository."""

    owner: Owner
    need: str

    @property
    def kind(self) -> DataKind:
        """The kind of the data."""
        return parse_need(self.need)[0]

    @property
    def repository_id(self) -> int | None:
        """The id of the repository, if the data is one."""
        return parse_need(self.need)[1]


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
    nothing is saved.
    """
    # Owners are locked before their data and banners, by every transaction.
    query = """
        select owner_data.content::text
        from users left join owner_data on owner_data.owner_id = users.id and need = %s
        where users.id = %s for no key update of users
    """
    before = await (await conn.execute(query, [need, owner_id])).fetchone()
    if before is None:
        return False
    encoded = _encode(content)
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
        is_changed |= await _upsert_years(conn, owner_id, content.years)
    if is_changed:
        await raise_banner_versions(
            conn, {owner_id: [need]}, now=now, min_version=to_epoch_microseconds(fetched_at)
        )
        await notify_changed(conn, [owner_id])
    return True


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
        select owner_id, need, 0, %(epoch)s, %(now)s, pause from planned order by owner_id, need
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


async def _upsert_years(conn: Connection, owner_id: int, years: Sequence[ContributionYear]) -> bool:
    """Save years; return whether any of them differs from what is stored."""
    query = """
        insert into contribution_years as stored (
            owner_id, year, days, commits, issues, pull_requests, reviews
        )
        select %s, year, days::integer[], commits, issues, pull_requests, reviews from unnest(
            %s::smallint[], %s::text[], %s::int[], %s::int[], %s::int[], %s::int[]
        ) as fresh (year, days, commits, issues, pull_requests, reviews)
        order by year
        on conflict (owner_id, year) do update set
            days = excluded.days, commits = excluded.commits, issues = excluded.issues,
            pull_requests = excluded.pull_requests, reviews = excluded.reviews
        where (stored.days, stored.commits, stored.issues, stored.pull_requests, stored.reviews)
            is distinct from (
                excluded.days, excluded.commits, excluded.issues, excluded.pull_requests,
                excluded.reviews
            )
        returning year
    """
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
    cursor = await conn.execute(query, [owner_id, *to_columns(rows, column_count=6)])
    return bool(await cursor.fetchall())


async def _select_years(conn: Connection, owner_id: int) -> tuple[ContributionYear, ...]:
    """Select the years that can be read."""
    query = """
        select year, days, commits, issues, pull_requests, reviews from contribution_years
        where owner_id = %s and year between %s and %s
        order by year
    """
    rows = await (await conn.execute(query, [owner_id, MINYEAR, MAXYEAR])).fetchall()
    return tuple(ContributionYear(year, tuple(days), *counts) for year, days, *counts in rows)


def _encode(content: OwnerData) -> str | None:
    stored = _StoredContributions(content.access) if isinstance(content, Contributions) else content
    return strip_unstorable(msgspec.json.encode(stored).decode())
