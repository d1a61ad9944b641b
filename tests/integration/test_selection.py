"""Banners that choose which repositories count: preview, POST, refresh and outbox, on PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from github_banners.api.backends import Backends, to_render_job
from github_banners.api.outbox import Outbox
from github_banners.api.pictures import PictureCache, draw_locally
from github_banners.api.refresh import Refresh
from github_banners.database import banner_versions
from github_banners.database.banners import Banner
from github_banners.database.connect import Database
from github_banners.drawing import draw
from github_banners.errors import DatabaseUnavailable
from github_banners.messaging.mapping import RenderJob, from_event, to_event
from github_banners.messaging.schemas import BannerEvent, StoreRequest
from github_banners.models import Repository, Snapshot, Stats
from github_banners.options import BannerOptions, Inclusion, Layout
from github_banners.stats.fetch import Deadline, no_charge
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Ttls
from tests.integration.data_services import DataServices, remove_nothing
from tests.integration.fake_github import FakeGitHub

pytestmark = pytest.mark.postgres

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINUX = Repository(1, "Linux", stars=100, forks=10, language="C")
OLD = Repository(2, "old", stars=20, forks=2, language="Perl", is_archived=True)
FORK = Repository(3, "fork", stars=3, forks=1, is_fork=True, language="Go")
TOOL = Repository(4, "tool", stars=7, language="C")
ALL = (LINUX, OLD, FORK, TOOL)

DEFAULT = Stats(4, 3, 1, 127, 12, {"C": 2, "Perl": 1})
WITHOUT_LINUX = Stats(3, 2, 1, 27, 2, {"C": 1, "Perl": 1})
WITH_FORKS = Stats(4, 3, 1, 130, 13, {"C": 2, "Go": 1, "Perl": 1})
WITHOUT_ARCHIVED = Stats(3, 2, 1, 107, 10, {"C": 2})

EXCLUDING = BannerOptions(exclude_repos=("linux",))
FORKS = BannerOptions(include=(Inclusion.ARCHIVED, Inclusion.FORKS))
NO_ARCHIVED = BannerOptions(include=())
SELECTIONS = [
    (BannerOptions(), DEFAULT),
    (EXCLUDING, WITHOUT_LINUX),
    (FORKS, WITH_FORKS),
    (NO_ARCHIVED, WITHOUT_ARCHIVED),
]


@dataclass
class SelectionHarness:
    """The services of an api with a fake GitHub and a fake clock; published banners are recorded."""

    database: Database
    now: datetime = START
    stored: list[StoreRequest] = field(default_factory=list)
    published: dict[str, RenderJob] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        self.github = FakeGitHub(clock=clock)
        self.github.gate.set()
        self.github.add("Ada", 7)
        self.github.lists[7] = ALL
        self.lookup = Lookup(
            database=self.database,
            github=self.github,
            batch_fetcher=self.github,
            ttls=Ttls(),
            clock=clock,
            collect_seconds=0,
        )
        self.banners = DataServices(
            self.database,
            self.github,
            Backends(
                draw=draw_locally,
                store=self._store,
                read_stored=_read,
                publish=self._publish,
                remove=remove_nothing,
            ),
            clock,
            lookup=self.lookup,
        ).banners
        self.pictures = PictureCache(clock=clock, memory_bytes=1 << 20)
        self.outbox = Outbox(database=self.database, publish=self._publish, clock=clock)
        self.refresher = Refresh(
            database=self.database, github=self.github, interval=HOUR, clock=clock
        )

    async def _store(self, request: StoreRequest) -> object:
        self.stored.append(request)
        return None

    async def _publish(self, banner: Banner, snapshot: Snapshot) -> None:
        """Record what the renderer reads in the event."""
        event = to_event(to_render_job(banner, snapshot), produced_at=self.now)
        received = BannerEvent.from_json(event.to_json())
        self.published[banner.name] = from_event(received, now=self.now)

    async def preview(self, options: BannerOptions) -> Snapshot:
        request = await self.banners.finder.find_preview(
            "ada", options, deadline=Deadline(10, 10), charge=no_charge
        )
        return request.result.snapshot

    async def create(self, options: BannerOptions) -> str:
        created = await self.banners.create(
            "ada", options, deadline=Deadline(10, 10), charge=no_charge
        )
        return created.name

    async def refresh(self, *repositories: Repository) -> None:
        """Let the background refresh find other repositories an hour later, and publish."""
        self.github.lists[7] = repositories
        self.now += HOUR
        assert await self.refresher.refresh_batch() == 1
        await self.outbox.publish_batch()


async def _read(name: str) -> bytes | None:
    return None


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[SelectionHarness]:
    harness = SelectionHarness(database)
    yield harness
    await harness.lookup.close()


async def test_preview_counts_selected_repositories_before_and_after_they_are_stored(
    harness: SelectionHarness,
) -> None:
    for options, stats in SELECTIONS:
        assert (await harness.preview(options)).stats == stats
    await harness.lookup.drain()
    for options, stats in SELECTIONS:
        assert (await harness.preview(options)).stats == stats
    assert len(harness.lookup.writer.unsaved) == 0
    assert harness.github.requests == ["ada"], "a selection costs no request"


async def test_preview_of_other_process_reads_stored_repositories(
    harness: SelectionHarness, database: Database
) -> None:
    await harness.preview(BannerOptions())
    await harness.lookup.drain()
    other = SelectionHarness(database)
    for options, stats in SELECTIONS:
        assert (await other.preview(options)).stats == stats
    assert other.github.requests == []
    await other.lookup.close()


async def test_preview_database_down_counts_fetched_repositories() -> None:
    async with Database("host=127.0.0.1 port=1 connect_timeout=1") as down:
        harness = SelectionHarness(down)
        assert (await harness.preview(NO_ARCHIVED)).stats == WITHOUT_ARCHIVED
        await harness.lookup.close()


async def test_preview_missing_rows_are_unavailable_and_not_zero(harness: SelectionHarness) -> None:
    await harness.preview(BannerOptions())
    await harness.lookup.drain()
    async with harness.database.transaction() as connection:
        await connection.execute("delete from repositories")
    with pytest.raises(DatabaseUnavailable):
        await harness.preview(EXCLUDING)
    assert (await harness.preview(BannerOptions())).stats == DEFAULT


async def test_create_stores_picture_of_selected_repositories(harness: SelectionHarness) -> None:
    for options, stats in SELECTIONS:
        for layout in (Layout.CLASSIC, Layout.CARD, Layout.COMPACT, Layout.LANGUAGES):
            chosen = replace_layout(options, layout)
            name = await harness.create(chosen)
            snapshot = await harness.preview(chosen)
            assert snapshot.stats == stats
            assert harness.stored[-1].url_path == name
            assert harness.stored[-1].banner_info == draw(snapshot, chosen)


def replace_layout(options: BannerOptions, layout: Layout) -> BannerOptions:
    return BannerOptions(
        layout=layout, exclude_repos=options.exclude_repos, include=options.include
    )


async def test_refresh_publishes_numbers_of_selected_repositories(
    harness: SelectionHarness,
) -> None:
    names = [await harness.create(options) for options, _ in SELECTIONS]
    await harness.refresh(LINUX, OLD, FORK, replace(TOOL, stars=8))
    stars = [harness.published[name].snapshot.stats.total_stars for name in names]
    assert stars == [128, 28, 131, 108]
    for name, total_stars in zip(names, stars, strict=True):
        banner = await harness.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=no_charge
        )
        assert banner.result.snapshot.stats.total_stars == total_stars
        job = harness.published[name]
        assert draw(job.snapshot, job.options) == draw(banner.result.snapshot, banner.options)


async def test_refresh_without_change_of_totals_publishes_selections_only(
    harness: SelectionHarness,
) -> None:
    names = [await harness.create(options) for options, _ in SELECTIONS]
    await harness.refresh(LINUX, OLD, replace(FORK, stars=4), replace(TOOL, is_archived=True))
    assert sorted(harness.published) == sorted(names[1:])
    snapshots = [harness.published[name].snapshot for name in names[1:]]
    assert [snapshot.stats.total_stars for snapshot in snapshots] == [27, 131, 100]
    harness.published.clear()
    await harness.refresh(*harness.github.lists[7])
    assert harness.published == {}, "unchanged repositories publish nothing"


async def test_draw_selection_changes_without_version(harness: SelectionHarness) -> None:
    await harness.create(FORKS)

    async def picture() -> bytes:
        request = await harness.banners.finder.find_preview(
            "ada", FORKS, deadline=Deadline(10, 10), charge=no_charge
        )
        drawn = await harness.pictures.get_or_draw(request, deadline=Deadline(10, 10))
        return drawn.picture.body

    before = await picture()
    assert await picture() == before
    await harness.refresh(LINUX, OLD, replace(FORK, stars=4000), TOOL)
    assert await picture() != before


async def test_raise_versions_of_selections_keeps_what_is_left_to_raise(
    harness: SelectionHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_versions, "MAX_RAISED_BANNERS", 1)
    for options in (EXCLUDING, FORKS, NO_ARCHIVED):
        await harness.create(options)
    await harness.lookup.drain()
    async with harness.database.transaction() as connection:
        await connection.execute("update users set raise_banners_after = ''")
        raised = await banner_versions.raise_banner_versions(
            connection, {7: [banner_versions.SELECTION]}, now=harness.now
        )
        assert raised == {7: 1}
        cursor = await connection.execute("select raise_banners_after from users")
        assert await cursor.fetchone() == (b"",)
        for _ in range(4):
            assert await banner_versions.raise_remaining_banners(connection, now=harness.now) == 1
        assert await banner_versions.raise_remaining_banners(connection, now=harness.now) == 0


async def test_publish_batch_missing_repositories_do_not_block_others(
    harness: SelectionHarness,
) -> None:
    broken = await harness.create(EXCLUDING)
    plain = await harness.create(BannerOptions())
    async with harness.database.transaction() as connection:
        await connection.execute("update banners set published_version = 0")
        await connection.execute("delete from repositories")
    assert await harness.outbox.publish_batch() == 1
    assert [*harness.published] == [plain]
    assert broken not in harness.published
