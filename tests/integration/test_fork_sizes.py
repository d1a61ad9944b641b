"""Sizes of languages with forks, which without a token are fetched only for banners that count them."""

from collections.abc import AsyncIterator

import pytest

from github_banners.database.connect import Database
from github_banners.errors import TokenRequired
from github_banners.models import Repository, RepositoryLanguages
from github_banners.options import BannerOptions, CountBy, Inclusion
from github_banners.stats.fetch import Deadline, no_charge
from tests.integration.test_banner_data import (
    BY_SIZE,
    DAY,
    FORK,
    HOUR,
    LINUX,
    SIZES,
    TOOL,
    BannerDataHarness,
)

pytestmark = pytest.mark.postgres

WITH_FORKS = BannerOptions(count_by=CountBy.BYTES, include=(Inclusion.ARCHIVED, Inclusion.FORKS))
# Added up by hand from `SIZES`: the fork has 70,000 bytes of Perl.
ORIGINALS = {"C": 9_200, "Perl": 500, "Go": 300, "": 40}
ALL = {"Perl": 70_500, "C": 9_200, "Go": 300, "": 40}
FETCH = "sizes of Ada"


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BannerDataHarness]:
    """A service without a token."""
    harness = BannerDataHarness(database)
    harness.github.has_token = False
    yield harness
    await harness.services.close()


async def preview_sizes(
    harness: BannerDataHarness, options: BannerOptions
) -> dict[str, int] | None:
    sizes = (await harness.preview(options)).language_sizes
    await harness.services.drain()
    return sizes


async def get_sizes(harness: BannerDataHarness, name: str) -> dict[str, int] | None:
    """Return the sizes that a permanent banner shows when it is requested."""
    request = await harness.services.banners.get_by_name(
        name, deadline=Deadline(10, 10), charge=no_charge
    )
    await harness.services.drain()
    return request.result.snapshot.language_sizes


async def refresh_sizes(harness: BannerDataHarness) -> None:
    harness.now += DAY
    assert await harness.data_refresher.refresh_batch() == 1


async def test_forks_are_fetched_without_a_token_when_they_are_counted(
    harness: BannerDataHarness,
) -> None:
    for _ in range(2):
        assert await preview_sizes(harness, BY_SIZE) == ORIGINALS
        assert harness.github.requests == ["ada", FETCH]
    for options, sizes in ((WITH_FORKS, ALL), (BY_SIZE, ORIGINALS), (WITH_FORKS, ALL)):
        assert await preview_sizes(harness, options) == sizes
        assert harness.github.requests == ["ada", FETCH, FETCH]
    other = BannerDataHarness(harness.database)
    assert await preview_sizes(other, WITH_FORKS) == ALL
    assert await preview_sizes(other, BY_SIZE) == ORIGINALS
    assert other.github.requests == []
    await other.services.close()


async def test_more_forks_than_the_rate_limit_covers_need_a_token(
    harness: BannerDataHarness,
) -> None:
    harness.github.max_sizes = 2
    assert await preview_sizes(harness, BY_SIZE) == ORIGINALS
    with pytest.raises(TokenRequired):
        await harness.preview(WITH_FORKS)
    with pytest.raises(TokenRequired):
        await harness.create(WITH_FORKS)
    assert await harness.fetch_value("select count(*) from banners") == 0
    assert await preview_sizes(harness, BY_SIZE) == ORIGINALS
    assert harness.github.requests == ["ada", FETCH]


async def test_selection_without_forks_needs_no_sizes_of_them(harness: BannerDataHarness) -> None:
    harness.github.max_sizes = 2
    options = BannerOptions(
        count_by=CountBy.BYTES, include=WITH_FORKS.include, exclude_repos=("fork",)
    )
    assert await preview_sizes(harness, options) == ORIGINALS


async def test_stored_sizes_without_forks_are_fetched_again_with_a_token(
    harness: BannerDataHarness,
) -> None:
    harness.github.max_sizes = 2
    await preview_sizes(harness, BY_SIZE)
    other = BannerDataHarness(harness.database)
    assert await preview_sizes(other, WITH_FORKS) == ALL
    assert await preview_sizes(other, WITH_FORKS) == ALL
    assert other.github.requests == [FETCH]
    await other.services.close()


async def test_stored_sizes_of_forks_are_refreshed_for_all_banners(
    harness: BannerDataHarness,
) -> None:
    name = await harness.create(WITH_FORKS)
    assert await get_sizes(harness, name) == ALL
    harness.github.sizes[7] = (*SIZES[:2], RepositoryLanguages(3, {"Perl": 80_000}))
    await refresh_sizes(harness)
    assert await harness.publish() == [name]
    expected = {"Perl": 80_500, "C": 9_200, "Go": 300, "": 40}
    assert harness.published[name].language_sizes == expected
    # A preview of originals alone does not replace them by sizes without forks either.
    harness.now += DAY + HOUR
    await preview_sizes(harness, BY_SIZE)
    other = BannerDataHarness(harness.database, harness.now)
    assert await preview_sizes(other, WITH_FORKS) == expected
    assert FETCH not in other.github.requests
    await other.services.close()


async def test_forks_that_the_rate_limit_no_longer_covers_are_never_published_as_zeros(
    harness: BannerDataHarness,
) -> None:
    originals, with_forks = await harness.create(BY_SIZE), await harness.create(WITH_FORKS)
    await harness.publish()
    harness.github.max_sizes = 2
    harness.github.sizes[7] = (RepositoryLanguages(1, {"C": 10}), *SIZES[1:])
    for _ in range(6):
        harness.now += DAY
        assert await harness.data_refresher.refresh_batch() == 0
        assert await get_sizes(harness, originals) == ORIGINALS
        assert await get_sizes(harness, with_forks) == ALL
    assert await harness.publish() == []
    await refresh_sizes(harness)
    assert await harness.publish() == [originals]
    assert harness.published[originals].language_sizes == {"Go": 300, "C": 210}
    other = BannerDataHarness(harness.database, harness.now)
    other.github.has_token, other.github.max_sizes = False, 2
    with pytest.raises(TokenRequired):
        await get_sizes(other, with_forks)
    # The token appears, and another service is started with it.
    restarted = BannerDataHarness(harness.database, harness.now + HOUR)
    restarted.github.sizes = harness.github.sizes
    assert await get_sizes(restarted, with_forks) == {"Perl": 70_000, "Go": 300, "C": 210}
    assert await restarted.publish() == [originals, with_forks]
    await other.services.close()
    await restarted.services.close()


async def test_first_fork_is_fetched_before_it_is_counted(harness: BannerDataHarness) -> None:
    harness.github.lists[7] = (LINUX, TOOL)
    assert await preview_sizes(harness, WITH_FORKS) == ORIGINALS
    harness.github.lists[7] = (LINUX, TOOL, FORK, Repository(4, "empty", is_fork=True))
    harness.now += 2 * HOUR
    await preview_sizes(harness, WITH_FORKS)  # stale, while the repositories are refreshed
    assert await preview_sizes(harness, WITH_FORKS) == ALL
    assert harness.github.requests.count(FETCH) == 2
