import asyncio
from datetime import datetime, timedelta

import pytest

from github_banners.database.banners import insert_banner, touch_banners
from github_banners.database.connect import Connection, Database
from github_banners.database.leases import (
    lease_due_users,
    lease_unpublished_banners,
    lease_user,
    mark_published,
    release_banners,
    release_user,
    release_users,
    schedule_users,
)
from github_banners.database.users import mark_user_deleted, upsert_owners
from github_banners.options import BannerOptions, Theme
from tests.integration.database.samples import DAY, HOUR, NOON, answer

pytestmark = pytest.mark.postgres

LEASE = timedelta(minutes=2)


async def keep(conn: Connection, *owner_ids: int, at: datetime = NOON) -> None:
    """Keep owners with a banner each, scheduled hourly."""
    await upsert_owners(conn, [answer(owner_id, at=at) for owner_id in owner_ids])
    for owner_id in owner_ids:
        name = f"{owner_id}-default"
        await insert_banner(conn, owner_id=owner_id, options=BannerOptions(), names=[name], now=at)
    await schedule_users(conn, owner_ids, now=at, interval=HOUR)


async def due(conn: Connection, now: datetime, *, limit: int = 20) -> list[int]:
    return [owner.id for owner in await lease_due_users(conn, now=now, lease=LEASE, limit=limit)]


async def test_an_owner_without_a_banner_has_no_turn(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    assert await due(conn, NOON + 365 * DAY) == []


async def test_a_new_banner_gives_its_owner_a_turn_though_nobody_schedules(
    conn: Connection,
) -> None:
    await upsert_owners(conn, [answer()])
    await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["one"], now=NOON)
    assert await due(conn, NOON) == [1]


async def test_a_turn_comes_once_per_interval(conn: Connection) -> None:
    await keep(conn, 1)
    assert await due(conn, NOON + HOUR - LEASE) == []
    [owner] = await lease_due_users(conn, now=NOON + HOUR)
    assert (owner.id, owner.login, owner.node_id) == (1, "User-1", "U_1")
    await upsert_owners(conn, [answer(at=NOON + HOUR)])
    assert await due(conn, NOON + HOUR * 1.9) == []
    assert await due(conn, NOON + HOUR * 2) == [1]


async def test_a_lease_that_nobody_finishes_ends(conn: Connection) -> None:
    await keep(conn, 1)
    assert await due(conn, NOON + HOUR) == [1]
    assert await due(conn, NOON + HOUR + LEASE / 2) == []
    assert await due(conn, NOON + HOUR + LEASE) == [1]


async def test_a_failed_turn_waits_as_long_as_it_is_told(conn: Connection) -> None:
    await keep(conn, 1)
    await due(conn, NOON + HOUR)
    await release_users(conn, {1: NOON + HOUR * 3})
    assert await due(conn, NOON + HOUR * 2) == []
    assert await due(conn, NOON + HOUR * 3) == [1]


async def test_scheduling_ends_no_pause_after_a_failure(conn: Connection) -> None:
    await keep(conn, 1)
    await due(conn, NOON + HOUR)
    await release_users(conn, {1: NOON + HOUR * 3})
    await schedule_users(conn, [1], now=NOON + HOUR * 2, interval=HOUR)
    assert await due(conn, NOON + HOUR * 2) == []
    assert await due(conn, NOON + HOUR * 3) == [1]
    await upsert_owners(conn, [answer(at=NOON + HOUR * 3)])
    assert await due(conn, NOON + HOUR * 4) == [1]


async def test_who_failed_comes_after_all_who_wait(conn: Connection) -> None:
    await keep(conn, 1, 2, 3)
    now = NOON + HOUR
    assert await due(conn, now, limit=1) == [1]
    await release_users(conn, {1: now + LEASE})
    assert await due(conn, now + LEASE) == [2, 3, 1]


async def test_a_pause_gives_nobody_a_turn_who_has_none(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    await release_users(conn, {1: NOON})
    assert await due(conn, NOON + DAY) == []


async def mine(conn: Connection, now: datetime, *, asked_at: datetime = NOON) -> bool:
    return await lease_user(conn, 1, requested_at=asked_at, now=now, lease=LEASE)


@pytest.mark.parametrize("has_banner", [True, False])
async def test_who_waits_takes_a_turn_until_it_ends(conn: Connection, has_banner: bool) -> None:
    await (keep(conn, 1) if has_banner else upsert_owners(conn, [answer()]))
    now = NOON + HOUR
    assert await mine(conn, now)
    assert not await mine(conn, now + LEASE / 2)
    assert await mine(conn, now + LEASE)
    await upsert_owners(conn, [answer(at=now + LEASE)])
    assert await mine(conn, now + LEASE, asked_at=now + LEASE)
    await mark_user_deleted(conn, 1, requested_at=now + LEASE)
    assert await mine(conn, now + LEASE, asked_at=now + LEASE)


async def test_nobody_takes_a_turn_to_ask_what_has_been_answered(conn: Connection) -> None:
    await upsert_owners(conn, [answer(at=NOON + HOUR)])
    assert not await mine(conn, NOON + HOUR)
    assert not await lease_user(conn, 2, requested_at=NOON, now=NOON)


async def test_the_background_and_who_waits_have_one_turn(conn: Connection) -> None:
    await keep(conn, 1)
    now = NOON + HOUR
    assert await mine(conn, now)
    assert await due(conn, now + LEASE / 2) == []
    assert await due(conn, now + LEASE) == [1]
    assert not await mine(conn, now + LEASE * 1.5)
    await release_users(conn, {1: now + HOUR})
    assert await mine(conn, now + LEASE * 1.5)


async def test_scheduling_takes_no_turn_away_from_who_waits(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    assert await mine(conn, NOON + LEASE)
    await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["one"], now=NOON + LEASE)
    await schedule_users(conn, [1], now=NOON + LEASE, interval=HOUR)
    assert not await mine(conn, NOON + LEASE)


async def test_only_ones_own_turn_is_given_back(conn: Connection) -> None:
    await keep(conn, 1)
    now = NOON + HOUR
    assert await mine(conn, now)
    assert await due(conn, now + LEASE) == [1]
    await release_user(conn, 1, leased_until=now + LEASE)
    assert not await mine(conn, now + LEASE)
    await release_user(conn, 1, leased_until=now + LEASE * 2)
    assert await mine(conn, now + LEASE)


@pytest.mark.parametrize(
    ("asked_ago", "intervals"),
    [(HOUR, 1), (DAY, 1), (2 * DAY, 6), (7 * DAY, 6), (20 * DAY, 24), (31 * DAY, 168)],
)
async def test_what_nobody_looks_at_is_refreshed_less_often(
    conn: Connection, asked_ago: timedelta, intervals: int
) -> None:
    await keep(conn, 1, at=NOON - asked_ago)
    await upsert_owners(conn, [answer(at=NOON)])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    assert await due(conn, NOON + intervals * HOUR - timedelta(seconds=1)) == []
    assert await due(conn, NOON + intervals * HOUR) == [1]


async def test_a_banner_that_is_asked_for_again_is_refreshed_often_again(conn: Connection) -> None:
    await keep(conn, 1, at=NOON - 31 * DAY)
    await upsert_owners(conn, [answer(at=NOON)])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    touched = await touch_banners(conn, {"1-default": NOON}, now=NOON)
    await schedule_users(conn, touched, now=NOON, interval=HOUR)
    assert await due(conn, NOON + HOUR) == [1]


async def test_scheduling_takes_no_turn_away_from_whoever_has_it(conn: Connection) -> None:
    await keep(conn, 1)
    now = NOON + 2 * DAY
    assert await due(conn, now) == [1]
    await schedule_users(conn, [1], now=now, interval=HOUR)
    assert await due(conn, now + LEASE / 2) == []


async def test_the_gone_are_asked_weekly_until_they_come_back(conn: Connection) -> None:
    await keep(conn, 1)
    await due(conn, NOON + HOUR)
    await mark_user_deleted(conn, 1, requested_at=NOON + HOUR)
    await schedule_users(conn, [1], now=NOON + HOUR, interval=HOUR)
    assert await due(conn, NOON + 6 * DAY) == []
    assert await due(conn, NOON + HOUR + 7 * DAY) == [1]
    back = NOON + 8 * DAY
    await upsert_owners(conn, [answer(at=back)])
    await schedule_users(conn, [1], now=back, interval=HOUR)
    assert await due(conn, back + 24 * HOUR) == [1]


async def test_a_gone_owner_without_a_banner_has_no_turn(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    await mark_user_deleted(conn, 1, requested_at=NOON)
    assert await due(conn, NOON + 365 * DAY) == []


async def test_after_a_day_without_power_all_are_asked_once_before_any_twice(
    conn: Connection,
) -> None:
    for owner_id in range(1, 8):
        await keep(conn, owner_id, at=NOON - timedelta(minutes=owner_id))
    now = NOON + DAY
    order = []
    for _ in range(5):
        batch = await due(conn, now, limit=3)
        order += batch
        # So slow that what was saved first is due again before the last had a turn.
        await upsert_owners(conn, [answer(owner_id, at=now) for owner_id in batch])
        now += 2 * HOUR
    assert order[:7] == [7, 6, 5, 4, 3, 2, 1]


async def test_a_row_that_is_locked_is_not_waited_for(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer()])
    async with database.transaction() as one, database.transaction() as other:
        assert await mine(one, NOON)
        assert not await mine(other, NOON)


async def test_two_askers_share_the_queue(database: Database) -> None:
    async with database.transaction() as conn:
        await keep(conn, *range(1, 11))
    async with database.transaction() as one, database.transaction() as other:
        mine = await due(one, NOON + HOUR, limit=6)
        theirs = await due(other, NOON + HOUR, limit=6)
    assert mine == [1, 2, 3, 4, 5, 6]
    assert theirs == [7, 8, 9, 10]


async def test_a_banner_is_published_until_somebody_says_it_is(conn: Connection) -> None:
    await keep(conn, 1, 2)
    leased = await lease_unpublished_banners(conn, now=NOON, lease=LEASE)
    assert [banner.name for banner, _ in leased] == ["1-default", "2-default"]
    assert [snapshot.owner.id for _, snapshot in leased] == [1, 2]
    assert await lease_unpublished_banners(conn, now=NOON + LEASE / 2) == []
    first = leased[0][0]
    await mark_published(conn, {first.id: first.version})
    [(second, _)] = await lease_unpublished_banners(conn, now=NOON + LEASE)
    assert second.owner_id == 2


async def test_banners_that_fail_for_ever_hold_up_no_others(conn: Connection) -> None:
    await keep(conn, 1, 2, 3)
    tried = []
    for minute in range(4):
        now = NOON + minute * timedelta(minutes=1)
        [(banner, _)] = await lease_unpublished_banners(conn, now=now, limit=1)
        await release_banners(conn, {banner.id: now})
        tried.append(banner.owner_id)
    assert tried == [1, 2, 3, 1]


async def test_a_version_that_rose_meanwhile_is_published_too(conn: Connection) -> None:
    await keep(conn, 1)
    [(old, _)] = await lease_unpublished_banners(conn, now=NOON)
    await upsert_owners(conn, [answer(stars=6, at=NOON + HOUR)])
    await mark_published(conn, {old.id: old.version})
    [(new, snapshot)] = await lease_unpublished_banners(conn, now=NOON + HOUR)
    assert new.version > old.version
    assert snapshot.stats.total_stars == 6
    await mark_published(conn, {new.id: new.version})
    await mark_published(conn, {new.id: old.version})
    assert await lease_unpublished_banners(conn, now=NOON + DAY) == []


async def test_two_publishers_share_the_banners(database: Database) -> None:
    async with database.transaction() as conn:
        await keep(conn, 1)
        await insert_banner(
            conn, owner_id=1, options=BannerOptions(Theme.DARK), names=["dark"], now=NOON
        )
    async with database.transaction() as one, database.transaction() as other:
        [(mine, _)] = await lease_unpublished_banners(one, now=NOON, limit=1)
        [(theirs, _)] = await lease_unpublished_banners(other, now=NOON, limit=1)
    assert {mine.name, theirs.name} == {"1-default", "dark"}


async def test_all_kinds_of_writers_at_once_do_not_block_each_other_for_good(
    database: Database,
) -> None:
    owners = range(1, 11)
    async with database.transaction() as conn:
        await keep(conn, *owners)

    async def save(hour: int) -> None:
        async with database.transaction() as conn:
            at = NOON + hour * HOUR
            await upsert_owners(conn, [answer(one, stars=hour, at=at) for one in owners])

    async def touch(hour: int) -> None:
        asked = {f"{one}-default": NOON + hour * HOUR for one in reversed(owners)}
        async with database.transaction() as conn:
            touched = await touch_banners(conn, asked, now=NOON + 10 * HOUR)
        async with database.transaction() as conn:
            await schedule_users(conn, touched, now=NOON, interval=HOUR)

    async def publish(hour: int) -> int:
        async with database.transaction() as conn:
            leased = await lease_unpublished_banners(conn, now=NOON + hour * HOUR)
        async with database.transaction() as conn:
            await mark_published(
                conn, {banner.id: banner.version for banner, _ in reversed(leased)}
            )
        return len(leased)

    work = [job(hour) for hour in range(10) for job in (save, touch, publish)]
    results = await asyncio.gather(*work)
    assert len(results) == 30
