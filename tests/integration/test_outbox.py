"""Every new version is handed on, whatever fails beside it, on a real PostgreSQL."""

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

from github_banners.api import outbox
from github_banners.api.backends import Backends, Draw, StoreDrawing, draw_locally
from github_banners.api.banner_service import BannerService, CreateResult
from github_banners.api.outbox import PUBLISH_OUTCOMES, Outbox
from github_banners.api.picture_cache import PictureCache
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
from github_banners.stats.deadline import Deadline
from github_banners.stats.lookup import Lookup
from github_banners.stats.snapshots import Ttls
from github_banners.storage.store import Store, StoredPicture
from tests.integration.database.samples import HOUR, NOON, answer
from tests.integration.fake_github import FakeGitHub
from tests.unit.storage.requests import store_request

pytestmark = pytest.mark.postgres

LEASE, SETBACK = timedelta(seconds=15), timedelta(seconds=4)

Act: TypeAlias = Callable[[Banner, Snapshot], Awaitable[None]]


async def take(banner: Banner, snapshot: Snapshot) -> None:
    """Acknowledge."""


async def hang(banner: Banner, snapshot: Snapshot) -> None:
    await asyncio.Event().wait()


def failing(error: Exception) -> Act:
    async def fail(banner: Banner, snapshot: Snapshot) -> None:
        raise error

    return fail


@dataclass
class Row:
    """What the database says of a banner."""

    version: int
    published_version: int
    leased_until: datetime | None

    @property
    def is_published(self) -> bool:
        return self.published_version == self.version


@dataclass
class Scene:
    """Banners, what a broker does with each, what it was handed, and a clock set by hand."""

    database: Database
    now: datetime = NOON
    acts: dict[str, Act] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    handed: list[tuple[str, int]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    def outbox(self, database: Database | None = None) -> Outbox:
        return Outbox(
            database=database or self.database,
            publish=self.publish,
            clock=lambda: self.now,
            count=self.count,
        )

    def count(self, outcome: str) -> None:
        assert outcome in PUBLISH_OUTCOMES
        self.counted[outcome] += 1

    async def publish(self, banner: Banner, snapshot: Snapshot) -> None:
        assert snapshot.owner.id == banner.owner_id
        self.begun.append(banner.name)
        self.has_begun.set()
        await self.acts.get(banner.name, take)(banner, snapshot)
        self.handed.append((banner.name, banner.version))

    async def keep(self, *owner_ids: int) -> list[str]:
        """Keep owners with one banner each, whose names are given."""
        async with self.database.transaction() as connection:
            await upsert_owners(connection, [answer(one, at=self.now) for one in owner_ids])
            made = [
                await insert_banner(
                    connection,
                    owner_id=one,
                    options=BannerOptions(),
                    names=[f"b-{one}"],
                    now=self.now,
                )
                for one in owner_ids
            ]
        return [banner.name for banner, _ in made]

    async def refresh(self, owner_id: int, *, stars: int) -> None:
        """Save newer numbers, which are a new version."""
        async with self.database.transaction() as connection:
            await upsert_owners(connection, [answer(owner_id, stars=stars, at=self.now)])

    async def row(self, name: str) -> Row:
        async with self.database.transaction() as connection:
            return await row_of(connection, name)

    async def until_begun(self, *names: str) -> None:
        while not set(names) <= set(self.begun):
            self.has_begun.clear()
            await self.has_begun.wait()


async def row_of(connection: AsyncConnection[Any], name: str) -> Row:
    query = "select version, published_version, publish_leased_until from banners where name = %s"
    found = await (await connection.execute(query, [name])).fetchone()
    assert found is not None
    return Row(*found)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_a_slow_banner_holds_up_no_other_of_its_batch(scene: Scene) -> None:
    names = await scene.keep(*range(1, 31))
    may_end = asyncio.Event()

    async def slowly(banner: Banner, snapshot: Snapshot) -> None:
        await may_end.wait()

    scene.acts["b-1"] = slowly
    publishing = asyncio.create_task(scene.outbox().publish_batch())
    await scene.until_begun(*names)
    assert scene.begun == names, "begun in the order of ids"
    assert [name for name, _ in scene.handed] == names[1:]
    may_end.set()
    assert await publishing == 30
    assert all([(await scene.row(name)).is_published for name in names])


@pytest.mark.parametrize("error", [BrokerUnavailable(), StorageUnavailable()])
async def test_what_is_acknowledged_is_noted_though_another_has_to_wait(
    scene: Scene, error: Unavailable
) -> None:
    await scene.keep(1, 2, 3)
    scene.acts["b-2"] = failing(error)
    with pytest.raises(type(error)):
        await scene.outbox().publish_batch()
    rows = {name: await scene.row(name) for name in ("b-1", "b-2", "b-3")}
    assert [row.is_published for row in rows.values()] == [True, False, True]
    assert [row.leased_until for row in rows.values()] == [None, NOON + SETBACK, None]
    assert scene.counted == {"handed on": 2, "waiting": 1}


async def test_who_has_to_wait_is_tried_again_and_nobody_else_is(scene: Scene) -> None:
    await scene.keep(1, 2, 3)
    scene.acts["b-2"] = failing(BrokerUnavailable())
    box = scene.outbox()
    with pytest.raises(BrokerUnavailable):
        await box.publish_batch()
    assert await box.publish_batch() == 0
    scene.now += SETBACK
    with pytest.raises(BrokerUnavailable):
        await box.publish_batch()
    scene.acts.clear()
    scene.now += SETBACK
    assert await box.publish_batch() == 1
    assert Counter(scene.begun) == {"b-1": 1, "b-2": 3, "b-3": 1}
    assert (await scene.row("b-2")).is_published


@pytest.mark.parametrize(
    "error",
    [RemoteRejected(), InvalidOption("banner_info"), ValueError("no message can hold it")],
    ids=["rejected", "no picture", "no message"],
)
async def test_what_nobody_takes_keeps_its_lease_and_is_tried_when_it_ends(
    scene: Scene, error: Exception
) -> None:
    await scene.keep(1, 2)
    scene.acts["b-1"] = failing(error)
    box = scene.outbox()
    assert await box.publish_batch() == 2
    refused = await scene.row("b-1")
    assert (refused.is_published, refused.leased_until) == (False, NOON + LEASE)
    assert scene.counted == {"handed on": 1, "refused": 1}
    scene.now += LEASE - timedelta(seconds=1)
    assert await box.publish_batch() == 0
    scene.now += timedelta(seconds=1)
    scene.acts.clear()
    assert await box.publish_batch() == 1
    assert (await scene.row("b-1")).is_published


async def test_a_look_of_a_newer_version_holds_up_nobody(scene: Scene) -> None:
    await scene.keep(1, 2)
    async with scene.database.transaction() as connection:
        await connection.execute(
            """update banners set look = '{"layout": "of tomorrow"}' where name = 'b-1'"""
        )
    assert await scene.outbox().publish_batch() == 1
    assert [name for name, _ in scene.handed] == ["b-2"]
    async with scene.database.transaction() as connection:
        query = "select published_version, publish_leased_until from banners where name = 'b-1'"
        assert await (await connection.execute(query)).fetchone() == (0, NOON + LEASE)


async def test_publish_batch_unexpected_error_is_logged_once_and_retried_later(
    scene: Scene,
) -> None:
    await scene.keep(1, 2, 3)
    scene.acts["b-1"] = failing(TypeError("a bug"))
    box = scene.outbox()
    with capture_logs() as logs:
        assert await box.publish_batch() == 3
        scene.now += LEASE
        assert await box.publish_batch() == 1
    refusals = [entry for entry in logs if entry["event"] == "outbox.refused"]
    assert [(entry["banner"], entry["reason"]) for entry in refusals] == [
        ("b-1", "TypeError: a bug")
    ]
    assert [name for name, _ in scene.handed] == ["b-2", "b-3"]
    rows = [await scene.row(name) for name in ("b-1", "b-2", "b-3")]
    assert [row.is_published for row in rows] == [False, True, True]
    assert rows[0].leased_until == NOON + LEASE + 2 * LEASE


async def test_two_outboxes_hand_each_version_on_exactly_once(scene: Scene, conninfo: str) -> None:
    names = await scene.keep(*range(1, 251))
    async with Database(conninfo) as other:
        boxes = [scene.outbox(), scene.outbox(other), scene.outbox(), scene.outbox(other)]
        taken = [0]
        for _ in range(4):
            taken += await asyncio.gather(*(box.publish_batch() for box in boxes))
    assert sum(taken) == 250
    assert sum(one > 0 for one in taken) >= 3, "the work was shared"
    assert sorted(name for name, _ in scene.handed) == sorted(names)
    assert scene.counted == {"handed on": 250}


async def test_an_outbox_that_died_loses_nothing(scene: Scene, conninfo: str) -> None:
    await scene.keep(1, 2)
    async with Database(conninfo) as other:
        scene.acts = {"b-1": hang, "b-2": hang}
        dying = asyncio.create_task(scene.outbox(other).publish_batch())
        await scene.until_begun("b-1", "b-2")
        # Nobody settles anything: all that is left is a lease.
        await other._pool.close()
        dying.cancel()
        await asyncio.wait({dying})
    scene.acts.clear()
    assert await scene.outbox().publish_batch() == 0
    scene.now += LEASE
    assert await scene.outbox().publish_batch() == 2
    assert sorted(name for name, _ in scene.handed) == ["b-1", "b-2"]


async def test_who_is_stopped_midway_notes_what_was_taken_and_gives_back_the_rest(
    scene: Scene,
) -> None:
    names = await scene.keep(*range(1, 11))
    scene.acts = dict.fromkeys(names[5:], hang)
    publishing = asyncio.create_task(scene.outbox().publish_batch())
    await scene.until_begun(*names)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    rows = [await scene.row(name) for name in names]
    assert [row.is_published for row in rows] == [True] * 5 + [False] * 5
    assert {row.leased_until for row in rows[5:]} == {NOON + SETBACK}
    scene.acts.clear()
    scene.now += SETBACK
    assert await scene.outbox().publish_batch() == 5
    assert sorted(name for name, _ in scene.handed) == sorted(names)
    hanging = {task for task in asyncio.all_tasks() if task.get_name() == "hand on"}
    assert not hanging


async def test_who_is_stopped_after_the_acknowledgement_hands_on_twice_at_most(
    scene: Scene,
) -> None:
    await scene.keep(1)

    async def take_at_last(banner: Banner, snapshot: Snapshot) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            scene.handed.append((banner.name, banner.version))
            raise

    scene.acts["b-1"] = take_at_last
    publishing = asyncio.create_task(scene.outbox().publish_batch())
    await scene.until_begun("b-1")
    publishing.cancel()
    await asyncio.wait({publishing})
    scene.acts.clear()
    scene.now += SETBACK
    assert await scene.outbox().publish_batch() == 1
    assert scene.handed == [scene.handed[0]] * 2
    assert (await scene.row("b-1")).is_published


async def test_who_is_stopped_while_the_database_is_away_stops(scene: Scene) -> None:
    await scene.keep(1)
    scene.acts["b-1"] = hang
    publishing = asyncio.create_task(scene.outbox().publish_batch())
    await scene.until_begun("b-1")
    await scene.database._pool.close()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing


async def test_settling_holds_no_row_while_it_waits_for_an_earlier_one(
    scene: Scene, conninfo: str
) -> None:
    await scene.keep(1, 2)
    lock = "select from banners where name = %s for update"
    async with await AsyncConnection.connect(conninfo) as refresh:
        # A refresh raises versions in the order of ids.
        async def fail_while_it_is_refreshed(banner: Banner, snapshot: Snapshot) -> None:
            await refresh.execute(lock, ["b-1"])
            raise StorageUnavailable

        scene.acts["b-1"] = fail_while_it_is_refreshed
        publishing = asyncio.create_task(scene.outbox().publish_batch())
        await until_somebody_waits_for_a_row(conninfo)
        await refresh.execute(lock, ["b-2"])
        await refresh.commit()
        with pytest.raises(StorageUnavailable):
            await publishing
    assert (await scene.row("b-2")).is_published


async def until_somebody_waits_for_a_row(conninfo: str) -> None:
    query = """
        select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()
    """
    async with await AsyncConnection.connect(conninfo, autocommit=True) as watching:
        while (await (await watching.execute(query)).fetchone()) == (0,):
            pass


async def test_the_version_that_was_sent_is_the_one_that_is_noted(scene: Scene) -> None:
    await scene.keep(1)
    seen: list[tuple[int, int]] = []

    async def take_while_it_is_refreshed(banner: Banner, snapshot: Snapshot) -> None:
        seen.append((banner.version, snapshot.stats.total_stars))
        if len(seen) == 1:
            scene.now += HOUR
            await scene.refresh(1, stars=99)

    scene.acts["b-1"] = take_while_it_is_refreshed
    box = scene.outbox()
    assert await box.publish_batch() == 1
    row = await scene.row("b-1")
    assert row.version > row.published_version == seen[0][0]
    assert await box.publish_batch() == 1
    assert seen == [(seen[0][0], 5), (row.version, 99)]
    assert (await scene.row("b-1")).published_version == row.version
    assert await box.publish_batch() == 0


async def test_what_somebody_else_noted_meanwhile_stays(scene: Scene) -> None:
    await scene.keep(1)

    async def be_overtaken(banner: Banner, snapshot: Snapshot) -> None:
        scene.now += HOUR
        await scene.refresh(1, stars=99)
        newest = (await scene.row("b-1")).version
        async with scene.database.transaction() as connection:
            await mark_published(connection, {banner.id: newest})

    scene.acts["b-1"] = be_overtaken
    await scene.outbox().publish_batch()
    assert (await scene.row("b-1")).is_published
    assert await scene.outbox().publish_batch() == 0


async def test_each_version_is_handed_on_under_an_id_of_its_own(scene: Scene) -> None:
    names, traces = await scene.keep(1, 2, 3), []

    async def note(banner: Banner, snapshot: Snapshot) -> None:
        traces.append(structlog.contextvars.get_contextvars()["trace_id"])

    scene.acts = dict.fromkeys(names, note)
    await scene.outbox().publish_batch()
    assert len(set(traces)) == 3
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_it_makes_no_pause_between_full_batches(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_IDLE_SECONDS", 3600)
    names = await scene.keep(*range(1, 202))
    running = asyncio.create_task(scene.outbox().run())
    await scene.until_begun(*names)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_who_is_woken_looks_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_IDLE_SECONDS", 3600)
    await scene.keep(1)
    box = scene.outbox()
    running = asyncio.create_task(box.run())
    await scene.until_begun("b-1")
    # While it works or while it rests: neither call is lost.
    box.wake()
    await scene.keep(2)
    box.wake()
    await scene.until_begun("b-2")
    running.cancel()
    await asyncio.wait({running})


async def test_it_waits_a_broker_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_IDLE_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(outbox, pause, 0)
    await scene.keep(1)
    is_back, ticks = asyncio.Event(), itertools.count()

    async def be_away_twice(banner: Banner, snapshot: Snapshot) -> None:
        if len(scene.begun) < 3:
            raise BrokerUnavailable
        is_back.set()

    scene.acts["b-1"] = be_away_twice
    box = Outbox(
        database=scene.database,
        publish=scene.publish,
        clock=lambda: NOON + SETBACK * next(ticks),
        count=scene.count,
    )
    with capture_logs() as logs:
        running = asyncio.create_task(box.run())
        await is_back.wait()
        running.cancel()
        await asyncio.wait({running})
    assert scene.counted == {"waiting": 2, "handed on": 1}
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {"outbox.waiting"}


# After a POST


@dataclass
class Maker:
    """The api's rooms behind a POST, with a store on a real disk."""

    database: Database
    store: Store
    now: datetime = NOON
    max_banners: int = 1000
    keep: StoreDrawing | None = None
    draw: Draw = draw_locally
    asked: list[StoreRequest] = field(default_factory=list)

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
        self.banners = BannerService(
            lookup=self.lookup,
            database=self.database,
            picture_cache=PictureCache(clock=lambda: self.now, memory_bytes=1 << 20),
            backends=Backends(
                draw=self._draw, store=self._keep, read_stored=self._stored, publish=self._publish
            ),
            refresh_interval=HOUR,
            max_banners_per_user=self.max_banners,
            clock=lambda: self.now,
        )

    async def _draw(self, snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
        return await self.draw(snapshot, look, deadline)

    async def _keep(self, ask: StoreRequest) -> object:
        self.asked.append(ask)
        return await (self.keep or self.store.put)(ask)

    async def _stored(self, name: str) -> bytes | None:
        found = await self.store.get(name)
        return found.body if found is not None else None

    async def _publish(self, banner: Banner, snapshot: Snapshot) -> None:
        await self.store.put(
            store_request(banner.storage_path, draw(snapshot, banner.look), version=banner.version)
        )

    async def make(
        self,
        look: BannerOptions | None = None,
        *,
        login: str = "ada",
        deadline: Deadline | None = None,
    ) -> CreateResult:
        return await self.banners.create(
            login,
            look or BannerOptions(),
            deadline=deadline or Deadline(10, 10),
            charge=lambda **_: None,
        )

    async def row(self, name: str = "ada-default") -> Row:
        async with self.database.transaction() as connection:
            return await row_of(connection, name)

    async def stored(self, name: str = "ada-default") -> StoredPicture | None:
        return await self.store.get(name)


@pytest.fixture
async def maker(database: Database, tmp_path: Path) -> AsyncIterator[Maker]:
    store = Store(tmp_path / "banners")
    made = Maker(database, store)
    yield made
    await made.lookup.close()
    store.close()


async def test_a_new_banner_is_drawn_stored_and_published_at_once(maker: Maker) -> None:
    look = BannerOptions(theme=Theme.DARK, radius=3)
    made = await maker.make(look)
    assert made.is_new
    row, stored = await maker.row(made.name), await maker.stored(made.name)
    assert row.is_published
    assert stored is not None
    snapshot = maker.lookup.get_cached(7)
    assert snapshot is not None
    assert (stored.body, stored.version) == (draw(snapshot, look), row.version)
    assert await maker.outbox.publish_batch() == 0


async def test_what_the_renderer_draws_is_what_is_stored(maker: Maker) -> None:
    theirs = b'<svg xmlns="http://www.w3.org/2000/svg">theirs</svg>'

    async def draw_there(snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
        return theirs

    maker.draw = draw_there
    await maker.make()
    stored = await maker.stored()
    assert stored is not None
    assert stored.body == theirs


async def test_the_same_wish_is_stored_once(maker: Maker) -> None:
    made = await asyncio.gather(*(maker.make() for _ in range(8)))
    assert {one.name for one in made} == {"ada-default"}
    assert sum(one.is_new for one in made) == 1
    assert not (await maker.make()).is_new
    assert len(maker.asked) == 1


@pytest.mark.parametrize("login", ["-Ada", "ada-", "a--da", "_ada_", "-"])
async def test_banner_of_an_old_login_is_made_stored_and_found(maker: Maker, login: str) -> None:
    maker.github.add(login, 8)
    made = await maker.make(login=login)
    assert made == CreateResult(f"{login}-default".lower(), is_new=True)
    assert await maker.stored(made.name) is not None
    banner = await maker.banners.get_by_name(
        made.name.upper(), deadline=Deadline(10, 10), charge=lambda **_: None
    )
    assert banner.result.snapshot.owner.login == login


async def test_banners_beyond_the_limit_are_refused_and_previews_go_on(maker: Maker) -> None:
    maker.max_banners = 1
    maker.open_banners()
    first = await maker.make()
    with pytest.raises(TooManyBanners):
        await maker.make(BannerOptions(radius=1))
    assert await maker.make() == CreateResult(first.name, is_new=False)
    preview = await maker.banners.preview(
        "ada", BannerOptions(radius=1), deadline=Deadline(10, 10), charge=lambda **_: None
    )
    assert preview.result.snapshot.owner.login == "Ada"


async def be_away(ask: StoreRequest) -> object:
    raise StorageUnavailable


async def refuse(ask: StoreRequest) -> object:
    raise RemoteRejected


@pytest.mark.parametrize("keep", [be_away, refuse], ids=["away", "refusing"])
async def test_without_a_storage_the_banner_is_made_and_left_to_the_outbox(
    maker: Maker, keep: StoreDrawing
) -> None:
    maker.keep = keep
    assert await maker.make() == CreateResult("ada-default", is_new=True)
    row = await maker.row()
    assert (row.published_version, row.leased_until) == (0, None)
    assert await maker.stored() is None
    assert await maker.outbox.publish_batch() == 1
    stored = await maker.stored()
    assert stored is not None
    assert (stored.body, stored.version) == (maker.asked[0].banner_info, row.version)
    assert (await maker.row()).is_published


async def test_a_storage_that_says_nothing_is_not_waited_for(maker: Maker) -> None:
    seconds = [0.0]

    async def draw_slowly(snapshot: Snapshot, look: BannerOptions, deadline: Deadline) -> bytes:
        # Of the ten seconds a hundredth is left, beside those for drawing itself.
        seconds.append(10 - 0.2 - 0.01)
        return await draw_locally(snapshot, look, deadline)

    async def say_nothing(ask: StoreRequest) -> object:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for this")

    maker.draw, maker.keep = draw_slowly, say_nothing
    made = await maker.make(deadline=Deadline(10, 10, monotonic=lambda: seconds[-1]))
    assert made.is_new
    assert not (await maker.row()).is_published
    assert maker.database.is_available
    assert await maker.outbox.publish_batch() == 1


async def test_a_database_that_goes_after_the_insert_leaves_the_row_to_the_outbox(
    maker: Maker, conninfo: str
) -> None:
    async def keep_and_lose_the_database(ask: StoreRequest) -> object:
        kept = await maker.store.put(ask)
        await maker.database._pool.close()
        return kept

    maker.keep = keep_and_lose_the_database
    assert (await maker.make()).is_new
    async with await AsyncConnection.connect(conninfo) as connection:
        assert not (await row_of(connection, "ada-default")).is_published
    assert await maker.stored() is not None


async def test_who_leaves_meanwhile_leaves_the_row_to_the_outbox(maker: Maker) -> None:
    was_asked = asyncio.Event()

    async def say_nothing(ask: StoreRequest) -> object:
        was_asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for this")

    maker.keep = say_nothing
    leaving = asyncio.create_task(maker.make())
    await was_asked.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not (await maker.row()).is_published
    assert await maker.outbox.publish_batch() == 1
    assert await maker.make() == CreateResult("ada-default", is_new=False)


async def test_the_numbers_that_are_drawn_are_those_of_the_version(maker: Maker) -> None:
    await maker.make()
    # Another process has newer ones, of which this one has not heard.
    maker.now += timedelta(minutes=1)
    portfolio, stats = answer(7, "Ada", at=maker.now, stars=4321, node_id="node-7", name="Ada")
    async with maker.database.transaction() as connection:
        (newest,) = await upsert_owners(connection, [(portfolio, stats)])
    made = await maker.make(BannerOptions(theme=Theme.DARK))
    stored = await maker.stored(made.name)
    assert stored is not None
    assert stored.body == draw(newest, BannerOptions(theme=Theme.DARK))
    assert stored.version == (await maker.row(made.name)).version >= newest.version


async def test_what_is_stored_late_does_not_replace_what_is_newer(maker: Maker) -> None:
    async def be_overtaken(ask: StoreRequest) -> object:
        assert ask.version is not None
        newer = b'<svg xmlns="http://www.w3.org/2000/svg">newer</svg>'
        await maker.store.put(store_request(ask.url_path, newer, version=ask.version + 1))
        return await maker.store.put(ask)

    maker.keep = be_overtaken
    assert (await maker.make()).is_new
    stored = await maker.stored()
    assert stored is not None
    assert b"newer" in stored.body
    assert (await maker.row()).is_published


async def test_without_a_database_nothing_is_made_or_stored(maker: Maker) -> None:
    await maker.database._pool.close()
    with pytest.raises(DatabaseUnavailable):
        await maker.make(deadline=Deadline(0.5, 0.2))
    assert maker.asked == []
