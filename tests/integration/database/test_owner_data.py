"""Writes and locks of saving and scheduling an owner's data."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from github_banners.database.banners import insert_banner
from github_banners.database.connect import Connection, Database
from github_banners.database.data_leases import schedule_data
from github_banners.database.owner_data import save_data, select_data
from github_banners.database.users import upsert_owners
from github_banners.models import Contributions, ContributionYear
from github_banners.options import BannerOptions, DataKind, Layout
from tests.integration.database.samples import HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

LAST_YEAR = ContributionYear(2025, (1,) * 365)
NEED = DataKind.CONTRIBUTIONS.value


def contributions(*this_year: int) -> Contributions:
    return Contributions((LAST_YEAR, ContributionYear(2026, this_year)))


async def save(
    conn: Connection, content: Contributions, *, fetched_at: datetime = NOON, owner_id: int = 1
) -> None:
    assert await save_data(conn, owner_id, NEED, content, fetched_at=fetched_at, now=fetched_at)


async def prepare(database: Database) -> None:
    """Save an owner with a banner of contributions, and these."""
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner()])
        await insert_banner(
            conn,
            owner_id=1,
            options=BannerOptions(layout=Layout.ACTIVITY),
            names=["activity"],
            needs=[NEED],
            now=NOON,
        )
        await schedule_data(conn, [1], now=NOON, interval=HOUR)
        await save(conn, contributions(1, 2))


async def fetch(database: Database, query: str) -> list[Any]:
    async with database.transaction() as conn:
        return await (await conn.execute(query)).fetchall()


async def test_save_data_unchanged_locks_neither_owner_nor_years(database: Database) -> None:
    await prepare(database)
    versions = await fetch(database, "select version from banners")
    async with database.transaction() as other, database.transaction() as conn:
        await other.execute("select from users for update")
        await other.execute("select from contribution_years for update")
        await conn.execute("set local lock_timeout to '2s'")
        await save(conn, contributions(1, 2), fetched_at=NOON + HOUR)
        await schedule_data(conn, [1], now=NOON + HOUR, interval=HOUR)
    query = "select fetched_at, due_at - fetched_at = refresh_every, leased_until from owner_data"
    assert await fetch(database, query) == [(NOON + HOUR, True, None)]
    assert await fetch(database, "select version from banners") == versions


async def test_save_data_changed_locks_only_the_year_that_differs(database: Database) -> None:
    await prepare(database)
    versions = await fetch(database, "select version from banners")
    async with database.transaction() as other, database.transaction() as conn:
        await other.execute("select from contribution_years where year = 2025 for update")
        await conn.execute("set local lock_timeout to '2s'")
        await save(conn, contributions(1, 3), fetched_at=NOON + HOUR)
    assert await fetch(database, "select version from banners") > versions


async def test_schedule_data_unchanged_locks_nothing(database: Database) -> None:
    await prepare(database)
    async with database.transaction() as other, database.transaction() as conn:
        await other.execute("select from owner_data for update")
        await conn.execute("set local lock_timeout to '2s'")
        await schedule_data(conn, [1], now=NOON, interval=HOUR)


async def test_save_data_overtaken_by_other_data_is_saved_as_a_whole(database: Database) -> None:
    await prepare(database)
    async with database.transaction() as other:
        await save(other, contributions(7, 7), fetched_at=NOON + HOUR)

        async def save_again() -> None:
            async with database.transaction() as conn:
                await save(conn, contributions(1, 2), fetched_at=NOON + 2 * HOUR)

        saving = asyncio.create_task(save_again())
        query = "select from pg_stat_activity where wait_event_type = 'Lock'"
        while not await fetch(database, query):
            assert not saving.done()
    await saving
    async with database.transaction() as conn:
        stored = (await select_data(conn, 1, [NEED]))[NEED]
    assert (stored.content, stored.fetched_at) == (contributions(1, 2), NOON + 2 * HOUR)


@pytest.mark.parametrize(
    ("table", "fill", "change"),
    [
        (
            "users",
            "select",
            "update users set leased_until = now() where id < 4",
        ),
        (
            "owner_data",
            "insert into owner_data select id, 'contributions', '{}', 1, now(), now(), '1 h' from users",
            "update owner_data set leased_until = now() where owner_id < 4",
        ),
        (
            "contribution_years",
            (
                "insert into contribution_years select 1, year, array_fill(1, array[365]), 0, 0, 0, 0"
                " from generate_series(2000, 2026) as year"
            ),
            "update contribution_years set commits = 1 where year in (2000, 2010, 2020)",
        ),
        (
            "accounts",
            "insert into accounts select 'a', 'graphql/' || id, 1, 1, now(), now() from users",
            "update accounts set remaining = 0 where resource < 'graphql/103'",
        ),
    ],
    ids=["users", "owner_data", "contribution_years", "accounts"],
)
async def test_frequent_changes_of_full_pages_change_no_index(
    conn: Connection, table: str, fill: str, change: str
) -> None:
    await conn.execute("""
        insert into users (id, login, total_repos, original_repos, forked_repos, total_stars,
            total_forks, languages, version, fetched_at, due_at)
        select id, 'owner-' || id, 0, 0, 0, 0, 0, '{}', 1, now(), now()
        from generate_series(1, 300) as id
    """)
    await conn.execute(fill)
    changed = (await conn.execute(change)).rowcount
    query = "select pg_stat_get_xact_tuples_hot_updated(%s::regclass)"
    assert changed > 0
    assert await (await conn.execute(query, [table])).fetchall() == [(changed,)]
