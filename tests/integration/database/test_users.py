"""Owners and their numbers in PostgreSQL."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest

from github_banners.database.banners import insert_banner, select_banner_with_snapshot
from github_banners.database.connect import Connection, Database
from github_banners.database.users import (
    CHANGED_CHANNEL,
    mark_user_deleted,
    select_snapshot,
    select_snapshot_by_id,
    upsert_owners,
)
from github_banners.models import Owner, Repository, to_epoch_microseconds
from github_banners.options import BannerOptions, Theme
from tests.integration.database.samples import DAY, HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres


async def select_repositories(conn: Connection) -> dict[int, tuple[str, int, str]]:
    """Name, stars and xmin of every repository: xmin tells which transaction wrote the row."""
    cursor = await conn.execute("select id, name, stars, xmin::text from repositories")
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def test_upsert_owners_saves_all_fields(conn: Connection) -> None:
    [saved] = await upsert_owners(
        conn, [fetched_owner(languages={"Ruby": 3, "C": 2, "Zig": 2}, stars=9)]
    )
    assert saved.owner == Owner(1, "User-1", "U_1", "Somebody")
    assert saved.stats.total_stars == 9
    assert list(saved.stats.languages.items()) == [("Ruby", 3), ("C", 2), ("Zig", 2)]
    assert saved.fetched_at == NOON
    assert saved.version == to_epoch_microseconds(NOON)
    assert not saved.is_deleted
    assert await select_snapshot_by_id(conn, 1) == saved
    assert await select_snapshot(conn, "uSER-1") == saved


async def test_select_snapshot_unknown_owner_is_none(conn: Connection) -> None:
    assert await select_snapshot(conn, "nobody") is None
    assert await select_snapshot_by_id(conn, 1) is None
    assert await upsert_owners(conn, []) == []


async def test_upsert_owners_same_numbers_keep_version(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [fetched_owner()])
    [second] = await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR)])
    assert second.version == first.version
    assert second.fetched_at == NOON + HOUR


@pytest.mark.parametrize(
    "change", [{"stars": 6}, {"login": "user-1"}, {"name": None}, {"languages": {"Go": 1}}]
)
async def test_upsert_owners_visible_change_raises_version(
    conn: Connection, change: dict[str, object]
) -> None:
    await upsert_owners(conn, [fetched_owner()])
    [second] = await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR, **change)])  # type: ignore[arg-type]
    assert second.version == to_epoch_microseconds(NOON + HOUR)


async def test_upsert_owners_same_time_raises_version(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [fetched_owner(stars=1)])
    [second] = await upsert_owners(conn, [fetched_owner(stars=2)])
    assert second.version == first.version + 1


async def test_upsert_owners_missing_node_id_keeps_stored(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    [saved] = await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR, node_id=None)])
    assert saved.owner.node_id == "U_1"


async def test_upsert_owners_older_data_is_ignored(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [fetched_owner(stars=9)])
    late = fetched_owner(stars=1, login="Older", fetched_at=NOON - HOUR, repositories=())
    assert await upsert_owners(conn, [late]) == [first]
    assert list(await select_repositories(conn)) == [10]
    assert await select_snapshot(conn, "older") == first


async def test_upsert_owners_duplicate_owner_uses_latest(conn: Connection) -> None:
    both = [fetched_owner(stars=2, fetched_at=NOON + HOUR), fetched_owner(stars=1)]
    [saved] = await upsert_owners(conn, both)
    assert saved.stats.total_stars == 2
    assert saved.fetched_at == NOON + HOUR


async def test_upsert_owners_renamed_owner_keeps_old_login(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(login="Old")])
    [saved] = await upsert_owners(conn, [fetched_owner(login="New", fetched_at=NOON + HOUR)])
    assert await select_snapshot(conn, "old") == saved
    assert await select_snapshot(conn, "new") == saved


async def test_upsert_owners_login_moves_to_new_owner(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1, "Name")])
    await upsert_owners(conn, [fetched_owner(2, "name", fetched_at=NOON + HOUR)])
    snapshot = await select_snapshot(conn, "name")
    assert snapshot is not None
    assert snapshot.owner.id == 2
    # Fetched before the login moved, saved afterwards.
    await upsert_owners(conn, [fetched_owner(1, "Name", fetched_at=NOON + HOUR / 2)])
    snapshot = await select_snapshot(conn, "name")
    assert snapshot is not None
    assert snapshot.owner.id == 2


async def test_upsert_owners_swapped_logins_are_saved(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1, "left"), fetched_owner(2, "right")])
    later = NOON + HOUR
    swapped = [
        fetched_owner(1, "right", fetched_at=later),
        fetched_owner(2, "left", fetched_at=later),
    ]
    await upsert_owners(conn, swapped)
    left, right = await select_snapshot(conn, "left"), await select_snapshot(conn, "right")
    assert left is not None
    assert right is not None
    assert (left.owner.id, right.owner.id) == (2, 1)


async def test_upsert_owners_contested_login_goes_to_latest(conn: Connection) -> None:
    await upsert_owners(
        conn, [fetched_owner(1, "name", fetched_at=NOON + HOUR), fetched_owner(2, "name")]
    )
    snapshot = await select_snapshot(conn, "name")
    assert snapshot is not None
    assert snapshot.owner.id == 1


async def test_upsert_owners_writes_changed_rows_only(database: Database) -> None:
    old = tuple(Repository(number, f"r{number}", stars=number) for number in range(4))
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner(1, repositories=old), fetched_owner(2)])
        before = await select_repositories(conn)
    new = (old[0], Repository(1, "r1", stars=100), old[2], Repository(7, "new"))
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner(1, repositories=new, fetched_at=NOON + HOUR)])
        after = await select_repositories(conn)
    assert sorted(after) == [0, 1, 2, 7, 20]
    unwritten = {number for number in before if after.get(number) == before[number]}
    assert unwritten == {0, 2, 20}
    assert after[1][:2] == ("r1", 100)


async def test_upsert_owners_duplicate_repository_is_saved_once(conn: Connection) -> None:
    twice = (Repository(1, "before"), Repository(1, "after"))
    await upsert_owners(conn, [fetched_owner(repositories=twice)])
    assert (await select_repositories(conn))[1][0] == "after"


async def test_upsert_owners_nul_is_removed(conn: Connection) -> None:
    odd = fetched_owner(
        name="No\0body",
        repositories=(Repository(1, "na\0me", language="\0C"),),
        languages={"\0C": 1},
    )
    [saved] = await upsert_owners(conn, [odd])
    assert saved.owner.display_name == "Nobody"
    assert saved.stats.languages == {"C": 1}


async def test_upsert_owners_raises_banner_versions(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    for owner_id in (1, 2):
        for theme in (Theme.DEFAULT, Theme.DARK):
            await insert_banner(
                conn,
                owner_id=owner_id,
                options=BannerOptions(theme),
                names=[f"{owner_id}-{theme}"],
                now=NOON,
            )
    later = NOON + HOUR
    await upsert_owners(
        conn, [fetched_owner(1, stars=6, fetched_at=later), fetched_owner(2, fetched_at=later)]
    )
    versions = {}
    for name in ("1-default", "1-dark", "2-default", "2-dark"):
        row = await select_banner_with_snapshot(conn, name)
        assert row is not None
        versions[name] = row[0].version
    risen, unrisen = to_epoch_microseconds(later), to_epoch_microseconds(NOON)
    assert versions == {
        "1-default": risen, "1-dark": risen, "2-default": unrisen, "2-dark": unrisen
    }  # fmt: skip


async def test_mark_user_deleted_keeps_numbers_until_restored(conn: Connection) -> None:
    [saved] = await upsert_owners(conn, [fetched_owner()])
    await mark_user_deleted(conn, 1, requested_at=NOON + DAY)
    deleted = await select_snapshot_by_id(conn, 1)
    assert deleted is not None
    assert deleted.is_deleted
    assert (deleted.stats, deleted.fetched_at, deleted.version) == (
        saved.stats,
        NOON,
        saved.version,
    )
    [restored] = await upsert_owners(conn, [fetched_owner(fetched_at=NOON + 2 * DAY)])
    assert not restored.is_deleted


async def test_mark_user_deleted_older_request_is_ignored(conn: Connection) -> None:
    [saved] = await upsert_owners(conn, [fetched_owner()])
    await mark_user_deleted(conn, 1, requested_at=NOON - HOUR)
    assert await select_snapshot_by_id(conn, 1) == saved


async def test_upsert_owners_notifies_changes_at_commit(database: Database, conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as listener:
        await listener.execute(f"listen {CHANGED_CHANNEL}")
        async with database.transaction() as conn:
            await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
        async with database.transaction() as conn:
            unchanged, changed = (
                fetched_owner(1, fetched_at=NOON + HOUR),
                fetched_owner(2, stars=6, fetched_at=NOON + HOUR),
            )
            await upsert_owners(conn, [unchanged, changed])
        payloads = [
            notification.payload
            async for notification in listener.notifies(timeout=5, stop_after=2)
        ]
    assert payloads == ["1,2", "2"]


async def test_upsert_owners_concurrently_keeps_latest(database: Database) -> None:
    """Overlapping batches in different orders: no deadlock, and the latest data wins."""

    async def save(hour: int) -> None:
        owners = range(1, 9) if hour % 2 else range(8, 0, -1)
        fetched_at = NOON + timedelta(hours=hour)
        batch = [
            fetched_owner(owner_id, stars=hour, login=f"n{hour}-{owner_id}", fetched_at=fetched_at)
            for owner_id in owners
        ]
        async with database.transaction() as conn:
            await upsert_owners(conn, batch)

    await asyncio.gather(*(save(hour) for hour in range(12)))
    async with database.transaction() as conn:
        for owner_id in range(1, 9):
            snapshot = await select_snapshot_by_id(conn, owner_id)
            assert snapshot is not None
            assert snapshot.stats.total_stars == 11
            assert snapshot.fetched_at == NOON + 11 * HOUR


async def test_upsert_owners_returns_snapshots_by_id(conn: Connection) -> None:
    saved = await upsert_owners(conn, [fetched_owner(3), fetched_owner(1), fetched_owner(2)])
    assert all(first.owner.id < second.owner.id for first, second in pairwise(saved))
    assert len(saved) == 3
