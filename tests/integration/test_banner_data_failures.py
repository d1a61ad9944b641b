"""Banners' data when something is missing, hidden, renamed, unreadable or not saved yet."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from github_banners.api import pictures
from github_banners.api.pictures import PictureCache, RenderRequest
from github_banners.database.connect import Database
from github_banners.errors import (
    ContributionsHidden,
    DatabaseUnavailable,
    UnknownRepository,
    UnknownUser,
)
from github_banners.models import (
    ContributionAccess,
    Contributions,
    Owner,
    Repository,
    RepositoryDetails,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions, DataKind, HideableField, Layout, ShownNumber
from github_banners.stats.banner_data import suggest_repository
from github_banners.stats.data_fetch import DataRequest, fetch_stored
from github_banners.stats.fetch import Deadline, no_charge
from tests.integration.test_banner_data import (
    ACTIVITY,
    CLASSIC,
    COMMITS,
    DAY,
    FOLLOWERS,
    HOUR,
    REPOSITORY,
    Scene,
    contributions,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = Scene(database)
    yield scene
    await scene.services.close()


async def request(
    scene: Scene, options: BannerOptions, deadline: Deadline | None = None
) -> RenderRequest:
    return await scene.services.finder.find_preview(
        "ada", options, deadline=deadline or Deadline(10, 10), charge=no_charge
    )


async def execute(scene: Scene, statement: str) -> None:
    async with scene.database.transaction() as connection:
        await connection.execute(statement)


async def test_picture_with_followers_is_drawn_again_when_only_they_change(scene: Scene) -> None:
    pictures = PictureCache(clock=lambda: scene.now, memory_bytes=1 << 20)

    async def body() -> bytes:
        drawn = await pictures.get_or_draw(
            await request(scene, FOLLOWERS), deadline=Deadline(10, 10)
        )
        await scene.services.drain()
        return drawn.picture.body

    assert b">42<" in await body()
    scene.github.followers = 43
    scene.now += HOUR
    assert b">42<" in await body(), "stale, while it is refreshed"
    assert b">43<" in await body()


async def test_hidden_numbers_do_not_count_as_shown_ones(scene: Scene) -> None:
    scene.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    options = BannerOptions(
        show=(ShownNumber.STARS, ShownNumber.COMMITS),
        hide=(HideableField.LANGUAGES, HideableField.STARS),
    )
    with pytest.raises(ContributionsHidden):
        await scene.preview(options)


async def test_banner_that_can_not_be_drawn_is_retried_less_and_less_often(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    scene.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    scene.now += 25 * HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    delays = []
    for _ in range(4):
        assert await scene.publish() == []
        leased_until = await scene.fetch_value("select publish_leased_until from banners")
        assert isinstance(leased_until, datetime)
        delays.append(leased_until - scene.now)
        scene.now = leased_until + timedelta(seconds=1)
    assert delays == sorted(set(delays))
    assert delays[-1] > timedelta(minutes=1)


async def test_years_that_can_not_be_read_hold_up_no_banner(scene: Scene) -> None:
    activity, classic = await scene.create(ACTIVITY), await scene.create(CLASSIC)
    await execute(scene, "update contribution_years set year = 0 where year = 2025")
    await execute(scene, "update banners set version = version + 1")
    assert classic in await scene.publish()
    other = Scene(scene.database)
    other.now += 25 * HOUR
    shown = (await other.preview(ACTIVITY)).activity
    assert shown is not None
    assert shown.commits == 500
    await other.services.drain()
    await other.services.close()
    assert activity in [*scene.published, *await scene.publish()]


async def test_banner_of_an_owner_that_is_not_saved_is_not_created(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    await execute(scene, "drop table repositories")
    with pytest.raises(DatabaseUnavailable):
        await scene.create(CLASSIC)
    assert scene.stored == []


async def test_zeros_in_place_of_unknown_numbers_are_never_published(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    await execute(scene, "update banners set look = '{}', needs = '{repositories}', version = 2^60")
    assert await scene.publish() == []


async def test_banner_is_created_while_newer_contributions_are_not_saved(scene: Scene) -> None:
    scene.github.has_token = False
    await scene.preview(COMMITS)
    await scene.services.drain()
    scene.github.has_token = True
    scene.now += timedelta(minutes=2)
    await execute(
        scene,
        """
        create function fail() returns trigger language plpgsql as
            $$ begin raise exception 'full'; end $$;
        create trigger fail before update of content on owner_data
            for each row execute function fail();
        """,
    )
    name = await scene.create(ACTIVITY)
    assert scene.stored == []
    await execute(scene, "drop trigger fail on owner_data")
    scene.now += DAY
    assert await scene.data_refresher.refresh_batch() == 1
    assert await scene.publish() == [name]


async def test_sizes_are_not_fetched_for_repositories_that_can_not_be_read(scene: Scene) -> None:
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as down:
        sizes = DataRequest(Owner(7, "Ada"), DataKind.LANGUAGE_SIZES)
        with pytest.raises(DatabaseUnavailable):
            await fetch_stored(scene.github, down, sizes, clock=lambda: scene.now)
    assert scene.github.requests == []


async def test_data_of_a_deleted_owner_is_requested_weekly(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    scene.github.raises = UnknownUser("ada")
    scene.now += 25 * HOUR
    for _ in range(2):
        assert await scene.data_refresher.refresh_batch() == 0
        due_at = await scene.fetch_value("select due_at from owner_data")
        assert due_at == scene.now + 7 * DAY
        scene.now += 7 * DAY


async def test_data_from_a_wrong_clock_is_due_when_its_banner_is_requested(scene: Scene) -> None:
    name = await scene.create(ACTIVITY)
    await execute(scene, "update owner_data set fetched_at = '2030-01-01', due_at = '2030-01-02'")
    assert await scene.data_refresher.refresh_batch() == 0
    scene.now += HOUR
    await scene.refresher.record_requests({name: scene.now})
    assert await scene.data_refresher.refresh_batch() == 1
    assert await scene.fetch_value("select due_at from owner_data") == scene.now + DAY


async def test_repository_that_was_created_again_is_found_by_its_name(scene: Scene) -> None:
    name = await scene.create(REPOSITORY)
    del scene.github.details[1]
    scene.github.details[9] = RepositoryDetails(9, "Linux", "Another kernel")
    scene.now += HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    assert await scene.publish() == [name]
    assert scene.published[name].repository == scene.github.details[9]
    for _ in range(2):
        shown = await scene.services.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=no_charge
        )
        assert shown.result.snapshot.repository == scene.github.details[9]
        scene.now += HOUR
        await scene.services.drain()
    assert await scene.fetch_value("select array_agg(need) from owner_data") == ["repository/1"]


@pytest.mark.parametrize("options", [ACTIVITY, FOLLOWERS])
async def test_versions_in_a_restored_database_exceed_those_in_the_storage(
    scene: Scene, options: BannerOptions
) -> None:
    await scene.create(options)
    scene.github.followers = 43
    scene.github.contributions[7] = contributions(5, 1)
    scene.now += 25 * HOUR
    await scene.refresher.refresh_batch()
    await scene.data_refresher.refresh_batch()
    # The storage may have a picture of any time before this one.
    version = await scene.fetch_value("select version from banners")
    assert version == to_epoch_microseconds(scene.now)


async def test_version_of_a_wrong_clock_is_not_given_to_banners(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    await execute(scene, "update users set version = 2^60, fetched_at = '2030-01-01'")
    scene.github.contributions[7] = contributions(5, 1)
    scene.now += 25 * HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    version = await scene.fetch_value("select version from banners")
    assert version == to_epoch_microseconds(scene.now)


async def test_activity_is_found_by_a_former_login(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    del scene.github.owners["ada"]
    scene.github.add("Ada2", 7)
    scene.now += 25 * HOUR
    for _ in range(2):
        assert (await scene.preview(ACTIVITY)).owner.login == "Ada2"
        await scene.services.drain()
    assert await scene.fetch_value("select login from users") == "Ada2"


async def test_activity_of_a_deleted_owner_is_that_of_an_unknown_one(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    del scene.github.owners["ada"]
    scene.now += 25 * HOUR
    for _ in range(2):
        with pytest.raises(UnknownUser):
            await scene.preview(ACTIVITY)
        await scene.services.drain()


async def test_stale_data_is_shown_while_github_does_not_respond(scene: Scene) -> None:
    options = BannerOptions(show=COMMITS.show, exclude_repos=("linux",))
    before = await scene.preview(options)
    await scene.services.drain()
    scene.now += 2 * DAY
    scene.github.gate.clear()
    shown = (await request(scene, options, Deadline(1.4, 0.7))).result.snapshot
    assert (shown.stats, shown.activity) == (before.stats, before.activity)
    scene.github.gate.set()


async def test_suggestion_for_an_unknown_repository_is_searched_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def suggest(name: str, repositories: object) -> str:
        searched.append(name)
        return "Linux"

    monkeypatch.setattr(pictures, "suggest_repository", suggest)
    options = BannerOptions(layout=Layout.REPOSITORY, repo="linus")
    for _ in range(3):
        with pytest.raises(UnknownRepository) as error_info:
            await scene.preview(options)
        assert error_info.value.suggestion == "Linux"
    assert searched == ["linus"]


def test_suggestion_compares_the_repositories_with_most_stars() -> None:
    many = [Repository(number, f"tool{number}", stars=number) for number in range(1500)]
    assert suggest_repository("tool1400x", many) == "tool1400"
    assert suggest_repository("tool7", [*many, Repository(1500, "tool7")]) != "tool7"
