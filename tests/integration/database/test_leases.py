"""Leases of owners and banners."""

import asyncio
from datetime import datetime, timedelta

import pytest

from github_banners.database.banners import insert_banner, touch_banners
from github_banners.database.connect import Connection, Database
from github_banners.database.leases import (
    lease_due_users,
    lease_unpublished_banners,
    lease_users,
    mark_published,
    release_banners,
    release_user,
    release_users,
    schedule_users,
)
from github_banners.database.users import mark_user_deleted, upsert_owners
from github_banners.options import BannerOptions, Theme
from tests.integration.database.samples import DAY, HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

LEASE = timedelta(minutes=2)
PUBLISH_LEASE = timedelta(seconds=15)


async def save_with_banners(conn: Connection, *owner_ids: int, fetched_at: datetime = NOON) -> None:
    """Save owners with a banner each, scheduled hourly."""
    await upsert_owners(
        conn, [fetched_owner(owner_id, fetched_at=fetched_at) for owner_id in owner_ids]
    )
    for owner_id in owner_ids:
        name = f"{owner_id}-default"
        await insert_banner(
            conn, owner_id=owner_id, options=BannerOptions(), names=[name], now=fetched_at
        )
    await schedule_users(conn, owner_ids, now=fetched_at, interval=HOUR)


async def lease_due_ids(conn: Connection, now: datetime, *, limit: int = 20) -> list[int]:
    return [owner.id for owner in await lease_due_users(conn, now=now, limit=limit, interval=HOUR)]


async def test_lease_due_users_skips_owner_without_banner(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    assert await lease_due_ids(conn, NOON + 365 * DAY) == []


async def test_insert_banner_makes_owner_due(
    conn: Connection,
) -> None:
    await upsert_owners(conn, [fetched_owner()])
    await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["one"], now=NOON)
    assert await lease_due_ids(conn, NOON) == [1]


async def test_lease_due_users_once_per_interval(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    assert await lease_due_ids(conn, NOON + HOUR - LEASE) == []
    [owner] = await lease_due_users(conn, now=NOON + HOUR, limit=1, interval=HOUR)
    assert (owner.id, owner.login, owner.node_id) == (1, "User-1", "U_1")
    await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR)])
    assert await lease_due_ids(conn, NOON + HOUR * 1.9) == []
    assert await lease_due_ids(conn, NOON + HOUR * 2) == [1]


async def test_lease_expires(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    assert await lease_due_ids(conn, NOON + HOUR) == [1]
    assert await lease_due_ids(conn, NOON + HOUR + LEASE / 2) == []
    assert await lease_due_ids(conn, NOON + HOUR + LEASE) == [1]


async def test_release_users_delays_next_lease(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    await lease_due_ids(conn, NOON + HOUR)
    await release_users(conn, {1: NOON + HOUR * 3})
    assert await lease_due_ids(conn, NOON + HOUR * 2) == []
    assert await lease_due_ids(conn, NOON + HOUR * 3) == [1]


async def test_schedule_users_keeps_retry_delay(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    await lease_due_ids(conn, NOON + HOUR)
    await release_users(conn, {1: NOON + HOUR * 3})
    await schedule_users(conn, [1], now=NOON + HOUR * 2, interval=HOUR)
    assert await lease_due_ids(conn, NOON + HOUR * 2) == []
    assert await lease_due_ids(conn, NOON + HOUR * 3) == [1]
    await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR * 3)])
    assert await lease_due_ids(conn, NOON + HOUR * 4) == [1]


async def test_lease_due_users_failed_owner_comes_last(conn: Connection) -> None:
    await save_with_banners(conn, 1, 2, 3)
    now = NOON + HOUR
    assert await lease_due_ids(conn, now, limit=1) == [1]
    await release_users(conn, {1: now + LEASE})
    assert await lease_due_ids(conn, now + LEASE) == [2, 3, 1]


async def test_release_users_does_not_schedule_owner_without_banner(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    await release_users(conn, {1: NOON})
    assert await lease_due_ids(conn, NOON + DAY) == []


async def lease_one(conn: Connection, now: datetime, *, requested_at: datetime = NOON) -> bool:
    return await lease_users(conn, {1: requested_at}, now=now, lease=LEASE) == {1}


@pytest.mark.parametrize("has_banner", [True, False])
async def test_lease_users_is_exclusive_until_expiry(conn: Connection, has_banner: bool) -> None:
    await (save_with_banners(conn, 1) if has_banner else upsert_owners(conn, [fetched_owner()]))
    now = NOON + HOUR
    assert await lease_one(conn, now)
    assert not await lease_one(conn, now + LEASE / 2)
    assert await lease_one(conn, now + LEASE)
    await upsert_owners(conn, [fetched_owner(fetched_at=now + LEASE)])
    assert await lease_one(conn, now + LEASE, requested_at=now + LEASE)
    await mark_user_deleted(conn, 1, requested_at=now + LEASE)
    assert await lease_one(conn, now + LEASE, requested_at=now + LEASE)


async def test_lease_users_newer_data_is_refused(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(fetched_at=NOON + HOUR)])
    assert not await lease_one(conn, NOON + HOUR)
    assert not await lease_users(conn, {2: NOON}, now=NOON, lease=LEASE)


async def test_lease_users_shares_lease_with_background(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    now = NOON + HOUR
    assert await lease_one(conn, now)
    assert await lease_due_ids(conn, now + LEASE / 2) == []
    assert await lease_due_ids(conn, now + LEASE) == [1]
    assert not await lease_one(conn, now + LEASE * 1.5)
    await release_users(conn, {1: now + HOUR})
    assert await lease_one(conn, now + LEASE * 1.5)


async def test_schedule_users_keeps_lease_of_request(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    assert await lease_one(conn, NOON + LEASE)
    await insert_banner(conn, owner_id=1, options=BannerOptions(), names=["one"], now=NOON + LEASE)
    await schedule_users(conn, [1], now=NOON + LEASE, interval=HOUR)
    assert not await lease_one(conn, NOON + LEASE)


async def test_release_user_keeps_lease_of_others(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    now = NOON + HOUR
    assert await lease_one(conn, now)
    assert await lease_due_ids(conn, now + LEASE) == [1]
    await release_user(conn, 1, leased_until=now + LEASE)
    assert not await lease_one(conn, now + LEASE)
    await release_user(conn, 1, leased_until=now + LEASE * 2)
    assert await lease_one(conn, now + LEASE)


@pytest.mark.parametrize(
    ("requested_ago", "intervals"),
    [(HOUR, 1), (DAY, 1), (2 * DAY, 6), (7 * DAY, 6), (20 * DAY, 24), (31 * DAY, 168)],
)
async def test_schedule_users_unrequested_banner_is_refreshed_rarely(
    conn: Connection, requested_ago: timedelta, intervals: int
) -> None:
    await save_with_banners(conn, 1, fetched_at=NOON - requested_ago)
    await upsert_owners(conn, [fetched_owner(fetched_at=NOON)])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    assert await lease_due_ids(conn, NOON + intervals * HOUR - timedelta(seconds=1)) == []
    assert await lease_due_ids(conn, NOON + intervals * HOUR) == [1]


async def test_schedule_users_requested_again_is_refreshed_often(conn: Connection) -> None:
    await save_with_banners(conn, 1, fetched_at=NOON - 31 * DAY)
    await upsert_owners(conn, [fetched_owner(fetched_at=NOON)])
    await schedule_users(conn, [1], now=NOON, interval=HOUR)
    touched = await touch_banners(conn, {"1-default": NOON}, now=NOON)
    await schedule_users(conn, touched, now=NOON, interval=HOUR)
    assert await lease_due_ids(conn, NOON + HOUR) == [1]


async def test_schedule_users_keeps_lease_of_background(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    now = NOON + 2 * DAY
    assert await lease_due_ids(conn, now) == [1]
    await schedule_users(conn, [1], now=now, interval=HOUR)
    assert await lease_due_ids(conn, now + LEASE / 2) == []


async def test_schedule_users_deleted_owner_is_checked_weekly(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    await lease_due_ids(conn, NOON + HOUR)
    await mark_user_deleted(conn, 1, requested_at=NOON + HOUR)
    await schedule_users(conn, [1], now=NOON + HOUR, interval=HOUR)
    assert await lease_due_ids(conn, NOON + 6 * DAY) == []
    assert await lease_due_ids(conn, NOON + HOUR + 7 * DAY) == [1]
    back = NOON + 8 * DAY
    await upsert_owners(conn, [fetched_owner(fetched_at=back)])
    await schedule_users(conn, [1], now=back, interval=HOUR)
    assert await lease_due_ids(conn, back + 24 * HOUR) == [1]


async def test_lease_due_users_skips_deleted_owner_without_banner(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    await mark_user_deleted(conn, 1, requested_at=NOON)
    assert await lease_due_ids(conn, NOON + 365 * DAY) == []


async def test_lease_due_users_after_outage_all_once_before_any_twice(
    conn: Connection,
) -> None:
    for owner_id in range(1, 8):
        await save_with_banners(conn, owner_id, fetched_at=NOON - timedelta(minutes=owner_id))
    now = NOON + DAY
    order = []
    for _ in range(5):
        batch = await lease_due_ids(conn, now, limit=3)
        order += batch
        # So slow that the first owner is due again before the last one was leased.
        await upsert_owners(conn, [fetched_owner(owner_id, fetched_at=now) for owner_id in batch])
        now += 2 * HOUR
    assert order[:7] == [7, 6, 5, 4, 3, 2, 1]


async def test_lease_users_locked_row_is_skipped(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner()])
    async with database.transaction() as first, database.transaction() as second:
        assert await lease_one(first, NOON)
        assert not await lease_one(second, NOON)


async def test_lease_due_users_concurrent_leases_differ(database: Database) -> None:
    async with database.transaction() as conn:
        await save_with_banners(conn, *range(1, 11))
    async with database.transaction() as first, database.transaction() as second:
        first_leased = await lease_due_ids(first, NOON + HOUR, limit=6)
        second_leased = await lease_due_ids(second, NOON + HOUR, limit=6)
    assert first_leased == [1, 2, 3, 4, 5, 6]
    assert second_leased == [7, 8, 9, 10]


async def test_lease_unpublished_banners_until_marked_published(conn: Connection) -> None:
    await save_with_banners(conn, 1, 2)
    leased = await lease_unpublished_banners(conn, now=NOON, limit=10)
    assert [banner.name for banner, _ in leased] == ["1-default", "2-default"]
    assert [snapshot.owner.id for _, snapshot in leased] == [1, 2]
    assert await lease_unpublished_banners(conn, now=NOON + PUBLISH_LEASE / 2, limit=10) == []
    first = leased[0][0]
    await mark_published(conn, {first.id: first.version})
    [(second, _)] = await lease_unpublished_banners(conn, now=NOON + PUBLISH_LEASE, limit=10)
    assert second.owner_id == 2


async def test_release_banners_failing_banner_does_not_block_others(conn: Connection) -> None:
    await save_with_banners(conn, 1, 2, 3)
    leased_owner_ids = []
    for minute in range(4):
        now = NOON + minute * timedelta(minutes=1)
        [(banner, _)] = await lease_unpublished_banners(conn, now=now, limit=1)
        await release_banners(conn, {banner.id: now})
        leased_owner_ids.append(banner.owner_id)
    assert leased_owner_ids == [1, 2, 3, 1]


async def test_lease_unpublished_banners_newer_version_is_published(conn: Connection) -> None:
    await save_with_banners(conn, 1)
    [(old, _)] = await lease_unpublished_banners(conn, now=NOON, limit=10)
    await upsert_owners(conn, [fetched_owner(stars=6, fetched_at=NOON + HOUR)])
    await mark_published(conn, {old.id: old.version})
    [(new, snapshot)] = await lease_unpublished_banners(conn, now=NOON + HOUR, limit=10)
    assert new.version > old.version
    assert snapshot.stats.total_stars == 6
    await mark_published(conn, {new.id: new.version})
    await mark_published(conn, {new.id: old.version})
    assert await lease_unpublished_banners(conn, now=NOON + DAY, limit=10) == []


async def test_lease_unpublished_banners_concurrent_leases_differ(database: Database) -> None:
    async with database.transaction() as conn:
        await save_with_banners(conn, 1)
        await insert_banner(
            conn, owner_id=1, options=BannerOptions(Theme.DARK), names=["dark"], now=NOON
        )
    async with database.transaction() as first, database.transaction() as second:
        [(first_leased, _)] = await lease_unpublished_banners(first, now=NOON, limit=1)
        [(second_leased, _)] = await lease_unpublished_banners(second, now=NOON, limit=1)
    assert {first_leased.name, second_leased.name} == {"1-default", "dark"}


async def test_all_writers_concurrently_do_not_deadlock(
    database: Database,
) -> None:
    owners = range(1, 11)
    async with database.transaction() as conn:
        await save_with_banners(conn, *owners)

    async def save(hour: int) -> None:
        async with database.transaction() as conn:
            fetched_at = NOON + hour * HOUR
            await upsert_owners(
                conn,
                [fetched_owner(owner_id, stars=hour, fetched_at=fetched_at) for owner_id in owners],
            )

    async def touch(hour: int) -> None:
        requests = {f"{owner_id}-default": NOON + hour * HOUR for owner_id in reversed(owners)}
        async with database.transaction() as conn:
            touched = await touch_banners(conn, requests, now=NOON + 10 * HOUR)
        async with database.transaction() as conn:
            await schedule_users(conn, touched, now=NOON, interval=HOUR)

    async def publish(hour: int) -> int:
        async with database.transaction() as conn:
            leased = await lease_unpublished_banners(conn, now=NOON + hour * HOUR, limit=10)
        async with database.transaction() as conn:
            await mark_published(
                conn, {banner.id: banner.version for banner, _ in reversed(leased)}
            )
        return len(leased)

    work = [job(hour) for hour in range(10) for job in (save, touch, publish)]
    results = await asyncio.gather(*work)
    assert len(results) == 30
