"""Permanent banners in PostgreSQL."""

import asyncio

import pytest

from github_banners.database.banners import (
    Banner,
    count_banners,
    insert_banner,
    select_banner_with_snapshot,
    touch_banners,
)
from github_banners.database.connect import Connection, Database
from github_banners.database.users import upsert_owners
from github_banners.errors import OwnerNotStored, TooManyBanners
from github_banners.models import to_epoch_microseconds
from github_banners.options import BannerOptions, HideableField, Theme, candidate_banner_names
from tests.integration.database.samples import HOUR, NOON, fetched_owner

pytestmark = pytest.mark.postgres

DARK = BannerOptions(theme=Theme.DARK)


async def insert(
    conn: Connection,
    owner_id: int = 1,
    options: BannerOptions = DARK,
    login: str = "User",
    max_banners: int | None = None,
) -> tuple[Banner, bool]:
    names = candidate_banner_names(login, options, owner_id=owner_id)
    return await insert_banner(
        conn, owner_id=owner_id, options=options, names=names, now=NOON, max_banners=max_banners
    )


async def find(conn: Connection, name: str) -> Banner:
    row = await select_banner_with_snapshot(conn, name)
    assert row is not None
    return row[0]


async def test_select_banner_ignores_case(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    banner, is_new = await insert(conn)
    assert is_new
    assert banner.name == banner.storage_path == "user-dark"
    assert banner.options == DARK
    assert banner.version == to_epoch_microseconds(NOON)
    assert banner.published_version == 0
    assert banner.is_active
    assert banner.created_at == banner.updated_at == banner.last_requested_at == NOON
    assert await find(conn, "User-Dark") == banner
    assert await select_banner_with_snapshot(conn, "user-darker") is None


async def test_count_banners_stops_at_limit(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    for theme in (Theme.DARK, Theme.AUTO, Theme.DEFAULT):
        await insert(conn, options=BannerOptions(theme=theme))
    await insert(conn, 2, login="Other")
    counts = [await count_banners(conn, 1, limit=limit) for limit in (1, 3, 10)]
    assert counts == [1, 3, 3]
    assert await count_banners(conn, 9, limit=10) == 0


async def test_select_banner_returns_snapshot(conn: Connection) -> None:
    [snapshot] = await upsert_owners(conn, [fetched_owner(stars=7)])
    banner, _ = await insert(conn)
    assert await select_banner_with_snapshot(conn, "user-dark") == (banner, snapshot)
    assert await select_banner_with_snapshot(conn, "nobody-dark") is None


async def test_insert_banner_all_options_are_read_back(conn: Connection) -> None:
    options = BannerOptions(
        theme=Theme.AUTO,
        hide=(HideableField.LOGIN, HideableField.STARS),
        hide_langs=("c++", "jupyter notebook"),
        title="Ünïcode \"quoted\" 'title' \\ back",
        radius=0,
        border=False,
        bg_color="ffffff",
    )
    await upsert_owners(conn, [fetched_owner()])
    await insert(conn, options=options)
    name = candidate_banner_names("user", options, owner_id=1)[0]
    assert (await find(conn, name)).options == options


async def test_insert_banner_options_longer_than_index_row_are_stored(conn: Connection) -> None:
    languages = tuple(f"{number:02}" + chr(0x4E00 + number) * 400 for number in range(50))
    options = BannerOptions(hide_langs=languages)
    await upsert_owners(conn, [fetched_owner()])
    first, is_new = await insert(conn, options=options)
    assert is_new
    assert await insert(conn, options=options) == (first, False)


async def test_insert_banner_same_options_returns_existing(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner()])
    first, _ = await insert(conn)
    assert await insert(conn) == (first, False)
    # After a rename too: banner names are permanent.
    assert await insert(conn, login="renamed") == (first, False)


async def test_insert_banner_taken_name_uses_next(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    first, _ = await insert(conn, 1)
    second, is_new = await insert(conn, 2)
    assert is_new
    assert first.name == "user-dark"
    assert second.name == candidate_banner_names("user", DARK, owner_id=2)[1]


async def test_insert_banner_unknown_owner_raises(conn: Connection) -> None:
    with pytest.raises(OwnerNotStored):
        await insert(conn)


async def test_insert_banner_without_free_name_raises(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    await insert_banner(conn, owner_id=1, options=DARK, names=["taken"], now=NOON)
    with pytest.raises(LookupError, match="taken"):
        await insert_banner(conn, owner_id=2, options=DARK, names=["taken"], now=NOON)


async def test_insert_banner_concurrently_creates_one(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner()])

    async def post() -> tuple[Banner, bool]:
        async with database.transaction() as conn:
            return await insert(conn)

    results = await asyncio.gather(*(post() for _ in range(20)))
    assert sum(is_new for _, is_new in results) == 1
    assert len({banner.id for banner, _ in results}) == 1


async def test_insert_banner_above_limit_raises_and_keeps_existing(
    conn: Connection,
) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    options_list = [BannerOptions(radius=radius) for radius in range(4)]
    for options in options_list[:3]:
        await insert(conn, options=options, max_banners=3)
    with pytest.raises(TooManyBanners):
        await insert(conn, options=options_list[3], max_banners=3)
    for options in options_list[:3]:
        _, is_new = await insert(conn, options=options, max_banners=3)
        assert not is_new
    # The limit is per owner, and lowering it deletes no banner.
    assert (await insert(conn, 2, options=options_list[3], max_banners=3))[1]
    assert not (await insert(conn, options=options_list[0], max_banners=1))[1]
    cursor = await conn.execute("select count(*) from banners where owner_id = 1")
    assert await cursor.fetchone() == (3,)


async def test_insert_banner_concurrently_respects_limit(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner()])

    async def post(radius: int) -> bool:
        async with database.transaction() as conn:
            return (await insert(conn, options=BannerOptions(radius=radius), max_banners=5))[1]

    results = await asyncio.gather(*map(post, range(20)), return_exceptions=True)
    assert results.count(True) == 5
    assert sum(isinstance(result, TooManyBanners) for result in results) == 15


async def test_insert_banner_concurrent_owners_get_different_names(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner(owner_id) for owner_id in range(1, 21)])

    async def post(owner_id: int) -> str:
        async with database.transaction() as conn:
            return (await insert(conn, owner_id))[0].name

    names = await asyncio.gather(*(post(owner_id) for owner_id in range(1, 21)))
    assert len(set(names)) == 20
    assert names.count("user-dark") == 1


async def test_insert_banner_during_save_has_new_version(database: Database) -> None:
    """The save locks the owner's row; the insert waits for it and starts with the new version."""
    async with database.transaction() as conn:
        await upsert_owners(conn, [fetched_owner()])

    async def post() -> Banner:
        async with database.transaction() as conn:
            return (await insert(conn))[0]

    async with database.transaction() as conn:
        [saved] = await upsert_owners(conn, [fetched_owner(stars=6, fetched_at=NOON + HOUR / 12)])
        posting = asyncio.create_task(post())
        await _wait_for_lock_waiter(database)
    assert (await posting).version == saved.version


async def test_touch_banners_records_latest_request(conn: Connection) -> None:
    await upsert_owners(conn, [fetched_owner(1), fetched_owner(2)])
    await insert(conn, 1)
    await insert(conn, 2, login="other")
    requested_at = {"user-dark": NOON + HOUR, "other-dark": NOON - HOUR, "never-made": NOON}
    assert await touch_banners(conn, requested_at, now=NOON + HOUR) == [1]
    assert (await find(conn, "user-dark")).last_requested_at == NOON + HOUR
    assert (await find(conn, "other-dark")).last_requested_at == NOON
    assert await touch_banners(conn, {}, now=NOON) == []


async def _wait_for_lock_waiter(database: Database) -> None:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with database.transaction() as conn:
        while await (await conn.execute(waiting)).fetchone() == (0,):
            await conn.execute("select pg_stat_clear_snapshot()")
            await asyncio.sleep(0)
