"""Users are forgotten in the database, the storage and the caches, and nothing brings them back."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from github_banners.api import banner_service
from github_banners.api import forgetting as forgetting_module
from github_banners.api.admission import ClientCharge, RateLimiter
from github_banners.api.backends import Backends, to_render_job
from github_banners.api.forgetting import Forgetting, drop_owners
from github_banners.api.pictures import PictureCache, draw_locally
from github_banners.api.png_converter import PngConverter
from github_banners.api.public_routes import BannerRoutes
from github_banners.api.response_cache import ResponseCache
from github_banners.api.user_removal import delete_user, remove_pictures
from github_banners.database import forgotten_users, users
from github_banners.database.banners import Banner, insert_banner, select_banner_with_snapshot
from github_banners.database.change_listener import ChangeListener
from github_banners.database.connect import Connection, Database
from github_banners.database.forgotten_users import RemovedPicture, UserRows
from github_banners.database.migrations import migrate
from github_banners.drawing import draw
from github_banners.errors import OwnerNotStored, StorageUnavailable, UnknownBanner
from github_banners.messaging.mapping import RenderJob, to_event
from github_banners.messaging.schemas import RemoveResponse
from github_banners.models import Contributions, ContributionYear, Snapshot
from github_banners.options import BannerOptions, Layout, ShownNumber, Theme
from github_banners.renderer.updates import parse_update, render_and_store
from github_banners.stats.banner_data import read_completed
from github_banners.stats.fetch import Deadline, no_charge
from github_banners.stats.snapshots import Invalidations
from github_banners.storage.folder_store import FolderStore
from tests.integration.data_services import DataServices
from tests.integration.database.samples import DAY, HOUR, NOON
from tests.integration.fake_github import FakeGitHub
from tests.unit.api.test_png_converter import WorkerStub

pytestmark = pytest.mark.postgres

ADA, BOB = 7, 8
OWNER_COLUMNS = """
    select table_name, column_name from information_schema.columns
    where table_schema = 'public' and (column_name = 'owner_id' or table_name || column_name = 'usersid')
        and table_name not in ('forgotten_users')
"""


class ForgettingHarness:
    """The services of an api and a folder of pictures; Ada has banners of every kind, Bob has one."""

    def __init__(self, database: Database, conninfo: str, store: FolderStore) -> None:
        self.database = database
        self.conninfo = conninfo
        self.store = store
        self.now = NOON
        self.events: list[bytes] = []
        self.failure: Exception | None = None
        self.github = FakeGitHub(clock=self.clock)
        self.github.gate.set()
        self.github.add("Ada", ADA)
        self.github.add("Bob", BOB)
        year = ContributionYear(2026, (1, 2, 3), commits=6)
        self.github.contributions = {ADA: Contributions((year,)), BOB: Contributions((year,))}
        backends = Backends(
            draw=draw_locally,
            store=store.put,
            read_stored=self._read,
            publish=self._publish,
            remove=self.remove,
        )
        self.services = DataServices(database, self.github, backends, self.clock)
        self.dropped: set[int] = set()
        self.denied: list[str] = []
        self.forgetting = self.new_forgetting()

    def clock(self) -> datetime:
        return self.now

    def new_forgetting(self) -> Forgetting:
        return Forgetting(
            database=self.database,
            remove=self.remove,
            drop_owners=self.dropped.update,
            deny=self._deny,
            clock=self.clock,
        )

    async def remove(self, picture: RemovedPicture) -> RemoveResponse:
        if self.failure is not None:
            raise self.failure
        return await self.store.remove(picture.path, version=picture.version)

    async def create(self, login: str, **options: Any) -> str:
        created = await self.services.banners.create(
            login, BannerOptions(**options), deadline=Deadline(10, 10), charge=no_charge
        )
        await self.services.drain()
        return created.name

    async def fill(self) -> list[str]:
        names = [
            await self.create("ada", theme=Theme.DARK),
            await self.create("ada", layout=Layout.ACTIVITY),
            await self.create("ada", show=(ShownNumber.COMMITS,)),
        ]
        await self.create("bob", theme=Theme.DARK)
        self.github.owners = {
            "lovelace": self.github.add("Lovelace", ADA),
            "bob": self.github.owners["bob"],
        }
        self.now += HOUR
        return names

    async def select_banner(self, name: str) -> tuple[Banner, Snapshot]:
        async with self.database.transaction() as connection:
            row = await select_banner_with_snapshot(connection, name, now=self.now)
        assert row is not None
        return row

    async def event(self, name: str) -> bytes:
        """Return the event of a banner as it lies in Kafka."""
        banner, snapshot = await self.select_banner(name)
        async with self.database.transaction() as connection:
            shown = await read_completed(connection, snapshot, banner.options, banner.needs)
        return to_event(to_render_job(banner, shown), produced_at=self.now).to_json()

    async def receive(self, event: bytes) -> None:
        """Process an event as the renderer does."""
        job: RenderJob = parse_update(event, now=self.now)
        await render_and_store(job, draw=draw, store=self.store.put)

    async def forget(self, owner_id: int = ADA) -> UserRows:
        return await delete_user(self.database, owner_id, clock=self.clock)

    async def find_tables(self, owner_id: int) -> set[str]:
        """Return the tables with rows of an owner, whatever tables there are."""
        names = set()
        async with self.database.transaction() as connection:
            columns = await (await connection.execute(OWNER_COLUMNS)).fetchall()
            for table, column in columns:
                query = SQL("select count(*) from {} where {} = %s").format(
                    Identifier(table), Identifier(column)
                )
                row = await (await connection.execute(query, [owner_id])).fetchone()
                assert row is not None
                names |= {table} if row[0] else set()
        return names

    async def waiting(self) -> list[RemovedPicture]:
        async with self.database.transaction() as connection:
            return await forgotten_users.select_removed_pictures(connection, after="", limit=100)

    async def _read(self, name: str) -> bytes | None:
        picture = await self.store.get(name)
        return picture.body if picture is not None else None

    async def _publish(self, banner: Banner, snapshot: Snapshot) -> None:
        self.events.append(
            to_event(to_render_job(banner, snapshot), produced_at=self.now).to_json()
        )

    def _deny(self, logins: Collection[str]) -> None:
        self.denied = list(logins)


@pytest.fixture
async def harness(
    database: Database, conninfo: str, tmp_path: Path
) -> AsyncIterator[ForgettingHarness]:
    store = FolderStore(tmp_path / "banners", clock=lambda: services.now)
    services = ForgettingHarness(database, conninfo, store)
    yield services
    await services.services.close()
    store.close()


async def test_delete_user_leaves_no_row_of_the_user_and_all_of_others(
    harness: ForgettingHarness,
) -> None:
    await harness.fill()
    before = await harness.find_tables(ADA)
    assert before == {
        "users", "logins", "repositories", "owner_data", "contribution_years", "banners"
    }  # fmt: skip
    others = await harness.find_tables(BOB)
    rows = await harness.forget()
    assert (rows.users, rows.banners, rows.repositories) == (1, 3, 3)
    assert rows.data == 2
    assert await harness.find_tables(ADA) == set()
    assert await harness.find_tables(BOB) == others
    assert await harness.forget() == UserRows()


async def test_delete_user_renamed_is_found_by_each_login(harness: ForgettingHarness) -> None:
    await harness.fill()
    await harness.services.owners.find_by_login(
        "lovelace", deadline=Deadline(10, 10), charge=no_charge
    )
    await harness.services.drain()
    async with harness.database.transaction() as connection:
        matches = [
            await forgotten_users.select_user(connection, login) for login in ("ADA", "Lovelace")
        ]
        assert await forgotten_users.select_user(connection, "nobody") is None
        counted = await forgotten_users.count_user_rows(connection, ADA)
    assert matches[0] == matches[1]
    assert matches[0] is not None
    assert (matches[0][0].login, matches[0][1]) == ("Lovelace", ["lovelace", "ada"])
    assert counted == await harness.forget()
    assert counted.logins == 2


async def test_delete_user_many_banners_is_resumed(
    harness: ForgettingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await harness.fill()
    monkeypatch.setattr(forgotten_users, "MAX_DELETED_BANNERS", 2)
    async with harness.database.transaction() as connection:
        first = await forgotten_users.delete_user_rows(
            connection, ADA, now=harness.now, removal_due_at=harness.now
        )
        assert first == UserRows(banners=2)
        assert await forgotten_users.select_user(connection, "ada") is not None
    rest = await harness.forget()
    assert (rest.users, rest.banners) == (1, 1)
    assert {picture.path for picture in await harness.waiting()} == set(names)


async def test_late_event_does_not_bring_a_picture_back(harness: ForgettingHarness) -> None:
    names = await harness.fill()
    events = [await harness.event(name) for name in names]
    await harness.forget()
    pictures = await harness.waiting()
    responses = await remove_pictures(harness.database, harness.remove, pictures)
    assert all(isinstance(response, RemoveResponse) for response in responses)
    assert await harness.waiting() == []
    for name, event in zip(names, events, strict=True):
        await harness.receive(event)
        assert await harness.store.get(name) is None
        stored = await harness.store.get_version(name)
        assert stored is not None
        assert stored.is_removed


async def test_late_save_does_not_bring_the_user_back(harness: ForgettingHarness) -> None:
    await harness.fill()
    requested = await harness.github.fetch("lovelace")
    late = [(requested, (await harness.select_banner("bob-dark"))[1].stats)]
    await harness.forget()
    harness.now += timedelta(seconds=1)
    async with harness.database.transaction() as connection:
        assert await users.upsert_owners(connection, late, now=harness.now) == []
    assert await harness.find_tables(ADA) == set()
    requested = await harness.github.fetch("lovelace")
    async with harness.database.transaction() as connection:
        await users.upsert_owners(connection, [(requested, late[0][1])], now=harness.now)
    assert await harness.find_tables(ADA) == {"users", "logins", "repositories"}


async def test_late_identity_does_not_bring_the_user_back(harness: ForgettingHarness) -> None:
    await harness.fill()
    await harness.services.finder.find_preview(
        "ada", BannerOptions(layout=Layout.ACTIVITY), deadline=Deadline(10, 10), charge=no_charge
    )
    await harness.forget()
    harness.services.banners.drop_owners({ADA})
    harness.github.gate.clear()
    harness.github.request_arrived.clear()
    # Requested at the time of `forget`, answered later.
    request = asyncio.create_task(
        harness.services.finder.find_preview(
            "lovelace",
            BannerOptions(layout=Layout.ACTIVITY),
            deadline=Deadline(10, 10),
            charge=no_charge,
        )
    )
    await harness.github.request_arrived.wait()
    harness.now += timedelta(seconds=1)
    harness.github.gate.set()
    await request
    await harness.services.drain()
    assert "users" not in await harness.find_tables(ADA)


async def test_new_banner_exceeds_the_tombstone_though_the_clock_is_behind(
    harness: ForgettingHarness,
) -> None:
    await harness.fill()
    harness.github.add("ada", ADA)
    await harness.forget()
    await remove_pictures(harness.database, harness.remove, await harness.waiting())
    forgotten_at = harness.now
    harness.now += timedelta(milliseconds=1)
    harness.services.banners.drop_owners({ADA})
    await harness.services.owners.find_by_login("ada", deadline=Deadline(10, 10), charge=no_charge)
    await harness.services.drain()
    harness.now = forgotten_at - timedelta(minutes=1)
    assert await harness.create("ada", theme=Theme.DARK) == "ada-dark"
    banner, _ = await harness.select_banner("ada-dark")
    removed = forgotten_at.timestamp() * 1_000_000
    assert banner.version > removed
    assert await harness.store.get("ada-dark") is not None


async def test_storage_down_is_retried_by_running_services(harness: ForgettingHarness) -> None:
    names = await harness.fill()
    harness.failure = StorageUnavailable("down")
    await harness.forget()
    other = harness.new_forgetting()
    assert await harness.forgetting.run_batch() == 0
    harness.failure = None
    # The pictures are leased, also for another process.
    assert await other.run_batch() == 0
    assert len(await harness.waiting()) == len(names)
    harness.now += timedelta(minutes=2)
    assert await other.run_batch() == len(names)
    assert await harness.waiting() == []
    assert [await harness.store.get(name) for name in names] == [None] * 3


async def test_remove_pictures_higher_version_meanwhile_stays_listed(
    harness: ForgettingHarness,
) -> None:
    await harness.fill()
    await harness.forget()
    pictures = await harness.waiting()
    async with harness.database.transaction() as connection:
        await connection.execute("update removed_pictures set version = version + 1")
    await remove_pictures(harness.database, harness.remove, pictures)
    assert len(await harness.waiting()) == len(pictures)


async def test_forgetting_reads_denied_logins_and_forgotten_users(
    harness: ForgettingHarness,
) -> None:
    await harness.fill()
    await harness.forgetting.run_batch()
    assert (harness.dropped, harness.denied) == (set(), [])
    async with harness.database.transaction() as connection:
        await forgotten_users.insert_denied_logins(connection, ["Ada", "ada"], now=harness.now)
    await harness.forget()
    await harness.forgetting.run_batch()
    assert (harness.dropped, harness.denied) == ({ADA}, ["ada"])
    harness.now += timedelta(seconds=1)
    await harness.services.owners.find_by_login(
        "lovelace", deadline=Deadline(10, 10), charge=no_charge
    )
    await harness.services.drain()
    await harness.forget()
    await harness.forgetting.run_batch()
    assert harness.dropped == {ADA}
    harness.dropped.clear()
    async with harness.database.transaction() as connection:
        assert await forgotten_users.delete_denied_login(connection, "ADA")
        assert not await forgotten_users.delete_denied_login(connection, "ada")
    await harness.forgetting.run_batch()
    assert harness.denied == []
    harness.now += 8 * DAY
    await harness.forgetting.run_batch()
    harness.dropped.clear()
    await harness.forgetting.run_batch()
    assert harness.dropped == set()
    async with harness.database.transaction() as connection:
        assert not await forgotten_users.select_forgotten(connection, since=NOON - DAY)


async def test_forgetting_drops_what_an_earlier_request_caches_later(
    harness: ForgettingHarness,
) -> None:
    await harness.fill()
    harness.forgetting = Forgetting(
        database=harness.database,
        remove=harness.remove,
        drop_owners=harness.services.banners.drop_owners,
        deny=lambda _: None,
        clock=harness.clock,
    )
    harness.github.gate.clear()
    harness.github.request_arrived.clear()
    # The numbers are an hour old: they are requested in the background.
    await harness.services.finder.find_preview(
        "ada", BannerOptions(), deadline=Deadline(10, 10), charge=no_charge
    )
    await harness.github.request_arrived.wait()
    await harness.forget()
    await harness.forgetting.run_batch()
    harness.github.gate.set()
    await harness.services.drain()
    assert harness.services.owners.cache.get(ADA) is not None
    harness.now += timedelta(minutes=1)
    await harness.forgetting.run_batch()
    assert harness.services.owners.cache.get(ADA) is None


async def test_create_banner_of_a_user_forgotten_meanwhile_is_unavailable(
    harness: ForgettingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.fill()
    ensure_persisted = harness.services.owners.ensure_persisted

    async def ensure_and_forget(snapshot: Snapshot, *, deadline: Deadline) -> None:
        await ensure_persisted(snapshot, deadline=deadline)
        await harness.forget()

    monkeypatch.setattr(harness.services.owners, "ensure_persisted", ensure_and_forget)
    with pytest.raises(OwnerNotStored) as error_info:
        await harness.create("ada", theme=Theme.AUTO)
    assert error_info.value.status == 503
    assert harness.database.is_available
    assert await harness.find_tables(ADA) == set()


async def test_create_existing_banner_of_a_user_forgotten_meanwhile_returns_its_name(
    harness: ForgettingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *_ = await harness.fill()

    async def insert_and_forget(connection: Connection, **values: Any) -> tuple[Banner, bool]:
        inserted = await insert_banner(connection, **values)
        await harness.forget()
        return inserted

    monkeypatch.setattr(banner_service, "insert_banner", insert_and_forget)
    assert await harness.create("ada", theme=Theme.DARK) == name


async def test_forgetting_is_woken_up_by_notifications(
    harness: ForgettingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.fill()
    invalidations = Invalidations(clock=harness.clock)
    listener = ChangeListener(
        harness.conninfo,
        database=harness.database,
        invalidations=invalidations,
        on_forgotten=harness.forgetting.wake,
    )
    tasks = [asyncio.create_task(work()) for work in (listener.run, harness.forgetting.run)]
    try:
        async with asyncio.timeout(20):
            while not invalidations.is_listening:  # noqa: ASYNC110 - a property, no event
                await asyncio.sleep(0.01)
            monkeypatch.setattr(forgetting_module, "_IDLE_SECONDS", 3600)
            await harness.forget()
            while not harness.dropped or await harness.waiting():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert harness.dropped == {ADA}


async def test_drop_owners_leaves_no_cache_entry_of_them(harness: ForgettingHarness) -> None:
    names = await harness.fill()
    harness.now = NOON
    pictures = PictureCache(clock=harness.clock, memory_bytes=1 << 20)
    cache = ResponseCache(pictures, clock=harness.clock)
    png_converter = PngConverter(
        worker=cast("Any", WorkerStub()), memory_bytes=1 << 20, count=lambda _: None
    )
    charge = ClientCharge("client", RateLimiter(per_second=1_000))
    drawn = []
    for name in [*names, "bob-dark"]:
        request = await harness.services.banners.get_by_name(
            name, deadline=Deadline(10, 10), charge=no_charge
        )
        cached = await pictures.get_or_draw(request, deadline=Deadline(10, 10))
        cache.put(f"/banners/{name}".encode(), request.key, banner=name)
        await png_converter.to_png(cached.picture, charge=charge, deadline=Deadline(10, 10))
        drawn.append(cached.picture)
    await harness.services.drain()
    routes = SimpleNamespace(
        banners=harness.services.banners,
        pictures=pictures,
        cache=cache,
        png_converter=png_converter,
    )
    await harness.forget()
    drop_owners(cast("BannerRoutes", routes), {ADA})
    owners = harness.services.owners
    assert owners.cache.get(ADA) is owners.cache.get_by_login("ada") is None
    assert owners.writer.unsaved.get(ADA) is None
    assert len(pictures) == 1
    assert [svg for svg in drawn if png_converter.get_cached(svg)] == drawn[-1:]
    assert cache.get(b"/banners/ada-dark") is None
    assert cache.get(b"/banners/bob-dark") is not None
    for name in names:
        with pytest.raises(UnknownBanner):
            await harness.services.banners.get_by_name(
                name, deadline=Deadline(10, 10), charge=no_charge
            )


async def test_forgotten_tables_may_be_used_by_roles_that_use_users(empty_conninfo: str) -> None:
    """A role that is not the owner of the tables gets the same rights on the new ones."""
    with psycopg.connect(empty_conninfo, autocommit=True) as admin:
        admin.execute("drop role if exists banners_service")
        admin.execute("create role banners_service")
        admin.execute("alter default privileges grant insert on tables to banners_service")
    await migrate(empty_conninfo)
    query = "select has_table_privilege('banners_service', %s, 'select, insert, update, delete')"
    with psycopg.connect(empty_conninfo, autocommit=True) as admin:
        for table in ("forgotten_users", "removed_pictures", "denied_logins"):
            assert admin.execute(query, [table]).fetchone() == (True,)
        admin.execute("drop owned by banners_service")
        admin.execute("drop role banners_service")
