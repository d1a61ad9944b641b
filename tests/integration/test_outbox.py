"""The outbox publishes every new version despite failures, with PostgreSQL."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import structlog
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from github_banners.api.backends import Backends, StoreDrawing
from github_banners.api.banner_service import CreateResult
from github_banners.api.outbox import Outbox, PublishOutcome
from github_banners.api.pictures import Draw, draw_locally
from github_banners.database.banners import Banner, insert_banner
from github_banners.database.connect import Database
from github_banners.database.leases import mark_published
from github_banners.database.users import upsert_owners
from github_banners.drawing import draw
from github_banners.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    InvalidOption,
    RemoteRejected,
    StorageUnavailable,
    TooManyBanners,
    Unavailable,
)
from github_banners.messaging.schemas import StoreRequest
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, Theme
from github_banners.stats.fetch import Deadline
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Ttls
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.store import StoredPicture
from tests.integration.data_services import DataServices, remove_nothing
from tests.integration.database.samples import HOUR, NOON, fetched_owner
from tests.integration.database.servers import close_pool
from tests.integration.fake_github import FakeGitHub
from tests.unit.storage.requests import store_request

pytestmark = pytest.mark.postgres

LEASE, RETRY_DELAY = timedelta(seconds=15), timedelta(seconds=4)

Publishing: TypeAlias = Callable[[Banner, Snapshot], Awaitable[None]]


async def acknowledge(banner: Banner, snapshot: Snapshot) -> None:
    """Publish successfully."""


async def hang(banner: Banner, snapshot: Snapshot) -> None:
    await asyncio.Event().wait()


def failing(error: Exception) -> Publishing:
    async def fail(banner: Banner, snapshot: Snapshot) -> None:
        raise error

    return fail


@dataclass
class Row:
    """The state of a banner in the database."""

    version: int
    published_version: int
    leased_until: datetime | None

    @property
    def is_published(self) -> bool:
        return self.published_version == self.version


@dataclass
class OutboxHarness:
    """Banners, a fake broker with a behaviour for each of them, and a fake clock."""

    database: Database
    now: datetime = NOON
    behaviours: dict[str, Publishing] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    published: list[tuple[str, int]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    has_started: asyncio.Event = field(default_factory=asyncio.Event)

    def outbox(self, database: Database | None = None) -> Outbox:
        return Outbox(
            database=database or self.database,
            publish=self.publish,
            clock=lambda: self.now,
            count=self.count,
        )

    def count(self, outcome: str) -> None:
        assert outcome in [*PublishOutcome]
        self.counted[outcome] += 1

    async def publish(self, banner: Banner, snapshot: Snapshot) -> None:
        assert snapshot.owner.id == banner.owner_id
        self.started.append(banner.name)
        self.has_started.set()
        await self.behaviours.get(banner.name, acknowledge)(banner, snapshot)
        self.published.append((banner.name, banner.version))

    async def create_banners(self, *owner_ids: int) -> list[str]:
        """Insert owners with one banner each, and return the names of the banners."""
        async with self.database.transaction() as connection:
            await upsert_owners(
                connection, [fetched_owner(owner_id, fetched_at=self.now) for owner_id in owner_ids]
            )
            created = [
                await insert_banner(
                    connection,
                    owner_id=owner_id,
                    options=BannerOptions(),
                    names=[f"b-{owner_id}"],
                    now=self.now,
                )
                for owner_id in owner_ids
            ]
        return [banner.name for banner, _ in created]

    async def refresh(self, owner_id: int, *, stars: int) -> None:
        """Save newer numbers, which raises the version."""
        async with self.database.transaction() as connection:
            await upsert_owners(
                connection, [fetched_owner(owner_id, stars=stars, fetched_at=self.now)]
            )

    async def row(self, name: str) -> Row:
        async with self.database.transaction() as connection:
            return await select_row(connection, name)

    async def until_started(self, *names: str) -> None:
        while not set(names) <= set(self.started):
            self.has_started.clear()
            await self.has_started.wait()


async def select_row(connection: AsyncConnection[Any], name: str) -> Row:
    query = "select version, published_version, publish_leased_until from banners where name = %s"
    row = await (await connection.execute(query, [name])).fetchone()
    assert row is not None
    return Row(*row)


@pytest.fixture
def harness(database: Database) -> OutboxHarness:
    return OutboxHarness(database)


async def test_publish_batch_slow_banner_does_not_block_others(harness: OutboxHarness) -> None:
    names = await harness.create_banners(*range(1, 31))
    may_finish = asyncio.Event()

    async def slowly(banner: Banner, snapshot: Snapshot) -> None:
        await may_finish.wait()

    harness.behaviours["b-1"] = slowly
    publishing = asyncio.create_task(harness.outbox().publish_batch())
    await harness.until_started(*names)
    assert harness.started == names, "started in the order of ids"
    assert [name for name, _ in harness.published] == names[1:]
    may_finish.set()
    assert await publishing == 30
    assert all([(await harness.row(name)).is_published for name in names])


@pytest.mark.parametrize("error", [BrokerUnavailable(), StorageUnavailable()])
async def test_publish_batch_unavailable_records_acknowledged_banners(
    harness: OutboxHarness, error: Unavailable
) -> None:
    await harness.create_banners(1, 2, 3)
    harness.behaviours["b-2"] = failing(error)
    with pytest.raises(type(error)):
        await harness.outbox().publish_batch()
    rows = {name: await harness.row(name) for name in ("b-1", "b-2", "b-3")}
    assert [row.is_published for row in rows.values()] == [True, False, True]
    assert [row.leased_until for row in rows.values()] == [None, NOON + RETRY_DELAY, None]
    assert harness.counted == {"published": 2, "waiting": 1}


async def test_publish_batch_waiting_banner_alone_is_retried(harness: OutboxHarness) -> None:
    await harness.create_banners(1, 2, 3)
    harness.behaviours["b-2"] = failing(BrokerUnavailable())
    outbox = harness.outbox()
    with pytest.raises(BrokerUnavailable):
        await outbox.publish_batch()
    assert await outbox.publish_batch() == 0
    harness.now += RETRY_DELAY
    with pytest.raises(BrokerUnavailable):
        await outbox.publish_batch()
    harness.behaviours.clear()
    harness.now += RETRY_DELAY
    assert await outbox.publish_batch() == 1
    assert Counter(harness.started) == {"b-1": 1, "b-2": 3, "b-3": 1}
    assert (await harness.row("b-2")).is_published


@pytest.mark.parametrize(
    "error",
    [RemoteRejected(), InvalidOption("banner_info"), ValueError("no message can hold it")],
    ids=["rejected", "no picture", "no message"],
)
async def test_publish_batch_refused_banner_is_retried_after_lease(
    harness: OutboxHarness, error: Exception
) -> None:
    await harness.create_banners(1, 2)
    harness.behaviours["b-1"] = failing(error)
    outbox = harness.outbox()
    assert await outbox.publish_batch() == 2
    refused = await harness.row("b-1")
    assert (refused.is_published, refused.leased_until) == (False, NOON + LEASE)
    assert harness.counted == {"published": 1, "refused": 1}
    harness.now += LEASE - timedelta(seconds=1)
    assert await outbox.publish_batch() == 0
    harness.now += timedelta(seconds=1)
    harness.behaviours.clear()
    assert await outbox.publish_batch() == 1
    assert (await harness.row("b-1")).is_published


async def test_publish_batch_unreadable_options_do_not_block_others(harness: OutboxHarness) -> None:
    await harness.create_banners(1, 2)
    async with harness.database.transaction() as connection:
        await connection.execute(
            """update banners set look = '{"layout": "of tomorrow"}' where name = 'b-1'"""
        )
    outbox = harness.outbox()
    with capture_logs() as logs:
        assert await outbox.publish_batch() == 1
        harness.now += LEASE
        assert await outbox.publish_batch() == 0
    assert [name for name, _ in harness.published] == ["b-2"]
    [line] = [entry for entry in logs if entry["event"] == "outbox.unreadable"]
    assert "banner b-1: Invalid enum value 'of tomorrow'" in line["reason"]
    async with harness.database.transaction() as connection:
        query = "select published_version, publish_leased_until from banners where name = 'b-1'"
        assert await (await connection.execute(query)).fetchone() == (0, NOON + 2 * LEASE)


async def test_publish_batch_unexpected_error_is_logged_once_and_retried_later(
    harness: OutboxHarness,
) -> None:
    await harness.create_banners(1, 2, 3)
    harness.behaviours["b-1"] = failing(TypeError("a bug"))
    outbox = harness.outbox()
    with capture_logs() as logs:
        assert await outbox.publish_batch() == 3
        harness.now += LEASE
        assert await outbox.publish_batch() == 1
    refusals = [entry for entry in logs if entry["event"] == "outbox.refused"]
    assert [(entry["banner"], entry["reason"]) for entry in refusals] == [
        ("b-1", "TypeError: a bug")
    ]
    assert [name for name, _ in harness.published] == ["b-2", "b-3"]
    rows = [await harness.row(name) for name in ("b-1", "b-2", "b-3")]
    assert [row.is_published for row in rows] == [False, True, True]
    assert rows[0].leased_until == NOON + LEASE + 2 * LEASE


async def test_publish_batch_concurrent_outboxes_publish_each_version_once(
    harness: OutboxHarness, conninfo: str
) -> None:
    names = await harness.create_banners(*range(1, 251))
    async with Database(conninfo) as other:
        outboxes = [
            harness.outbox(),
            harness.outbox(other),
            harness.outbox(),
            harness.outbox(other),
        ]
        counts = [0]
        for _ in range(4):
            counts += await asyncio.gather(*(outbox.publish_batch() for outbox in outboxes))
    assert sum(counts) == 250
    assert sum(count > 0 for count in counts) >= 3, "the work was shared"
    assert sorted(name for name, _ in harness.published) == sorted(names)
    assert harness.counted == {"published": 250}


async def test_publish_batch_after_crash_republishes_leased_banners(
    harness: OutboxHarness, conninfo: str
) -> None:
    await harness.create_banners(1, 2)
    async with Database(conninfo) as other:
        harness.behaviours = {"b-1": hang, "b-2": hang}
        crashing = asyncio.create_task(harness.outbox(other).publish_batch())
        await harness.until_started("b-1", "b-2")
        # No result is recorded: only the lease remains.
        await close_pool(other)
        crashing.cancel()
        await asyncio.wait({crashing})
    harness.behaviours.clear()
    assert await harness.outbox().publish_batch() == 0
    harness.now += LEASE
    assert await harness.outbox().publish_batch() == 2
    assert sorted(name for name, _ in harness.published) == ["b-1", "b-2"]


async def test_publish_batch_cancelled_records_published_and_releases_rest(
    harness: OutboxHarness,
) -> None:
    names = await harness.create_banners(*range(1, 11))
    harness.behaviours = dict.fromkeys(names[5:], hang)
    publishing = asyncio.create_task(harness.outbox().publish_batch())
    await harness.until_started(*names)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    rows = [await harness.row(name) for name in names]
    assert [row.is_published for row in rows] == [True] * 5 + [False] * 5
    assert {row.leased_until for row in rows[5:]} == {NOON + RETRY_DELAY}
    harness.behaviours.clear()
    harness.now += RETRY_DELAY
    assert await harness.outbox().publish_batch() == 5
    assert sorted(name for name, _ in harness.published) == sorted(names)
    hanging = {task for task in asyncio.all_tasks() if task.get_name() == "publish"}
    assert not hanging


async def test_publish_batch_cancelled_after_acknowledgement_publishes_twice_at_most(
    harness: OutboxHarness,
) -> None:
    await harness.create_banners(1)

    async def acknowledge_late(banner: Banner, snapshot: Snapshot) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            harness.published.append((banner.name, banner.version))
            raise

    harness.behaviours["b-1"] = acknowledge_late
    publishing = asyncio.create_task(harness.outbox().publish_batch())
    await harness.until_started("b-1")
    publishing.cancel()
    await asyncio.wait({publishing})
    harness.behaviours.clear()
    harness.now += RETRY_DELAY
    assert await harness.outbox().publish_batch() == 1
    assert harness.published == [harness.published[0]] * 2
    assert (await harness.row("b-1")).is_published


async def test_publish_batch_cancelled_while_database_down_raises_cancelled(
    harness: OutboxHarness,
) -> None:
    await harness.create_banners(1)
    harness.behaviours["b-1"] = hang
    publishing = asyncio.create_task(harness.outbox().publish_batch())
    await harness.until_started("b-1")
    await close_pool(harness.database)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing


async def test_record_results_locks_rows_in_id_order(harness: OutboxHarness, conninfo: str) -> None:
    await harness.create_banners(1, 2)
    lock = "select from banners where name = %s for update"
    async with await AsyncConnection.connect(conninfo) as refresh:
        # The refresh locks rows in the order of ids.
        async def fail_during_refresh(banner: Banner, snapshot: Snapshot) -> None:
            await refresh.execute(lock, ["b-1"])
            raise StorageUnavailable

        harness.behaviours["b-1"] = fail_during_refresh
        publishing = asyncio.create_task(harness.outbox().publish_batch())
        await wait_for_row_lock(conninfo)
        await refresh.execute(lock, ["b-2"])
        await refresh.commit()
        with pytest.raises(StorageUnavailable):
            await publishing
    assert (await harness.row("b-2")).is_published


async def wait_for_row_lock(conninfo: str) -> None:
    query = """
        select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()
    """
    async with await AsyncConnection.connect(conninfo, autocommit=True) as watching:
        while (await (await watching.execute(query)).fetchone()) == (0,):
            pass


async def test_publish_batch_records_the_published_version(harness: OutboxHarness) -> None:
    await harness.create_banners(1)
    seen: list[tuple[int, int]] = []

    async def lease_during_refresh(banner: Banner, snapshot: Snapshot) -> None:
        seen.append((banner.version, snapshot.stats.total_stars))
        if len(seen) == 1:
            harness.now += HOUR
            await harness.refresh(1, stars=99)

    harness.behaviours["b-1"] = lease_during_refresh
    outbox = harness.outbox()
    assert await outbox.publish_batch() == 1
    row = await harness.row("b-1")
    assert row.version > row.published_version == seen[0][0]
    assert await outbox.publish_batch() == 1
    assert seen == [(seen[0][0], 5), (row.version, 99)]
    assert (await harness.row("b-1")).published_version == row.version
    assert await outbox.publish_batch() == 0


async def test_publish_batch_keeps_newer_published_version(harness: OutboxHarness) -> None:
    await harness.create_banners(1)

    async def be_overtaken(banner: Banner, snapshot: Snapshot) -> None:
        harness.now += HOUR
        await harness.refresh(1, stars=99)
        newest = (await harness.row("b-1")).version
        async with harness.database.transaction() as connection:
            await mark_published(connection, {banner.id: newest})

    harness.behaviours["b-1"] = be_overtaken
    await harness.outbox().publish_batch()
    assert (await harness.row("b-1")).is_published
    assert await harness.outbox().publish_batch() == 0


async def test_publish_batch_each_version_has_its_own_trace(harness: OutboxHarness) -> None:
    names, traces = await harness.create_banners(1, 2, 3), []

    async def record_trace(banner: Banner, snapshot: Snapshot) -> None:
        traces.append(structlog.contextvars.get_contextvars()["trace_id"])

    harness.behaviours = dict.fromkeys(names, record_trace)
    await harness.outbox().publish_batch()
    assert len(set(traces)) == 3
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_run_full_batches_have_no_pause(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.api.outbox._IDLE_SECONDS", 3600)
    names = await harness.create_banners(*range(1, 202))
    running = asyncio.create_task(harness.outbox().run())
    await harness.until_started(*names)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_wake_publishes_at_once(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("github_banners.api.outbox._IDLE_SECONDS", 3600)
    await harness.create_banners(1)
    outbox = harness.outbox()
    running = asyncio.create_task(outbox.run())
    await harness.until_started("b-1")
    # A call is not lost, whether the outbox is working or idle.
    outbox.wake()
    await harness.create_banners(2)
    outbox.wake()
    await harness.until_started("b-2")
    running.cancel()
    await asyncio.wait({running})


async def test_run_broker_down_waits_and_logs_once(
    harness: OutboxHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("_IDLE_SECONDS", "_UNAVAILABLE_RETRY_SECONDS"):
        monkeypatch.setattr(f"github_banners.api.outbox.{pause}", 0)
    await harness.create_banners(1)
    is_up, ticks = asyncio.Event(), itertools.count()

    async def be_down_twice(banner: Banner, snapshot: Snapshot) -> None:
        if len(harness.started) < 3:
            raise BrokerUnavailable
        is_up.set()

    harness.behaviours["b-1"] = be_down_twice
    outbox = Outbox(
        database=harness.database,
        publish=harness.publish,
        clock=lambda: NOON + RETRY_DELAY * next(ticks),
        count=harness.count,
    )
    with capture_logs() as logs:
        running = asyncio.create_task(outbox.run())
        await is_up.wait()
        running.cancel()
        await asyncio.wait({running})
    assert harness.counted == {"waiting": 2, "published": 1}
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {"outbox.waiting"}


# After a POST


@dataclass
class CreationHarness:
    """The services behind `POST /banners`, with a store on disk."""

    database: Database
    store: FolderStore
    now: datetime = NOON
    max_banners: int = 1000
    store_drawing: StoreDrawing | None = None
    draw: Draw = draw_locally
    stored_requests: list[StoreRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.github = FakeGitHub(clock=lambda: self.now)
        self.github.gate.set()
        self.github.add("Ada", 7)
        clock = lambda: self.now  # noqa: E731
        self.lookup = Lookup(
            database=self.database,
            github=self.github,
            batch_fetcher=self.github,
            ttls=Ttls(),
            clock=clock,
            collect_seconds=0,
        )
        self.open_banners()
        self.outbox = Outbox(database=self.database, publish=self._publish, clock=clock)

    def open_banners(self) -> None:
        self.banners = DataServices(
            self.database,
            self.github,
            Backends(
                draw=self._draw,
                store=self._store,
                read_stored=self._read_stored,
                publish=self._publish,
                remove=remove_nothing,
            ),
            clock=lambda: self.now,
            max_banners=self.max_banners,
            lookup=self.lookup,
        ).banners

    async def _draw(self, snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
        return await self.draw(snapshot, options, deadline)

    async def _store(self, request: StoreRequest) -> object:
        self.stored_requests.append(request)
        return await (self.store_drawing or self.store.put)(request)

    async def _read_stored(self, name: str) -> bytes | None:
        picture = await self.store.get(name)
        return picture.body if picture is not None else None

    async def _publish(self, banner: Banner, snapshot: Snapshot) -> None:
        await self.store.put(
            store_request(
                banner.storage_path, draw(snapshot, banner.options), version=banner.version
            )
        )

    async def create(
        self,
        options: BannerOptions | None = None,
        *,
        login: str = "ada",
        deadline: Deadline | None = None,
    ) -> CreateResult:
        return await self.banners.create(
            login,
            options or BannerOptions(),
            deadline=deadline or Deadline(10, 10),
            charge=lambda **_: None,
        )

    async def row(self, name: str = "ada-default") -> Row:
        async with self.database.transaction() as connection:
            return await select_row(connection, name)

    async def stored(self, name: str = "ada-default") -> StoredPicture | None:
        return await self.store.get(name)


@pytest.fixture
async def creation_harness(database: Database, tmp_path: Path) -> AsyncIterator[CreationHarness]:
    store = FolderStore(tmp_path / "banners")
    created = CreationHarness(database, store)
    yield created
    await created.lookup.close()
    store.close()


@pytest.mark.parametrize(
    "error",
    [StorageUnavailable(), ZeroDivisionError(), asyncio.CancelledError()],
    ids=["down", "bug", "cancelled"],
)
async def test_read_stored_drawing_failure_is_none(
    creation_harness: CreationHarness, error: BaseException
) -> None:
    await creation_harness.create()
    deadline = Deadline(10, 10)
    assert await creation_harness.banners.read_stored_drawing("ada-default", deadline=deadline)

    async def fail(_: str) -> None:
        raise error

    creation_harness.store.get = fail  # type: ignore[method-assign, assignment]
    drawing = await creation_harness.banners.read_stored_drawing("ada-default", deadline=deadline)
    assert drawing is None


async def test_create_new_banner_is_drawn_stored_and_published(
    creation_harness: CreationHarness,
) -> None:
    options = BannerOptions(theme=Theme.DARK, radius=3)
    created = await creation_harness.create(options)
    assert created.is_new
    row, stored = (
        await creation_harness.row(created.name),
        await creation_harness.stored(created.name),
    )
    assert row.is_published
    assert stored is not None
    snapshot = creation_harness.lookup.get_cached(7)
    assert snapshot is not None
    assert (stored.body, stored.version) == (draw(snapshot, options), row.version)
    assert await creation_harness.outbox.publish_batch() == 0


async def test_create_stores_the_renderers_drawing(creation_harness: CreationHarness) -> None:
    remote_drawing = b'<svg xmlns="http://www.w3.org/2000/svg">remote_drawing</svg>'

    async def draw_remotely(
        snapshot: Snapshot, options: BannerOptions, deadline: Deadline
    ) -> bytes:
        return remote_drawing

    creation_harness.draw = draw_remotely
    await creation_harness.create()
    stored = await creation_harness.stored()
    assert stored is not None
    assert stored.body == remote_drawing


async def test_create_same_options_stores_once(creation_harness: CreationHarness) -> None:
    created = await asyncio.gather(*(creation_harness.create() for _ in range(8)))
    assert {result.name for result in created} == {"ada-default"}
    assert sum(result.is_new for result in created) == 1
    assert not (await creation_harness.create()).is_new
    assert len(creation_harness.stored_requests) == 1


@pytest.mark.parametrize("login", ["-Ada", "ada-", "a--da", "_ada_", "-"])
async def test_create_unusual_login_is_stored_and_found(
    creation_harness: CreationHarness, login: str
) -> None:
    creation_harness.github.add(login, 8)
    created = await creation_harness.create(login=login)
    assert created == CreateResult(f"{login}-default".lower(), is_new=True)
    assert await creation_harness.stored(created.name) is not None
    banner = await creation_harness.banners.get_by_name(
        created.name.upper(), deadline=Deadline(10, 10), charge=lambda **_: None
    )
    assert banner.result.snapshot.owner.login == login


async def test_create_beyond_limit_raises_and_preview_works(
    creation_harness: CreationHarness,
) -> None:
    creation_harness.max_banners = 1
    creation_harness.open_banners()
    first = await creation_harness.create()
    with pytest.raises(TooManyBanners):
        await creation_harness.create(BannerOptions(radius=1))
    assert await creation_harness.create() == CreateResult(first.name, is_new=False)
    preview = await creation_harness.banners.finder.find_preview(
        "ada", BannerOptions(radius=1), deadline=Deadline(10, 10), charge=lambda **_: None
    )
    assert preview.result.snapshot.owner.login == "Ada"


async def be_down(request: StoreRequest) -> object:
    raise StorageUnavailable


async def refuse(request: StoreRequest) -> object:
    raise RemoteRejected


@pytest.mark.parametrize("store_drawing", [be_down, refuse], ids=["away", "refusing"])
async def test_create_storage_down_leaves_banner_to_outbox(
    creation_harness: CreationHarness, store_drawing: StoreDrawing
) -> None:
    creation_harness.store_drawing = store_drawing
    assert await creation_harness.create() == CreateResult("ada-default", is_new=True)
    row = await creation_harness.row()
    assert (row.published_version, row.leased_until) == (0, None)
    assert await creation_harness.stored() is None
    assert await creation_harness.outbox.publish_batch() == 1
    stored = await creation_harness.stored()
    assert stored is not None
    assert (stored.body, stored.version) == (
        creation_harness.stored_requests[0].banner_info,
        row.version,
    )
    assert (await creation_harness.row()).is_published


async def test_create_silent_storage_respects_deadline(creation_harness: CreationHarness) -> None:
    seconds = [0.0]

    async def draw_slowly(snapshot: Snapshot, options: BannerOptions, deadline: Deadline) -> bytes:
        # 0.01 s of the deadline is left besides the time reserved for drawing.
        seconds.append(10 - 0.2 - 0.01)
        return await draw_locally(snapshot, options, deadline)

    async def hang_in_store(request: StoreRequest) -> object:
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    creation_harness.draw, creation_harness.store_drawing = draw_slowly, hang_in_store
    created = await creation_harness.create(
        deadline=Deadline(10, 10, monotonic=lambda: seconds[-1])
    )
    assert created.is_new
    assert not (await creation_harness.row()).is_published
    assert creation_harness.database.is_available
    assert await creation_harness.outbox.publish_batch() == 1


async def test_create_database_lost_after_insert_leaves_banner_to_outbox(
    creation_harness: CreationHarness, conninfo: str
) -> None:
    async def store_and_lose_the_database(request: StoreRequest) -> object:
        stored = await creation_harness.store.put(request)
        await close_pool(creation_harness.database)
        return stored

    creation_harness.store_drawing = store_and_lose_the_database
    assert (await creation_harness.create()).is_new
    async with await AsyncConnection.connect(conninfo) as connection:
        assert not (await select_row(connection, "ada-default")).is_published
    assert await creation_harness.stored() is not None


async def test_create_cancelled_leaves_banner_to_outbox(creation_harness: CreationHarness) -> None:
    was_called = asyncio.Event()

    async def hang_in_store(request: StoreRequest) -> object:
        was_called.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    creation_harness.store_drawing = hang_in_store
    creating = asyncio.create_task(creation_harness.create())
    await was_called.wait()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert not (await creation_harness.row()).is_published
    assert await creation_harness.outbox.publish_batch() == 1
    assert await creation_harness.create() == CreateResult("ada-default", is_new=False)


async def test_create_draws_the_numbers_of_its_version(creation_harness: CreationHarness) -> None:
    await creation_harness.create()
    # Another process saves newer numbers, and this one is not notified.
    creation_harness.now += timedelta(minutes=1)
    owner_repositories, stats = fetched_owner(
        7, "Ada", fetched_at=creation_harness.now, stars=4321, node_id="node-7", name="Ada"
    )
    async with creation_harness.database.transaction() as connection:
        (newest,) = await upsert_owners(connection, [(owner_repositories, stats)])
    created = await creation_harness.create(BannerOptions(theme=Theme.DARK))
    stored = await creation_harness.stored(created.name)
    assert stored is not None
    assert stored.body == draw(newest, BannerOptions(theme=Theme.DARK))
    assert stored.version == (await creation_harness.row(created.name)).version >= newest.version


async def test_create_late_store_keeps_newer_drawing(creation_harness: CreationHarness) -> None:
    async def be_overtaken(request: StoreRequest) -> object:
        assert request.version is not None
        newer = b'<svg xmlns="http://www.w3.org/2000/svg">newer</svg>'
        await creation_harness.store.put(
            store_request(request.url_path, newer, version=request.version + 1)
        )
        return await creation_harness.store.put(request)

    creation_harness.store_drawing = be_overtaken
    assert (await creation_harness.create()).is_new
    stored = await creation_harness.stored()
    assert stored is not None
    assert b"newer" in stored.body
    assert (await creation_harness.row()).is_published


async def test_create_database_down_creates_nothing(creation_harness: CreationHarness) -> None:
    await close_pool(creation_harness.database)
    with pytest.raises(DatabaseUnavailable):
        await creation_harness.create(deadline=Deadline(0.5, 0.2))
    assert creation_harness.stored_requests == []
