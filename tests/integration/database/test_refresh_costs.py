"""What the refreshes of banners cost: computed by hand, with and without a token."""

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from github_banners import diagnostics
from github_banners.database.banners import insert_banner
from github_banners.database.connect import Connection, Database
from github_banners.database.data_leases import schedule_data
from github_banners.database.leases import schedule_users
from github_banners.database.refresh_costs import RefreshCosts, fetch_refresh_costs
from github_banners.database.session import DEFAULT_SCHEMA
from github_banners.database.users import mark_user_deleted, upsert_owners
from github_banners.errors import DatabaseUnavailable
from github_banners.models import Stats
from github_banners.options import BannerOptions, Inclusion
from github_banners.settings import Settings
from tests.integration.database.samples import DAY, HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

REPOSITORIES = ("repositories",)


async def store_owner(
    conn: Connection, owner_id: int, *, total: int = 1, original: int = 1
) -> None:
    owner_repositories, _ = fetched_owner(owner_id)
    stats = Stats(total, original, total - original, 5, 0, {"Python": 1})
    await upsert_owners(conn, [(owner_repositories, stats)], now=NOON)


async def store_banner(
    conn: Connection,
    owner_id: int,
    needs: Sequence[str] = REPOSITORIES,
    *,
    requested_at: datetime = NOON,
    include: tuple[Inclusion, ...] = (Inclusion.ARCHIVED,),
) -> str:
    """Store a banner that was last requested at a time; return its name."""
    name = f"{owner_id}-{'-'.join(needs)}".replace("/", "-")
    options = BannerOptions(title=name, include=include)
    await insert_banner(
        conn, owner_id=owner_id, options=options, names=[name], now=requested_at, needs=needs
    )
    return name


async def schedule(conn: Connection, *owner_ids: int) -> None:
    await schedule_users(conn, owner_ids, now=NOON, interval=HOUR)
    await schedule_data(conn, owner_ids, now=NOON, interval=HOUR)


async def read_costs(conninfo: str) -> RefreshCosts:
    return await fetch_refresh_costs(conninfo, schema=DEFAULT_SCHEMA, now=NOON)


async def check_costs(
    conninfo: str, banners: int, owners: int, *expected: float, unfilled: float
) -> None:
    """
    Check the numbers of banners and owners, and the costs from `min_graphql_points` on.

    `unfilled` are the points that are lost since batches are not full.
    """
    points = expected[0] + unfilled
    assert astuple(await read_costs(conninfo)) == pytest.approx(
        (banners, owners, points, *expected)
    )


async def test_fetch_refresh_costs_empty_database_is_zero(conninfo: str) -> None:
    assert await read_costs(conninfo) == RefreshCosts(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("total", "points", "anonymous"),
    # A twentieth of a point, and one for each page after the first; a profile and each page.
    [(0, 0.05, 2), (100, 0.05, 2), (101, 1.05, 3), (1000, 9.05, 11)],
)
async def test_fetch_refresh_costs_owner_costs_by_pages(
    database: Database, conninfo: str, total: int, points: float, anonymous: float
) -> None:
    async with database.transaction() as conn:
        await store_owner(conn, 1, total=total, original=0)
        await store_banner(conn, 1)
        # They share the repositories, and followers arrive with these.
        await store_banner(conn, 1, ("followers", "repositories"))
        await schedule(conn, 1)
    await check_costs(conninfo, 2, 1, points, 0, anonymous, unfilled=0.95)


@pytest.mark.parametrize(("days", "factor"), [(0, 1), (2, 6), (10, 24), (40, 168)])
async def test_fetch_refresh_costs_rarely_requested_banner_costs_less(
    database: Database, conninfo: str, days: int, factor: int
) -> None:
    async with database.transaction() as conn:
        await store_owner(conn, 1)
        await store_banner(conn, 1, requested_at=NOON - days * DAY)
        await schedule(conn, 1)
    await check_costs(conninfo, 1, 1, 0.05 / factor, 0, 2 / factor, unfilled=0.95 / factor)


@pytest.mark.parametrize(
    ("needs", "factor", "expected"),
    [
        # The owner: weekly, if no banner shows its repositories.
        (["contributions"], 168, (2.05 / 168 + 1 / 24, 0, 4 / 168)),
        (["repository/77"], 168, (2.05 / 168, 1, 4 / 168 + 1)),
        (["repository/77", "repository/78"], 168, (2.05 / 168, 2, 4 / 168 + 2)),
        # 250 repositories are three pages; without a token each of 200 originals is requested.
        (["language_sizes", "repositories"], 1, (2.05 + 3 / 24, 0, 4 + 200 / 24)),
        (["contributions", "repositories"], 1, (2.05 + 1 / 24, 0, 4)),
    ],
)
async def test_fetch_refresh_costs_data_costs_by_kind(
    database: Database,
    conninfo: str,
    *,
    needs: list[str],
    factor: int,
    expected: tuple[float, float, float],
) -> None:
    async with database.transaction() as conn:
        await store_owner(conn, 1, total=250, original=200)
        await store_banner(conn, 1, needs)
        await schedule(conn, 1)
    await check_costs(conninfo, 1, 1, *expected, unfilled=0.95 / factor)


async def test_fetch_refresh_costs_sizes_of_forks_are_requested_without_a_token(
    database: Database, conninfo: str
) -> None:
    everything = (Inclusion.ARCHIVED, Inclusion.FORKS)
    async with database.transaction() as conn:
        for owner_id in (1, 2):
            await store_owner(conn, owner_id, total=50, original=20)
            await store_banner(conn, owner_id, ("language_sizes", "repositories"))
        await store_banner(conn, 1, ("language_sizes",), include=everything)
        await store_banner(conn, 2, include=everything)
        await schedule(conn, 1, 2)
    # A profile and a page of each, hourly; 50 repositories of the first and 20 of the second, daily.
    await check_costs(conninfo, 4, 2, 2 / 20 + 2 / 24, 0, 4 + 70 / 24, unfilled=0.9)


async def test_fetch_refresh_costs_leaves_out_what_is_not_refreshed(
    database: Database, conninfo: str
) -> None:
    async with database.transaction() as conn:
        for owner_id in (1, 2, 3):
            await store_owner(conn, owner_id)
        # Deactivated after it was scheduled, so that its times are still stored.
        dropped = [
            await store_banner(conn, 2, ("contributions", "language_sizes", "repositories")),
            await store_banner(conn, 1, ("contributions",)),
        ]
        await store_banner(conn, 1)
        await schedule(conn, 1, 2, 3)
        query = "update banners set is_active = false where name = any(%s)"
        await conn.execute(query, [dropped])
    await check_costs(conninfo, 1, 1, 0.05, 0, 2, unfilled=0.95)


async def test_fetch_refresh_costs_deleted_owner_is_checked_weekly(
    database: Database, conninfo: str
) -> None:
    async with database.transaction() as conn:
        await store_owner(conn, 1)
        await store_banner(conn, 1)
        await schedule(conn, 1)
        await mark_user_deleted(conn, 1, requested_at=NOON, now=NOON)
    await check_costs(conninfo, 1, 1, 0.05 / 168, 0, 2 / 168, unfilled=0.95 / 168)


async def test_fetch_refresh_costs_adds_up_owners(database: Database, conninfo: str) -> None:
    async with database.transaction() as conn:
        for owner_id in (1, 2, 3):
            await store_owner(conn, owner_id, total=30, original=20)
        for owner_id in (1, 2):
            await store_banner(conn, owner_id)
        await store_banner(conn, 2, ("repository/77",))
        await store_banner(conn, 3, ("contributions",))
        await schedule(conn, 1, 2, 3)
    points, anonymous = 0.05 + 0.05 + 0.05 / 168 + 1 / 24, 2 + 2 + 1 + 2 / 168
    # The first two are in one batch.
    await check_costs(conninfo, 4, 3, points, 1, anonymous, unfilled=0.9 + 0.95 / 168)


@pytest.mark.parametrize(
    ("owners", "pause_seconds", "batches"),
    # At once: two batches, the second with a single owner; else each owner is refreshed alone.
    [(20, 0, 1), (21, 0, 2), (21, 4, 21), (4, 1, 2)],
)
async def test_fetch_refresh_costs_batch_of_twenty_costs_a_point(
    database: Database, conninfo: str, *, owners: int, pause_seconds: int, batches: int
) -> None:
    async with database.transaction() as conn:
        for owner_id in range(1, owners + 1):
            await store_owner(conn, owner_id)
            await store_banner(conn, owner_id)
        await schedule(conn, *range(1, owners + 1))
        query = "update users set due_at = %s + id * %s * interval '1 second'"
        # With pauses of a second, two owners are due between two batches.
        await conn.execute(query, [NOON + HOUR - timedelta(seconds=1), pause_seconds])
    costs = await read_costs(conninfo)
    assert (costs.graphql_points, costs.min_graphql_points) == pytest.approx((batches, owners / 20))
    # After an outage all are due.
    late = await fetch_refresh_costs(conninfo, schema=DEFAULT_SCHEMA, now=NOON + DAY)
    assert late.graphql_points == -(-owners // 20)


async def test_fetch_refresh_costs_missing_tables_raise(empty_conninfo: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await read_costs(empty_conninfo)


async def test_check_database_returns_costs_of_current_tables_only(
    conninfo: str, empty_conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(conninfo: str) -> tuple[diagnostics.CheckResult, RefreshCosts | None]:
        monkeypatch.setattr(diagnostics, "find_embedded_conninfo", lambda _: conninfo)
        return await diagnostics.check_database(Settings(), tmp_path, clock=lambda: NOON)

    assert (await check(conninfo))[1] == RefreshCosts(0, 0, 0, 0, 0, 0)
    result, costs = await check(empty_conninfo)
    assert (result.is_broken, costs) == (False, None)
    result, costs = await check("host=127.0.0.1 port=1")
    assert (result.is_broken, costs) == (True, None)
    with psycopg.connect(conninfo) as conn:
        conn.execute("alter table owner_data rename to moved")
    result, costs = await check(conninfo)
    assert (result.is_broken, costs) == (False, None)
    with psycopg.connect(conninfo) as conn:
        conn.execute("update alembic_version set version_num = '0004'")
    result, costs = await check(conninfo)
    assert "older tables" in result.text
    assert costs is None
