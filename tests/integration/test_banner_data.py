"""Banners that show contributions, sizes or one repository: what is fetched, stored and refreshed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from github_banners.api.backends import Backends
from github_banners.api.data_refresh import DataRefresh
from github_banners.api.outbox import Outbox
from github_banners.api.pictures import draw_locally
from github_banners.api.refresh import Refresh
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.errors import (
    ContributionsHidden,
    DatabaseUnavailable,
    GitHubUnavailable,
    NoContributions,
    TokenRequired,
    UnknownRepository,
)
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import (
    ContributionAccess,
    Contributions,
    ContributionYear,
    Repository,
    RepositoryDetails,
    RepositoryLanguages,
    Snapshot,
)
from github_banners.options import (
    BannerOptions,
    CountBy,
    Inclusion,
    Layout,
    ShownNumber,
    parse_options,
)
from github_banners.stats.fetch import Deadline, no_charge
from github_banners.stats.snapshots import Freshness
from tests.integration.data_services import DataServices, remove_nothing
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ACTIVITY = BannerOptions(layout=Layout.ACTIVITY)
CLASSIC = BannerOptions()
COMMITS = BannerOptions(show=(ShownNumber.COMMITS, ShownNumber.STARS))
FOLLOWERS = BannerOptions(show=(ShownNumber.FOLLOWERS,))
FOLLOWERS_AND_COMMITS = (ShownNumber.FOLLOWERS, ShownNumber.COMMITS)
BY_SIZE = BannerOptions(count_by=CountBy.BYTES)
REPOSITORY = BannerOptions(layout=Layout.REPOSITORY, repo="linux")

LINUX = Repository(1, "Linux", stars=100, forks=10, language="C")
TOOL = Repository(2, "tool", stars=7, language="Go")
FORK = Repository(3, "fork", is_fork=True, language="Perl")
SIZES = (
    RepositoryLanguages(1, {"C": 9_000, "Perl": 500}, other=40),
    RepositoryLanguages(2, {"Go": 300, "C": 200}),
    RepositoryLanguages(3, {"Perl": 70_000}),
)


def contributions(*today: int, commits: int = 300) -> Contributions:
    """Contributions of 2025, and of 2026 up to START's day with `today` as the last counts."""
    days = (date(2026, 11, 22) - date(2026, 1, 1)).days + 1
    return Contributions(
        (
            ContributionYear(2025, (1,) * 365, commits=200, issues=20),
            ContributionYear(2026, (0,) * (days - len(today)) + today, commits=commits, reviews=4),
        )
    )


@dataclass
class BannerDataHarness:
    """The services of an api with a fake GitHub and a fake clock; published banners are recorded."""

    database: Database
    now: datetime = START
    stored: list[StoreRequest] = field(default_factory=list)
    published: dict[str, Snapshot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        self.github = FakeGitHub(clock=clock, followers=42)
        self.github.gate.set()
        self.github.add("Ada", 7)
        self.github.lists[7] = (LINUX, TOOL, FORK)
        self.github.contributions[7] = contributions(5, 0)
        self.github.sizes[7] = SIZES
        self.github.details[1] = RepositoryDetails(1, "Linux", "A kernel", "C", 100, 10)
        backends = Backends(
            draw=draw_locally,
            store=self._store,
            read_stored=_read,
            publish=self._publish,
            remove=remove_nothing,
        )
        self.services = DataServices(self.database, self.github, backends, clock)
        self.outbox = Outbox(database=self.database, publish=self._publish, clock=clock)
        self.refresher = Refresh(
            database=self.database, github=self.github, interval=HOUR, clock=clock
        )
        self.data_refresher = DataRefresh(
            database=self.database, github=self.github, interval=HOUR, clock=clock
        )

    async def _store(self, request: StoreRequest) -> object:
        self.stored.append(request)
        return None

    async def _publish(self, banner: Banner, snapshot: Snapshot) -> None:
        self.published[banner.name] = snapshot

    async def preview(self, options: BannerOptions, login: str = "ada") -> Snapshot:
        request = await self.services.finder.find_preview(
            login, options, deadline=Deadline(10, 10), charge=no_charge
        )
        return request.result.snapshot

    async def create(self, options: BannerOptions) -> str:
        created = await self.services.banners.create(
            "ada", options, deadline=Deadline(10, 10), charge=no_charge
        )
        await self.services.drain()
        await self.outbox.publish_batch()
        return created.name

    async def publish(self) -> list[str]:
        """Publish what is due, and return the names."""
        self.published.clear()
        await self.outbox.publish_batch()
        return sorted(self.published)

    async def fetch_value(self, query: str) -> object:
        async with self.database.transaction() as connection:
            row = await (await connection.execute(query)).fetchone()
        return row[0] if row else None


async def _read(name: str) -> bytes | None:
    return None


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BannerDataHarness]:
    harness = BannerDataHarness(database)
    yield harness
    await harness.services.close()


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (CLASSIC, ["ada"]),
        (FOLLOWERS, ["ada"]),
        (ACTIVITY, ["identity of ada", "contributions of Ada"]),
        (COMMITS, ["ada", "contributions of Ada"]),
        (BY_SIZE, ["ada", "sizes of Ada"]),
        (REPOSITORY, ["identity of ada", "repository linux"]),
    ],
)
async def test_preview_fetches_only_what_it_shows(
    harness: BannerDataHarness, options: BannerOptions, requests: list[str]
) -> None:
    first = await harness.preview(options)
    assert harness.github.requests == requests
    assert await harness.preview(options) == first
    await harness.services.drain()
    assert await harness.preview(options) == first
    assert harness.github.requests == requests
    # Another process finds everything in the database, but requests the owner of the login.
    other = BannerDataHarness(harness.database)
    shown = await other.preview(options)
    parts = ("stats", "activity", "language_sizes", "repository", "followers")
    assert [getattr(shown, part) for part in parts] == [getattr(first, part) for part in parts]
    assert other.github.requests == [name for name in requests if name.startswith("identity")]
    await other.services.close()


async def test_preview_of_activity_stores_no_numbers(harness: BannerDataHarness) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    assert await harness.fetch_value("select fetched_at from users") == datetime(
        1970, 1, 1, tzinfo=UTC
    )
    snapshot = await harness.preview(CLASSIC)
    assert (snapshot.stats.total_stars, snapshot.has_numbers) == (107, True)
    assert harness.github.requests[-1] == "#7"


async def test_numbers_of_an_owner_without_any_are_never_zeros(harness: BannerDataHarness) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    harness.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await harness.preview(CLASSIC)
    other = BannerDataHarness(harness.database)
    other.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await other.preview(CLASSIC)
    await other.services.close()


async def test_activity_equals_a_count_by_hand(harness: BannerDataHarness) -> None:
    activity = (await harness.preview(ACTIVITY)).activity
    assert activity is not None
    assert (activity.commits, activity.issues, activity.reviews) == (500, 20, 4)
    # 365 days of 2025 with one each, and yesterday five: today's 0 does not end the streak.
    assert (activity.contributions, activity.longest_streak, activity.current_streak) == (
        370,
        365,
        1,
    )
    # 22 November to 31 December of 2025, and yesterday.
    assert (activity.last_year, activity.best_count, activity.best_day) == (
        40 + 5,
        5,
        date(2026, 11, 21),
    )


async def test_sizes_count_the_selected_repositories(harness: BannerDataHarness) -> None:
    assert (await harness.preview(BY_SIZE)).language_sizes == {
        "C": 9_200,
        "Perl": 500,
        "Go": 300,
        "": 40,
    }
    without_linux = BannerOptions(count_by=CountBy.BYTES, exclude_repos=("linux",))
    assert (await harness.preview(without_linux)).language_sizes == {"Go": 300, "C": 200}
    with_forks = BannerOptions(
        count_by=CountBy.BYTES, include=(Inclusion.ARCHIVED, Inclusion.FORKS)
    )
    sizes = (await harness.preview(with_forks)).language_sizes
    assert sizes == {"Perl": 70_500, "C": 9_200, "Go": 300, "": 40}


async def test_contributions_older_than_an_hour_are_served_and_refreshed(
    harness: BannerDataHarness,
) -> None:
    before = await harness.preview(ACTIVITY)
    await harness.services.drain()
    harness.github.contributions[7] = contributions(5, 9)
    harness.now += timedelta(minutes=59)
    assert await harness.preview(ACTIVITY) == before
    harness.now += timedelta(minutes=2)
    assert await harness.preview(ACTIVITY) == before
    await harness.services.drain()
    after = (await harness.preview(ACTIVITY)).activity
    assert after is not None
    assert (after.best_count, after.current_streak) == (9, 2)
    assert harness.github.known_years == [[], [2025, 2026]]
    assert harness.github.known_at == [None, START]


async def test_contributions_stay_with_their_date_while_github_is_down(
    harness: BannerDataHarness,
) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    harness.github.is_down = True
    harness.now += 2 * DAY
    request = await harness.services.finder.find_preview(
        "ada", ACTIVITY, deadline=Deadline(10, 10), charge=no_charge
    )
    assert request.result.freshness is Freshness.HARD_STALE
    assert request.result.snapshot.fetched_at == START


@pytest.mark.parametrize(
    ("access", "error"),
    [
        (ContributionAccess.HIDDEN, ContributionsHidden),
        (ContributionAccess.ORGANISATION, NoContributions),
    ],
)
async def test_contributions_that_can_not_be_read_are_explained(
    harness: BannerDataHarness, access: ContributionAccess, error: type[Exception]
) -> None:
    harness.github.contributions[7] = Contributions(access=access)
    alone = BannerOptions(show=(ShownNumber.COMMITS, ShownNumber.REVIEWS))
    for options in (ACTIVITY, alone):
        with pytest.raises(error):
            await harness.preview(options)
        with pytest.raises(error):
            await harness.create(options)
    assert await harness.fetch_value("select count(*) from banners") == 0
    snapshot = await harness.preview(COMMITS)
    assert (snapshot.activity, snapshot.contribution_access) == (None, access)
    assert snapshot.stats.total_stars == 107


async def test_followers_of_a_private_profile_are_hidden(harness: BannerDataHarness) -> None:
    harness.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    harness.github.followers = 0
    with_stars = BannerOptions(show=(*FOLLOWERS_AND_COMMITS, ShownNumber.STARS))
    snapshot = await harness.preview(with_stars)
    assert (snapshot.followers, snapshot.contribution_access) == (None, ContributionAccess.HIDDEN)
    name = await harness.create(with_stars)
    harness.github.lists[7] = (LINUX,)
    harness.now += HOUR
    await harness.refresher.refresh_batch()
    assert await harness.publish() == [name]
    assert harness.published[name].followers is None
    alone = BannerOptions(show=FOLLOWERS_AND_COMMITS)
    with pytest.raises(ContributionsHidden):
        await harness.preview(alone)
    with pytest.raises(ContributionsHidden):
        await harness.create(alone)


async def test_no_followers_of_a_visible_profile_are_shown_as_zero(
    harness: BannerDataHarness,
) -> None:
    harness.github.followers = 0
    for show in (FOLLOWERS_AND_COMMITS, (ShownNumber.FOLLOWERS,)):
        assert (await harness.preview(BannerOptions(show=show))).followers == 0


@pytest.mark.parametrize("has_token", [True, False])
async def test_followers_of_an_organisation_are_explained(
    harness: BannerDataHarness, has_token: bool
) -> None:
    access = ContributionAccess.ORGANISATION
    harness.github.has_token, harness.github.followers = has_token, None
    harness.github.contributions[7] = Contributions(access=access)
    for show in ((ShownNumber.FOLLOWERS,), FOLLOWERS_AND_COMMITS):
        with pytest.raises(NoContributions):
            await harness.preview(BannerOptions(show=show))
        with pytest.raises(NoContributions):
            await harness.create(BannerOptions(show=show))
        shown = await harness.preview(BannerOptions(show=(*show, ShownNumber.STARS)))
        assert (shown.followers, shown.activity, shown.contribution_access) == (None, None, access)
    assert await harness.fetch_value("select count(*) from banners") == 0


async def test_organisation_is_recognised_without_token(harness: BannerDataHarness) -> None:
    harness.github.has_token = False
    harness.github.contributions[7] = Contributions(access=ContributionAccess.ORGANISATION)
    for _ in range(2):
        with pytest.raises(NoContributions):
            await harness.preview(ACTIVITY)
        await harness.services.drain()
        harness.now += timedelta(hours=2)
    # GitHub does not answer.
    harness.github.contributions[7] = Contributions()
    with pytest.raises(NoContributions):
        await harness.preview(ACTIVITY)


async def test_contributions_without_token_are_left_out_until_there_is_one(
    harness: BannerDataHarness,
) -> None:
    harness.github.has_token = False
    with pytest.raises(TokenRequired):
        await harness.preview(ACTIVITY)
    name = await harness.create(COMMITS)
    shown = await harness.preview(COMMITS)
    assert (shown.activity, shown.contribution_access) == (None, ContributionAccess.NEEDS_TOKEN)
    harness.github.has_token = True
    harness.now += timedelta(minutes=2)
    assert (await harness.preview(ACTIVITY)).activity is not None
    await harness.services.drain()
    assert await harness.publish() == [name]
    activity = harness.published[name].activity
    assert activity is not None
    assert activity.commits == 500


async def test_repository_is_found_by_its_name_in_any_case(harness: BannerDataHarness) -> None:
    options = parse_options({"layout": "repository", "repo": "LINUX"})
    details = (await harness.preview(options)).repository
    assert details is not None
    assert (details.name, details.stars) == ("Linux", 100)


async def test_unknown_repository_suggests_the_nearest_name(harness: BannerDataHarness) -> None:
    options = BannerOptions(layout=Layout.REPOSITORY, repo="linus")
    with pytest.raises(UnknownRepository) as error_info:
        await harness.preview(options)
    assert (error_info.value.name, error_info.value.suggestion) == ("linus", "Linux")


async def test_renamed_repository_is_followed_by_its_id(harness: BannerDataHarness) -> None:
    name = await harness.create(REPOSITORY)
    harness.github.details[1] = RepositoryDetails(1, "Minix", "A kernel", "C", 101, 10)
    harness.now += HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    assert harness.github.requests[-1] == "repository 1"
    assert await harness.publish() == [name]
    request = await harness.services.banners.get_by_name(
        name, deadline=Deadline(10, 10), charge=no_charge
    )
    assert request.result.snapshot.repository == harness.github.details[1]


async def test_versions_rise_only_for_banners_that_show_what_changed(
    harness: BannerDataHarness,
) -> None:
    names = {
        options: await harness.create(options)
        for options in (CLASSIC, ACTIVITY, COMMITS, FOLLOWERS, BY_SIZE, REPOSITORY)
    }
    assert await harness.publish() == []

    async def published_after_refresh(delay: timedelta) -> set[BannerOptions]:
        harness.now += delay
        await harness.refresher.refresh_batch()
        while await harness.data_refresher.refresh_batch():
            pass
        published = await harness.publish()
        return {options for options, name in names.items() if name in published}

    assert await published_after_refresh(HOUR) == set()
    harness.github.lists[7] = (LINUX, TOOL, FORK, Repository(4, "new", stars=1))
    assert await published_after_refresh(HOUR) == {CLASSIC, COMMITS, FOLLOWERS, BY_SIZE}
    harness.github.followers = 43
    assert await published_after_refresh(HOUR) == {FOLLOWERS}
    harness.github.details[1] = RepositoryDetails(1, "Linux", "The kernel", "C", 100, 10)
    assert await published_after_refresh(HOUR) == {REPOSITORY}
    harness.github.contributions[7] = contributions(5, 1)
    assert await published_after_refresh(HOUR) == set(), "refreshed daily"
    assert await published_after_refresh(DAY) == {ACTIVITY, COMMITS}
    harness.github.sizes[7] = (*SIZES[:2], RepositoryLanguages(4, {"Zig": 5}))
    assert await published_after_refresh(DAY) == {BY_SIZE}
    del harness.github.owners["ada"]
    harness.github.add("Ada2", 7)
    assert await published_after_refresh(DAY) == set(names)


async def test_data_that_can_not_be_fetched_holds_up_no_other(harness: BannerDataHarness) -> None:
    await harness.create(ACTIVITY)
    await harness.create(REPOSITORY)
    del harness.github.details[1]
    harness.now += 25 * HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    due = "select due_at from owner_data where need = 'repository/1'"
    retried_at = await harness.fetch_value(due)
    assert isinstance(retried_at, datetime)
    assert harness.now < retried_at <= harness.now + HOUR
    assert await harness.data_refresher.refresh_batch() == 0
    harness.now += HOUR
    harness.github.details[1] = RepositoryDetails(1, "Linux")
    assert await harness.data_refresher.refresh_batch() == 1


async def test_owner_with_activity_only_is_checked_weekly(harness: BannerDataHarness) -> None:
    await harness.create(ACTIVITY)
    harness.now += 6 * DAY
    assert await harness.refresher.refresh_batch() == 0
    harness.now += 2 * DAY
    assert await harness.refresher.refresh_batch() == 1


async def test_saved_years_are_not_written_again(harness: BannerDataHarness) -> None:
    await harness.create(ACTIVITY)
    rows = "select string_agg(year || ':' || xmin::text, ',' order by year) from contribution_years"
    before = await harness.fetch_value(rows)
    harness.github.contributions[7] = contributions(5, 1)
    harness.now += 25 * HOUR
    assert await harness.data_refresher.refresh_batch() == 1
    first, last = str(before).split(",")
    assert str(await harness.fetch_value(rows)).startswith(first)
    assert not str(await harness.fetch_value(rows)).endswith(last)


async def test_refreshed_data_is_not_locked_while_other_data_is_scheduled(
    harness: BannerDataHarness,
) -> None:
    await harness.create(ACTIVITY)
    await harness.create(BY_SIZE)
    harness.now += 31 * DAY  # so that the interval of both is another
    async with harness.database.transaction() as other:
        await other.execute("select from owner_data where need = 'contributions' for update")
        refreshing = asyncio.create_task(harness.data_refresher.refresh_batch())
        while not await harness.fetch_value(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        ):
            assert not refreshing.done()
        await other.execute("update owner_data set leased_until = null")
    assert await refreshing == 1


async def test_data_with_a_time_in_the_future_is_fetched_again(harness: BannerDataHarness) -> None:
    await harness.preview(ACTIVITY)
    await harness.services.drain()
    async with harness.database.transaction() as connection:
        await connection.execute("update owner_data set fetched_at = '2030-01-01'")
    other = BannerDataHarness(harness.database)
    other.github.contributions[7] = contributions(5, 8)
    activity = (await other.preview(ACTIVITY)).activity
    assert activity is not None
    assert activity.best_count == 8
    await other.services.drain()
    assert await harness.fetch_value("select fetched_at from owner_data") == START
    await other.services.close()


async def test_preview_with_the_database_down_shows_fetched_data() -> None:
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as down:
        harness = BannerDataHarness(down)
        activity = (await harness.preview(ACTIVITY)).activity
        assert activity is not None
        assert activity.commits == 500
        assert (await harness.preview(BY_SIZE)).language_sizes is not None
        await harness.services.close()


async def test_data_that_can_not_be_saved_is_shown(harness: BannerDataHarness) -> None:
    async with harness.database.transaction() as connection:
        await connection.execute("drop table contribution_years")
    for _ in range(2):
        activity = (await harness.preview(ACTIVITY)).activity
        assert activity is not None
        await harness.services.drain()
    assert harness.github.requests == ["identity of ada", "contributions of Ada"]


async def test_stored_data_that_can_not_be_read_is_fetched_again(
    harness: BannerDataHarness,
) -> None:
    before = await harness.preview(REPOSITORY)
    await harness.services.drain()
    for content in ("[[[]]]", '{"id": "x"}', "7"):
        async with harness.database.transaction() as connection:
            await connection.execute("update owner_data set content = %s", [content])
        other = BannerDataHarness(harness.database)
        assert (await other.preview(REPOSITORY)).repository == before.repository
        assert other.github.requests[-1] == "repository linux"
        await other.services.drain()
        await other.services.close()


async def test_selection_is_shown_while_the_database_is_down(
    harness: BannerDataHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BannerOptions(exclude_repos=("linux",))
    await harness.preview(options)
    await harness.services.drain()
    before = await harness.preview(options)

    async def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(harness.database, "run_within", fail)
    assert await harness.preview(options) == before


async def test_long_fetches_are_charged_to_the_client(harness: BannerDataHarness) -> None:
    years = tuple(ContributionYear(2010 + number, (1,)) for number in range(17))
    harness.github.contributions[7] = Contributions(years)
    harness.github.sizes[7] = tuple(RepositoryLanguages(number, {"C": 1}) for number in range(250))
    charged: list[int] = []

    def charge(*, debt: int = 0) -> None:
        charged.append(debt)

    for options in (ACTIVITY, BY_SIZE):
        await harness.services.finder.find_preview(
            "ada", options, deadline=Deadline(10, 10), charge=charge
        )
    # The identity and a history of 17 years; then the numbers, and three pages of sizes.
    assert charged == [0, 0, 4, 0, 0, 2]


async def test_identity_under_a_new_login_keeps_the_stored_version(
    harness: BannerDataHarness,
) -> None:
    await harness.create(ACTIVITY)
    stored = await harness.fetch_value("select version from users")
    other = BannerDataHarness(harness.database)
    del other.github.owners["ada"]
    other.github.add("Ada2", 7)
    other.now += HOUR
    snapshot = await other.preview(ACTIVITY, "ada2")
    assert (snapshot.owner.login, snapshot.version) == ("Ada2", stored)
    await other.services.close()
