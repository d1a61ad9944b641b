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
from github_banners.errors import TooManyBanners
from github_banners.models import to_epoch_microseconds
from github_banners.options import BannerOptions, HideableField, Theme, candidate_banner_names
from tests.integration.database.samples import HOUR, NOON, answer

pytestmark = pytest.mark.postgres

DARK = BannerOptions(theme=Theme.DARK)


async def insert(
    conn: Connection,
    owner_id: int = 1,
    look: BannerOptions = DARK,
    login: str = "User",
    max_banners: int | None = None,
) -> tuple[Banner, bool]:
    names = candidate_banner_names(login, look, owner_id=owner_id)
    return await insert_banner(
        conn, owner_id=owner_id, options=look, names=names, now=NOON, max_banners=max_banners
    )


async def find(conn: Connection, name: str) -> Banner:
    found = await select_banner_with_snapshot(conn, name)
    assert found is not None
    return found[0]


async def test_a_banner_is_found_by_its_name_in_any_case(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    banner, is_new = await insert(conn)
    assert is_new
    assert banner.name == banner.storage_path == "user-dark"
    assert banner.look == DARK
    assert banner.version == to_epoch_microseconds(NOON)
    assert banner.published_version == 0
    assert banner.is_active
    assert banner.created_at == banner.updated_at == banner.last_requested_at == NOON
    assert await find(conn, "User-Dark") == banner
    assert await select_banner_with_snapshot(conn, "user-darker") is None


async def test_count_banners_of_one_owner_stops_at_the_limit(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
    for theme in (Theme.DARK, Theme.AUTO, Theme.DEFAULT):
        await insert(conn, look=BannerOptions(theme=theme))
    await insert(conn, 2, login="Other")
    counted = [await count_banners(conn, 1, limit=limit) for limit in (1, 3, 10)]
    assert counted == [1, 3, 3]
    assert await count_banners(conn, 9, limit=10) == 0


async def test_a_banner_and_its_numbers_are_read_together(conn: Connection) -> None:
    [snapshot] = await upsert_owners(conn, [answer(stars=7)])
    banner, _ = await insert(conn)
    assert await select_banner_with_snapshot(conn, "user-dark") == (banner, snapshot)
    assert await select_banner_with_snapshot(conn, "nobody-dark") is None


async def test_every_option_comes_back(conn: Connection) -> None:
    look = BannerOptions(
        theme=Theme.AUTO,
        hide=(HideableField.LOGIN, HideableField.STARS),
        hide_langs=("c++", "jupyter notebook"),
        title="Ünïcode \"quoted\" 'title' \\ back",
        radius=0,
        border=False,
        bg_color="ffffff",
    )
    await upsert_owners(conn, [answer()])
    await insert(conn, look=look)
    name = candidate_banner_names("user", look, owner_id=1)[0]
    assert (await find(conn, name)).look == look


async def test_a_look_longer_than_an_index_row_is_kept(conn: Connection) -> None:
    languages = tuple(f"{number:02}" + chr(0x4E00 + number) * 400 for number in range(50))
    look = BannerOptions(hide_langs=languages)
    await upsert_owners(conn, [answer()])
    first, is_new = await insert(conn, look=look)
    assert is_new
    assert await insert(conn, look=look) == (first, False)


async def test_the_same_again_is_the_same_banner(conn: Connection) -> None:
    await upsert_owners(conn, [answer()])
    first, _ = await insert(conn)
    assert await insert(conn) == (first, False)
    # After a rename too: the name is for ever.
    assert await insert(conn, login="renamed") == (first, False)


async def test_a_name_that_another_owner_has_is_passed_over(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
    first, _ = await insert(conn, 1)
    second, is_new = await insert(conn, 2)
    assert is_new
    assert first.name == "user-dark"
    assert second.name == candidate_banner_names("user", DARK, owner_id=2)[1]


async def test_an_owner_who_is_not_kept_has_no_banners(conn: Connection) -> None:
    with pytest.raises(LookupError):
        await insert(conn)


async def test_without_a_free_name_there_is_no_banner(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
    await insert_banner(conn, owner_id=1, options=DARK, names=["taken"], now=NOON)
    with pytest.raises(LookupError, match="taken"):
        await insert_banner(conn, owner_id=2, options=DARK, names=["taken"], now=NOON)


async def test_twenty_at_once_make_one_banner(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer()])

    async def post() -> tuple[Banner, bool]:
        async with database.transaction() as conn:
            return await insert(conn)

    results = await asyncio.gather(*(post() for _ in range(20)))
    assert sum(is_new for _, is_new in results) == 1
    assert len({banner.id for banner, _ in results}) == 1


async def test_insert_banner_beyond_limit_is_refused_and_existing_ones_stay(
    conn: Connection,
) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
    looks = [BannerOptions(radius=radius) for radius in range(4)]
    for look in looks[:3]:
        await insert(conn, look=look, max_banners=3)
    with pytest.raises(TooManyBanners):
        await insert(conn, look=looks[3], max_banners=3)
    for look in looks[:3]:
        _, is_new = await insert(conn, look=look, max_banners=3)
        assert not is_new
    # Another owner has a limit of their own, and a lower limit takes nothing away.
    assert (await insert(conn, 2, look=looks[3], max_banners=3))[1]
    assert not (await insert(conn, look=looks[0], max_banners=1))[1]
    cursor = await conn.execute("select count(*) from banners where owner_id = 1")
    assert await cursor.fetchone() == (3,)


async def test_twenty_banners_at_once_stay_below_the_limit(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer()])

    async def post(radius: int) -> bool:
        async with database.transaction() as conn:
            return (await insert(conn, look=BannerOptions(radius=radius), max_banners=5))[1]

    results = await asyncio.gather(*map(post, range(20)), return_exceptions=True)
    assert results.count(True) == 5
    assert sum(isinstance(result, TooManyBanners) for result in results) == 15


async def test_twenty_owners_at_once_want_one_name(database: Database) -> None:
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer(owner_id) for owner_id in range(1, 21)])

    async def post(owner_id: int) -> str:
        async with database.transaction() as conn:
            return (await insert(conn, owner_id))[0].name

    names = await asyncio.gather(*(post(owner_id) for owner_id in range(1, 21)))
    assert len(set(names)) == 20
    assert names.count("user-dark") == 1


async def test_a_banner_made_during_a_save_misses_no_version(database: Database) -> None:
    """The save has the owner's row; the insert waits for it and starts at the new version."""
    async with database.transaction() as conn:
        await upsert_owners(conn, [answer()])

    async def post() -> Banner:
        async with database.transaction() as conn:
            return (await insert(conn))[0]

    async with database.transaction() as conn:
        [saved] = await upsert_owners(conn, [answer(stars=6, at=NOON + HOUR / 12)])
        posting = asyncio.create_task(post())
        await _until_somebody_waits(database)
    assert (await posting).version == saved.version


async def test_touching_notes_the_latest_request(conn: Connection) -> None:
    await upsert_owners(conn, [answer(1), answer(2)])
    await insert(conn, 1)
    await insert(conn, 2, login="other")
    asked = {"user-dark": NOON + HOUR, "other-dark": NOON - HOUR, "never-made": NOON}
    assert await touch_banners(conn, asked, now=NOON + HOUR) == [1]
    assert (await find(conn, "user-dark")).last_requested_at == NOON + HOUR
    assert (await find(conn, "other-dark")).last_requested_at == NOON
    assert await touch_banners(conn, {}, now=NOON) == []


async def _until_somebody_waits(database: Database) -> None:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with database.transaction() as conn:
        while await (await conn.execute(waiting)).fetchone() == (0,):
            await conn.execute("select pg_stat_clear_snapshot()")
            await asyncio.sleep(0)
