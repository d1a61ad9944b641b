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
class Scene:
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
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = Scene(database)
    yield scene
    await scene.services.close()


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
    scene: Scene, options: BannerOptions, requests: list[str]
) -> None:
    first = await scene.preview(options)
    assert scene.github.requests == requests
    assert await scene.preview(options) == first
    await scene.services.drain()
    assert await scene.preview(options) == first
    assert scene.github.requests == requests
    # Another process finds everything in the database, but requests the owner of the login.
    other = Scene(scene.database)
    shown = await other.preview(options)
    parts = ("stats", "activity", "language_sizes", "repository", "followers")
    assert [getattr(shown, part) for part in parts] == [getattr(first, part) for part in parts]
    assert other.github.requests == [name for name in requests if name.startswith("identity")]
    await other.services.close()


async def test_preview_of_activity_stores_no_numbers(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    assert await scene.fetch_value("select fetched_at from users") == datetime(
        1970, 1, 1, tzinfo=UTC
    )
    snapshot = await scene.preview(CLASSIC)
    assert (snapshot.stats.total_stars, snapshot.has_numbers) == (107, True)
    assert scene.github.requests[-1] == "#7"


async def test_numbers_of_an_owner_without_any_are_never_zeros(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    scene.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await scene.preview(CLASSIC)
    other = Scene(scene.database)
    other.github.is_down = True
    with pytest.raises(GitHubUnavailable):
        await other.preview(CLASSIC)
    await other.services.close()


async def test_activity_equals_a_count_by_hand(scene: Scene) -> None:
    activity = (await scene.preview(ACTIVITY)).activity
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


async def test_sizes_count_the_selected_repositories(scene: Scene) -> None:
    assert (await scene.preview(BY_SIZE)).language_sizes == {
        "C": 9_200,
        "Perl": 500,
        "Go": 300,
        "": 40,
    }
    without_linux = BannerOptions(count_by=CountBy.BYTES, exclude_repos=("linux",))
    assert (await scene.preview(without_linux)).language_sizes == {"Go": 300, "C": 200}
    with_forks = BannerOptions(
        count_by=CountBy.BYTES, include=(Inclusion.ARCHIVED, Inclusion.FORKS)
    )
    sizes = (await scene.preview(with_forks)).language_sizes
    assert sizes == {"Perl": 70_500, "C": 9_200, "Go": 300, "": 40}


async def test_contributions_older_than_an_hour_are_served_and_refreshed(scene: Scene) -> None:
    before = await scene.preview(ACTIVITY)
    await scene.services.drain()
    scene.github.contributions[7] = contributions(5, 9)
    scene.now += timedelta(minutes=59)
    assert await scene.preview(ACTIVITY) == before
    scene.now += timedelta(minutes=2)
    assert await scene.preview(ACTIVITY) == before
    await scene.services.drain()
    after = (await scene.preview(ACTIVITY)).activity
    assert after is not None
    assert (after.best_count, after.current_streak) == (9, 2)
    assert scene.github.known_years == [[], [2025, 2026]]
    assert scene.github.known_at == [None, START]


async def test_contributions_stay_with_their_date_while_github_is_down(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    scene.github.is_down = True
    scene.now += 2 * DAY
    request = await scene.services.finder.find_preview(
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
    scene: Scene, access: ContributionAccess, error: type[Exception]
) -> None:
    scene.github.contributions[7] = Contributions(access=access)
    alone = BannerOptions(show=(ShownNumber.COMMITS, ShownNumber.REVIEWS))
    for options in (ACTIVITY, alone):
        with pytest.raises(error):
            await scene.preview(options)
        with pytest.raises(error):
            await scene.create(options)
    assert await scene.fetch_value("select count(*) from banners") == 0
    snapshot = await scene.preview(COMMITS)
    assert (snapshot.activity, snapshot.contribution_access) == (None, access)
    assert snapshot.stats.total_stars == 107


async def test_followers_of_a_private_profile_are_hidden(scene: Scene) -> None:
    scene.github.contributions[7] = Contributions(access=ContributionAccess.HIDDEN)
    scene.github.followers = 0
    with_stars = BannerOptions(show=(*FOLLOWERS_AND_COMMITS, ShownNumber.STARS))
    snapshot = await scene.preview(with_stars)
    assert (snapshot.followers, snapshot.contribution_access) == (None, ContributionAccess.HIDDEN)
    name = await scene.create(with_stars)
    scene.github.lists[7] = (LINUX,)
    scene.now += HOUR
    await scene.refresher.refresh_batch()
    assert await scene.publish() == [name]
    assert scene.published[name].followers is None
    alone = BannerOptions(show=FOLLOWERS_AND_COMMITS)
    with pytest.raises(ContributionsHidden):
        await scene.preview(alone)
    with pytest.raises(ContributionsHidden):
        await scene.create(alone)


async def test_no_followers_of_a_visible_profile_are_shown_as_zero(scene: Scene) -> None:
    scene.github.followers = 0
    for show in (FOLLOWERS_AND_COMMITS, (ShownNumber.FOLLOWERS,)):
        assert (await scene.preview(BannerOptions(show=show))).followers == 0


@pytest.mark.parametrize("has_token", [True, False])
async def test_followers_of_an_organisation_are_explained(scene: Scene, has_token: bool) -> None:
    access = ContributionAccess.ORGANISATION
    scene.github.has_token, scene.github.followers = has_token, None
    scene.github.contributions[7] = Contributions(access=access)
    for show in ((ShownNumber.FOLLOWERS,), FOLLOWERS_AND_COMMITS):
        with pytest.raises(NoContributions):
            await scene.preview(BannerOptions(show=show))
        with pytest.raises(NoContributions):
            await scene.create(BannerOptions(show=show))
        shown = await scene.preview(BannerOptions(show=(*show, ShownNumber.STARS)))
        assert (shown.followers, shown.activity, shown.contribution_access) == (None, None, access)
    assert await scene.fetch_value("select count(*) from banners") == 0


async def test_contributions_without_token_are_left_out_until_there_is_one(scene: Scene) -> None:
    scene.github.has_token = False
    with pytest.raises(TokenRequired):
        await scene.preview(ACTIVITY)
    name = await scene.create(COMMITS)
    shown = await scene.preview(COMMITS)
    assert (shown.activity, shown.contribution_access) == (None, ContributionAccess.NEEDS_TOKEN)
    scene.github.has_token = True
    scene.now += timedelta(minutes=2)
    assert (await scene.preview(ACTIVITY)).activity is not None
    await scene.services.drain()
    assert await scene.publish() == [name]
    activity = scene.published[name].activity
    assert activity is not None
    assert activity.commits == 500


async def test_repository_is_found_by_its_name_in_any_case(scene: Scene) -> None:
    options = parse_options({"layout": "repository", "repo": "LINUX"})
    details = (await scene.preview(options)).repository
    assert details is not None
    assert (details.name, details.stars) == ("Linux", 100)


async def test_unknown_repository_suggests_the_nearest_name(scene: Scene) -> None:
    options = BannerOptions(layout=Layout.REPOSITORY, repo="linus")
    with pytest.raises(UnknownRepository) as error_info:
        await scene.preview(options)
    assert (error_info.value.name, error_info.value.suggestion) == ("linus", "Linux")


async def test_renamed_repository_is_followed_by_its_id(scene: Scene) -> None:
    name = await scene.create(REPOSITORY)
    scene.github.details[1] = RepositoryDetails(1, "Minix", "A kernel", "C", 101, 10)
    scene.now += HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    assert scene.github.requests[-1] == "repository 1"
    assert await scene.publish() == [name]
    request = await scene.services.banners.get_by_name(
        name, deadline=Deadline(10, 10), charge=no_charge
    )
    assert request.result.snapshot.repository == scene.github.details[1]


async def test_versions_rise_only_for_banners_that_show_what_changed(scene: Scene) -> None:
    names = {
        options: await scene.create(options)
        for options in (CLASSIC, ACTIVITY, COMMITS, FOLLOWERS, BY_SIZE, REPOSITORY)
    }
    assert await scene.publish() == []

    async def published_after_refresh(delay: timedelta) -> set[BannerOptions]:
        scene.now += delay
        await scene.refresher.refresh_batch()
        while await scene.data_refresher.refresh_batch():
            pass
        published = await scene.publish()
        return {options for options, name in names.items() if name in published}

    assert await published_after_refresh(HOUR) == set()
    scene.github.lists[7] = (LINUX, TOOL, FORK, Repository(4, "new", stars=1))
    assert await published_after_refresh(HOUR) == {CLASSIC, COMMITS, FOLLOWERS, BY_SIZE}
    scene.github.followers = 43
    assert await published_after_refresh(HOUR) == {FOLLOWERS}
    scene.github.details[1] = RepositoryDetails(1, "Linux", "The kernel", "C", 100, 10)
    assert await published_after_refresh(HOUR) == {REPOSITORY}
    scene.github.contributions[7] = contributions(5, 1)
    assert await published_after_refresh(HOUR) == set(), "refreshed daily"
    assert await published_after_refresh(DAY) == {ACTIVITY, COMMITS}
    scene.github.sizes[7] = (*SIZES[:2], RepositoryLanguages(4, {"Zig": 5}))
    assert await published_after_refresh(DAY) == {BY_SIZE}
    del scene.github.owners["ada"]
    scene.github.add("Ada2", 7)
    assert await published_after_refresh(DAY) == set(names)


async def test_data_that_can_not_be_fetched_holds_up_no_other(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    await scene.create(REPOSITORY)
    del scene.github.details[1]
    scene.now += 25 * HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    due = "select due_at from owner_data where need = 'repository/1'"
    retried_at = await scene.fetch_value(due)
    assert isinstance(retried_at, datetime)
    assert scene.now < retried_at <= scene.now + HOUR
    assert await scene.data_refresher.refresh_batch() == 0
    scene.now += HOUR
    scene.github.details[1] = RepositoryDetails(1, "Linux")
    assert await scene.data_refresher.refresh_batch() == 1


async def test_owner_with_activity_only_is_checked_weekly(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    scene.now += 6 * DAY
    assert await scene.refresher.refresh_batch() == 0
    scene.now += 2 * DAY
    assert await scene.refresher.refresh_batch() == 1


async def test_saved_years_are_not_written_again(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    rows = "select string_agg(year || ':' || xmin::text, ',' order by year) from contribution_years"
    before = await scene.fetch_value(rows)
    scene.github.contributions[7] = contributions(5, 1)
    scene.now += 25 * HOUR
    assert await scene.data_refresher.refresh_batch() == 1
    first, last = str(before).split(",")
    assert str(await scene.fetch_value(rows)).startswith(first)
    assert not str(await scene.fetch_value(rows)).endswith(last)


async def test_refreshed_data_is_not_locked_while_other_data_is_scheduled(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    await scene.create(BY_SIZE)
    scene.now += 31 * DAY  # so that the interval of both is another
    async with scene.database.transaction() as other:
        await other.execute("select from owner_data where need = 'contributions' for update")
        refreshing = asyncio.create_task(scene.data_refresher.refresh_batch())
        while not await scene.fetch_value(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        ):
            assert not refreshing.done()
        await other.execute("update owner_data set leased_until = null")
    assert await refreshing == 1


async def test_data_with_a_time_in_the_future_is_fetched_again(scene: Scene) -> None:
    await scene.preview(ACTIVITY)
    await scene.services.drain()
    async with scene.database.transaction() as connection:
        await connection.execute("update owner_data set fetched_at = '2030-01-01'")
    other = Scene(scene.database)
    other.github.contributions[7] = contributions(5, 8)
    activity = (await other.preview(ACTIVITY)).activity
    assert activity is not None
    assert activity.best_count == 8
    await other.services.drain()
    assert await scene.fetch_value("select fetched_at from owner_data") == START
    await other.services.close()


async def test_preview_with_the_database_down_shows_fetched_data() -> None:
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as down:
        scene = Scene(down)
        activity = (await scene.preview(ACTIVITY)).activity
        assert activity is not None
        assert activity.commits == 500
        assert (await scene.preview(BY_SIZE)).language_sizes is not None
        await scene.services.close()


async def test_data_that_can_not_be_saved_is_shown(scene: Scene) -> None:
    async with scene.database.transaction() as connection:
        await connection.execute("drop table contribution_years")
    for _ in range(2):
        activity = (await scene.preview(ACTIVITY)).activity
        assert activity is not None
        await scene.services.drain()
    assert scene.github.requests == ["identity of ada", "contributions of Ada"]


async def test_stored_data_that_can_not_be_read_is_fetched_again(scene: Scene) -> None:
    before = await scene.preview(REPOSITORY)
    await scene.services.drain()
    for content in ("[[[]]]", '{"id": "x"}', "7"):
        async with scene.database.transaction() as connection:
            await connection.execute("update owner_data set content = %s", [content])
        other = Scene(scene.database)
        assert (await other.preview(REPOSITORY)).repository == before.repository
        assert other.github.requests[-1] == "repository linux"
        await other.services.drain()
        await other.services.close()


async def test_selection_is_shown_while_the_database_is_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BannerOptions(exclude_repos=("linux",))
    await scene.preview(options)
    await scene.services.drain()
    before = await scene.preview(options)

    async def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(scene.database, "run_within", fail)
    assert await scene.preview(options) == before


async def test_long_fetches_are_charged_to_the_client(scene: Scene) -> None:
    years = tuple(ContributionYear(2010 + number, (1,)) for number in range(17))
    scene.github.contributions[7] = Contributions(years)
    scene.github.sizes[7] = tuple(RepositoryLanguages(number, {"C": 1}) for number in range(250))
    charged: list[int] = []

    def charge(*, debt: int = 0) -> None:
        charged.append(debt)

    for options in (ACTIVITY, BY_SIZE):
        await scene.services.finder.find_preview(
            "ada", options, deadline=Deadline(10, 10), charge=charge
        )
    # The identity and a history of 17 years; then the numbers, and three pages of sizes.
    assert charged == [0, 0, 4, 0, 0, 2]


async def test_identity_under_a_new_login_keeps_the_stored_version(scene: Scene) -> None:
    await scene.create(ACTIVITY)
    stored = await scene.fetch_value("select version from users")
    other = Scene(scene.database)
    del other.github.owners["ada"]
    other.github.add("Ada2", 7)
    other.now += HOUR
    snapshot = await other.preview(ACTIVITY, "ada2")
    assert (snapshot.owner.login, snapshot.version) == ("Ada2", stored)
    await other.services.close()
