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
from tests.integration.database.samples import DAY, HOUR, NOON, answer

pytestmark = pytest.mark.postgres


async def repositories(conn: Connection) -> dict[int, tuple[str, int, str]]:
    """Name, stars and xmin of every repository: xmin tells which transaction wrote the row."""
    cursor = await conn.execute("select id, name, stars, xmin::text from repositories")
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def test_keeps_an_answer(conn: Connection) -> None:
    [saved] = await upsert_owners(conn, [answer(languages={"Ruby": 3, "C": 2, "Zig": 2}, stars=9)])
    assert saved.owner == Owner(1, "User-1", "U_1", "Somebody")
    assert saved.stats.total_stars == 9
    assert list(saved.stats.languages.items()) == [("Ruby", 3), ("C", 2), ("Zig", 2)]
    assert saved.fetched_at == NOON
    assert saved.version == to_epoch_microseconds(NOON)
    assert not saved.is_deleted
    assert await select_snapshot_by_id(conn, 1) == saved
    assert await select_snapshot(conn, "uSER-1") == saved


async def test_unknown_owners_are_none(conn: Connection) -> None:
    assert await select_snapshot(conn, "nobody") is None
    assert await select_snapshot_by_id(conn, 1) is None
    assert await upsert_owners(conn, []) == []


async def test_same_numbers_keep_the_version_and_move_the_time(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [answer()])
    [second] = await upsert_owners(conn, [answer(at=NOON + HOUR)])
    assert second.version == first.version
    assert second.fetched_at == NOON + HOUR


@pytest.mark.parametrize(
    "change", [{"stars": 6}, {"login": "user-1"}, {"name": None}, {"languages": {"Go": 1}}]
)
async def test_what_can_be_seen_raises_the_version(
    conn: Connection, change: dict[str, object]
) -> None:
    await upsert_owners(conn, [answer()])
    [second] = await upsert_owners(conn, [answer(at=NOON + HOUR, **change)])  # type: ignore[arg-type]
    assert second.version == to_epoch_microseconds(NOON + HOUR)


async def test_a_version_rises_even_where_the_clock_does_not(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [answer(stars=1)])
    [second] = await upsert_owners(conn, [answer(stars=2)])
    assert second.version == first.version + 1


async def test_an_unsaid_node_id_is_not_forgotten(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    [saved] = await upsert_owners(conn, [answer(at=NOON + HOUR, node_id=None)])
    assert saved.owner.node_id == "U_1"


async def test_a_late_answer_changes_nothing(conn: Connection) -> None:
    [first] = await upsert_owners(conn, [answer(stars=9)])
    late = answer(stars=1, login="Older", at=NOON - HOUR, repositories=())
    assert await upsert_owners(conn, [late]) == [first]
    assert list(await repositories(conn)) == [10]
    assert await select_snapshot(conn, "older") == first


async def test_of_two_answers_about_one_owner_the_later_counts(conn: Connection) -> None:
    both = [answer(stars=2, at=NOON + HOUR), answer(stars=1)]
    [saved] = await upsert_owners(conn, both)
    assert saved.stats.total_stars == 2
    assert saved.fetched_at == NOON + HOUR


async def test_a_rename_keeps_the_old_name(conn: Connection) -> None:
    await upsert_owners(conn, [answer(login="Old")])
    [saved] = await upsert_owners(conn, [answer(login="New", at=NOON + HOUR)])
    assert await select_snapshot(conn, "old") == saved
    assert await select_snapshot(conn, "new") == saved


async def test_a_name_taken_over_points_to_its_new_holder(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1, "Name")])
    await upsert_owners(conn, [answer(2, "name", at=NOON + HOUR)])
    found = await select_snapshot(conn, "name")
    assert found is not None
    assert found.owner.id == 2
    # Seen before the take-over, saved after it.
    await upsert_owners(conn, [answer(1, "Name", at=NOON + HOUR / 2)])
    found = await select_snapshot(conn, "name")
    assert found is not None
    assert found.owner.id == 2


async def test_two_owners_swap_names_in_one_batch(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1, "left"), answer(2, "right")])
    later = NOON + HOUR
    swapped = [answer(1, "right", at=later), answer(2, "left", at=later)]
    await upsert_owners(conn, swapped)
    left, right = await select_snapshot(conn, "left"), await select_snapshot(conn, "right")
    assert left is not None
    assert right is not None
    assert (left.owner.id, right.owner.id) == (2, 1)


async def test_two_owners_claim_one_name_in_one_batch(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1, "name", at=NOON + HOUR), answer(2, "name")])
    found = await select_snapshot(conn, "name")
    assert found is not None
    assert found.owner.id == 1


async def test_only_what_changed_is_written(database: Database) -> None:
    old = tuple(Repository(number, f"r{number}", stars=number) for number in range(4))
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer(1, repositories=old), answer(2)])
        before = await repositories(conn)
    new = (old[0], Repository(1, "r1", stars=100), old[2], Repository(7, "new"))
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer(1, repositories=new, at=NOON + HOUR)])
        after = await repositories(conn)
    assert sorted(after) == [0, 1, 2, 7, 20]
    unwritten = {number for number in before if after.get(number) == before[number]}
    assert unwritten == {0, 2, 20}
    assert after[1][:2] == ("r1", 100)


async def test_a_repository_twice_in_an_answer_counts_once(conn: Connection) -> None:
    twice = (Repository(1, "before"), Repository(1, "after"))
    await upsert_owners(conn, [answer(repositories=twice)])
    assert (await repositories(conn))[1][0] == "after"


async def test_nul_is_taken_out(conn: Connection) -> None:
    odd = answer(
        name="No\0body",
        repositories=(Repository(1, "na\0me", language="\0C"),),
        languages={"\0C": 1},
    )
    [saved] = await upsert_owners(conn, [odd])
    assert saved.owner.display_name == "Nobody"
    assert saved.stats.languages == {"C": 1}


async def test_banners_rise_with_their_owner(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
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
    await upsert_owners(conn, [answer(1, stars=6, at=later), answer(2, at=later)])
    versions = {}
    for name in ("1-default", "1-dark", "2-default", "2-dark"):
        found = await select_banner_with_snapshot(conn, name)
        assert found is not None
        versions[name] = found[0].version
    risen, unrisen = to_epoch_microseconds(later), to_epoch_microseconds(NOON)
    assert versions == {
        "1-default": risen, "1-dark": risen, "2-default": unrisen, "2-dark": unrisen
    }  # fmt: skip


async def test_gone_keeps_the_numbers_and_coming_back_is_noticed(conn: Connection) -> None:
    [saved] = await upsert_owners(conn, [answer()])
    await mark_user_deleted(conn, 1, requested_at=NOON + DAY)
    gone = await select_snapshot_by_id(conn, 1)
    assert gone is not None
    assert gone.is_deleted
    assert (gone.stats, gone.fetched_at, gone.version) == (saved.stats, NOON, saved.version)
    [back] = await upsert_owners(conn, [answer(at=NOON + 2 * DAY)])
    assert not back.is_deleted


async def test_gone_is_not_believed_when_it_is_older_than_the_numbers(conn: Connection) -> None:
    [saved] = await upsert_owners(conn, [answer()])
    await mark_user_deleted(conn, 1, requested_at=NOON - HOUR)
    assert await select_snapshot_by_id(conn, 1) == saved


async def test_changes_are_told_at_commit(database: Database, conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as listener:
        await listener.execute(f"listen {CHANGED_CHANNEL}")
        async with database.transaction() as conn:
            await upsert_owners(conn, [answer(1), answer(2)])
        async with database.transaction() as conn:
            unchanged, changed = answer(1, at=NOON + HOUR), answer(2, stars=6, at=NOON + HOUR)
            await upsert_owners(conn, [unchanged, changed])
        told = [one.payload async for one in listener.notifies(timeout=5, stop_after=2)]
    assert told == ["1,2", "2"]


async def test_many_savers_at_once_agree_on_the_latest(database: Database) -> None:
    """Batches that overlap, in all orders: no deadlock, and the latest answer stands."""

    async def save(hour: int) -> None:
        owners = range(1, 9) if hour % 2 else range(8, 0, -1)
        at = NOON + timedelta(hours=hour)
        batch = [
            answer(owner_id, stars=hour, login=f"n{hour}-{owner_id}", at=at) for owner_id in owners
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


async def test_answers_come_back_in_the_order_of_ids(conn: Connection) -> None:
    saved = await upsert_owners(conn, [answer(3), answer(1), answer(2)])
    assert all(one.owner.id < other.owner.id for one, other in pairwise(saved))
    assert len(saved) == 3
