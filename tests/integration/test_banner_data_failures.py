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
    BannerDataHarness,
    contributions,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BannerDataHarness]:
    harness = BannerDataHarness(database)
    yield harness
    await harness.services.close()


async def request(
    harness: BannerDataHarness, options: BannerOptions, deadline: Deadline | None = None
) -> RenderRequest:
    return await harness.services.finder.find_preview(
        "ada", options, deadline=deadline or Deadline(10, 10), charge=no_charge
    )


async def execute(harness: BannerDataHarness, statement: str) -> None:
    async with harness.database.transaction() as connection:
        await connection.execute(statement)


async def test_picture_with_followers_is_drawn_again_when_only_they_change(
    harness: BannerDataHarness,
) -> None:
    pictures = PictureCache(clock=lambda: harness.now, memory_bytes=1 << 20)

    async def body() -> bytes:
        drawn = await pictures.get_or_draw(
            await request(harness, FOLLOWERS), deadline=Deadline(10, 10)
        )
        await harness.services.drain()
        return drawn.picture.body

    assert b">42<" in await body()
    harness.github.followers = 43
    harness.now += HOUR
    assert b">42<" in await body(), "stale, while it is refreshed"
    assert b">43<" in await body()


async def test_hidden_numbers_do_not_count_as_shown_ones(harness: BannerDataHarness) -> None:
    harness.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    options = BannerOptions(
        show=(ShownNumber.STARS, ShownNumber.COMMITS),
        hide=(HideableField.LANGUAGES, HideableField.STARS),
    )
    with pytest.raises(ContributionsHidden):
        await harness.preview(options)


async def test_banner_that_can_not_be_drawn_is_retried_less_and_less_often(
    harness: BannerDataHarness,
) -> None:
    await harness.create(ACTIVITY)
    harness.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    harness.now += 25 * HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    delays = []
    for _ in range(4):
        assert await harness.publish() == []
        leased_until = await harness.fetch_value("select publish_leased_until from banners")
        assert isinstance(leased_until, datetime)
        delays.append(leased_until - harness.now)
        harness.now = leased_until + timedelta(seconds=1)
    assert delays == sorted(set(delays))
    assert delays[-1] > timedelta(minutes=1)


async def test_years_that_can_not_be_read_hold_up_no_banner(harness: BannerDataHarness) -> None:
    activity, classic = await harness.create(ACTIVITY), await harness.create(CLASSIC)
    await execute(harness, "update contribution_years set year = 0 where year = 2025")
    await execute(harness, "update banners set version = version + 1")
    assert classic in await harness.publish()
    other = BannerDataHarness(harness.database)
    other.now += 25 * HOUR
    shown = (await other.preview(ACTIVITY)).activity
    assert shown is not None
    assert shown.commits == 500
    await other.services.drain()
    await other.services.close()
    assert activity in [*harness.published, *await harness.publish()]


async def test_banner_of_an_owner_that_is_not_saved_is_not_created(
    harness: BannerDataHarness,
) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    await execute(harness, "drop table repositories")
    with pytest.raises(DatabaseUnavailable):
        await harness.create(CLASSIC)
    assert harness.stored == []


async def test_zeros_in_place_of_unknown_numbers_are_never_published(
    harness: BannerDataHarness,
) -> None:
    await harness.create(ACTIVITY)
    await execute(
        harness, "update banners set look = '{}', needs = '{repositories}', version = 2^60"
    )
    assert await harness.publish() == []


async def test_banner_is_created_while_newer_contributions_are_not_saved(
    harness: BannerDataHarness,
) -> None:
    harness.github.has_token = False
    await harness.preview(COMMITS)
    await harness.services.drain()
    harness.github.has_token = True
    harness.now += timedelta(minutes=2)
    await execute(
        harness,
        """
        create function fail() returns trigger language plpgsql as
            $$ begin raise exception 'full'; end $$;
        create trigger fail before update of content on owner_data
            for each row execute function fail();
        """,
    )
    name = await harness.create(ACTIVITY)
    assert harness.stored == []
    await execute(harness, "drop trigger fail on owner_data")
    harness.now += DAY
    assert await harness.data_refresher.refresh_batch() == 1
    assert await harness.publish() == [name]


async def test_sizes_are_not_fetched_for_repositories_that_can_not_be_read(
    harness: BannerDataHarness,
) -> None:
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as down:
        sizes = DataRequest(Owner(7, "Ada"), DataKind.LANGUAGE_SIZES)
        with pytest.raises(DatabaseUnavailable):
            await fetch_stored(harness.github, down, sizes, clock=lambda: harness.now)
    assert harness.github.requests == []


async def test_data_of_a_deleted_owner_is_requested_weekly(harness: BannerDataHarness) -> None:
    await harness.create(ACTIVITY)
    harness.github.raises = UnknownUser("ada")
    harness.now += 25 * HOUR
    for _ in range(2):
        assert await harness.data_refresher.refresh_batch() == 0
        due_at = await harness.fetch_value("select due_at from owner_data")
        assert due_at == harness.now + 7 * DAY
        harness.now += 7 * DAY


async def test_data_from_a_wrong_clock_is_due_when_its_banner_is_requested(
    harness: BannerDataHarness,
) -> None:
    name = await harness.create(ACTIVITY)
    await execute(harness, "update owner_data set fetched_at = '2030-01-01', due_at = '2030-01-02'")
    assert await harness.data_refresher.refresh_batch() == 0
    harness.now += HOUR
    await harness.refresher.record_requests({name: harness.now})
    assert await harness.data_refresher.refresh_batch() == 1
    assert await harness.fetch_value("select due_at from owner_data") == harness.now + DAY


async def test_repository_that_was_created_again_is_found_by_its_name(
    harness: BannerDataHarness,
) -> None:
    name = await harness.create(REPOSITORY)
    del harness.github.details[1]
    harness.github.details[9] = RepositoryDetails(9, "Linux", "Another kernel")
    harness.now += HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    assert await harness.publish() == [name]
    assert harness.published[name].repository == harness.github.details[9]
    for _ in range(2):
        shown = await harness.services.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=no_charge
        )
        assert shown.result.snapshot.repository == harness.github.details[9]
        harness.now += HOUR
        await harness.services.drain()
    assert await harness.fetch_value("select array_agg(need) from owner_data") == ["repository/1"]


@pytest.mark.parametrize("options", [ACTIVITY, FOLLOWERS])
async def test_versions_in_a_restored_database_exceed_those_in_the_storage(
    harness: BannerDataHarness, options: BannerOptions
) -> None:
    await harness.create(options)
    harness.github.followers = 43
    harness.github.contributions[7] = contributions(5, 1)
    harness.now += 25 * HOUR
    await harness.refresher.refresh_batch()
    await harness.data_refresher.refresh_batch()
    # The storage may have a picture of any time before this one.
    version = await harness.fetch_value("select version from banners")
    assert version == to_epoch_microseconds(harness.now)


async def test_version_of_a_wrong_clock_is_not_given_to_banners(harness: BannerDataHarness) -> None:
    await harness.create(ACTIVITY)
    await execute(harness, "update users set version = 2^60, fetched_at = '2030-01-01'")
    harness.github.contributions[7] = contributions(5, 1)
    harness.now += 25 * HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    version = await harness.fetch_value("select version from banners")
    assert version == to_epoch_microseconds(harness.now)


async def test_activity_is_found_by_a_former_login(harness: BannerDataHarness) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    del harness.github.owners["ada"]
    harness.github.add("Ada2", 7)
    harness.now += 25 * HOUR
    for _ in range(2):
        assert (await harness.preview(ACTIVITY)).owner.login == "Ada2"
        await harness.services.drain()
    assert await harness.fetch_value("select login from users") == "Ada2"


async def test_activity_of_a_deleted_owner_is_that_of_an_unknown_one(
    harness: BannerDataHarness,
) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    del harness.github.owners["ada"]
    harness.now += 25 * HOUR
    for _ in range(2):
        with pytest.raises(UnknownUser):
            await harness.preview(ACTIVITY)
        await harness.services.drain()


async def test_stale_data_is_shown_while_github_does_not_respond(
    harness: BannerDataHarness,
) -> None:
    options = BannerOptions(show=COMMITS.show, exclude_repos=("linux",))
    before = await harness.preview(options)
    await harness.services.drain()
    harness.now += 2 * DAY
    harness.github.gate.clear()
    shown = (await request(harness, options, Deadline(1.4, 0.7))).result.snapshot
    assert (shown.stats, shown.activity) == (before.stats, before.activity)
    harness.github.gate.set()


async def test_suggestion_for_an_unknown_repository_is_searched_once(
    harness: BannerDataHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def suggest(name: str, repositories: object) -> str:
        searched.append(name)
        return "Linux"

    monkeypatch.setattr(pictures, "suggest_repository", suggest)
    options = BannerOptions(layout=Layout.REPOSITORY, repo="linus")
    for _ in range(3):
        with pytest.raises(UnknownRepository) as error_info:
            await harness.preview(options)
        assert error_info.value.suggestion == "Linux"
    assert searched == ["linus"]


def test_suggestion_compares_the_repositories_with_most_stars() -> None:
    many = [Repository(number, f"tool{number}", stars=number) for number in range(1500)]
    assert suggest_repository("tool1400x", many) == "tool1400"
    assert suggest_repository("tool7", [*many, Repository(1500, "tool7")]) != "tool7"
